use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_lineage::clock::ManualClock;
use keyviz_store::backup::{Backups, finish_restore, restore};
use keyviz_store::{Findings, OfflineStore, Severity, check};
use keyviz_wal::RealFs;

use super::*;
use crate::recorder_test::{START_MS, column, open, range, row, send};
use crate::{RecorderConfig, check_wal};

/// Every stored or acknowledged write, by window.
fn writes(recorder: &Recorder) -> BTreeMap<u64, u64> {
    let view = recorder.view().unwrap();
    let mut found = BTreeMap::new();
    for record in view.graph().records() {
        let hours = 0..=keyviz_lineage::unix_hour(START_MS) + 9;
        for (_, blocks) in keyviz_store::History::blocks(&view, 1, record.id, hours) {
            for block in blocks.unwrap().blocks() {
                for (index, cell) in block.cells() {
                    *found.entry(u64::from(index)).or_default() += cell.counts.writes;
                }
            }
        }
    }
    found
}

fn restored(
    from: &Path,
    id: Option<u32>,
    into: &Path,
    clock: &Arc<ManualClock>,
) -> BTreeMap<u64, u64> {
    restore(&Backups::open_for_reading(from).unwrap(), id, into).unwrap();
    let report = check(&OfflineStore::open(&into.join("db")).unwrap(), 0, &mut |_| {});
    assert!(report.findings.is_clean(), "{:?}", report.findings);
    let mut findings = Findings::default();
    check_wal(&RealFs, &into.join("wal"), &mut findings).unwrap();
    assert!(findings.is_clean(), "{findings:?}");
    let refused = keyviz_store::DataDir::lock(into).unwrap_err().to_string();
    assert!(refused.contains("RESTORE-INCOMPLETE"), "{refused}");
    finish_restore(into).unwrap();
    writes(&open(into, clock))
}

/// Some of it in the store alone, some in the WAL alone, some in both; and columns after it are not in.
#[test]
fn a_backup_holds_what_was_acknowledged_before_it_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    let clock = Arc::new(ManualClock::at(START_MS + 100_000));
    let recorder = open(&folder.path().join("node"), &clock);
    let mut expected = Vec::new();
    let mut counted = BTreeMap::new();
    for sequence in 1..=30u64 {
        let entry =
            column(sequence, vec![row(7, range("", "m"), sequence), row(8, range("m", ""), 1)]);
        send(&recorder, 1, sequence, entry);
        counted.insert(sequence, sequence + 1);
        if sequence % 10 == 5 {
            // A checkpoint and the release of the WAL.
            let before = recorder.counters().releases;
            recorder.persist_soon();
            while recorder.counters().releases == before {
                std::thread::yield_now();
            }
        }
        if sequence % 10 == 0 {
            let manifest = recorder.backup(&backups).unwrap();
            assert_eq!(u64::from(manifest.id), sequence / 10);
            expected.push(counted.clone());
        }
    }
    assert_eq!(writes(&recorder), counted);
    drop(recorder);
    for (id, expected) in (1..).zip(&expected) {
        let into = folder.path().join(format!("restored-{id}"));
        assert_eq!(restored(&backups, Some(id), &into, &clock), *expected, "backup {id}");
        // What comes now is not taken for what the store has applied already.
        let recorder = open(&into, &clock);
        send(&recorder, 2, 1, column(40, vec![row(7, range("", "m"), 99)]));
        drop(recorder);
        assert_eq!(writes(&open(&into, &clock)).get(&40), Some(&99));
    }
    let refused = restore(
        &Backups::open_for_reading(&backups).unwrap(),
        None,
        &folder.path().join("restored-1"),
    );
    assert!(refused.unwrap_err().to_string().contains("not empty"));
}

#[test]
fn a_second_backup_at_the_same_time_and_a_stopped_recorder_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 100_000));
    let config = RecorderConfig::new(folder.path().join("node"));
    let recorder = Recorder::open(config, clock, &crate::Progress::default()).unwrap();
    let to = folder.path().join("backups");
    let held = Backups::open(&to).unwrap();
    assert!(recorder.backup(&to).unwrap_err().to_string().contains("in use"));
    drop(held);
    recorder.stop();
    assert!(recorder.backup(&to).unwrap_err().to_string().contains("stopping"));
    assert_eq!(Severity::Note.name(), "note");
}
