//! Against an obvious model: what was acknowledged is there, or its window is marked shed; never both,
//! never neither.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{Row, unix_hour};
use keyviz_store::{History, StoreError};
use keyviz_wal::testing::{Fault, FaultyFs, Op};
use tempfile::TempDir;

use super::*;
use crate::command::{Command, ProposeError};
use crate::group_log::{GroupLog, LocalGroupLog, Proposed};
use crate::recorder_test::{START_MS, column, persist, range, row, send, source};
use crate::state_machine::StateMachine;
use crate::{Progress, Recorder, RecorderConfig, RecorderView, Verdict};

/// A log of groups that takes no columns while it is told so: like a store whose disk is full.
pub(crate) struct Stubborn(pub(crate) LocalGroupLog, pub(crate) Arc<AtomicBool>);

impl GroupLog for Stubborn {
    fn leads(&self, _group: GroupId) -> bool {
        true
    }

    fn propose(&self, group: GroupId, command: Command) -> Proposed<'_> {
        if self.1.load(Ordering::Relaxed) && matches!(command, Command::PersistColumns { .. }) {
            let source = std::io::ErrorKind::StorageFull.into();
            let error = StoreError::Folder { path: "db".into(), source };
            return Box::pin(std::future::ready(Err(ProposeError::Store(error))));
        }
        self.0.propose(group, command)
    }
}

struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
    files: FaultyFs,
    refuses: Arc<AtomicBool>,
    acknowledged: BTreeSet<u64>,
    last: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(START_MS + 6 * 3_600_000)),
            files: FaultyFs::new(),
            refuses: Arc::default(),
            acknowledged: BTreeSet::new(),
            last: 0,
        }
    }

    fn open(&self) -> Recorder {
        let config = RecorderConfig {
            persist_interval_ms: 3_600_000,
            wal_max_bytes: 64 << 10,
            ..RecorderConfig::new(self.folder.path())
        };
        let refuses = Arc::clone(&self.refuses);
        let make = move |machine: Arc<StateMachine>| -> Arc<dyn GroupLog> {
            Arc::new(Stubborn(LocalGroupLog::new(machine), Arc::clone(&refuses)))
        };
        let (files, clock) = (Arc::new(self.files.clone()), Arc::clone(&self.clock) as _);
        Recorder::open_with(files, config, clock, &Progress::default(), &make).unwrap()
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Sends columns until so many records were shed in all.
    fn send_until_shed(&mut self, recorder: &Recorder, records: u64) {
        while recorder.counters().shed_records < records {
            assert!(self.try_send(recorder), "refused");
        }
    }

    fn try_send(&mut self, recorder: &Recorder) -> bool {
        let next = self.last + 1;
        let verdict = send(recorder, 1, next, entry(next));
        // A duplicate: it was logged while nothing could be made durable, and counts by now.
        let is_taken = matches!(verdict, Verdict::Stored { rows: 8, .. } | Verdict::Duplicate);
        if is_taken {
            self.last = next;
            self.acknowledged.insert(next);
        }
        is_taken
    }

    fn shed_files(&self) -> Vec<PathBuf> {
        let is_ours = |path: &PathBuf| path.to_string_lossy().contains("owner-shed");
        self.files.paths().into_iter().filter(is_ours).collect()
    }

    /// Each window that was acknowledged is there or marked. Returns those that are marked.
    fn check(&self, recorder: &Recorder) -> BTreeSet<u64> {
        let view = recorder.view().unwrap();
        let (held, marked) = (held(&view), marked(&view));
        assert_eq!(held.intersection(&marked).count(), 0, "there and marked");
        let all: BTreeSet<u64> = held.union(&marked).copied().collect();
        assert_eq!(all, self.acknowledged);
        marked
    }
}

/// Distinct windows, some hundred bytes.
fn entry(n: u64) -> keyviz_lineage::Entry {
    let bound = |at: u64| format!("{at:0>60}");
    let rows: Vec<Row> =
        (0..8).map(|at| row(at + 1, range(&bound(at), &bound(at + 1)), n * 1_000 + at)).collect();
    column(n, rows)
}

fn hours() -> std::ops::RangeInclusive<u64> {
    unix_hour(START_MS)..=unix_hour(START_MS) + 9
}

fn held(view: &RecorderView<'_>) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for record in view.graph().records() {
        for (hour, blocks) in view.blocks(1, record.id, hours()) {
            for block in blocks.unwrap().blocks() {
                let first = (hour * 3_600_000 - START_MS) / 1_000;
                found.extend(block.cells().into_keys().map(|index| first + u64::from(index)));
            }
        }
    }
    found
}

fn marked(view: &RecorderView<'_>) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for (hour, coverage) in view.coverage(1, hours()) {
        let first = (hour * 3_600_000 - START_MS) / 1_000;
        found.extend(coverage.unwrap().shed().map(|(_, _, index)| first + u64::from(index)));
    }
    found
}

