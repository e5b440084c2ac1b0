use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use keyviz_codec::{CellEntry, Contributor, HourBlocks, Key};
use keyviz_lineage::{Cause, Counts, Flags, Hlc, LineageRecord, Step, id};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, History, Store, StoreOptions};
use proptest::prelude::*;

use super::*;
use crate::{Command, Delta, StateMachine};

const GROUP: GroupId = 1;

fn lineage(n: u64) -> LineageId {
    id::derive(Hlc::new(n, 0), GROUP, &[0; 16], 0)
}

fn range(n: u64) -> KeyRange {
    KeyRange::new(format!("user:{n:012}").as_bytes(), format!("user:{:012}", n + 1).as_bytes())
        .unwrap()
}

fn machine(folder: &Path, lineages: u64) -> (Arc<Store>, StateMachine) {
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    let store = Arc::new(Store::open(folder, options).unwrap());
    let record = |n| LineageRecord {
        id: lineage(n),
        range: range(n),
        route: n + 1,
        group: GROUP,
        valid_from: Hlc::new(n, 0),
        valid_to: None,
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Create,
        version: 0,
    };
    let graph = LineageGraph::from_records((0..lineages).map(record));
    (Arc::clone(&store), StateMachine::new(store, graph))
}

fn blocks(windows: u16) -> HourBlocks {
    let mut hour = HourBlocks::default();
    let who = Contributor { node: "node-1".into(), group: 0, term: 3 };
    for index in 0..windows {
        let n = u64::from(index) * 2_654_435_761 % 400;
        let counts = Counts { reads: n, writes: n / 4, read_bytes: n * 120, write_bytes: n * 35 };
        hour.block_mut(Step::MINUTE).add(&who, CellEntry { index, counts, flags: Flags::NONE });
    }
    hour
}

fn checkpoint(machine: &StateMachine, wal: u64, hours: &BTreeSet<(u64, u64)>, part: &HourBlocks) {
    let blocks = hours.iter().map(|&(n, hour)| ((lineage(n), hour), part.clone()));
    let delta =
        Delta { first_wal: wal, last_wal: wal, blocks: blocks.collect(), ..Delta::default() };
    machine.apply(GROUP, &Command::PersistColumns { delta: Arc::new(delta) }).unwrap();
}

/// For each lineage and day, how many hours there are and how many of them say the keys.
fn days(store: &Store, lineages: u64) -> BTreeMap<(u64, u64), (usize, usize)> {
    let view = store.view(0);
    let mut days: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for n in 0..lineages {
        for (hour, blocks) in view.blocks(GROUP, lineage(n), 0..=u64::MAX) {
            if matches!(blocks, Err(StoreError::SetAside { .. })) {
                // Told besides what was stored since.
                continue;
            }
            let day = days.entry((n, hour / 24)).or_default();
            let bounds = blocks.unwrap().bounds().cloned();
            assert!(bounds.is_none() || bounds == Some(range(n)));
            day.0 += 1;
            day.1 += usize::from(bounds.is_some());
        }
    }
    days
}

#[test]
fn a_busy_range_says_its_keys_once_a_day_for_less_than_half_a_percent() {
    let folder = tempfile::tempdir().unwrap();
    let (store, machine) = machine(folder.path(), 1);
    let part = blocks(60);
    for hour in 0..72 {
        for again in 0..2 {
            checkpoint(&machine, hour * 2 + again + 1, &BTreeSet::from([(0, hour)]), &part);
        }
    }
    let expected = (0..3).map(|day| ((0, day), (24, 1))).collect();
    assert_eq!(days(&store, 1), expected);
    let view = store.view(0);
    let bytes = |hour| {
        let lineage = lineage(0);
        view.raw(GROUP, &Key::Range { lineage, hour }).unwrap().unwrap().len()
    };
    let (day, extra) = ((0..24).map(bytes).sum::<usize>(), bytes(0) - bytes(1));
    assert!(extra * 200 < day, "{extra} of {day} bytes");
}

#[test]
fn a_block_that_replaces_a_damaged_one_says_the_keys_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, machine) = machine(folder.path(), 1);
    (0..3).for_each(|hour| {
        checkpoint(&machine, hour + 1, &BTreeSet::from([(0, hour)]), &blocks(1));
    });
    let key = Key::Range { lineage: lineage(0), hour: 0 };
    let mut bytes = store.view(0).raw(GROUP, &key).unwrap().unwrap();
    bytes[9] ^= 1;
    let mut batch = Batch::default();
    batch.put(GROUP, &key, bytes.clone());
    store.commit(&batch).unwrap();
    checkpoint(&machine, 4, &BTreeSet::from([(0, 0)]), &blocks(1));
    assert_eq!(days(&store, 1), BTreeMap::from([((0, 0), (3, 1))]));
    assert_eq!(store.view(0).raw(GROUP, &key.quarantine()).unwrap(), Some(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_day_of_blocks_says_the_keys(
        checkpoints in prop::collection::vec(prop::collection::btree_set((0u64..3, 0u64..80), 1..9), 1..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (store, machine) = machine(folder.path(), 3);
        let mut new_together: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        let mut stored: BTreeSet<(u64, u64)> = BTreeSet::new();
        for (at, hours) in checkpoints.iter().enumerate() {
            checkpoint(&machine, at as u64 + 1, hours, &blocks(1));
            // A slow model: which days were new to the store, and with how many hours.
            let is_new = |&(n, hour): &(u64, u64)| {
                !stored.iter().any(|&(m, other)| (m, other / 24) == (n, hour / 24))
            };
            for &(n, hour) in hours.iter().filter(|at| is_new(at)) {
                *new_together.entry((n, hour / 24)).or_default() += 1;
            }
            stored.extend(hours);
        }
        let found = days(&store, 3);
        prop_assert_eq!(found.values().map(|(hours, _)| hours).sum::<usize>(), stored.len());
        for (day, (_, saying)) in found {
            prop_assert_eq!(saying, new_together[&day]);
            prop_assert!(saying >= 1);
        }
    }
}
