use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Change, Column, Counts, Entry, Flags, Hlc, KeyRange, LineageId, RouteSpec, Row, Series,
    SourceId, Step, Transition, Window, unix_hour,
};
use keyviz_store::{History, visit_series};
use keyviz_wal::testing::{Fault, FaultyFs, Op, PowerCut};
use keyviz_wal::{SyncPolicy, Wal, WalOptions};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{Progress, Recorder, RecorderConfig, RecorderView, Verdict};

pub(crate) const START_MS: u64 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000;

pub(crate) fn open(folder: &Path, clock: &Arc<ManualClock>) -> Recorder {
    let config = RecorderConfig { persist_interval_ms: 3_600_000, ..RecorderConfig::new(folder) };
    Recorder::open(config, Arc::clone(clock) as _, &Progress::default()).unwrap()
}

pub(crate) fn source(boot: u128) -> SourceId {
    SourceId { node: "n1".into(), boot: Uuid::from_u128(boot) }
}

pub(crate) fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

pub(crate) fn row(route: u64, range: KeyRange, writes: u64) -> Row {
    let counts = Counts { writes, ..Counts::default() };
    Row { route, group: 1, term: 1, range, counts, flags: Flags::NONE }
}

pub(crate) fn column(window: u64, rows: Vec<Row>) -> Entry {
    let step = Step::from_ms(1_000).unwrap();
    let start_ms = START_MS + window * 1_000;
    Entry::Column(Column {
        window: Window::new(start_ms, step).unwrap(),
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 1_000,
        unattributed: 0,
        groups: vec![1],
        rows,
        buckets: Vec::new(),
    })
}

pub(crate) fn transition(hlc_ms: u64, change: Change) -> Entry {
    let proposal = u128::from(hlc_ms).to_be_bytes();
    Entry::Transition(Transition {
        group: 1,
        proposal,
        hlc: Hlc::new(hlc_ms, 0),
        catalogue_version: 0,
        change,
    })
}

pub(crate) fn send(recorder: &Recorder, boot: u128, sequence: u64, entry: Entry) -> Verdict {
    block_on(recorder.submit(source(boot), sequence, Ok(entry)))
}

/// Every stored write, by lineage bounds and window.
fn contents(recorder: &Recorder) -> BTreeMap<(String, u64), u64> {
    let view = recorder.view().unwrap();
    let mut found = BTreeMap::new();
    for record in view.graph().records() {
        check_series(&view, record.id);
        for (hour, blocks) in view.blocks(1, record.id, 0..=unix_hour(START_MS) + 9) {
            for block in blocks.unwrap().blocks() {
                for (index, cell) in block.cells() {
                    let window = (hour * 3_600_000 - START_MS) / 1_000 + u64::from(index);
                    *found.entry((record.range.to_string(), window)).or_default() +=
                        cell.counts.writes;
                }
            }
        }
    }
    found
}

/// A series by itself is what the whole blocks say of it, stored or not yet.
fn check_series(view: &RecorderView<'_>, lineage: LineageId) {
    let hours = || 0..=unix_hour(START_MS) + 9;
    for series in Series::ALL {
        let (mut told, mut expected) = (Vec::new(), Vec::new());
        view.series(1, lineage, series, hours(), &mut |hour, column| {
            let column = column.unwrap();
            told.push((hour, column.step, column.cells().collect::<Vec<_>>()));
        });
        visit_series(view.blocks(1, lineage, hours()), series, &mut |hour, column| {
            let column = column.unwrap();
            expected.push((hour, column.step, column.cells().collect::<Vec<_>>()));
        });
        assert_eq!(told, expected);
    }
}

#[test]
fn an_unknown_route_is_backfilled_and_a_contradicting_row_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    let stored = send(&recorder, 1, 1, column(1, vec![row(7, range("", "m"), 3)]));
    assert_eq!(stored, Verdict::Stored { rows: 1, refused_rows: vec![] });
    let verdict = send(
        &recorder,
        1,
        2,
        column(2, vec![row(7, range("", "m"), 4), row(8, range("c", "e"), 9)]),
    );
    let Verdict::Stored { rows: 1, refused_rows } = verdict else { panic!("{verdict:?}") };
    assert_eq!(refused_rows[0].0, 8);
    assert!(refused_rows[0].1.contains("route 7"), "{refused_rows:?}");
    let expected =
        BTreeMap::from([(("(-inf, m)".to_owned(), 1), 3), (("(-inf, m)".to_owned(), 2), 4)]);
    assert_eq!(contents(&recorder), expected);
    assert_eq!(recorder.counters().refused_rows, 1);
}