#[test]
fn what_was_shed_and_lost_is_marked_and_its_numbers_stay_taken() {
    let mut bench = Bench::new();
    let recorder = bench.open();
    for _ in 0..20 {
        assert!(bench.try_send(&recorder));
    }
    persist(&recorder);
    bench.refuse(true);
    bench.send_until_shed(&recorder, 100);
    assert_eq!(bench.check(&recorder), BTreeSet::new(), "all of it is still in memory");
    assert!(!bench.shed_files().is_empty());
    drop(recorder);

    let recorder = bench.open();
    let lost = bench.check(&recorder);
    assert!(lost.len() >= 100 && *lost.first().unwrap() == 21, "{lost:?}");
    assert_eq!(recorder.counters().shed_lost_columns, lost.len() as u64);
    // A further kill before anything is persisted, and more that is shed.
    bench.send_until_shed(&recorder, 50);
    drop(recorder);
    let recorder = bench.open();
    let lost_now = bench.check(&recorder);
    assert!(lost_now.is_superset(&lost) && lost_now.len() >= lost.len() + 50);
    assert_eq!(send(&recorder, 1, 30, entry(30)), Verdict::Duplicate, "it counts at most once");
    assert_eq!(block_on(recorder.greet(source(1))).unwrap(), bench.last + 1);

    bench.refuse(false);
    persist(&recorder);
    assert_eq!(bench.check(&recorder), lost_now, "stored with the rest");
    assert!(bench.try_send(&recorder));
    persist(&recorder);
    drop(recorder);
    assert_eq!(bench.shed_files(), Vec::<PathBuf>::new(), "nothing is left to be told");
    let recorder = bench.open();
    assert_eq!(bench.check(&recorder), lost_now);
    assert_eq!(recorder.counters().shed_lost_columns, 0, "that was an earlier start");
}

#[test]
fn what_the_store_took_after_all_is_not_marked() {
    let mut bench = Bench::new();
    let recorder = bench.open();
    bench.refuse(true);
    bench.send_until_shed(&recorder, 60);
    let notes: Vec<(PathBuf, Vec<u8>)> = bench
        .shed_files()
        .into_iter()
        .map(|path| (path.clone(), bench.files.content(&path).unwrap()))
        .collect();
    bench.refuse(false);
    persist(&recorder);
    drop(recorder);
    assert_eq!(bench.shed_files(), Vec::<PathBuf>::new());
    let recorder = bench.open();
    assert_eq!(bench.check(&recorder), BTreeSet::new());
    drop(recorder);
    // As if the kill had come between the checkpoint and the unlink of the notes.
    for (path, bytes) in &notes {
        bench.files.put(path, bytes);
    }
    let recorder = bench.open();
    assert_eq!(bench.check(&recorder), BTreeSet::new());
    persist(&recorder);
    drop(recorder);
    assert_eq!(bench.shed_files(), Vec::<PathBuf>::new());
}

#[test]
fn nothing_is_shed_that_cannot_be_noted() {
    let mut bench = Bench::new();
    let recorder = bench.open();
    bench.refuse(true);
    bench.send_until_shed(&recorder, 1);
    let shed = recorder.counters().shed_records;
    // The device of the notes (and of the log) takes nothing more.
    bench.files.fail_next(Op::SyncData, u64::MAX >> 1, Fault::Error(io::ErrorKind::StorageFull));
    let refused = (0..400).filter(|_| !bench.try_send(&recorder)).count();
    assert!(refused > 0);
    assert_eq!(recorder.counters().shed_records, shed);
    bench.files.heal();
    bench.send_until_shed(&recorder, shed + 40);
    drop(recorder);
    let recorder = bench.open();
    assert!(bench.check(&recorder).len() as u64 >= shed + 40);
}

#[test]
fn a_record_that_was_noted_and_stays_is_not_marked() {
    // The unlink of what was shed fails: the next start finds the segment again.
    let mut bench = Bench::new();
    let recorder = bench.open();
    bench.refuse(true);
    bench.files.fail_next(Op::Remove, u64::MAX >> 1, Fault::Error(io::ErrorKind::Other));
    bench.send_until_shed(&recorder, 60);
    drop(recorder);
    bench.files.heal();
    let recorder = bench.open();
    assert_eq!(bench.check(&recorder), BTreeSet::new());
    // And it can be shed once more.
    bench.send_until_shed(&recorder, 60);
    drop(recorder);
    let recorder = bench.open();
    assert!(bench.check(&recorder).len() >= 60);
}

#[test]
fn notes_that_cannot_be_read_do_not_stop_a_start() {
    let mut bench = Bench::new();
    let recorder = bench.open();
    bench.refuse(true);
    bench.send_until_shed(&recorder, 60);
    drop(recorder);
    let path: &Path = &bench.shed_files()[0];
    let mut bytes = bench.files.content(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bench.files.put(path, &bytes);
    let recorder = bench.open();
    let view = recorder.view().unwrap();
    assert!(held(&view).is_subset(&bench.acknowledged), "nothing that was not sent");
}
