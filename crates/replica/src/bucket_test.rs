//! Virtual buckets through the recorder: seen at once, after a checkpoint, a restart and a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use keyviz_codec::marks::Applied;
use keyviz_codec::{Cell, IndexedBucket, Key};
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Bucket, BucketPart, Column, Counts, Entry, Flags, GroupId, SourceId, unix_hour,
};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, History, Store, StoreError, StoreOptions};
use proptest::prelude::*;

use crate::recorder_test::{START_MS, column, crash, open, persist, range, row, send, source};
use crate::{Recorder, Verdict};

/// Group, term, reads, writes.
type Part = (GroupId, u64, u64, u64);

fn bucket(home: GroupId, start: &str, end: &str, members: &[u64], parts: &[Part]) -> Bucket {
    let part = |&(group, term, reads, writes): &Part| BucketPart {
        group,
        term,
        counts: Counts { reads, writes, read_bytes: reads * 10, write_bytes: writes * 10 },
        flags: Flags::NONE,
    };
    Bucket {
        group: home,
        range: range(start, end),
        members: members.to_vec(),
        member_count: members.len() as u64,
        parts: parts.iter().map(part).collect(),
    }
}

/// A column of groups 1 and 2 with a row of route 1, and buckets.
fn with_buckets(window: u64, buckets: Vec<Bucket>) -> Entry {
    let Entry::Column(column) = column(window, vec![row(1, range("", "a"), 1)]) else {
        unreachable!("a column")
    };
    Entry::Column(Column { groups: vec![1, 2], buckets, ..column })
}

fn node(name: &str) -> SourceId {
    SourceId { node: name.to_owned(), ..source(9) }
}

fn stored(verdict: &Verdict) {
    assert_eq!(*verdict, Verdict::Stored { rows: 1, refused_rows: vec![] });
}

/// The index and the cells of every bucket: by home group and bounds, and by window in these.
type Contents = BTreeMap<(GroupId, String), (IndexedBucket, BTreeMap<u64, Cell>)>;

fn contents(recorder: &Recorder) -> Contents {
    let view = recorder.view().unwrap();
    let hours = || 0..=unix_hour(START_MS) + 9;
    let mut found = Contents::new();
    for group in [1, 2] {
        for (_, index) in view.buckets(group, hours()) {
            if matches!(index, Err(StoreError::SetAside { .. })) {
                // Told besides what was stored since.
                continue;
            }
            for (id, entry) in index.unwrap().entries {
                let at = (group, entry.range.to_string());
                let held = found.entry(at).or_insert_with(|| (entry.clone(), BTreeMap::new()));
                held.0.first_ms = held.0.first_ms.min(entry.first_ms);
                held.0.last_ms = held.0.last_ms.max(entry.last_ms);
                held.0.members.extend(entry.members);
                held.0.groups.extend(entry.groups);
                held.0.member_count = held.0.member_count.max(entry.member_count);
                for (hour, blocks) in view.blocks(group, id, hours()) {
                    for block in blocks.unwrap().blocks() {
                        for (index, cell) in block.cells() {
                            let window = (hour * 3_600_000 - START_MS) / 1_000 + u64::from(index);
                            held.1.insert(window, cell);
                        }
                    }
                }
            }
        }
    }
    found
}

fn writes(recorder: &Recorder, home: GroupId, bounds: &str, window: u64) -> (u64, Flags) {
    let cell = contents(recorder)[&(home, bounds.to_owned())].1[&window];
    (cell.counts.writes, cell.flags)
}

