use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use keyviz_codec::Key;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Cause, Change, Entry, GroupId, Hlc, KeyRange, LineageId, RouteId, RouteSpec, id, unix_hour,
};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, History, Store, StoreOptions};
use keyviz_wal::RealFs;

use crate::command::Command;
use crate::group_log::{GroupLog, LocalGroupLog, Proposed};
use crate::recorder_test::{START_MS, column, crash, open, persist, range, row, send, transition};
use crate::{Progress, Recorder, RecorderConfig, StateMachine, Verdict};

fn store(folder: &Path) -> Store {
    let retention = Retention::new(7 * 24 * keyviz_lineage::HOUR_MS);
    Store::open(&folder.join("db"), StoreOptions { retention }).unwrap()
}

/// Spoils the stored records of a route.
fn damage(folder: &Path, route: RouteId) -> Vec<LineageId> {
    let store = store(folder);
    let records = store.view(0).lineage_records(1).unwrap();
    let lost: Vec<_> = records.into_iter().flatten().filter(|held| held.route == route).collect();
    let mut batch = Batch::default();
    for record in &lost {
        batch.put(1, &Key::Lineage { lineage: record.id }, b"not a record".to_vec());
    }
    store.commit(&batch).unwrap();
    lost.iter().map(|record| record.id).collect()
}

fn spec(route: RouteId, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: range(start, end) }
}

/// Every count that a reader finds by the graph, by route and window.
fn counts(recorder: &Recorder) -> BTreeMap<(RouteId, u64), u64> {
    let view = recorder.view().unwrap();
    let mut found = BTreeMap::new();
    for record in view.graph().records() {
        for (hour, blocks) in view.blocks(1, record.id, 0..=unix_hour(START_MS) + 9) {
            for block in blocks.unwrap().blocks() {
                for (index, cell) in block.cells() {
                    let window = (hour * 3_600_000 - START_MS) / 1_000 + u64::from(index);
                    *found.entry((record.route, window)).or_default() += cell.counts.writes;
                }
            }
        }
    }
    found
}

struct Bench {
    root: tempfile::TempDir,
    clock: Arc<ManualClock>,
    sequence: u64,
}

impl Bench {
    fn new() -> (Self, Recorder) {
        let bench = Self {
            root: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(START_MS + 60_000)),
            sequence: 0,
        };
        let recorder = open(&bench.root.path().join("a"), &bench.clock);
        (bench, recorder)
    }

    fn send(&mut self, recorder: &Recorder, entry: Entry) {
        self.sequence += 1;
        let verdict = send(recorder, 1, self.sequence, entry);
        assert!(matches!(verdict, Verdict::Stored { .. }), "{verdict:?}");
    }

    fn split(&mut self, recorder: &Recorder) {
        let children = vec![spec(2, "", "m"), spec(3, "m", "")];
        let change = Change::Split { parent: 1, children };
        self.send(recorder, transition(START_MS + 10_000, change));
    }

    /// Kills the recorder and damages a route's records.
    fn kill_and_damage(&self, recorder: Recorder, route: RouteId) -> (Recorder, Vec<LineageId>) {
        let next = self.root.path().join("b");
        crash(recorder, &self.root.path().join("a"), &next);
        let lost = damage(&next, route);
        assert_eq!(lost.len(), 1);
        (open(&next, &self.clock), lost)
    }
}

#[test]
fn rows_of_a_live_route_whose_record_is_damaged_are_backfilled() {
    let (mut bench, recorder) = Bench::new();
    bench.send(&recorder, column(1, vec![row(7, range("", "m"), 3)]));
    bench.send(&recorder, column(2, vec![row(7, range("", "m"), 4), row(8, range("m", ""), 5)]));
    let (recorder, lost) = bench.kill_and_damage(recorder, 7);
    assert_eq!(counts(&recorder), BTreeMap::from([((7, 1), 3), ((7, 2), 4), ((8, 2), 5)]));
    let live = recorder.graph().live_route(1, 7).cloned().unwrap();
    assert_ne!(live.id, lost[0]);
    assert_eq!((live.cause, live.range), (Cause::Backfill, range("", "m")));
    assert_eq!(recorder.counters().rehomed_rows, 1, "the second is at home with the first");
    // It goes on where it was, and is found again after the next start.
    bench.send(&recorder, column(3, vec![row(7, range("", "m"), 6)]));
    persist(&recorder);
    drop(recorder);
    let recorder = open(&bench.root.path().join("b"), &bench.clock);
    assert_eq!(counts(&recorder).values().sum::<u64>(), 18);
    assert_eq!(recorder.counters().rehomed_rows, 0);
}

#[test]
fn a_parent_whose_record_is_damaged_is_restored_as_its_children_tell() {
    let (mut bench, recorder) = Bench::new();
    let create = Change::Create { routes: vec![spec(1, "", "")] };
    bench.send(&recorder, transition(START_MS, create));
    bench.send(&recorder, column(1, vec![row(1, range("", ""), 3)]));
    persist(&recorder);
    bench.send(&recorder, column(2, vec![row(1, range("", ""), 4)]));
    bench.split(&recorder);
    bench.send(&recorder, column(3, vec![row(1, range("", ""), 5)]));
    let before = recorder.graph().of_route(1, 1).next().cloned().unwrap();
    let (recorder, lost) = bench.kill_and_damage(recorder, 1);
    // What was stored before is back as well: it is the same lineage.
    assert_eq!(counts(&recorder), BTreeMap::from([((1, 1), 3), ((1, 2), 4), ((1, 3), 5)]));
    let graph = recorder.graph();
    let restored = graph.get(lost[0]).unwrap();
    assert_eq!(
        (restored.id, &restored.range, restored.valid_from, restored.valid_to),
        (before.id, &before.range, before.valid_from, before.valid_to)
    );
    assert_eq!(graph.children(restored.id).len(), 2);
    assert_eq!(recorder.counters().rehomed_rows, 1);
    drop(graph);
    drop(recorder);
    let kept = store(&bench.root.path().join("b")).view(0).dump().unwrap();
    let damaged = Key::Lineage { lineage: lost[0] }.quarantine().encode(1);
    assert_eq!(kept.get(&damaged).map(Vec::as_slice), Some(&b"not a record"[..]));
}

