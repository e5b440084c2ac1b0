//! Property: whatever write of the store breaks, refused or done without an answer, nothing that was
//! acknowledged is lost, nothing counts twice, and work goes on once the write path is whole again.
//!
//! Every failpoint of `keyviz_store` (`failpoint.rs`), against a ledger of what was acknowledged. Needs the
//! feature `failpoints`: `cargo test ... --features keyviz-replica/failpoints --test failpoints`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fail::FailScenario;
use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Change, Column, Counts, Entry, Flags, Hlc, KeyRange, RouteSpec, Row, SourceId, Step,
    Transition, Window, unix_hour,
};
use keyviz_replica::{CountersSnapshot, Progress, Recorder, RecorderConfig, Verdict};
use keyviz_store::backup::{Backups, finish_restore, restore};
use keyviz_store::retention::Retention;
use keyviz_store::{History, Store, StoreOptions};
use uuid::Uuid;

const START_MS: u64 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000;
const LIMIT: Duration = Duration::from_secs(120);

/// A recorder, and what it has acknowledged: writes by range and window.
struct Rig {
    folder: PathBuf,
    clock: Arc<ManualClock>,
    recorder: Option<Recorder>,
    ledger: BTreeMap<(String, u64), u64>,
    sequence: u64,
}

impl Rig {
    fn new(folder: &Path) -> Self {
        let clock = Arc::new(ManualClock::at(START_MS + 1_000_000));
        let (folder, ledger) = (folder.to_owned(), BTreeMap::new());
        let mut rig = Self { folder, clock, recorder: None, ledger, sequence: 0 };
        rig.open();
        rig
    }

    fn open(&mut self) {
        let config =
            RecorderConfig { persist_interval_ms: 3_600_000, ..RecorderConfig::new(&self.folder) };
        let clock = Arc::clone(&self.clock) as _;
        self.recorder = Some(Recorder::open(config, clock, &Progress::default()).unwrap());
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().unwrap()
    }

    /// Another life over the same folder.
    fn restart(&mut self) {
        self.recorder = None;
        self.open();
    }

    fn send(&self, sequence: u64, entry: Entry) -> Verdict {
        let source = SourceId { node: "n1".into(), boot: Uuid::from_u128(1) };
        block_on(self.recorder().submit(source, sequence, Ok(entry)))
    }

    /// The column of a sequence: two ranges, numbers of its own.
    fn column(sequence: u64) -> (Entry, [(String, u64, u64); 2]) {
        let step = Step::from_ms(1_000).unwrap();
        let start_ms = START_MS + sequence * 1_000;
        let row = |route, range: KeyRange, writes| {
            let counts = Counts { writes, ..Counts::default() };
            Row { route, group: 1, term: 1, range, counts, flags: Flags::NONE }
        };
        let (low, high) = (range("", "m"), range("m", ""));
        let told = [
            (low.to_string(), sequence, sequence * 3 + 1),
            (high.to_string(), sequence, sequence * 5 + 2),
        ];
        let rows = vec![row(7, low, told[0].2), row(8, high, told[1].2)];
        let entry = Entry::Column(Column {
            window: Window::new(start_ms, step).unwrap(),
            covered_from_ms: start_ms,
            covered_to_ms: start_ms + 1_000,
            unattributed: 0,
            groups: vec![1],
            rows,
            buckets: Vec::new(),
        });
        (entry, told)
    }

    /// Has so many columns acknowledged.
    fn post(&mut self, columns: u64) {
        for _ in 0..columns {
            let sequence = self.sequence + 1;
            let (entry, told) = Self::column(sequence);
            let verdict = self.send(sequence, entry);
            assert!(matches!(verdict, Verdict::Stored { rows: 2, .. }), "{verdict:?}");
            self.sequence = sequence;
            for (range, window, writes) in told {
                self.ledger.insert((range, window), writes);
            }
        }
    }

