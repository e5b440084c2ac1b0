use keyviz_lineage::{Counts, Step};
use proptest::prelude::*;

use super::*;
use crate::{CellEntry, Contributor};

fn even(windows: &[(u64, u64, u16)]) -> Entry {
    let mut summaries = [Summary::default(); MAX_WINDOWS];
    for (held, &(sum, max, flags)) in summaries.iter_mut().zip(windows) {
        *held = Summary { sum, max, flags: Flags(flags) };
    }
    Entry::Even(summaries)
}

fn check(chunk: &Chunk) -> usize {
    let value = chunk.encode();
    assert_eq!(Chunk::decode(&value).as_ref(), Ok(chunk));
    let mut columns = Columns::default();
    columns.read(&value).unwrap();
    let (taken, sums, flags) = (columns.taken, columns.sums.clone(), columns.flags.clone());
    columns.read_sums(&value).unwrap();
    assert_eq!((columns.taken, &columns.sums, &columns.flags), (taken, &sums, &flags));
    assert!(columns.maxima.is_empty());
    value.len()
}

#[test]
fn a_chunk_of_nothing_and_one_of_equals_cost_next_to_nothing() {
    for tier in Tier::ALL {
        let mut chunk = Chunk::new(tier);
        assert!(chunk.is_empty());
        assert!(check(&chunk) <= 10 + 2 * tier.windows());
        (0..SLOTS).for_each(|slot| {
            chunk.set(slot, Some(even(&vec![(60, 1, 0); tier.windows()])));
        });
        assert!(check(&chunk) <= 10 + 2 * tier.windows());
        chunk.set(7, Some(Entry::Uneven));
        chunk.set(8, None);
        assert!(check(&chunk) <= 18 + 2 * tier.windows());
        assert_eq!(
            (chunk.get(7), chunk.get(8), chunk.get(SLOTS)),
            (Some(Entry::Uneven), None, None)
        );
    }
}

#[test]
fn the_bytes_are_these() {
    let mut chunk = Chunk::new(Tier::Hour);
    chunk.set(0, Some(even(&[(600, 11, 0)])));
    chunk.set(1, Some(even(&[(1_200, 22, 1)])));
    chunk.set(3, Some(Entry::Uneven));
    let hex: String = chunk.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let head = "02".to_owned() // version
        + "01" + "0e" // one window; slots as gaps, flags, uneven ones
        + "03000001" + "0104" // slots 0, 1 and 3; as bits, the third of them is uneven
        + "0001" + "0100" // one cell without flags, the rest sampled
        + "3c"; // 60
    let sums = "0ad804".to_owned() + "006009"; // ten bits from 600 on: 0 and 600
    let maxima = "03".to_owned() + "34"; // three bits: 11 - 9 and 22 - 19
    assert_eq!(hex, head + &sums + &maxima + "3d2b0f93");
    // The same of version 1.
    let old = "01010e030000010104000101003c471218780882a89f282333";
    let nibble = |at: usize| u8::from_str_radix(&old[at..at + 2], 16).unwrap();
    let old: Vec<u8> = (0..old.len()).step_by(2).map(nibble).collect();
    assert_eq!(Chunk::decode(&old), Ok(chunk));
}

#[test]
fn damage_is_an_error_at_every_byte_and_every_cut() {
    let mut chunk = Chunk::new(Tier::FiveMinutes);
    for slot in [0, 1, 5, 255] {
        let windows: Vec<_> = (0..12).map(|at| (at * 1_000 + slot, at * 40, 0)).collect();
        chunk.set(slot as usize, Some(even(&windows)));
    }
    let value = chunk.encode();
    for at in 0..value.len() {
        let mut spoiled = value.clone();
        spoiled[at] ^= 0x10;
        assert!(Chunk::decode(&spoiled).is_err());
        assert!(Chunk::decode(&value[..at]).is_err());
    }
}

#[test]
fn two_entries_add_up() {
    let (a, b) = (even(&[(600, 11, 1)]), even(&[(30, 12, 2), (7, 7, 0)]));
    assert_eq!(a.plus(b), even(&[(630, 12, 3), (7, 7, 0)]));
    assert_eq!(a.plus(Entry::Uneven), Entry::Uneven);
    let full = even(&[(u64::MAX, 5, 0)]).plus(even(&[(1, 1, 0)]));
    assert_eq!(full, even(&[(u64::MAX, 5, Flags::SATURATED.0)]));
}

