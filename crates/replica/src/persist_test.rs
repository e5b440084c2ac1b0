//! What a batch makes of what is stored, where that is all there, where its block has expired, and where
//! it is damaged; and that it makes the same of it after a restart.

use std::sync::Arc;

use keyviz_codec::rollup::{Entry, Summary, Tier};
use keyviz_codec::{CellEntry, Contributor, HourBlocks, Key};
use keyviz_lineage::{Counts, Flags, GroupId, HOUR_MS, LineageGraph, LineageId, Series, Step};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, Store, StoreOptions};
use proptest::prelude::*;
use uuid::Uuid;

use crate::command::Command;
use crate::memory::Delta;
use crate::state_machine::StateMachine;

const HOUR: u64 = 480_000;
const GROUP: GroupId = 3;

/// Reads of one lineage in one window.
type Told = (u128, u64, u16, u64);

fn lineage(at: u128) -> LineageId {
    Uuid::from_u128(at << 64 | 1)
}

fn range_key(at: u128) -> Key {
    Key::Range { lineage: lineage(at), hour: HOUR }
}

fn rollup_key(tier: Tier) -> Key {
    Key::Rollup { tier, series: Series::Reads, hour: HOUR, chunk: 0 }
}

fn delta(told: &[Told], wal: u64) -> Delta {
    let mut delta = Delta { first_wal: wal, last_wal: wal, ..Delta::default() };
    for &(at, hour, index, reads) in told {
        let counts = Counts { reads, read_bytes: reads * 7, ..Counts::default() };
        let who = Contributor { node: "a".into(), group: 0, term: 1 };
        let blocks = delta.blocks.entry((lineage(at), hour)).or_default();
        blocks.block_mut(Step::MINUTE).add(&who, CellEntry { index, counts, flags: Flags::NONE });
    }
    delta
}

struct Rig {
    store: Arc<Store>,
    machine: StateMachine,
    wal: u64,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { retention: Retention::new(u64::MAX) };
        let store = Arc::new(Store::open(&folder.path().join("db"), options).unwrap());
        let machine = StateMachine::new(Arc::clone(&store), LineageGraph::default());
        Self { store, machine, wal: 0, _folder: folder }
    }

    fn persist(&mut self, told: &[Told]) {
        self.wal += 1;
        let delta = Arc::new(delta(told, self.wal));
        self.machine.apply(GROUP, &Command::PersistColumns { delta }).unwrap();
    }

    /// What was known in memory is gone.
    fn restart(&mut self) {
        self.machine = StateMachine::new(Arc::clone(&self.store), LineageGraph::default());
    }

    /// A machine that knows nothing, but for what the memory tier holds.
    fn restart_filled(&mut self, max_bytes: u64) {
        let machine = StateMachine::new(Arc::clone(&self.store), LineageGraph::default());
        self.machine = machine.with_memory_tier(max_bytes);
        self.machine.fill_memory_tier(GROUP, (HOUR + 3) * HOUR_MS).unwrap();
    }

    fn write(&self, change: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::default();
        change(&mut batch);
        self.store.commit(&batch).unwrap();
    }

    fn block(&self, at: u128) -> Option<HourBlocks> {
        self.store.view(HOUR * HOUR_MS).block(GROUP, lineage(at), HOUR).unwrap()
    }

    /// Reads of each window that has any: sum and maximum.
    fn entry(&self, at: u128, tier: Tier) -> Option<Vec<(u64, u64)>> {
        let view = self.store.view(HOUR * HOUR_MS);
        let number = view.numbers(GROUP).unwrap().get(lineage(at)).unwrap();
        let values = view.rollup(GROUP, &rollup_key(tier)).unwrap()?;
        let Entry::Even(windows) = values.get(number as usize)? else { panic!("minutes are even") };
        let busy = windows.iter().filter(|held| **held != Summary::default());
        Some(busy.map(|held| (held.sum, held.max)).collect())
    }
}

/// Windows of the block that hold reads.
fn reads(block: Option<HourBlocks>) -> Vec<(u16, u64)> {
    let Some(block) = block else { return Vec::new() };
    let cells = block.blocks().iter().flat_map(|block| block.cells());
    cells.map(|(index, cell)| (index, cell.counts.reads)).collect()
}