#[test]
fn a_bucket_is_seen_at_once_after_a_checkpoint_a_restart_and_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| root.path().join(name);
    let clock = Arc::new(ManualClock::at(START_MS + 7_200_000));
    let recorder = open(&folder("a"), &clock);
    let first = bucket(1, "b", "d", &[4, 5], &[(1, 3, 2, 7), (2, 9, 0, 5)]);
    let second = bucket(2, "d", "", &[6], &[(2, 9, 1, 1)]);
    stored(&send(&recorder, 1, 1, with_buckets(3, vec![first.clone(), second])));
    let seen = contents(&recorder);
    let (entry, cells) = &seen[&(1, "[b, d)".to_owned())];
    assert_eq!((&entry.range, &entry.groups), (&first.range, &BTreeSet::from([1, 2])));
    assert_eq!((entry.member_count, &entry.members), (2, &BTreeSet::from([4, 5])));
    assert_eq!((entry.first_ms, entry.last_ms), (START_MS + 3_000, START_MS + 4_000));
    assert_eq!((cells[&3].counts.reads, cells[&3].counts.writes), (2, 12));
    assert_eq!(writes(&recorder, 2, "[d, +inf)", 3), (1, Flags::NONE));
    assert_eq!(recorder.counters().buckets, 2);

    // A kill before any checkpoint: the WAL alone has it.
    crash(recorder, &folder("a"), &folder("b"));
    let recorder = open(&folder("b"), &clock);
    assert_eq!(contents(&recorder), seen);
    // What the store has is merged with what has come since, in the same hour and in an earlier one.
    persist(&recorder);
    assert_eq!(contents(&recorder), seen);
    let again = bucket(1, "b", "d", &[5, 8, 9], &[(1, 3, 0, 10)]);
    stored(&send(&recorder, 1, 2, with_buckets(3_601, vec![again.clone()])));
    stored(&send(&recorder, 1, 3, with_buckets(1, vec![again])));
    let both = contents(&recorder);
    let (entry, cells) = &both[&(1, "[b, d)".to_owned())];
    assert_eq!(entry.members, BTreeSet::from([4, 5, 8, 9]));
    assert_eq!((entry.first_ms, entry.last_ms), (START_MS + 1_000, START_MS + 3_602_000));
    let by_window: Vec<(u64, u64)> =
        cells.iter().map(|(&at, cell)| (at, cell.counts.writes)).collect();
    assert_eq!(by_window, [(1, 10), (3, 12), (3_601, 10)]);
    // A kill with part of it in the store, then a checkpoint and a restart.
    crash(recorder, &folder("b"), &folder("c"));
    let recorder = open(&folder("c"), &clock);
    assert_eq!(contents(&recorder), both);
    persist(&recorder);
    assert_eq!(contents(&recorder), both);
    drop(recorder);
    let recorder = open(&folder("c"), &clock);
    assert_eq!(contents(&recorder), both);
    assert_eq!(recorder.counters().recovered_lineages, 0, "a bucket is no lost lineage");
    assert_eq!(recorder.counters().lost_lineages, 0);
}

#[test]
fn two_nodes_with_the_same_writes_of_a_term_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    let send = |name: &str, sequence, parts: &[Part]| {
        let entry = with_buckets(2, vec![bucket(1, "b", "d", &[4], parts)]);
        stored(&block_on(recorder.submit(node(name), sequence, Ok(entry))));
    };
    send("a", 1, &[(1, 3, 5, 7), (2, 3, 0, 1)]);
    send("b", 1, &[(1, 3, 5, 7)]);
    assert_eq!(writes(&recorder, 1, "[b, d)", 2), (8, Flags::NONE), "group 2 has its own term 3");
    assert_eq!(contents(&recorder)[&(1, "[b, d)".to_owned())].1[&2].counts.reads, 10);
    // The store's half and the memory's half are of two nodes, too.
    persist(&recorder);
    send("c", 1, &[(1, 3, 0, 7)]);
    assert_eq!(writes(&recorder, 1, "[b, d)", 2), (8, Flags::NONE));
    send("d", 1, &[(1, 3, 0, 9)]);
    assert_eq!(writes(&recorder, 1, "[b, d)", 2), (10, Flags::CONFLICT));
    // A node that restarted in the window adds to its own.
    send("a", 2, &[(1, 4, 0, 100)]);
    assert_eq!(writes(&recorder, 1, "[b, d)", 2), (110, Flags::CONFLICT));
    persist(&recorder);
    assert_eq!(writes(&recorder, 1, "[b, d)", 2), (110, Flags::CONFLICT));
}