    /// Asks for checkpoints, with time passing, until something has come true.
    fn persist_until(&self, what: &str, done: impl Fn(&CountersSnapshot) -> bool) {
        let started = Instant::now();
        while !done(&self.recorder().counters()) {
            assert!(started.elapsed() < LIMIT, "{what}: {:?}", self.recorder().counters());
            self.recorder().persist_soon();
            self.clock.advance(500);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything is there once, and what is sent again is known.
    fn assert_whole(&self, when: &str) {
        assert_eq!(contents(self.recorder()), self.ledger, "{when}");
        for sequence in [1, self.sequence.div_ceil(2), self.sequence] {
            let again = self.send(sequence, Self::column(sequence).0);
            assert_eq!(again, Verdict::Duplicate, "{when}: {sequence}");
        }
    }
}

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

fn contents(recorder: &Recorder) -> BTreeMap<(String, u64), u64> {
    let view = recorder.view().unwrap();
    let mut found = BTreeMap::new();
    for record in view.graph().records() {
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

#[test]
fn a_checkpoint_that_breaks_is_made_again_and_counts_once() {
    for point in ["persist-batch-refused", "persist-batch-unanswered"] {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(folder.path());
        rig.post(5);
        fail::cfg(point, "return").unwrap();
        // One that was written after all is found to be there when it is made again.
        rig.persist_until(point, |counters| counters.persist_failures >= 1);
        rig.assert_whole(&format!("{point}, broken"));
        rig.post(5);
        rig.assert_whole(&format!("{point}, broken, and more came"));
        fail::remove(point);
        rig.persist_until(point, |counters| counters.persists > 0 && counters.releases > 0);
        assert_eq!(rig.recorder().store_refusal(), None);
        rig.assert_whole(&format!("{point}, mended"));
        rig.restart();
        rig.assert_whole(&format!("{point}, after a restart"));
        // Broken to the end of a life, and mended in the next one.
        rig.post(5);
        fail::cfg(point, "return").unwrap();
        rig.restart();
        rig.assert_whole(&format!("{point}, restarted while broken"));
        fail::remove(point);
        rig.post(5);
        rig.restart();
        rig.assert_whole(&format!("{point}, at the end"));
        scenario.teardown();
    }
}

#[test]
fn marks_that_cannot_be_written_keep_the_log_and_count_nothing_twice() {
    for point in ["marks-batch-refused", "marks-batch-unanswered"] {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(folder.path());
        rig.post(5);
        fail::cfg(point, "return").unwrap();
        rig.persist_until(point, |counters| counters.persists > 0);
        rig.post(5);
        rig.assert_whole(&format!("{point}, broken"));
        assert_eq!(rig.recorder().counters().releases, 0, "the log is kept");
        fail::remove(point);
        rig.restart();
        rig.assert_whole(&format!("{point}, after a restart"));
        rig.post(5);
        rig.persist_until(point, |counters| counters.releases > 0);
        rig.restart();
        rig.assert_whole(&format!("{point}, released"));
        scenario.teardown();
    }
}

fn create(hlc_ms: u64, route: u64, (start, end): (&str, &str)) -> Entry {
    let routes = vec![RouteSpec { route, range: range(start, end) }];
    Entry::Transition(Transition {
        group: 1,
        proposal: u128::from(hlc_ms).to_be_bytes(),
        hlc: Hlc::new(hlc_ms, 0),
        catalogue_version: 0,
        change: Change::Create { routes },
    })
}

#[test]
fn a_transition_that_breaks_is_not_acknowledged_and_makes_one_record() {
    for point in ["lineage-batch-refused", "lineage-batch-unanswered"] {
        for restarts in [false, true] {
            let scenario = FailScenario::setup();
            let folder = tempfile::tempdir().unwrap();
            let mut rig = Rig::new(folder.path());
            let birth = || create(START_MS + 500, 7, ("", "m"));
            fail::cfg(point, "return").unwrap();
            let verdict = rig.send(1, birth());
            assert!(matches!(verdict, Verdict::Unavailable(_)), "{point}: {verdict:?}");
            fail::remove(point);
            if restarts {
                rig.restart();
            }
            // The sender does not know, and sends it again.
            let verdict = rig.send(1, birth());
            assert!(matches!(verdict, Verdict::Stored { .. } | Verdict::Duplicate), "{verdict:?}");
            let records = |rig: &Rig| rig.recorder().graph().records().count();
            assert_eq!(records(&rig), 1, "{point}");
            rig.restart();
            assert_eq!(records(&rig), 1, "{point}, after a restart");
            scenario.teardown();
        }
    }
}

#[test]
fn a_flush_that_breaks_loses_nothing() {
    let scenario = FailScenario::setup();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(folder.path());
    for _ in 0..3 {
        rig.post(5);
        fail::cfg("checkpoint-flush-refused", "return").unwrap();
        rig.persist_until("persist", |counters| counters.persists > 0);
        rig.restart();
        rig.assert_whole("flushes break");
    }
    scenario.teardown();
    rig.restart();
    rig.assert_whole("mended");
}

#[test]
fn a_pin_that_breaks_is_not_there_in_part() {
    for point in ["pin-batch-refused", "pin-batch-unanswered"] {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(folder.path());
        rig.post(5);
        rig.persist_until(point, |counters| counters.persists > 0);
        rig.clock.advance(2 * 3_600_000);
        let window = (START_MS, START_MS + 5_000);
        let pin = |rig: &Rig| rig.recorder().pin(window, range("", ""), "note".into());
        fail::cfg(point, "return").unwrap();
        pin(&rig).unwrap_err();
        fail::remove(point);
        rig.restart();
        let left = rig.recorder().pins().len();
        // Whoever was told that it failed took it back, as far as that could be done.
        assert!(left <= usize::from(point.ends_with("unanswered")), "{point}: {left}");
        pin(&rig).unwrap();
        rig.restart();
        assert_eq!(rig.recorder().pins().len(), left + 1, "{point}");
        rig.assert_whole(point);
        scenario.teardown();
    }
}

#[test]
fn a_backup_that_breaks_leaves_the_others_and_the_next_one_is_whole() {
    for point in ["backup-wal", "backup-manifest"] {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(&folder.path().join("node"));
        let backups = folder.path().join("backups");
        rig.post(5);
        rig.recorder().backup(&backups).unwrap();
        rig.persist_until(point, |counters| counters.persists > 0);
        rig.post(5);
        fail::cfg(point, "return").unwrap();
        rig.recorder().backup(&backups).unwrap_err();
        let listed = || Backups::open_for_reading(&backups).unwrap().list().unwrap().len();
        assert_eq!(listed(), 1, "{point}");
        fail::remove(point);
        rig.post(5);
        rig.recorder().backup(&backups).unwrap();
        assert_eq!(listed(), 2, "{point}");
        let (ledger, sequence) = (rig.ledger.clone(), rig.sequence);
        rig.recorder = None;
        let restored = folder.path().join("restored");
        restore(&Backups::open_for_reading(&backups).unwrap(), None, &restored).unwrap();
        finish_restore(&restored).unwrap();
        let rig = Rig { ledger, sequence, ..Rig::new(&restored) };
        rig.assert_whole(point);
        scenario.teardown();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn an_upgrade_that_breaks_at_any_batch_is_gone_on_from() {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/golden/v1/stopped/db");
    let upgrade = |path: &Path| {
        let options = StoreOptions { retention: Retention::new(u64::MAX) };
        Store::open_watched(path, options, &|_| ControlFlow::Continue(()))
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    copy(&golden, &whole);
    let expected = upgrade(&whole).unwrap().view(0).dump().unwrap();
    for point in ["upgrade-batch-refused", "upgrade-batch-unanswered"] {
        let (mut broke, mut ended) = (0, false);
        for after in 0.. {
            let scenario = FailScenario::setup();
            let path = folder.path().join(format!("{point}-{after}"));
            copy(&golden, &path);
            fail::cfg(point, &format!("{after}*off->1*return->off")).unwrap();
            match upgrade(&path) {
                Ok(_) => ended = true,
                Err(_) => broke += 1,
            }
            scenario.teardown();
            assert_eq!(
                upgrade(&path).unwrap().view(0).dump().unwrap(),
                expected,
                "{point} {after}"
            );
            if ended {
                break;
            }
        }
        assert!(broke > 5, "{point}: {broke} batches");
    }
}

#[test]
fn a_store_that_refuses_everything_wants_to_be_opened_anew_and_then_holds_all() {
    let scenario = FailScenario::setup();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(folder.path());
    rig.post(5);
    rig.persist_until("persist", |counters| counters.persists > 0);
    rig.post(5);
    for point in ["persist-batch-refused", "marks-batch-unanswered"] {
        fail::cfg(point, "return").unwrap();
    }
    rig.persist_until("it wants to be opened anew", |counters| counters.wants_reopening > 0);
    assert_eq!(rig.recorder().counters().store_read_only, 1);
    rig.assert_whole("reads go on");
    rig.post(5);
    // RocksDB goes on by itself after all.
    for point in ["persist-batch-refused", "marks-batch-unanswered"] {
        fail::remove(point);
    }
    rig.persist_until("it is taken again", |counters| counters.store_read_only == 0);
    assert!(!rig.recorder().wants_reopening());
    scenario.teardown();
    rig.restart();
    rig.assert_whole("opened anew");
}