#[test]
fn a_roll_up_that_outlives_its_block_is_added_to_and_what_comes_late_is_not_stored_as_all_of_it() {
    let mut rig = Rig::new();
    rig.persist(&[(1, HOUR, 0, 10), (1, HOUR, 30, 4), (2, HOUR, 5, 7)]);
    rig.restart();
    // As the compaction filter does when the finest columns expire.
    rig.write(|batch| {
        batch.delete(GROUP, &range_key(1));
        Series::ALL.into_iter().for_each(|series| {
            let tier = Tier::FiveMinutes;
            batch.delete(GROUP, &Key::Rollup { tier, series, hour: HOUR, chunk: 0 });
        });
    });
    rig.persist(&[(1, HOUR, 59, 5), (2, HOUR, 6, 1)]);
    assert_eq!(rig.entry(1, Tier::Hour), Some(vec![(19, 10)]), "nothing is lost or counted twice");
    assert_eq!(rig.block(1), None, "five reads are not all of the hour");
    assert_eq!(rig.entry(1, Tier::FiveMinutes), None, "nor of its windows");
    assert_eq!(reads(rig.block(2)), [(5, 7), (6, 1)], "its neighbour is whole");
    assert_eq!(rig.entry(2, Tier::FiveMinutes), Some(vec![(8, 7)]));
    // It stays so, also for who remembers the last batch.
    rig.persist(&[(1, HOUR, 59, 1)]);
    assert_eq!(rig.entry(1, Tier::Hour), Some(vec![(20, 10)]));
    assert_eq!(rig.block(1), None);
    // A lineage that has neither is new.
    rig.persist(&[(3, HOUR, 1, 2)]);
    assert_eq!((reads(rig.block(3)), rig.entry(3, Tier::Hour)), (vec![(1, 2)], Some(vec![(2, 2)])));
}

#[test]
fn five_minutes_that_outlive_their_block_are_added_to_as_well() {
    let mut rig = Rig::new();
    rig.persist(&[(1, HOUR, 0, 10), (1, HOUR, 30, 4)]);
    rig.restart();
    rig.write(|batch| batch.delete(GROUP, &range_key(1)));
    rig.persist(&[(1, HOUR, 31, 5)]);
    assert_eq!(rig.entry(1, Tier::Hour), Some(vec![(19, 10)]));
    assert_eq!(rig.entry(1, Tier::FiveMinutes), Some(vec![(10, 10), (9, 5)]));
    assert_eq!(rig.block(1), None);
}

#[test]
fn of_a_damaged_block_the_roll_ups_keep_what_it_said() {
    let mut rig = Rig::new();
    rig.persist(&[(1, HOUR, 0, 10), (1, HOUR, 30, 4), (2, HOUR, 5, 7)]);
    rig.restart();
    rig.write(|batch| batch.put(GROUP, &range_key(1), b"spoiled".to_vec()));
    rig.persist(&[(1, HOUR, 31, 5), (2, HOUR, 6, 1)]);
    let aside = rig.store.view(0).raw(GROUP, &range_key(1).quarantine()).unwrap();
    assert_eq!(aside.as_deref(), Some(&b"spoiled"[..]));
    assert_eq!(reads(rig.block(1)), [(31, 5)]);
    assert_eq!(rig.entry(1, Tier::Hour), Some(vec![(19, 10)]));
    assert_eq!(rig.entry(1, Tier::FiveMinutes), Some(vec![(10, 10), (9, 5)]));
    // What was set aside once is missing from the block for good, so every later batch is added.
    for restarts in [false, true] {
        if restarts {
            rig.restart();
        }
        rig.persist(&[(1, HOUR, 32, 1)]);
    }
    assert_eq!(reads(rig.block(1)), [(31, 5), (32, 2)]);
    assert_eq!(rig.entry(1, Tier::Hour), Some(vec![(21, 10)]));
    assert_eq!(rig.entry(1, Tier::FiveMinutes), Some(vec![(10, 10), (11, 5)]));
    assert_eq!(reads(rig.block(2)), [(5, 7), (6, 1)]);
    assert_eq!(rig.entry(2, Tier::Hour), Some(vec![(8, 7)]));
}

fn told() -> impl Strategy<Value = Told> {
    // Mostly in the order of time, sometimes late.
    (0u128..6, 0u64..3, 0u16..60, 0u64..1_000)
        .prop_map(|(at, hour, index, reads)| (at, HOUR + hour, index, reads))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What is held of the last batches is a matter of speed: the bytes are the same without it.
    #[test]
    fn the_bytes_do_not_depend_on_what_is_remembered(
        max_bytes in prop_oneof![100..2_000u64, Just(1 << 20)],
        batches in prop::collection::vec((any::<bool>(), prop::collection::vec(told(), 1..12)), 1..12),
    ) {
        let (mut forgets, mut remembers, mut holds) = (Rig::new(), Rig::new(), Rig::new());
        for (restarts, told) in &batches {
            forgets.restart();
            forgets.persist(told);
            if *restarts {
                remembers.restart();
                holds.restart_filled(max_bytes);
            }
            remembers.persist(told);
            holds.persist(told);
        }
        let dump = |rig: &Rig| rig.store.view(0).dump().unwrap();
        prop_assert_eq!(dump(&forgets), dump(&remembers));
        prop_assert_eq!(dump(&forgets), dump(&holds));
    }
}