#[test]
fn a_step_that_does_not_divide_five_minutes_is_left_to_the_blocks() {
    let mut hour = HourBlocks::default();
    let who = Contributor { node: "a".into(), group: 0, term: 1 };
    let counts = Counts { reads: 5, writes: 0, read_bytes: 50, write_bytes: 0 };
    let entry = CellEntry { index: 5, counts, flags: Flags::NONE };
    hour.block_mut(Step::from_ms(600_000).unwrap()).add(&who, entry);
    assert_eq!(of(&hour, Tier::FiveMinutes), [Entry::Uneven; 4]);
    let hours = of(&hour, Tier::Hour);
    assert_eq!(of_all(&hour), [hours, [Entry::Uneven; 4]]);
    assert_eq!(hours, [even(&[(5, 5, 0)]), even(&[]), even(&[(50, 50, 0)]), even(&[])]);
    hour.block_mut(Step::MINUTE).add(&who, CellEntry { index: 59, ..entry });
    assert_eq!(of(&hour, Tier::Hour)[0], even(&[(10, 5, 0)]), "both steps count");
}

proptest! {
    #[test]
    fn any_entries_come_back(
        five in any::<bool>(),
        entries in prop::collection::btree_map(
            0usize..SLOTS,
            prop::option::weighted(0.9, (0u32..64, prop::collection::vec((any::<u64>(), any::<u64>(), 0u16..2), 12))),
            0..SLOTS,
        ),
        flagged in any::<bool>(),
    ) {
        let tier = if five { Tier::FiveMinutes } else { Tier::Hour };
        let mut chunk = Chunk::new(tier);
        for (&slot, entry) in &entries {
            let entry = entry.as_ref().map_or(Entry::Uneven, |(shift, windows)| {
                let windows = windows[..tier.windows()].iter();
                let windows = windows.map(|&(sum, max, flags)| {
                    (sum >> shift, max >> shift, if flagged { flags } else { 0 })
                });
                even(&windows.collect::<Vec<_>>())
            });
            chunk.set(slot, Some(entry));
        }
        let bytes = check(&chunk);
        prop_assert!(bytes <= 64 + entries.len() * tier.windows() * 22);
        // One slot changes, and the others stay as they are.
        let mut changed = Chunk::decode(&chunk.encode()).unwrap();
        changed.set(9, Some(Entry::Uneven));
        check(&changed);
        changed.set(9, chunk.get(9));
        prop_assert_eq!(changed, chunk);
    }

    #[test]
    fn an_entry_is_what_the_merged_cells_say(
        cells in prop::collection::vec((0usize..2, 0u64..2, 0u16..60, any::<u64>(), 0u32..70, 0u16..4), 0..80),
        step_ms in prop::sample::select(vec![10_000u64, 60_000]),
    ) {
        let step = Step::from_ms(step_ms).unwrap();
        let mut hour = HourBlocks::default();
        for &(node, term, index, value, shift, flags) in &cells {
            let who = Contributor { node: ["a", "b"][node].into(), group: 0, term };
            let value = value.checked_shr(shift).unwrap_or(0);
            let counts =
                Counts { reads: value, writes: value / 2, read_bytes: value / 3, write_bytes: 0 };
            hour.block_mut(step).add(&who, CellEntry { index, counts, flags: Flags(flags) });
        }
        let merged = hour.blocks().first().map(|block| block.cells()).unwrap_or_default();
        prop_assert_eq!(of_all(&hour), Tier::ALL.map(|tier| of(&hour, tier)));
        for tier in Tier::ALL {
            for (series, entry) in Series::ALL.into_iter().zip(of(&hour, tier)) {
                let Entry::Even(windows) = entry else { panic!("both steps divide both tiers") };
                for (at, held) in windows.iter().enumerate() {
                    let inside = merged.iter().filter(|(index, _)| {
                        u64::from(**index) * step_ms / tier.step_ms() == at as u64
                    });
                    let (mut sum, mut max, mut flags) = (0u128, 0, Flags::NONE);
                    for (_, cell) in inside {
                        let value = cell.counts.get(series);
                        (sum, max) = (sum + u128::from(value), max.max(value));
                        flags = flags.or(cell.flags);
                    }
                    if sum >= u128::from(u64::MAX) {
                        flags = flags.or(Flags::SATURATED);
                    }
                    let sum = u64::try_from(sum).unwrap_or(u64::MAX);
                    prop_assert_eq!(*held, Summary { sum, max, flags });
                }
            }
        }
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..300), five in any::<bool>()) {
        let windows = if five { 12 } else { 1 };
        for payload in [payload.clone(), [&[windows, 0][..], &payload].concat(), [&[windows][..], &payload].concat()] {
            let value = envelope::seal(VERSION, &payload);
            let mut columns = Columns::default();
            let _ = columns.read_sums(&value);
            if let Ok(chunk) = Chunk::decode(&value) {
                check(&chunk);
            }
        }
    }
}