#[test]
fn entries_count_once_in_order_and_other_bytes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    let entry = |writes| column(1, vec![row(1, range("", ""), writes)]);
    assert!(matches!(send(&recorder, 1, 2, entry(5)), Verdict::Unavailable(_)), "a gap");
    assert!(matches!(send(&recorder, 1, 1, entry(5)), Verdict::Stored { .. }));
    assert_eq!(send(&recorder, 1, 1, entry(5)), Verdict::Duplicate);
    assert!(
        matches!(send(&recorder, 1, 1, entry(6)), Verdict::Refused(reason) if reason.contains("other content"))
    );
    assert!(matches!(send(&recorder, 2, 1, entry(5)), Verdict::Stored { .. }), "another boot adds");
    assert_eq!(contents(&recorder).values().sum::<u64>(), 10);
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    assert_eq!(send(&recorder, 1, 1, entry(5)), Verdict::Duplicate);
    assert!(
        matches!(send(&recorder, 1, 1, entry(6)), Verdict::Refused(_)),
        "remembered over a restart"
    );
    assert_eq!(block_on(recorder.greet(source(1))).unwrap(), 2);
    assert_eq!(contents(&recorder).values().sum::<u64>(), 10);
}

#[test]
fn too_old_and_too_new_are_refused_counted_and_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 8 * 24 * 3_600_000));
    let recorder = open(folder.path(), &clock);
    assert!(
        matches!(send(&recorder, 1, 1, column(1, vec![])), Verdict::Refused(reason) if reason.contains("retention"))
    );
    let ahead = 8 * 24 * 3_600 + 301;
    assert!(
        matches!(send(&recorder, 1, 2, column(ahead, vec![])), Verdict::Refused(reason) if reason.contains("5 minutes"))
    );
    assert!(matches!(send(&recorder, 1, 3, column(ahead - 100, vec![])), Verdict::Stored { .. }));
    assert_eq!((recorder.counters().late_columns, recorder.counters().future_columns), (1, 1));
    drop(recorder);
    assert_eq!(block_on(open(folder.path(), &clock).greet(source(1))).unwrap(), 4);
}

#[test]
fn what_a_failed_fsync_left_takes_effect_later_and_never_twice() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let files = FaultyFs::new();
    let open = |clock: &Arc<ManualClock>| {
        let config = RecorderConfig::new(folder.path());
        let files = Arc::new(files.clone());
        Recorder::open_on(files, config, Arc::clone(clock) as _, &Progress::default()).unwrap()
    };
    let recorder = open(&clock);
    let entry = |window| column(window, vec![row(1, range("", ""), 5)]);
    assert!(matches!(send(&recorder, 1, 1, entry(1)), Verdict::Stored { .. }));
    files.fail_next(Op::SyncData, 100, Fault::Error(std::io::ErrorKind::Other));
    assert!(matches!(send(&recorder, 1, 2, entry(2)), Verdict::Unavailable(_)));
    assert!(block_on(recorder.greet(source(1))).is_err(), "nothing undurable is said to be held");
    assert_eq!(contents(&recorder).len(), 1, "nor shown");
    files.heal();
    assert!(matches!(send(&recorder, 2, 1, entry(3)), Verdict::Stored { .. }));
    persist(&recorder);
    assert_eq!(send(&recorder, 1, 2, entry(2)), Verdict::Duplicate);
    assert_eq!(block_on(recorder.greet(source(1))).unwrap(), 3);
    assert_eq!(contents(&recorder).values().sum::<u64>(), 15);
    drop(recorder);
    files.power_cut(PowerCut::HARD);
    let recorder = open(&clock);
    assert_eq!(contents(&recorder).values().sum::<u64>(), 15);
    assert_eq!(block_on(recorder.greet(source(1))).unwrap(), 3);
}

