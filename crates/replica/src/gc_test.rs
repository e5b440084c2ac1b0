use std::sync::Arc;

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::FreezeReason;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{Change, Clock as _, HOUR_MS, RouteSpec, unix_hour};
use keyviz_store::History as _;

use crate::recorder_test::{START_MS, column, persist, range, row, send, transition};
use crate::{Progress, Recorder, RecorderConfig};

const DAY_MS: u64 = 24 * HOUR_MS;

fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Recorder {
    let config = RecorderConfig {
        persist_interval_ms: 1_000 * HOUR_MS,
        retention_ms: 2 * HOUR_MS,
        rollup_retention_ms: 4 * HOUR_MS,
        ..RecorderConfig::new(folder)
    };
    Recorder::open(config, Arc::clone(clock) as _, &Progress::default()).unwrap()
}

/// Everything goes that may.
fn compact(recorder: &Recorder) {
    recorder.shared.store.flush().unwrap();
    recorder.shared.store.compact();
}

fn record_an_hour(recorder: &Recorder) {
    let create = Change::Create { routes: vec![RouteSpec { route: 1, range: range("", "") }] };
    send(recorder, 1, 1, transition(START_MS + 1_000, create));
    send(recorder, 1, 2, column(5, vec![row(1, range("", ""), 7)]));
    persist(recorder);
}

fn keys(recorder: &Recorder) -> Vec<Vec<u8>> {
    recorder.shared.store.view(START_MS).dump().unwrap().into_keys().collect()
}

#[test]
fn a_clock_that_jumps_erases_nothing_until_its_operator_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 30_000));
    let recorder = open(folder.path(), &clock);
    record_an_hour(&recorder);
    let before = keys(&recorder);
    let first_hour = unix_hour(START_MS);
    let status = recorder.gc_status().unwrap();
    assert_eq!((status.frozen, status.dropped), (None, 0));
    assert_eq!((status.oldest.fine_hour, status.oldest.longest_hour), (first_hour, first_hour));
    clock.set_wall(START_MS + 30 * DAY_MS);
    let status = recorder.gc_status().unwrap();
    let freeze = status.frozen.unwrap();
    assert_eq!((freeze.since_ms, freeze.left_ms), (clock.unix_ms(), DAY_MS));
    assert!(matches!(freeze.why, FreezeReason::Parted(by_ms) if by_ms > 29 * DAY_MS));
    compact(&recorder);
    let after = keys(&recorder);
    assert!(before.iter().all(|key| after.contains(key)), "nothing is gone");
    assert!(after.contains(&Key::Freeze.encode(NODE_GROUP)));
    // Also when a column of the wrong time was stored, and the node starts anew.
    send(&recorder, 1, 3, column(30 * 86_400 - 60, vec![row(1, range("", ""), 1)]));
    persist(&recorder);
    clock.advance(HOUR_MS);
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    let held = recorder.gc_status().unwrap().frozen.unwrap();
    assert_eq!((held.since_ms, held.why), (freeze.since_ms, freeze.why));
    assert!(held.left_ms <= DAY_MS, "{held:?}");
    compact(&recorder);
    assert_eq!(recorder.dropped_rows(), 0);
    // The operator knows better.
    let status = recorder.accept_clock().unwrap();
    assert_eq!((status.frozen, recorder.counters().gc_frozen), (None, 0));
    assert_eq!(status.cutoffs.fine_hour, unix_hour(clock.unix_ms()) - 2);
    compact(&recorder);
    assert!(recorder.dropped_rows() >= 2, "a block and its coverage");
    let status = recorder.gc_status().unwrap();
    assert!(status.oldest.fine_hour > first_hour && status.oldest.longest_hour > first_hour);
    drop(recorder);
    assert_eq!(open(folder.path(), &clock).gc_status().unwrap().frozen, None, "and it is over");
}

#[test]
fn a_freeze_ends_after_a_day_of_uptime_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 30_000));
    let recorder = open(folder.path(), &clock);
    record_an_hour(&recorder);
    clock.set_wall(START_MS + 30 * DAY_MS);
    assert!(recorder.gc_status().unwrap().frozen.is_some());
    for hour in 0..24 {
        clock.advance(HOUR_MS);
        let frozen = recorder.gc_status().unwrap().frozen;
        assert_eq!(
            frozen.map(|freeze| freeze.left_ms),
            Some(DAY_MS - (hour + 1) * HOUR_MS).filter(|&left| left > 0)
        );
    }
    compact(&recorder);
    assert!(recorder.dropped_rows() > 0);
}

#[test]
fn a_start_goes_by_what_is_stored_where_no_source_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 30_000));
    let recorder = open(folder.path(), &clock);
    record_an_hour(&recorder);
    let view = recorder.shared.store.view(0);
    assert_eq!(view.newest_coverage_hour().unwrap(), Some(unix_hour(START_MS)));
    assert_eq!(view.groups().unwrap().len(), 1);
    drop(view);
    drop(recorder);
    clock.advance(2 * DAY_MS);
    let recorder = open(folder.path(), &clock);
    let freeze = recorder.gc_status().unwrap().frozen.unwrap();
    assert!(matches!(freeze.why, FreezeReason::Behind(by_ms) if by_ms > DAY_MS));
}
