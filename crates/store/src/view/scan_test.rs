//! A scan of roll-ups over a file with a corrupt block: what the roll-ups do not say, the blocks do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use keyviz_codec::rollup::{self, Chunk};
use keyviz_codec::{CellEntry, Contributor, HourBlocks, numbers};
use keyviz_lineage::{Counts, Flags, HOUR_MS, Step};
use uuid::Uuid;

use super::*;
use crate::retention::Retention;
use crate::{Batch, Store, StoreOptions};

const GROUP: GroupId = 3;
const FIRST_HOUR: u64 = 500;
const HOURS: u64 = 48;
/// Two chunks, the second one not full.
const LINEAGES: usize = SLOTS + 44;

fn open(path: &Path) -> Store {
    Store::open(path, StoreOptions { retention: Retention::new(u64::MAX) }).unwrap()
}

fn lineage(at: usize) -> LineageId {
    Uuid::from_u128((at as u128 * 7_919 % 1_009) << 64 | (at as u128 + 1))
}

fn reads(at: usize, hour: u64) -> u64 {
    1 + (at as u64 * 7_919 + hour * 104_729) % 100_000
}

fn block(at: usize, hour: u64) -> HourBlocks {
    let mut block = HourBlocks::default();
    let counts = Counts { reads: reads(at, hour), ..Counts::default() };
    let who = Contributor { node: "a".into(), group: 0, term: 1 };
    let entry = CellEntry { index: (hour % 60) as u16, counts, flags: Flags::NONE };
    block.block_mut(Step::MINUTE).add(&who, entry);
    block
}

/// Blocks and hourly roll-ups of reads; returns the roll-ups by hour and chunk.
fn fill(store: &Store) -> BTreeMap<(u64, u32), Vec<u8>> {
    let mut rollups = BTreeMap::new();
    let ids: Vec<LineageId> = (0..LINEAGES).map(lineage).collect();
    for (chunk, ids) in (0..).zip(ids.chunks(SLOTS)) {
        let mut batch = Batch::default();
        batch.put(GROUP, &Key::Numbers { chunk }, numbers::encode(ids));
        for hour in FIRST_HOUR..FIRST_HOUR + HOURS {
            let mut values = Chunk::new(Tier::Hour);
            for (slot, &lineage) in ids.iter().enumerate() {
                let block = block(chunk as usize * SLOTS + slot, hour);
                values.set(slot, Some(rollup::of(&block, Tier::Hour)[Series::Reads as usize]));
                batch.put(GROUP, &Key::Range { lineage, hour }, block.encode());
            }
            let (tier, series) = (Tier::Hour, Series::Reads);
            batch.put(GROUP, &Key::Rollup { tier, series, hour, chunk }, values.encode());
            rollups.insert((hour, chunk), values.encode());
        }
        store.commit(&batch).unwrap();
    }
    rollups
}

/// Flips one bit of this value in whatever file holds it.
fn spoil(path: &Path, value: &[u8]) {
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "sst")) {
        let mut bytes = std::fs::read(&file).unwrap();
        if let Some(at) = bytes.windows(value.len()).position(|window| window == value) {
            bytes[at + value.len() / 2] ^= 4;
            return std::fs::write(&file, bytes).unwrap();
        }
    }
    panic!("no file holds the value");
}

/// What a scan tells.
struct Scanned {
    /// Reads by hour and tag.
    found: BTreeMap<(u64, u32), u64>,
    /// How many of them came from blocks.
    cells: usize,
    /// Whose finest columns are lost as well.
    lost: BTreeSet<(u64, u32)>,
}

fn scan(view: &View<'_>, hours: RangeInclusive<u64>) -> Scanned {
    let asked: Vec<(LineageId, u32)> = (0..LINEAGES).map(|at| (lineage(at), at as u32)).collect();
    let wanted = Wanted { lineages: &asked, maxima: true };
    let (mut found, mut cells, mut lost) = (BTreeMap::new(), 0, BTreeSet::new());
    view.rollups(
        GROUP,
        (Tier::Hour, Series::Reads),
        hours,
        &wanted,
        &mut |hour, part| match part {
            Part::Chunk { tags, columns } => {
                let told = tags.iter().zip(&columns.sums).filter(|(tag, _)| **tag != NOBODY);
                for (&tag, &sum) in told {
                    assert_eq!(found.insert((hour, tag), sum), None, "told twice");
                }
            }
            Part::Cells { tag, column } => {
                cells += 1;
                assert_eq!(
                    found.insert((hour, tag), column.values.iter().sum()),
                    None,
                    "told twice"
                );
            }
            Part::Unread { tag, error } => {
                assert!(error.to_string().contains("|range|"), "{error}");
                lost.insert((hour, tag));
            }
        },
    );
    Scanned { found, cells, lost }
}

#[test]
fn where_a_block_of_roll_ups_is_corrupt_the_blocks_are_read_and_the_scan_goes_on() {
    let right: BTreeMap<(u64, u32), u64> = (FIRST_HOUR..FIRST_HOUR + HOURS)
        .flat_map(|hour| (0..LINEAGES).map(move |at| ((hour, at as u32), reads(at, hour))))
        .collect();
    let of_hours = |hours: RangeInclusive<u64>| -> BTreeMap<(u64, u32), u64> {
        right.iter().filter(|((hour, _), _)| hours.contains(hour)).map(|(k, v)| (*k, *v)).collect()
    };
    let last = FIRST_HOUR + HOURS - 1;
    // The first block, one in the middle, the last one, and two of them.
    for spoiled in
        [vec![(FIRST_HOUR, 0)], vec![(520, 1)], vec![(last, 1)], vec![(520, 1), (540, 0)]]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = open(&path);
        let rollups = fill(&store);
        store.flush().unwrap();
        let whole = scan(&store.view(last * HOUR_MS), 0..=9_999);
        assert!((whole.found == right, whole.cells) == (true, 0) && whole.lost.is_empty());
        assert_eq!(store.damage_count(), 0);
        drop(store);
        spoiled.iter().for_each(|place| spoil(&path, &rollups[place]));
        let store = open(&path);
        let view = store.view(last * HOUR_MS);
        for hours in [0..=9_999, FIRST_HOUR..=last, 510..=530, last..=last] {
            let Scanned { found, cells, lost } = scan(&view, hours.clone());
            let mut expected = of_hours(hours.clone());
            expected.retain(|place, _| !lost.contains(place));
            assert_eq!(found, expected, "{spoiled:?} {hours:?}");
            // The first roll-ups share a block of the file with the last finest columns.
            let shares = spoiled[0].0 == FIRST_HOUR;
            assert!(lost.len() < if shares { 100 } else { 1 }, "{spoiled:?}: {lost:?}");
            assert!(
                cells < right.len() / 2 + LINEAGES,
                "{spoiled:?}: the rest is told by roll-ups"
            );
        }
        assert!(scan(&view, 0..=9_999).cells > 0, "{spoiled:?}: nothing was spoiled");
        let (count, told) = store.damage();
        assert!(count > 0 && told.iter().any(|what| what.contains("the roll-ups of reads")));
    }
}