#[test]
fn what_was_acknowledged_an_interval_ago_survives_a_power_cut() {
    for interval in [Some(Duration::from_millis(1)), None] {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS + 5_000));
        let files = FaultyFs::new();
        let config = RecorderConfig {
            wal_sync: SyncPolicy::Os,
            wal_sync_interval: interval,
            ..RecorderConfig::new(folder.path())
        };
        let on = Arc::new(files.clone());
        let recorder = Recorder::open_on(on, config, clock, &Progress::default()).unwrap();
        let synced = files.calls(Op::SyncData);
        let entry = column(1, vec![row(1, range("", ""), 5)]);
        assert!(matches!(send(&recorder, 1, 1, entry), Verdict::Stored { .. }));
        // Nothing else comes; however long it takes, it is synced.
        while interval.is_some() && files.calls(Op::SyncData) == synced {
            std::thread::yield_now();
        }
        // The sync is over once the next question is answered.
        assert_eq!(block_on(recorder.greet(source(1))).unwrap(), 2);
        let after = files.fork();
        after.power_cut(PowerCut::HARD);
        let wal = folder.path().join("wal");
        let opened = Wal::open(Arc::new(after), &wal, WalOptions::default());
        let (_, mut records) = opened.unwrap();
        // Without an interval the cut takes it: so the method proves something.
        assert_eq!(records.next_record().is_some(), interval.is_some());
    }
}

#[test]
fn a_source_that_left_is_not_expected_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 60_000));
    let recorder = open(folder.path(), &clock);
    // Both in one batch, before any checkpoint.
    let first = recorder.submit(source(1), 1, Ok(column(3, vec![row(1, range("", ""), 5)])));
    let leave = recorder.submit(source(1), 2, Ok(Entry::Leave));
    assert!(matches!(block_on(first), Verdict::Stored { .. }));
    assert!(matches!(block_on(leave), Verdict::Stored { .. }));
    let spans =
        |recorder: &Recorder| recorder.view().unwrap().members(1).unwrap()[0].1.spans.clone();
    let expected = vec![(START_MS + 3_000, Some(START_MS + 4_000))];
    assert_eq!(spans(&recorder), expected);
    drop(recorder);
    assert_eq!(spans(&open(folder.path(), &clock)), expected);
}

#[test]
fn without_a_sequence_two_at_once_both_count() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    let entry = column(1, vec![row(1, range("", ""), 5)]);
    let (a, b) =
        (recorder.submit_next(source(1), entry.clone()), recorder.submit_next(source(1), entry));
    assert_eq!((block_on(a).0, block_on(b).0), (1, 2));
    assert_eq!(contents(&recorder).values().sum::<u64>(), 10);
}

#[test]
fn a_nearly_full_wal_is_checkpointed_before_anything_is_shed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 60_000));
    let config = RecorderConfig { wal_max_bytes: 8 << 20, ..RecorderConfig::new(folder.path()) };
    let recorder = Recorder::open(config, Arc::clone(&clock) as _, &Progress::default()).unwrap();
    let wide = |n: u64| {
        KeyRange::new(format!("{n:0>500}").into_bytes(), format!("{:0>500}", n + 1).into_bytes())
            .unwrap()
    };
    let rows: Vec<Row> = (0..400).map(|n| row(n + 1, wide(n * 2), u64::MAX - n)).collect();
    let rows: Vec<Row> = rows
        .into_iter()
        .enumerate()
        .map(|(n, mut row)| {
            row.term = (n as u64) << 40;
            row
        })
        .collect();
    let queued: Vec<_> = (1..=2_000)
        .map(|n| recorder.submit(source(1), n, Ok(column(n % 60, rows.clone()))))
        .collect();
    for verdict in queued {
        assert!(matches!(block_on(verdict), Verdict::Stored { rows: 400, .. }));
    }
    assert_eq!(recorder.counters().shed_records, 0);
    assert!(recorder.counters().releases > 0, "the WAL came near its cap");
}

#[test]
fn a_move_opens_in_the_other_group() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    let create = Change::Create { routes: vec![RouteSpec { route: 1, range: range("", "") }] };
    send(&recorder, 1, 1, transition(START_MS, create));
    let out = Change::MoveOut { route: 1, to_group: 2, to_route: 5 };
    assert!(matches!(
        send(&recorder, 1, 2, transition(START_MS + 1_000, out)),
        Verdict::Stored { .. }
    ));
    let moved = recorder.graph().live_route(2, 5).cloned().unwrap();
    assert_eq!((moved.parents.len(), moved.range), (1, range("", "")));
    drop(recorder);
    assert!(open(folder.path(), &clock).graph().live_route(2, 5).is_some());
}

