use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

use keyviz_codec::{CellEntry, Contributor, HourBlocks};
use keyviz_lineage::{Counts, Flags, Step as Window};
use uuid::Uuid;

use super::*;
use crate::migrate::{STEPS, UpgradeProgress, WatchUpgrade};
use crate::retention::Retention;
use crate::{Store, StoreOptions, Tuning};

const LINEAGES: u64 = 300;

fn open(path: &Path, steps: usize, watch: WatchUpgrade<'_>) -> Result<Store, StoreError> {
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    Store::open_with(path, options, &Tuning::default(), &STEPS[..steps], watch)
}

fn go_on(_: UpgradeProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn block(value: u64) -> HourBlocks {
    let mut hour = HourBlocks::default();
    let counts = Counts { reads: value, writes: value * 2, ..Counts::default() };
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    for index in [1, 40] {
        hour.block_mut(Window::MINUTE).add(&who, CellEntry { index, counts, flags: Flags::NONE });
    }
    hour
}

fn lineage(n: u64) -> LineageId {
    Uuid::from_u128(u128::from(n) << 20)
}

/// A folder of version 2: two groups, hours of two days with a gap of weeks, one block damaged.
fn old_folder(path: &Path) {
    let store = open(path, 1, &go_on).unwrap();
    let mut batch = Batch::default();
    for (group, n) in (1..LINEAGES).map(|n| (1 + n % 3 / 2, n)) {
        for hour in [1_000, 1_001, 1_030, 2_000].into_iter().filter(|hour| (n + hour) % 5 > 0) {
            let key = Key::Range { lineage: lineage(n), hour };
            let mut value = block(n).encode();
            if (n, hour) == (7, 1_001) {
                value[5] ^= 1;
            }
            batch.put(group, &key, value);
        }
    }
    store.commit(&batch).unwrap();
}

#[test]
fn every_block_is_summed_up_and_a_stop_after_any_batch_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    old_folder(&path);
    let heard = Cell::new(0);
    let count = |at: UpgradeProgress| {
        assert!(at.done <= at.total, "{at:?}");
        heard.set(heard.get() + 1);
        ControlFlow::Continue(())
    };
    let store = open(&path, 2, &count).unwrap();
    let view = store.view(0);
    let mut seen = 0;
    for group in view.groups().unwrap() {
        let numbers = view.numbers(group).unwrap();
        for n in (1..LINEAGES).filter(|n| 1 + n % 3 / 2 == group) {
            let number = numbers.get(lineage(n)).unwrap();
            for hour in [999, 1_000, 1_001, 1_030, 2_000] {
                let chunk = number / SLOTS as u32;
                let key = Key::Rollup { tier: Tier::Hour, series: Series::Writes, hour, chunk };
                let held = view.rollup(group, &key).unwrap();
                let entry = held.and_then(|chunk| chunk.get(number as usize % SLOTS));
                let expected = match view.block(group, lineage(n), hour) {
                    Ok(held) => held.map(|held| rollup::of(&held, Tier::Hour)[1]),
                    Err(_) => Some(Entry::Uneven),
                };
                assert_eq!(entry, expected, "{group} {n} {hour}");
                seen += u64::from(expected.is_some());
            }
        }
    }
    assert!(seen > 900, "{seen}");
    let expected = view.dump().unwrap();
    assert!(heard.get() > 8, "{heard:?}");
    for stops in 1..heard.get() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        old_folder(&path);
        let left = Cell::new(stops);
        let stop = |_: UpgradeProgress| {
            left.set(left.get() - 1);
            if left.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(open(&path, 2, &stop).is_err());
        assert!(open(&path, 2, &go_on).unwrap().view(0).dump().unwrap() == expected, "{stops}");
    }
}