#[test]
fn a_replay_judges_a_bucket_by_the_applied_mark_of_its_home_group() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("a"), root.path().join("b"));
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(&from, &clock);
    // Each has counts of the other's group only.
    let buckets = vec![
        bucket(1, "b", "d", &[4], &[(2, 1, 0, 7)]),
        bucket(2, "d", "f", &[5], &[(1, 1, 0, 9)]),
    ];
    stored(&send(&recorder, 1, 1, with_buckets(2, buckets)));
    crash(recorder, &from, &to);
    // As if the checkpoint of group 1 had been written before the kill, and that of group 2 had not.
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    let store = Store::open(&to.join("db"), options).unwrap();
    let mut batch = Batch::default();
    batch.put_mark(1, &Key::Applied, &Applied { index: 1, wal_sequence: 1 });
    store.commit(&batch).unwrap();
    drop(store);
    let recorder = open(&to, &clock);
    assert_eq!(contents(&recorder).keys().collect::<Vec<_>>(), [&(2, "[d, f)".to_owned())]);
    assert_eq!(writes(&recorder, 2, "[d, f)", 2).0, 9);
}

#[test]
fn a_damaged_index_is_reported_and_then_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 7_200_000));
    let recorder = open(folder.path(), &clock);
    let said = |window| with_buckets(window, vec![bucket(1, "b", "d", &[4], &[(1, 1, 0, 7)])]);
    stored(&send(&recorder, 1, 1, said(2)));
    stored(&send(&recorder, 1, 2, said(3_602)));
    drop(recorder);
    let hour = unix_hour(START_MS);
    let key = Key::Index { hour };
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    let store = Store::open(&folder.path().join("db"), options.clone()).unwrap();
    let mut spoiled = store.view(0).raw(1, &key).unwrap().unwrap();
    spoiled[3] ^= 1;
    let mut batch = Batch::default();
    batch.put(1, &key, spoiled.clone());
    store.commit(&batch).unwrap();
    drop(store);
    let recorder = open(folder.path(), &clock);
    let found = recorder.view().unwrap().buckets(1, hour..=hour + 1);
    let error = found[0].1.as_ref().unwrap_err().to_string();
    assert!(error.contains(&format!("!admin|keyviz|index|{hour} of group 1")), "{error}");
    assert_eq!(found[1].1.as_ref().unwrap().entries.len(), 1, "the rest is served");
    // What comes for that hour does not hide the damage, and is stored all the same.
    stored(&send(&recorder, 1, 3, said(4)));
    assert!(recorder.view().unwrap().buckets(1, hour..=hour)[0].1.is_err());
    persist(&recorder);
    let bounds = (1, "[b, d)".to_owned());
    let (entry, cells) = contents(&recorder).remove(&bounds).unwrap();
    assert_eq!((entry.first_ms, entry.last_ms), (START_MS + 4_000, START_MS + 3_603_000));
    assert_eq!(cells.keys().copied().collect::<Vec<_>>(), [2, 4, 3_602], "cells are not affected");
    drop(recorder);
    let store = Store::open(&folder.path().join("db"), options).unwrap();
    assert_eq!(store.view(0).raw(1, &key.quarantine()).unwrap(), Some(spoiled));
}

#[test]
fn refused_rows_do_not_keep_buckets_out() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    stored(&send(&recorder, 1, 1, with_buckets(1, vec![])));
    let Entry::Column(mut column) =
        with_buckets(2, vec![bucket(1, "b", "d", &[4], &[(1, 1, 0, 7)])])
    else {
        unreachable!("a column")
    };
    column.rows.insert(1, row(8, range("A", "B"), 9));
    let verdict = send(&recorder, 1, 2, Entry::Column(column));
    assert!(
        matches!(&verdict, Verdict::Stored { rows: 1, refused_rows } if refused_rows[0].0 == 8),
        "{verdict:?}"
    );
    let seen = contents(&recorder);
    assert_eq!(seen[&(1, "[b, d)".to_owned())].1[&2].counts.writes, 7);
    drop(recorder);
    assert_eq!(contents(&open(folder.path(), &clock)), seen);
}