#[test]
fn a_start_knows_every_route_again_and_an_unknown_one_is_backfilled_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 60_000));
    let recorder = open(folder.path(), &clock);
    let routes = [("", "g", 1), ("g", "t", 2)];
    let routes = routes.map(|(start, end, route)| RouteSpec { route, range: range(start, end) });
    send(&recorder, 1, 1, transition(START_MS, Change::Create { routes: routes.to_vec() }));
    send(&recorder, 1, 2, transition(START_MS + 1_000, Change::Drop { route: 1 }));
    send(&recorder, 1, 3, transition(START_MS + 2_000, Change::Drop { route: 2 }));
    let known: Vec<_> = recorder.graph().records().map(|record| record.id).collect();
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    let graph = recorder.graph();
    assert!(known.len() == 2 && known.iter().all(|&id| graph.get(id).is_some()));
    drop(graph);
    // Two nodes report a route that nobody announced: mostly where route 2 was.
    let wanted = row(7, range("h", "k"), 3);
    let entry = column(30, vec![wanted.clone()]);
    let other = SourceId { node: "n2".into(), boot: Uuid::from_u128(9) };
    let first = recorder.submit(source(2), 1, Ok(entry.clone()));
    let second = recorder.submit(other, 1, Ok(entry));
    for verdict in [block_on(first), block_on(second)] {
        assert_eq!(verdict, Verdict::Stored { rows: 1, refused_rows: vec![] });
    }
    assert_eq!(recorder.counters().backfills, 1);
    let backfilled = recorder.graph().live_route(1, 7).cloned().unwrap();
    let parents: Vec<_> = backfilled.parents.iter().map(|parent| parent.range.clone()).collect();
    assert_eq!(parents, [range("g", "t")], "what overlaps it best");
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    assert_eq!(recorder.graph().live_route(1, 7), Some(&backfilled));
    send(&recorder, 2, 2, column(31, vec![wanted]));
    assert_eq!((recorder.counters().backfills, recorder.graph().len()), (0, (3, 1)));
}

#[test]
fn a_transition_of_a_stale_catalogue_is_aborted_and_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 60_000));
    let recorder = open(folder.path(), &clock);
    let decided = |hlc_ms, version, change| match transition(hlc_ms, change) {
        Entry::Transition(made) => {
            Entry::Transition(Transition { catalogue_version: version, ..made })
        }
        other => other,
    };
    let routes = vec![RouteSpec { route: 1, range: range("", "") }];
    send(&recorder, 1, 1, decided(START_MS, 5, Change::Create { routes }));
    let lineage = recorder.graph().live_route(1, 1).unwrap().id;
    // Decided before the route was made; and about one that has gone since.
    let early = send(&recorder, 1, 2, decided(START_MS + 1, 4, Change::Drop { route: 1 }));
    assert!(matches!(
        send(&recorder, 1, 3, decided(START_MS + 2, 6, Change::Drop { route: 1 })),
        Verdict::Stored { .. }
    ));
    let moved = Change::MoveOut { route: 1, to_group: 2, to_route: 2 };
    let late = send(&recorder, 1, 4, decided(START_MS + 3, 6, moved));
    for verdict in [early, late] {
        let Verdict::Aborted(reason) = verdict else { panic!("{verdict:?}") };
        assert!(
            reason.contains(&lineage.to_string()) && reason.contains("decide again"),
            "{reason}"
        );
    }
    let unknown = send(&recorder, 1, 5, decided(START_MS + 4, 6, Change::Drop { route: 9 }));
    assert!(matches!(unknown, Verdict::Refused(_)), "never was: no catalogue helps");
    assert_eq!(block_on(recorder.greet(source(1))).unwrap(), 6, "all are consumed");
    let counted = recorder.counters();
    assert_eq!((counted.aborted_transitions, counted.refused_entries), (2, 1));
}

#[derive(Clone, Debug)]
enum Action {
    Column {
        window: u64,
        writes: u64,
    },
    Resend,
    Split,
    Persist,
    /// Stop without a last checkpoint: the WAL alone carries what was not persisted.
    Crash,
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => (0u64..7_200, 1u64..100).prop_map(|(window, writes)| Action::Column { window, writes }),
        1 => Just(Action::Resend),
        1 => Just(Action::Split),
        1 => Just(Action::Persist),
        1 => Just(Action::Crash),
        1 => Just(Action::Restart),
    ];
    prop::collection::vec(action, 1..40)
}

