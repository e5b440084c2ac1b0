use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Change, Clock, Entry, HOUR_MS, Hlc, KeyRange, LineageGraph, RouteId, RouteSpec, Transition,
    unix_hour,
};

use super::{due, order, parents_first};
use crate::recorder_test::{
    START_MS, column, crash, persist, range, row, send, source, transition,
};
use crate::{Progress, Recorder, RecorderConfig, Verdict};

const RETENTION_MS: u64 = 2 * HOUR_MS;

/// Persists only when told.
fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Recorder {
    let config = RecorderConfig {
        persist_interval_ms: 1_000 * HOUR_MS,
        retention_ms: RETENTION_MS,
        rollup_retention_ms: RETENTION_MS,
        ..RecorderConfig::new(folder)
    };
    Recorder::open(config, Arc::clone(clock) as _, &Progress::default()).unwrap()
}

/// One sweep, done when this returns.
fn sweep(recorder: &Recorder, clock: &ManualClock) {
    order(&recorder.shared, &recorder.jobs, clock.unix_ms());
    // Jobs are handled in order.
    block_on(recorder.greet(source(99))).unwrap();
}

fn spec(route: RouteId, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: range(start, end) }
}

fn halves(parent: RouteId, first: RouteId) -> Change {
    Change::Split { parent, children: vec![spec(first, "", "m"), spec(first + 1, "m", "")] }
}

fn create() -> Change {
    Change::Create { routes: vec![spec(1, "", "")] }
}

/// Creates route 1, splits it into 2 and 3 and drops 3, in the first seconds.
fn story() -> [Entry; 3] {
    [
        transition(START_MS + 1_000, create()),
        transition(START_MS + 10_000, halves(1, 2)),
        transition(START_MS + 20_000, Change::Drop { route: 3 }),
    ]
}

fn tell(recorder: &Recorder, first: u64, entries: impl IntoIterator<Item = Entry>) {
    for (sequence, entry) in (first..).zip(entries) {
        let verdict = send(recorder, 1, sequence, entry);
        assert!(matches!(verdict, Verdict::Stored { .. }), "{sequence}: {verdict:?}");
    }
}

fn routes(recorder: &Recorder) -> Vec<RouteId> {
    let mut routes: Vec<_> = recorder.graph().records().map(|record| record.route).collect();
    routes.sort_unstable();
    routes
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} never came");
}

#[test]
fn closed_lineages_go_with_the_retention_and_live_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 30_000));
    let recorder = open(folder.path(), &clock);
    let [create, split, drop_3] = story();
    let early = column(5, vec![row(1, range("", ""), 7)]);
    tell(&recorder, 1, [create, early, split, drop_3]);
    persist(&recorder);
    clock.advance(RETENTION_MS);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [1, 2, 3], "their hour is the oldest that is retained");
    clock.advance(HOUR_MS);
    // By itself, this time.
    wait_for("the sweep", || recorder.counters().swept_lineages == 2);
    assert_eq!(routes(&recorder), [2]);
    let live = recorder.graph().live_route(1, 2).cloned().unwrap();
    assert_eq!(live.parents[0].range, KeyRange::all(), "it can still be drawn");
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    assert_eq!(recorder.graph().live_route(1, 2), Some(&live));
    assert_eq!(routes(&recorder), [2], "also on disk");
}

#[test]
fn a_lineage_with_a_retained_block_is_kept_and_so_is_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = START_MS + 10 * HOUR_MS;
    let clock = Arc::new(ManualClock::at(now_ms));
    let recorder = open(folder.path(), &clock);
    let [create, split, drop_3] = story();
    // Counted an hour ago, on a range that closed nine hours before: the host's clock was off.
    let late = column(9 * 3_600, vec![row(1, range("", ""), 7)]);
    tell(&recorder, 1, [create, late, split, drop_3]);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [1, 2, 3], "its rows are in memory only");
    persist(&recorder);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [1, 2, 3], "they are stored");
    clock.advance(RETENTION_MS);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [2], "they have expired");
}

#[test]
fn rows_that_only_the_wal_holds_keep_their_lineage_over_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 10 * HOUR_MS));
    let recorder = open(&root.path().join("a"), &clock);
    let [create, split, drop_3] = story();
    tell(&recorder, 1, [create, column(9 * 3_600, vec![row(1, range("", ""), 7)]), split, drop_3]);
    crash(recorder, &root.path().join("a"), &root.path().join("b"));
    let recorder = open(&root.path().join("b"), &clock);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [1, 2, 3]);
    assert_eq!(recorder.counters().rehomed_rows, 0);
    // What the store has, and the WAL still holds, is no reason to bring a lineage back.
    persist(&recorder);
    clock.advance(3 * RETENTION_MS);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [2]);
    drop(recorder);
    let recorder = open(&root.path().join("b"), &clock);
    assert_eq!(routes(&recorder), [2]);
}

#[test]
fn nothing_goes_while_a_clock_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 30_000));
    let recorder = open(folder.path(), &clock);
    tell(&recorder, 1, story());
    clock.set_wall(START_MS + 1_000 * HOUR_MS);
    wait_for("the freeze", || recorder.counters().gc_frozen == 1);
    clock.advance(2 * HOUR_MS);
    // Rounds of the thread that orders sweeps.
    persist(&recorder);
    persist(&recorder);
    assert_eq!(routes(&recorder), [1, 2, 3]);
    clock.advance(24 * HOUR_MS);
    wait_for("the sweep", || recorder.counters().swept_lineages == 2);
    assert_eq!(routes(&recorder), [2]);
}