#[derive(Clone, Debug)]
enum Action {
    Column {
        node: u8,
        window: u64,
        buckets: Vec<(u8, Vec<Part>)>,
    },
    Persist,
    /// Stop without a last checkpoint.
    Crash,
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let parts = prop::collection::btree_map((1u64..3, 0u64..3), (0u64..9, 0u64..9), 0..4);
    let parts = parts.prop_map(|parts| {
        parts.into_iter().map(|((group, term), (r, w))| (group, term, r, w)).collect::<Vec<Part>>()
    });
    let buckets = prop::collection::btree_map(0u8..3, parts, 0..3);
    let column = (0u8..2, 0u64..7_200, buckets).prop_map(|(node, window, buckets)| {
        Action::Column { node, window: window / 600 * 600, buckets: buckets.into_iter().collect() }
    });
    let action = prop_oneof![6 => column, 1 => Just(Action::Persist), 1 => Just(Action::Crash), 1 => Just(Action::Restart)];
    prop::collection::vec(action, 1..40)
}

/// A plain list of what was said: place, window, node, part.
type Said = Vec<(u8, u64, u8, Part)>;

/// The cells of one bucket by the words of the contract, from the list.
fn expected_cells(said: &Said, place: u8) -> BTreeMap<u64, (u64, u64, bool)> {
    let here = said.iter().filter(|(at, ..)| *at == place);
    let windows: BTreeSet<u64> = here.clone().map(|(_, window, ..)| *window).collect();
    let mut cells = BTreeMap::new();
    for window in windows {
        let (mut reads, mut writes, mut conflict) = (0, 0, false);
        for group in 1..3 {
            for term in 0..3 {
                let mut by_node = BTreeMap::new();
                for (_, _, node, part) in here.clone().filter(|(_, at, ..)| *at == window) {
                    if (part.0, part.1) == (group, term) {
                        reads += part.2;
                        *by_node.entry(node).or_insert(0) += part.3;
                    }
                }
                let values: BTreeSet<u64> = by_node.into_values().filter(|&sum| sum > 0).collect();
                writes += values.last().copied().unwrap_or(0);
                conflict |= values.len() > 1;
            }
        }
        cells.insert(window, (reads, writes, conflict));
    }
    cells
}

fn check(recorder: &Recorder, said: &Said) -> Result<(), TestCaseError> {
    let found = contents(recorder);
    for place in 0..3u8 {
        let at = (GroupId::from(place % 2 + 1), format!("[{place}, {place}x)"));
        let cells = found.get(&at).map(|(_, cells)| cells.clone()).unwrap_or_default();
        let cells: BTreeMap<u64, (u64, u64, bool)> = cells
            .into_iter()
            .map(|(window, cell)| {
                let conflict = cell.flags.has(Flags::CONFLICT);
                (window, (cell.counts.reads, cell.counts.writes, conflict))
            })
            .collect();
        prop_assert_eq!(cells, expected_cells(said, place));
    }
    Ok(())
}

fn reopened(recorder: Recorder, from: &Path, to: &Path, clock: &Arc<ManualClock>) -> Recorder {
    crash(recorder, from, to);
    open(to, clock)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_every_part_counts_once(actions in actions()) {
        let root = tempfile::tempdir().unwrap();
        let mut folder = root.path().join("0");
        let clock = Arc::new(ManualClock::at(START_MS + 7_200_000));
        let mut recorder = open(&folder, &clock);
        let (mut sequences, mut said) = ([0u64; 2], Said::new());
        for (step, action) in actions.into_iter().enumerate() {
            match action {
                Action::Column { node: at, window, buckets } => {
                    sequences[usize::from(at)] += 1;
                    let entry = with_buckets(window, buckets.iter().map(|(place, parts)| {
                        let home = GroupId::from(place % 2 + 1);
                        bucket(home, &place.to_string(), &format!("{place}x"), &[7], parts)
                    }).collect());
                    let name = format!("n{at}");
                    let verdict = block_on(recorder.submit(node(&name), sequences[usize::from(at)], Ok(entry)));
                    prop_assert_eq!(verdict, Verdict::Stored { rows: 1, refused_rows: vec![] });
                    for (place, parts) in buckets {
                        said.extend(parts.into_iter().map(|part| (place, window, at, part)));
                    }
                }
                Action::Persist => persist(&recorder),
                Action::Crash => {
                    let next = root.path().join(format!("{step}c"));
                    recorder = reopened(recorder, &folder, &next, &clock);
                    folder = next;
                }
                Action::Restart => {
                    drop(recorder);
                    recorder = open(&folder, &clock);
                }
            }
        }
        check(&recorder, &said)?;
    }
}
