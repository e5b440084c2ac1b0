//! R9 and S2: whatever is persisted, in whatever pieces, the stored roll-ups say what the stored blocks
//! say, lineage by lineage; and a scan of them adds up to the series of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keyviz_codec::rollup::{self, SLOTS, Tier};
use keyviz_codec::{CellEntry, Contributor, HourBlocks, Key};
use keyviz_lineage::{Counts, Flags, GroupId, HOUR_MS, LineageGraph, LineageId, Series, Step};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, History as _, NOBODY, Part, Store, StoreOptions, View, Wanted};
use proptest::prelude::*;
use uuid::Uuid;

use crate::command::Command;
use crate::memory::Delta;
use crate::state_machine::StateMachine;

const FIRST_HOUR: u64 = 480_000;
const HOURS: u64 = 4;
const GROUP: GroupId = 3;
/// More than one chunk, and the last one not full.
const LINEAGES: u16 = SLOTS as u16 * 2 + 20;

/// Cells of so many lineages from one on, in one hour.
#[derive(Clone, Debug)]
struct Told {
    first: u16,
    count: u16,
    hour: u64,
    window: u16,
    reads: u64,
    node: bool,
    ten_minutes: bool,
    flagged: bool,
}

#[derive(Clone, Debug)]
enum Action {
    Persist(Vec<Told>),
    Reopen,
    /// A stored roll-up is damaged.
    Damage {
        hour: u64,
        chunk: u32,
        five: bool,
    },
}