#[test]
fn rows_of_a_route_whose_keys_have_a_new_owner_get_a_closed_lineage() {
    let (mut bench, recorder) = Bench::new();
    bench.send(&recorder, column(1, vec![row(7, range("", "m"), 3)]));
    bench.send(&recorder, transition(START_MS + 5_000, Change::Drop { route: 7 }));
    let create = Change::Create { routes: vec![spec(8, "", "")] };
    bench.send(&recorder, transition(START_MS + 6_000, create));
    bench.send(&recorder, column(7, vec![row(8, range("", ""), 4)]));
    let (recorder, _) = bench.kill_and_damage(recorder, 7);
    assert_eq!(counts(&recorder), BTreeMap::from([((7, 1), 3), ((8, 7), 4)]));
    let graph = recorder.graph();
    let restored = graph.of_route(1, 7).next().unwrap();
    assert!(!restored.is_live() && graph.live_route(1, 8).is_some());
}

/// A log whose group is led elsewhere: it refuses to be proposed to.
struct Follower(LocalGroupLog);

impl GroupLog for Follower {
    fn leads(&self, group: GroupId) -> bool {
        group != 1
    }

    fn propose(&self, group: GroupId, command: Command) -> Proposed<'_> {
        let is_ours = matches!(command, Command::PersistColumns { .. });
        assert!(is_ours || group != 1, "only the leader proposes");
        self.0.propose(group, command)
    }
}

fn follow(folder: &Path, clock: &Arc<ManualClock>) -> Recorder {
    let config = RecorderConfig { persist_interval_ms: 3_600_000, ..RecorderConfig::new(folder) };
    let progress = Progress::default();
    let make = |machine: Arc<StateMachine>| -> Arc<dyn GroupLog> {
        Arc::new(Follower(LocalGroupLog::new(machine)))
    };
    let opened =
        Recorder::open_with(Arc::new(RealFs), config, Arc::clone(clock) as _, &progress, &make);
    opened.unwrap()
}

#[test]
fn a_follower_takes_no_row_without_a_record_and_consumes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 60_000));
    let recorder = follow(folder.path(), &clock);
    let entry = column(1, vec![row(7, range("", "m"), 3)]);
    let verdict = send(&recorder, 1, 1, entry.clone());
    assert!(
        matches!(&verdict, Verdict::Unavailable(reason) if reason.contains("does not lead group 1")),
        "{verdict:?}"
    );
    let change = Change::Create { routes: vec![spec(9, "x", "")] };
    let verdict = send(&recorder, 2, 1, transition(START_MS, change));
    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    // The leader's backfill comes through the log.
    let wanted = row(7, range("", "m"), 3);
    let backfill = crate::admit::backfill(&wanted, Hlc::new(START_MS, 0), [1; 16]);
    recorder.shared.machine.apply_at(1, 1, &Command::Transitions(vec![backfill])).unwrap();
    let stored = Verdict::Stored { rows: 1, refused_rows: vec![] };
    assert_eq!(send(&recorder, 1, 1, entry), stored);
    assert_eq!(counts(&recorder), BTreeMap::from([((7, 1), 3)]));
}

#[test]
fn a_follower_keeps_replayed_rows_that_have_lost_their_record() {
    let (mut bench, recorder) = Bench::new();
    bench.send(&recorder, column(1, vec![row(7, range("", "m"), 3)]));
    let next = bench.root.path().join("b");
    crash(recorder, &bench.root.path().join("a"), &next);
    damage(&next, 7);
    for _ in 0..2 {
        let recorder = follow(&next, &bench.clock);
        // Nothing but what stands in for it from the second start on.
        assert!(recorder.graph().records().all(|held| held.cause == Cause::Recovered));
        let home = id::unrecorded_id(1, 7, &range("", "m"));
        let view = recorder.view().unwrap();
        let blocks = view.blocks(1, home, 0..=unix_hour(START_MS));
        let cells: u64 = blocks
            .iter()
            .flat_map(|(_, blocks)| blocks.as_ref().unwrap().blocks())
            .flat_map(|block| block.cells())
            .map(|(_, cell)| cell.counts.writes)
            .sum();
        assert_eq!(cells, 3);
    }
    let other = id::unrecorded_id(1, 7, &KeyRange::all());
    assert_ne!(other, id::unrecorded_id(1, 7, &range("", "m")), "by its bounds");
    // Once it is stored, it is found by the keys that its block says.
    let recorder = follow(&next, &bench.clock);
    drop(recorder);
    let recorder = follow(&next, &bench.clock);
    let graph = recorder.graph();
    let found: Vec<_> = graph.records().map(|held| (held.id, held.range.clone())).collect();
    assert_eq!(found, [(id::unrecorded_id(1, 7, &range("", "m")), range("", "m"))]);
}
