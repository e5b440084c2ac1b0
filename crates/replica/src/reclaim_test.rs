//! Disk space really comes back, for quiet ranges too, although RocksDB's own clock stands still.

use std::sync::Arc;

use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Clock as _, Column, Counts, Entry, Flags, HOUR_MS, KeyRange, Row, Step, Window, unix_hour,
};
use keyviz_store::History as _;

use crate::recorder_test::{START_MS, persist, send};
use crate::{Progress, Recorder, RecorderConfig, Verdict};

const RETENTION_HOURS: u64 = 6;
const RANGES: u64 = 40;

fn row(route: u64, noise: u64) -> Row {
    let key = |at: u64| {
        if at == 0 || at > RANGES { Vec::new() } else { format!("k{at:04}").into_bytes() }
    };
    let range = KeyRange::new(key(route - 1), if route > RANGES { Vec::new() } else { key(route) })
        .unwrap();
    let counts =
        Counts { reads: noise, writes: noise / 3, read_bytes: noise * 71, write_bytes: noise * 13 };
    Row { route, group: 1, term: 1, range, counts, flags: Flags::NONE }
}

/// Ten columns an hour; the last range has traffic in the first hour only.
fn record(recorder: &Recorder, hour: u64) {
    for index in 0..10 {
        let start_ms = START_MS + hour * HOUR_MS + index * 360_000;
        let noise =
            |route: u64| (route * 7 + hour * 31 + index * 3).wrapping_mul(2_654_435_761) % 100_000;
        let routes = 1..=RANGES + u64::from(hour == 0);
        let column = Column {
            window: Window::new(start_ms, Step::from_ms(360_000).unwrap()).unwrap(),
            covered_from_ms: start_ms,
            covered_to_ms: start_ms + 360_000,
            unattributed: 0,
            groups: vec![1],
            rows: routes.map(|route| row(route, noise(route))).collect(),
            buckets: Vec::new(),
        };
        let verdict = send(recorder, 1, hour * 10 + index + 1, Entry::Column(column));
        assert!(matches!(verdict, Verdict::Stored { .. }), "{verdict:?}");
    }
}

#[test]
fn the_disk_is_flat_after_the_retention_and_quiet_rows_go_too() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS));
    let config = RecorderConfig {
        persist_interval_ms: HOUR_MS / 4,
        retention_ms: RETENTION_HOURS * HOUR_MS,
        rollup_retention_ms: RETENTION_HOURS * HOUR_MS,
        ..RecorderConfig::new(folder.path())
    };
    let recorder = Recorder::open(config, Arc::clone(&clock) as _, &Progress::default()).unwrap();
    let mut bytes = Vec::new();
    for hour in 0..3 * RETENTION_HOURS + 3 {
        // In steps, or time would seem to jump.
        clock.advance(HOUR_MS / 2);
        assert_eq!(recorder.gc_status().unwrap().frozen, None);
        clock.advance(HOUR_MS / 2);
        record(&recorder, hour);
        // A round for each file there may be.
        (0..12).for_each(|_| persist(&recorder));
        bytes.push(recorder.shared.store.file_bytes());
        let oldest = recorder.gc_status().unwrap().oldest;
        let kept = unix_hour(clock.unix_ms()) - oldest.fine_hour;
        assert!(kept <= RETENTION_HOURS + 4, "hour {hour}: {kept} hours on disk");
    }
    let (then, now) = (bytes[RETENTION_HOURS as usize + 2], bytes[bytes.len() - 1]);
    assert!(now * 4 <= then * 5, "the disk grows: {bytes:?}");
    assert!(recorder.dropped_rows() > RANGES);
    let view = recorder.shared.store.view(0);
    let quiet = recorder.graph().live_route(1, RANGES + 1).unwrap().id;
    assert!(view.blocks(1, quiet, 0..=u64::MAX - 1).is_empty(), "a row that nobody touches");
}
