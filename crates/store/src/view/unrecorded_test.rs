use keyviz_codec::{CellEntry, Contributor, HourBlocks};
use keyviz_lineage::id::{ProposalId, derive, virtual_id};
use keyviz_lineage::{Counts, Flags, HOUR_MS, Hlc, Step};

use super::*;
use crate::retention::Retention;
use crate::{Batch, Store, StoreOptions};

const DAY_MS: u64 = 24 * HOUR_MS;

fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, StoreOptions { retention: Retention::new(7 * DAY_MS) }).unwrap()
}

fn lineage(n: u64) -> LineageId {
    derive(Hlc::new(n, 0), 1, &ProposalId::default(), 0)
}

fn range(n: u64) -> KeyRange {
    KeyRange::new(format!("{n:05}").as_bytes(), format!("{:05}", n + 1).as_bytes()).unwrap()
}

fn block(bounds: Option<KeyRange>) -> Vec<u8> {
    let mut hour = HourBlocks::default();
    let counts = Counts { reads: 1, ..Counts::default() };
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    hour.block_mut(Step::MINUTE).add(&who, CellEntry { index: 1, counts, flags: Flags::NONE });
    if let Some(bounds) = bounds {
        hour.set_bounds(bounds);
    }
    hour.encode()
}

#[test]
fn what_has_blocks_but_no_record_is_found_with_its_hours_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut batch = Batch::default();
    let mut put = |group, lineage, hour, value| {
        batch.put(group, &Key::Range { lineage, hour }, value);
    };
    for n in 0..6 {
        for hour in 200..=210 {
            put(1, lineage(n), hour, block((hour == 203).then(|| range(n))));
        }
    }
    // No bounds at all.
    (205..=206).for_each(|hour| put(1, lineage(6), hour, block(None)));
    // The block that says them is damaged, the next one says them too.
    let mut spoiled = block(Some(range(7)));
    spoiled[4] ^= 1;
    put(1, lineage(7), 204, spoiled);
    put(1, lineage(7), 209, block(Some(range(7))));
    // A virtual bucket, another group, and one that has expired.
    put(1, virtual_id(&range(8)), 204, block(None));
    put(2, lineage(9), 204, block(Some(range(9))));
    put(1, lineage(10), 1, block(Some(range(10))));
    store.commit(&batch).unwrap();
    let known = |id| [0, 2, 5].map(lineage).contains(&id);
    let view = store.view(210 * HOUR_MS);
    let found = |n, first_hour, last_hour, range| Unrecorded {
        lineage: lineage(n),
        range,
        first_hour,
        last_hour,
    };
    let expected = vec![
        found(1, 200, 210, Some(range(1))),
        found(3, 200, 210, Some(range(3))),
        found(4, 200, 210, Some(range(4))),
        found(6, 205, 206, None),
        found(7, 204, 209, Some(range(7))),
    ];
    assert_eq!(view.unrecorded(1, &known).unwrap(), expected);
    assert_eq!(view.unrecorded(2, &known).unwrap(), [found(9, 204, 204, Some(range(9)))]);
    assert_eq!(view.unrecorded(3, &known).unwrap(), []);
    // Half of the hours have expired, and with them the bounds.
    let later = store.view((205 + 7 * 24) * HOUR_MS);
    assert_eq!(later.unrecorded(1, &known).unwrap()[0], found(1, 205, 210, None));
}

#[test]
fn whether_there_are_blocks_is_told_by_lineage_and_hours() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut batch = Batch::default();
    for (n, hour) in [(1, 5), (2, 30)] {
        batch.put(1, &Key::Range { lineage: lineage(n), hour }, block(None));
    }
    store.commit(&batch).unwrap();
    let view = store.view(0);
    let has = |group, n, hours| view.has_blocks(group, lineage(n), hours).unwrap();
    assert!(has(1, 1, 0..=23) && has(1, 1, 5..=5) && has(1, 2, 24..=47));
    assert!(!has(1, 1, 6..=23) && !has(1, 1, 0..=4) && !has(1, 2, 0..=23), "other hours");
    assert!(!has(2, 1, 0..=23) && !has(1, 3, 0..=99), "another group or lineage");
}

/// A corrupt block may say anything; whoever goes from lineage to lineage gets to the end, or an error.
#[test]
fn a_flipped_bit_anywhere_in_a_file_makes_no_walk_endless_and_ends_no_process() {
    const LINEAGES: u64 = 400;
    const STEP: usize = 251;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = open(&path);
    let mut batch = Batch::default();
    for n in 0..LINEAGES {
        let (group, value) = (1 + n / 300, block(Some(range(n))));
        (200..=204).for_each(|hour| {
            batch.put(group, &Key::Range { lineage: lineage(n), hour }, value.clone());
        });
    }
    store.commit(&batch).unwrap();
    store.flush().unwrap();
    drop(store);
    let is_table = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "sst");
    let files = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let bytes = |path: &std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    let file = files.filter(is_table).max_by_key(bytes).unwrap();
    let healthy = std::fs::read(&file).unwrap();
    let (mut read, mut failed) = (0, 0);
    for at in (0..healthy.len()).step_by(STEP) {
        let mut bytes = healthy.clone();
        bytes[at] ^= 1 << (at / STEP % 8);
        std::fs::write(&file, bytes).unwrap();
        let options = StoreOptions { retention: Retention::new(7 * DAY_MS) };
        let Ok(store) = Store::open(&path, options) else { continue };
        let view = store.view(205 * HOUR_MS);
        for group in 1..=2 {
            let found = view.unrecorded(group, &|_| false).is_ok();
            let walks =
                [found, view.block_hours(group).is_ok(), view.lineages_of_blocks(group).is_ok()];
            let ended = walks.iter().filter(|is_ok| **is_ok).count();
            (read, failed) = (read + ended, failed + walks.len() - ended);
        }
    }
    assert!(read > 20 * failed && read > 50, "{read} walks to the end, {failed} did not");
}
