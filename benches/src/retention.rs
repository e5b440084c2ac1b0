//! Whether disk space comes back: 21 simulated days at a retention of 7, through a real recorder on a
//! clock of the bench's own. 200 ranges have traffic all the time, 200 more on the first day only.
//!
//! Prints the bytes of all files day by day against day 7, the oldest row's age against the retention,
//! and RocksDB's write amplification (baseline 1: every byte once). Minutes; `TMPDIR` says where.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Clock as _, Column, Counts, Entry, Flags, HOUR_MS, KeyRange, Row, SourceId, Step, Window,
};
use keyviz_replica::{Progress, Recorder, RecorderConfig, Verdict};
use uuid::Uuid;

use crate::report;

const DAYS: u64 = 21;
const RETENTION_DAYS: u64 = 7;
const BUSY: u64 = 200;
const QUIET: u64 = 200;
const START_MS: u64 = 480_000 * HOUR_MS;
const PERSIST_MS: u64 = 15 * 60_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs them all.
pub(crate) fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::at(START_MS));
    let config = RecorderConfig {
        retention_ms: RETENTION_DAYS * 24 * HOUR_MS,
        rollup_retention_ms: RETENTION_DAYS * 24 * HOUR_MS,
        persist_interval_ms: PERSIST_MS,
        ..RecorderConfig::new(folder.path())
    };
    let recorder = Recorder::open(config, Arc::clone(&clock) as _, &Progress::default())?;
    let (mut sequence, mut at_retention, mut most_age) = (0, 0.0, 0.0f64);
    for day in 1..=DAYS {
        for _ in 0..24 * HOUR_MS / PERSIST_MS {
            for _ in 0..PERSIST_MS / 60_000 {
                sequence += 1;
                record(&recorder, &clock, sequence, day == 1)?;
            }
            let before = recorder.counters().releases;
            recorder.persist_soon();
            while recorder.counters().releases == before {
                sleep(Duration::from_micros(200));
            }
        }
        let bytes = recorder.file_bytes() as f64;
        at_retention = if day <= RETENTION_DAYS { bytes } else { at_retention };
        let what = format!("bytes on disk after day {day}, baseline day {RETENTION_DAYS}");
        report::line(&what, bytes, "bytes", at_retention);
        let oldest = recorder.gc_status()?.oldest.fine_hour * HOUR_MS;
        most_age = most_age.max(clock.unix_ms().saturating_sub(oldest) as f64 / HOUR_MS as f64);
    }
    let period = (RETENTION_DAYS * 24) as f64;
    report::line("oldest row on disk at most, baseline the retention", most_age, "hours", period);
    let amplification = recorder.write_amplification();
    report::line("write amplification of RocksDB over all days", amplification, "ratio", 1.0);
    report::line("rows dropped", recorder.dropped_rows() as f64, "rows", 1.0);
    Ok(())
}

fn record(recorder: &Recorder, clock: &ManualClock, sequence: u64, is_first: bool) -> Outcome<()> {
    let start_ms = clock.unix_ms();
    clock.advance(60_000);
    let routes = if is_first { BUSY + QUIET } else { BUSY };
    let column = Column {
        window: Window::new(start_ms, Step::MINUTE)?,
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 60_000,
        unattributed: 0,
        groups: vec![1],
        rows: (1..=routes).map(|route| row(route, sequence)).collect::<Result<_, _>>()?,
        buckets: Vec::new(),
    };
    let source = SourceId { node: "n1".into(), boot: Uuid::from_u128(1) };
    let taken = recorder.submit(source, sequence, Ok(Entry::Column(column)));
    match futures::executor::block_on(taken) {
        Verdict::Stored { .. } => Ok(()),
        refused => Err(format!("{refused:?}").into()),
    }
}

fn row(route: u64, sequence: u64) -> Result<Row, keyviz_lineage::key_range::KeyRangeError> {
    let key = |at: u64| match at {
        0 => Vec::new(),
        at if at == BUSY + QUIET => Vec::new(),
        at => format!("table/{at:06}").into_bytes(),
    };
    let noise = (route * 977 + sequence * 131).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    let (reads, writes) = (noise, noise / 4);
    let counts = Counts { reads, writes, read_bytes: reads * 300, write_bytes: writes * 900 };
    let range = KeyRange::new(key(route - 1), key(route))?;
    Ok(Row { route, group: 1, term: 1, range, counts, flags: Flags::NONE })
}
