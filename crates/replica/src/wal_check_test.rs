use std::fs;
use std::sync::Arc;

use keyviz_lineage::clock::ManualClock;
use keyviz_wal::{RealFs, Wal, WalOptions};

use super::*;
use crate::recorder_test::{START_MS, column, open, range, row, send};

fn look(dir: &Path) -> (Inspection, Findings) {
    let mut findings = Findings::default();
    let seen = check_wal(&RealFs, dir, &mut findings).unwrap();
    (seen, findings)
}

#[test]
fn what_a_recorder_writes_is_clean_and_damage_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 100_000));
    let recorder = open(folder.path(), &clock);
    for sequence in 1..=5 {
        send(&recorder, 1, sequence, column(sequence, vec![row(7, range("", "m"), 3)]));
    }
    let dir = folder.path().join("wal");
    let (seen, findings) = look(&dir);
    assert_eq!(seen.segments.iter().map(|segment| segment.records).sum::<u64>(), 5);
    assert_eq!(findings.list(), []);
    let path = &seen.segments[0].path;
    let mut bytes = fs::read(path).unwrap();
    bytes[60] ^= 1;
    fs::write(path, &bytes).unwrap();
    let (_, findings) = look(&dir);
    assert_eq!(findings.count(Severity::Error), 1);
    assert!(findings.list()[0].key.starts_with("wal/wal-"), "{findings:?}");
}

#[test]
fn a_record_of_an_unknown_kind_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (mut wal, _) = Wal::open(Arc::new(RealFs), folder.path(), WalOptions::default()).unwrap();
    wal.append(1, 99, 0, b"?").unwrap();
    wal.commit().unwrap();
    let (_, findings) = look(folder.path());
    assert!(findings.list()[0].what.contains("kind is unknown"), "{findings:?}");
}