#[test]
fn what_was_swept_does_not_rise_when_its_host_tells_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 30_000));
    let recorder = open(folder.path(), &clock);
    let [create, split, drop_3] = story();
    let drop_2 = transition(START_MS + 21_000, Change::Drop { route: 2 });
    let all = [create, split, drop_3, drop_2];
    tell(&recorder, 1, all.clone());
    clock.advance(2 * RETENTION_MS);
    sweep(&recorder, &clock);
    assert!(routes(&recorder).is_empty());
    for (sequence, entry) in (1..).zip(all) {
        assert_eq!(send(&recorder, 2, sequence, entry), Verdict::Duplicate, "{sequence}");
    }
    assert!(routes(&recorder).is_empty(), "no ghosts");
    let counted = recorder.counters();
    assert_eq!((counted.expired_transitions, counted.refused_entries), (4, 0));
    // A node that never knew them takes the whole story, however old it is.
    let other = tempfile::tempdir().unwrap();
    tell(&open(other.path(), &clock), 1, story());
}

#[test]
fn a_move_is_not_completed_again_after_its_far_side_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 10 * HOUR_MS));
    let recorder = open(folder.path(), &clock);
    let out = Change::MoveOut { route: 1, to_group: 2, to_route: 5 };
    let rows = column(9 * 3_600, vec![row(1, range("", ""), 7)]);
    tell(&recorder, 1, [transition(START_MS, create()), rows, transition(START_MS + 1_000, out)]);
    let Entry::Transition(drop_5) = transition(START_MS + 2_000, Change::Drop { route: 5 }) else {
        unreachable!()
    };
    tell(&recorder, 4, [Entry::Transition(Transition { group: 2, ..drop_5 })]);
    persist(&recorder);
    sweep(&recorder, &clock);
    assert_eq!(routes(&recorder), [1, 5], "the near side has a block, so the far side stays");
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    block_on(recorder.greet(source(99))).unwrap();
    assert_eq!(recorder.graph().len(), (2, 0));
    clock.advance(RETENTION_MS);
    // The near side first; the far side when that is gone.
    sweep(&recorder, &clock);
    sweep(&recorder, &clock);
    assert!(routes(&recorder).is_empty());
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    block_on(recorder.greet(source(99))).unwrap();
    assert!(routes(&recorder).is_empty());
}

/// Splits and merges in turn, one transition a second, swept every hour by the rule of [`due`] and
/// [`parents_first`]. Returns how many records there are after each hour's sweep, and the most ever.
fn busy_cluster(hours: u64, retention_hours: u64) -> (Vec<usize>, usize) {
    let mut graph = LineageGraph::default();
    let apply = |graph: &mut LineageGraph, second: u64, change: Change| {
        let transition = Transition {
            group: 1,
            proposal: u128::from(second).to_be_bytes(),
            hlc: Hlc::new(START_MS + second * 1_000, 0),
            catalogue_version: second,
            change,
        };
        let plan = graph.plan(&transition).unwrap();
        graph.install_plan(plan);
    };
    apply(&mut graph, 1, create());
    let (mut next_route, mut live) = (2, vec![1]);
    let (mut after, mut most) = (Vec::new(), 0);
    for second in 2..hours * 3_600 {
        let change = match live[..] {
            [left, right] => {
                Change::Merge { parents: vec![left, right], survivor: spec(next_route, "", "") }
            }
            _ => halves(live[0], next_route),
        };
        live = match change {
            Change::Merge { .. } => vec![next_route],
            _ => vec![next_route, next_route + 1],
        };
        next_route += live.len() as u64;
        apply(&mut graph, second, change);
        most = most.max(graph.len().0);
        if second % 3_600 == 0 {
            let before_hour = unix_hour(START_MS + second * 1_000).saturating_sub(retention_hours);
            for lineages in due(&graph, before_hour).into_values() {
                for lineage in parents_first(&graph, &lineages, |_| false) {
                    graph.remove(lineage);
                }
            }
            after.push(graph.len().0);
        }
    }
    (after, most)
}

#[test]
fn a_cluster_that_splits_and_merges_every_second_for_a_week_keeps_a_bounded_graph() {
    const WEEK: u64 = 7 * 24;
    let (after, most) = busy_cluster(WEEK + 24, WEEK);
    // Two children a split, one survivor a merge; the hour of the sweep, and the hour in which the
    // last late column of a lineage may lie, come on top of the retention.
    let births_an_hour = 3 * 3_600 / 2;
    let bound = births_an_hour * (WEEK as usize + 3);
    let last_day = &after[after.len() - 22..];
    let (low, high) = (last_day.iter().min().unwrap(), last_day.iter().max().unwrap());
    println!(
        "{} transitions: {low} to {high} records after each sweep of the last day, {most} at most",
        (WEEK + 24) * 3_600
    );
    assert!(most <= bound, "{most} records, {bound} fit");
    assert_eq!(low, high, "it no longer grows");
}
