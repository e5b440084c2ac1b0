use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::*;
use crate::{RealFs, Wal, WalOptions};

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn look(dir: &Path) -> (Inspection, Vec<(u64, Vec<u8>)>) {
    let mut records = Vec::new();
    let before = files(dir);
    let seen = inspect(&RealFs, dir, &mut |_, record| {
        records.push((record.sequence, record.payload.to_vec()));
    });
    assert_eq!(files(dir), before, "nothing was changed");
    (seen.unwrap(), records)
}

/// Two segments of three and two records.
fn log(dir: &Path) -> Vec<PathBuf> {
    let (mut wal, _) = Wal::open(Arc::new(RealFs), dir, WalOptions::default()).unwrap();
    for (hour, text) in [(7, "a"), (7, "b"), (7, "c"), (8, "d"), (8, "e")] {
        wal.append(hour, 1, 0, text.as_bytes()).unwrap();
    }
    wal.commit().unwrap();
    files(dir).into_keys().collect()
}

#[test]
fn an_intact_log_has_its_records_and_no_findings() {
    let folder = tempfile::tempdir().unwrap();
    let paths = log(folder.path());
    let (seen, records) = look(folder.path());
    assert_eq!(seen.findings, []);
    let expected: Vec<(u64, Vec<u8>)> =
        (1..).zip("abcde".chars().map(|c| c.to_string().into_bytes())).collect();
    assert_eq!(records, expected);
    let view = |at: usize, records, first_sequence, last_sequence| {
        let bytes = fs::metadata(&paths[at]).unwrap().len();
        SegmentView { path: paths[at].clone(), bytes, records, first_sequence, last_sequence }
    };
    assert_eq!(seen.segments, [view(0, 3, 1, 3), view(1, 2, 4, 5)]);
}

#[test]
fn every_flipped_byte_of_a_segment_is_found_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let first = log(folder.path()).remove(0);
    let good = fs::read(&first).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&first, &bad).unwrap();
        let (seen, records) = look(folder.path());
        assert!(!seen.findings.is_empty(), "byte {at}");
        assert!(records.ends_with(&[(4, b"d".to_vec()), (5, b"e".to_vec())]), "byte {at}");
    }
}

#[test]
fn a_torn_tail_is_told_from_damage_and_strangers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = log(folder.path());
    let last = paths.remove(1);
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..whole.len() - 3]).unwrap();
    let (seen, records) = look(folder.path());
    assert_eq!(records.len(), 4);
    assert!(matches!(&seen.findings[..], [Finding::TornTail { path, .. }] if *path == last));
    // The same in a segment that others follow: records are missing.
    fs::write(&last, &whole).unwrap();
    let bytes = fs::read(&paths[0]).unwrap();
    fs::write(&paths[0], &bytes[..bytes.len() - 3]).unwrap();
    let (seen, _) = look(folder.path());
    assert!(matches!(&seen.findings[..], [Finding::Damaged { path, .. }] if *path == paths[0]));
    fs::write(&paths[0], &bytes).unwrap();
    fs::write(folder.path().join("notes"), b"x").unwrap();
    fs::copy(&last, folder.path().join("wal-00000008-00000000000000000099.log")).unwrap();
    let (seen, _) = look(folder.path());
    assert_eq!(seen.findings.len(), 2, "{:?}", seen.findings);
    let none = inspect(&RealFs, &folder.path().join("none"), &mut |_, _| {});
    assert_eq!(none.unwrap(), Inspection::default());
}