fn told() -> impl Strategy<Value = Told> {
    let who = (0..LINEAGES, prop_oneof![Just(1u16), 1..40u16, Just(LINEAGES)]);
    (who, 0..HOURS, 0..60u16, 0u64..1_000, any::<(bool, bool)>(), 0..10u8).prop_map(
        |((first, count), hour, window, reads, (node, flagged), ten)| {
            let hour = FIRST_HOUR + hour;
            Told { first, count, hour, window, reads, node, ten_minutes: ten == 0, flagged }
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let damage = (0..HOURS, 0u32..3, any::<bool>())
        .prop_map(|(hour, chunk, five)| Action::Damage { hour: FIRST_HOUR + hour, chunk, five });
    prop_oneof![
        8 => prop::collection::vec(told(), 1..4).prop_map(Action::Persist),
        1 => Just(Action::Reopen),
        1 => damage,
    ]
}

fn lineage(at: u16) -> LineageId {
    // Not in the order of their numbers.
    Uuid::from_u128((u128::from(at) * 7_919 % 1_009) << 64 | u128::from(at) << 8 | 1)
}

fn delta(told: &[Told], wal: u64) -> Delta {
    let mut delta = Delta { first_wal: wal, last_wal: wal, ..Delta::default() };
    for told in told {
        for at in told.first..(told.first + told.count).min(LINEAGES) {
            let reads = told.reads * u64::from(at % 7);
            let counts = Counts { reads, read_bytes: reads * 3, writes: reads / 2, write_bytes: 1 };
            let flags = if told.flagged { Flags::SAMPLED } else { Flags::NONE };
            let step = Step::from_ms(if told.ten_minutes { 600_000 } else { 60_000 }).unwrap();
            let index = told.window % step.columns_per_hour() as u16;
            let node = if told.node { "a" } else { "b" };
            let who = Contributor { node: node.into(), group: 0, term: 1 };
            let blocks = delta.blocks.entry((lineage(at), told.hour)).or_default();
            blocks.block_mut(step).add(&who, CellEntry { index, counts, flags });
        }
    }
    delta
}

fn open(folder: &std::path::Path) -> (Arc<Store>, StateMachine) {
    let retention = Retention::new(u64::MAX);
    let store = Arc::new(Store::open(folder, StoreOptions { retention }).unwrap());
    (Arc::clone(&store), StateMachine::new(store, LineageGraph::default()))
}

fn view(store: &Store) -> View<'_> {
    store.view((FIRST_HOUR + HOURS) * HOUR_MS)
}

/// Sum, max and flags by window.
type Windows = BTreeMap<(LineageId, u64), (u64, u64, Flags)>;

fn add(windows: &mut Windows, at: (LineageId, u64), sum: u64, max: u64, flags: Flags) {
    if sum > 0 || !flags.is_none() {
        let held = windows.entry(at).or_default();
        *held = (held.0 + sum, held.1.max(max), held.2.or(flags));
    }
}

/// What the blocks say.
fn by_series(view: &View<'_>, tier: Tier, series: Series, asked: &[(LineageId, u32)]) -> Windows {
    let mut windows = Windows::new();
    let mut reader = |id| {
        view.series(GROUP, id, series, 0..=u64::MAX, &mut |hour, column| {
            let column = column.unwrap();
            for (index, value, flags) in column.cells() {
                let ms = hour * HOUR_MS + u64::from(index) * column.step.ms();
                add(&mut windows, (id, ms / tier.step_ms()), value, value, flags);
            }
        });
    };
    asked.iter().for_each(|(id, _)| reader(*id));
    windows
}

/// What a scan says. `id_of` a tag.
fn by_scan(view: &View<'_>, tier: Tier, series: Series, asked: &[(LineageId, u32)]) -> Windows {
    let mut windows = Windows::new();
    let id_of = |tag: u32| asked.iter().find(|(_, held)| *held == tag).unwrap().0;
    let wanted = Wanted { lineages: asked, maxima: true };
    view.rollups(GROUP, (tier, series), 0..=u64::MAX - 1, &wanted, &mut |hour, part| match part {
        Part::Chunk { tags, columns } => {
            for window in 0..tier.windows() {
                for (slot, &tag) in tags.iter().enumerate().filter(|(_, tag)| **tag != NOBODY) {
                    let (at, place) = (window * SLOTS + slot, hour * tier.windows() as u64);
                    let flags = columns.flags.get(at).copied().unwrap_or_default();
                    let at_window = (id_of(tag), place + window as u64);
                    add(&mut windows, at_window, columns.sums[at], columns.maxima[at], flags);
                }
            }
        }
        Part::Cells { tag, column } => {
            for (index, value, flags) in column.cells() {
                let ms = hour * HOUR_MS + u64::from(index) * column.step.ms();
                add(&mut windows, (id_of(tag), ms / tier.step_ms()), value, value, flags);
            }
        }
        Part::Unread { error, .. } => panic!("{error}"),
    });
    windows
}

/// Every stored entry is that of its block, and every block has its entries.
fn agree(view: &View<'_>, damaged: &BTreeSet<Key>) {
    let numbers = view.numbers(GROUP).unwrap();
    let dump = view.dump().unwrap();
    let mut blocks = 0;
    for (key, value) in &dump {
        let Some((_, Key::Range { lineage, hour })) = Key::parse(key) else { continue };
        let block = HourBlocks::decode(value).unwrap();
        let number = numbers.get(lineage).unwrap();
        blocks += 1;
        for tier in Tier::ALL {
            for (series, entry) in Series::ALL.into_iter().zip(rollup::of(&block, tier)) {
                let key = Key::Rollup { tier, series, hour, chunk: number / SLOTS as u32 };
                if !damaged.contains(&key) {
                    let chunk = view.rollup(GROUP, &key).unwrap().unwrap();
                    assert_eq!(chunk.get(number as usize % SLOTS), Some(entry), "{key}");
                }
            }
        }
    }
    let mut entries = 0;
    for (key, value) in &dump {
        let Some((_, key)) = Key::parse(key) else { continue };
        if let Key::Rollup { tier: Tier::Hour, series: Series::Reads, .. } = key {
            let Ok(chunk) = rollup::Chunk::decode(value) else { continue };
            entries += (0..SLOTS).filter(|&slot| chunk.get(slot).is_some()).count();
        }
    }
    let is_whole = damaged
        .iter()
        .all(|key| !matches!(key, Key::Rollup { tier: Tier::Hour, series: Series::Reads, .. }));
    assert!(!is_whole || entries == blocks, "{entries} entries of {blocks} blocks");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn stored_roll_ups_say_what_the_blocks_say(
        actions in prop::collection::vec(action(), 1..12),
        asked in prop::collection::btree_set(0..LINEAGES, 1..60),
        everybody in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut machine) = open(folder.path());
        let mut damaged = BTreeSet::new();
        for (wal, action) in (1..).zip(&actions) {
            match action {
                Action::Persist(told) => {
                    let delta = Arc::new(delta(told, wal));
                    // What is written again is computed anew.
                    let numbers = view(&store).numbers(GROUP).unwrap();
                    for (id, hour) in delta.blocks.keys() {
                        let chunk = numbers.get(*id).map(|number| number / SLOTS as u32);
                        damaged.retain(|key| !matches!(key,
                            Key::Rollup { hour: h, chunk: c, .. } if h == hour && Some(*c) == chunk));
                    }
                    machine.apply(GROUP, &Command::PersistColumns { delta }).unwrap();
                }
                Action::Reopen => {
                    drop((machine, store));
                    (store, machine) = open(folder.path());
                }
                Action::Damage { hour, chunk, five } => {
                    let tier = if *five { Tier::FiveMinutes } else { Tier::Hour };
                    let key = Key::Rollup { tier, series: Series::Reads, hour: *hour, chunk: *chunk };
                    if view(&store).raw(GROUP, &key).unwrap().is_some() {
                        let mut batch = Batch::default();
                        batch.put(GROUP, &key, b"spoiled".to_vec());
                        store.commit(&batch).unwrap();
                        damaged.insert(key);
                    }
                }
            }
        }
        let view = view(&store);
        agree(&view, &damaged);
        let asked: Vec<u16> =
            if everybody { (0..LINEAGES).collect() } else { asked.into_iter().collect() };
        let asked: Vec<(LineageId, u32)> =
            asked.into_iter().map(|at| (lineage(at), u32::from(at) * 3)).collect();
        for tier in Tier::ALL {
            for series in [Series::Reads, Series::WriteBytes] {
                let (scan, blocks) =
                    (by_scan(&view, tier, series, &asked), by_series(&view, tier, series, &asked));
                prop_assert_eq!(scan, blocks);
            }
        }
    }
}