/// Persists everything and waits until that is over: a folder that is being written cannot be copied
/// as of one instant.
pub(crate) fn persist(recorder: &Recorder) {
    let before = recorder.counters().releases;
    recorder.persist_soon();
    while recorder.counters().releases == before {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Every file below a folder with its length and its time of change.
fn listing(folder: &Path) -> std::io::Result<BTreeMap<PathBuf, (u64, SystemTime)>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(listing(&entry.path())?);
        } else {
            let metadata = entry.metadata()?;
            found.insert(entry.path(), (metadata.len(), metadata.modified()?));
        }
    }
    Ok(found)
}

/// Copies the folder while the recorder runs: what a kill would leave behind.
///
/// A kill leaves the folder as of one instant, a copy takes longer, and RocksDB deletes obsolete
/// files in the background; so the copy counts only when nothing changed while it was made.
pub(crate) fn crash(recorder: Recorder, from: &Path, to: &Path) {
    let copy = || -> std::io::Result<bool> {
        let before = listing(from)?;
        for file in before.keys() {
            let target = to.join(file.strip_prefix(from).expect("invariant: listed below from"));
            std::fs::create_dir_all(target.parent().expect("invariant: a file has a folder"))?;
            std::fs::copy(file, target)?;
        }
        Ok(listing(from)? == before)
    };
    let mut tries = 0;
    while !copy().is_ok_and(|unchanged| unchanged) {
        tries += 1;
        assert!(tries < 100, "the folder never came to rest");
        let _ = std::fs::remove_dir_all(to);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(recorder);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_every_acknowledged_column_counts_once(actions in actions()) {
        let root = tempfile::tempdir().unwrap();
        let mut folder = root.path().join("0");
        let clock = Arc::new(ManualClock::at(START_MS + 7_200_000));
        let mut recorder = open(&folder, &clock);
        let (mut sequence, mut model, mut last) = (0, BTreeMap::new(), None);
        // Rows of one range at a time: the keys from "k<n>" on, each split off the one before.
        let (mut route, mut splits) = (1u64, 0u64);
        let bounds = |n: u64| if n == 0 { range("", "") } else { KeyRange::new(format!("k{n:04}").into_bytes(), Vec::new()).unwrap() };
        for (step, action) in actions.into_iter().enumerate() {
            match action {
                Action::Column { window, writes } => {
                    sequence += 1;
                    let entry = column(window, vec![row(route, bounds(splits), writes)]);
                    let verdict = send(&recorder, 1, sequence, entry.clone());
                    prop_assert_eq!(verdict, Verdict::Stored { rows: 1, refused_rows: vec![] });
                    *model.entry((bounds(splits).to_string(), window)).or_insert(0u64) += writes;
                    last = Some((sequence, entry));
                }
                Action::Resend => if let Some((sequence, entry)) = last.clone() {
                    prop_assert_eq!(send(&recorder, 1, sequence, entry), Verdict::Duplicate);
                },
                Action::Split => {
                    if last.is_none() { continue; }
                    sequence += 1;
                    splits += 1;
                    let parent = bounds(splits - 1);
                    let middle = bounds(splits);
                    let low = KeyRange::new(parent.start(), middle.start()).unwrap();
                    let children = vec![RouteSpec { route: route + 1, range: low }, RouteSpec { route: route + 2, range: middle }];
                    // Far in the past, so that late columns of either side are taken.
                    let change = Change::Split { parent: route, children };
                    let hlc = START_MS + 7_200_000 + splits;
                    let verdict = send(&recorder, 1, sequence, transition(hlc, change));
                    if matches!(verdict, Verdict::Refused(_)) {
                        // The range was never backfilled: no column had named it yet.
                        splits -= 1;
                    } else {
                        route += 2;
                    }
                    last = None;
                }
                Action::Persist => persist(&recorder),
                Action::Crash => {
                    let next = root.path().join(step.to_string() + "c");
                    crash(recorder, &folder, &next);
                    folder = next;
                    recorder = open(&folder, &clock);
                }
                Action::Restart => {
                    drop(recorder);
                    recorder = open(&folder, &clock);
                }
            }
        }
        prop_assert_eq!(contents(&recorder), model);
    }
}
