//! What the log does when nothing fails.

#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::rig_test::{DIR, append, open, segments, small};
use crate::testing::{FaultyFs, Op, PowerCut};
use crate::{
    Finding, NewRecord, RealFs, Reason, Released, Shed, ShedNotes, SyncPolicy, Wal, WalError,
    WalOptions,
};

#[test]
fn records_come_back_from_real_files() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data/wal");
    let fs = Arc::new(RealFs);
    let options = WalOptions { segment_bytes: 4096, ..WalOptions::default() };
    for life in 0..3u64 {
        let (mut wal, mut recovery) = Wal::open(fs.clone(), &dir, options.clone()).unwrap();
        assert!(recovery.report().is_clean());
        let mut sequences = Vec::new();
        while let Some(record) = recovery.next_record() {
            assert_eq!(record.kind, (record.sequence % 5) as u8);
            assert_eq!(record.flags, 9);
            assert_eq!(record.payload, record.sequence.to_le_bytes().repeat(20));
            sequences.push(record.sequence);
        }
        assert_eq!(sequences, (1..=100 * life).collect::<Vec<_>>());
        for sequence in 100 * life + 1..=100 * life + 100 {
            let payload = sequence.to_le_bytes().repeat(20);
            let got = wal.append(495_000 + life, (sequence % 5) as u8, 9, &payload).unwrap();
            assert_eq!(got, sequence);
        }
        assert_eq!(wal.commit().unwrap(), 100 * life + 100);
        assert!(wal.usage().segments >= 4 * (life + 1));
    }
    std::fs::create_dir(dir.join("wal-00495000-00000000000000099999.log")).unwrap();
    std::fs::write(dir.join("notes.txt"), "foreign").unwrap();
    let (mut wal, recovery) = Wal::open(fs, &dir, options).unwrap();
    assert_eq!(recovery.report().foreign_files, 1);
    let not_a_file =
        |f: &Finding| matches!(f, Finding::LeftInPlace { reason: Reason::NotAFile, .. });
    assert!(recovery.report().findings.iter().any(not_a_file));
    assert!(wal.release(300).unwrap().segments >= 12);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "only what is not ours is left");
}

#[test]
fn a_file_in_place_of_the_folder_is_the_only_error_of_an_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wal");
    std::fs::write(&path, "").unwrap();
    let error = Wal::open(Arc::new(RealFs), &path, small()).unwrap_err();
    assert!(matches!(error, WalError::Folder { .. }));
    assert!(error.to_string().contains(&path.display().to_string()));
}

#[test]
fn options_are_checked() {
    let bad = [
        WalOptions { segment_bytes: 57, ..small() },
        WalOptions { segment_bytes: (64 << 20) + 1, max_bytes: 1 << 40, ..small() },
        WalOptions { max_bytes: 399, max_record_bytes: 1, ..small() },
        WalOptions { max_bytes: 1057, ..small() },
        WalOptions { max_record_bytes: 0, ..small() },
        WalOptions { min_next_sequence: u64::MAX, ..small() },
    ];
    for options in bad {
        assert!(
            matches!(options.validate(), Err(WalError::OptionOutOfRange { .. })),
            "{options:?}"
        );
    }
    WalOptions::default().validate().unwrap();
    assert_eq!(WalOptions::with_max_bytes(64 << 20), WalOptions::default());
    for max_bytes in [116, 1_000, 1 << 20, 1 << 40] {
        WalOptions::with_max_bytes(max_bytes).validate().unwrap();
    }
}

#[test]
fn segments_are_named_by_hour_and_id_and_closed_by_size_and_hour() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    assert_eq!(segments(&fs).len(), 0, "an open alone makes no file");
    append(&mut wal, 495_000, &[1; 100]).unwrap();
    append(&mut wal, 495_000, &[2; 20]).unwrap();
    append(&mut wal, 495_000, &[3; 20]).unwrap();
    append(&mut wal, 495_001, &[4; 20]).unwrap();
    append(&mut wal, 494_999, &[5; 20]).unwrap();
    let names: Vec<String> = segments(&fs).iter().map(|p| p.display().to_string()).collect();
    assert_eq!(
        names,
        [
            "/wal/wal-00494999-00000000000000000005.log",
            "/wal/wal-00495000-00000000000000000001.log",
            "/wal/wal-00495000-00000000000000000003.log",
            "/wal/wal-00495001-00000000000000000004.log",
        ]
    );
    assert_eq!(wal.stats().rotations, 3);
    let (_, records, report) = open(&fs, small());
    assert_eq!(records.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5], "by id, not hour");
    assert_eq!((report.segments, report.records), (4, 5));
}

#[test]
fn a_commit_is_one_fsync_for_many_appends() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, WalOptions { segment_bytes: 1_000, ..small() });
    let before = (fs.calls(Op::SyncData), fs.calls(Op::Write));
    for _ in 0..10 {
        append(&mut wal, 1, b"x").unwrap();
    }
    assert_eq!(wal.durable_sequence(), 0);
    assert_eq!(wal.commit().unwrap(), 10);
    assert_eq!(wal.commit().unwrap(), 10, "nothing to do");
    assert_eq!(fs.calls(Op::SyncData) - before.0, 1);
    let batch = [NewRecord { kind: 1, flags: 7, payload: b"y" }; 10];
    assert_eq!(wal.append_batch(1, &batch).unwrap(), 11..21);
    assert_eq!(fs.calls(Op::Write) - before.1, 1 + 10 + 1, "a header, ten appends, one batch");
    assert_eq!(wal.append_batch(1, &[]).unwrap(), 21..21);
    assert_eq!(wal.stats().appended_records, 20);
}

#[test]
fn left_to_the_system_nothing_is_synced_by_a_commit() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, WalOptions { sync: SyncPolicy::Os, ..small() });
    append(&mut wal, 1, b"x").unwrap();
    assert_eq!((wal.commit().unwrap(), fs.calls(Op::SyncData)), (1, 0));
    assert_eq!((wal.sync().unwrap(), fs.calls(Op::SyncData)), (1, 1));
}

#[test]
fn a_record_larger_than_a_segment_gets_its_own() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    append(&mut wal, 1, b"before").unwrap();
    append(&mut wal, 1, &[9; 1_000]).unwrap();
    append(&mut wal, 1, b"after").unwrap();
    let lengths: Vec<usize> = segments(&fs).iter().map(|p| fs.content(p).unwrap().len()).collect();
    assert_eq!(lengths, [40 + 18 + 6, 40 + 18 + 1_000, 40 + 18 + 5]);
    let error = append(&mut wal, 1, &[9; 1_001]).unwrap_err();
    assert!(matches!(error, WalError::RecordTooLarge { bytes: 1_001, max_record_bytes: 1_000 }));
    let (_, records, report) = open(&fs, small());
    assert_eq!(records.iter().map(|r| r.1.len()).collect::<Vec<_>>(), [6, 1_000, 5]);
    assert!(report.is_clean());
}

#[test]
fn the_oldest_segments_are_shed_to_keep_the_cap() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    let mut shed = Vec::new();
    for sequence in 1..=100 {
        let expected = wal.would_shed(1, 100);
        append(&mut wal, 1, &[1; 100]).unwrap();
        let now = wal.take_shed();
        assert_eq!(now, expected, "announced before record {sequence}");
        shed.extend(now);
        assert!(wal.usage().bytes <= 4_000);
        assert_eq!(wal.usage().segments, segments(&fs).len() as u64);
    }
    assert!(wal.usage().ratio() > 0.9 && wal.usage().ratio() <= 1.0);
    let lost = shed.iter().map(|s| s.records).sum::<u64>();
    for (number, one) in (1..).zip(&shed) {
        let expected =
            Shed { first_sequence: number, last_sequence: number, records: 1, bytes: 158 };
        assert_eq!(*one, expected);
    }
    assert_eq!((wal.stats().shed_records, wal.stats().shed_segments), (lost, lost));
    assert_eq!(wal.stats().shed_bytes, lost * 158);
    let expected = wal.would_shed(1, 1_000);
    append(&mut wal, 1, &[1; 1_000]).unwrap();
    assert_eq!(wal.take_shed(), expected);
    assert!(expected.len() > 5);
    let (_, records, _) = open(&fs, small());
    assert_eq!(records[0].0, expected.last().unwrap().last_sequence + 1);
    assert_eq!(records.last().unwrap().0, 101);
}

/// What was noted, and whether it works.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<(Vec<Shed>, bool)>>);

impl ShedNotes for Notes {
    fn note(&mut self, shed: &Shed) -> io::Result<()> {
        let mut held = self.0.lock().unwrap();
        if held.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        held.0.push(*shed);
        Ok(())
    }
}

#[test]
fn nothing_is_shed_that_could_not_be_noted() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    let notes = Notes::default();
    wal.note_shed_by(Box::new(notes.clone()));
    let (mut shed, mut taken) = (Vec::new(), 0);
    for round in 0..60 {
        notes.0.lock().unwrap().1 = (20..40).contains(&round);
        for size in [100, 1_000] {
            match append(&mut wal, 1, &vec![1; size]) {
                Ok(_) => taken += 1,
                Err(WalError::Room { .. } | WalError::Create { .. }) => {
                    assert!((20..40).contains(&round), "round {round}");
                }
                Err(error) => panic!("{error}"),
            }
            shed.extend(wal.take_shed());
            assert_eq!(notes.0.lock().unwrap().0, shed, "noted before, each once");
            assert!(wal.usage().bytes <= 4_000, "W8");
        }
    }
    wal.commit().unwrap();
    let (_, records, _) = open(&fs, small());
    let lost: u64 = shed.iter().map(|s| s.records).sum();
    assert_eq!(records.len() as u64 + lost, taken);
    assert!(lost > 40 && taken < 120, "{lost} shed, {taken} taken");
}

#[test]
fn a_lowered_cap_sheds_only_after_the_replay() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    for _ in 0..20 {
        append(&mut wal, 1, &[1; 100]).unwrap();
    }
    let lower = WalOptions { max_bytes: 1_100, ..small() };
    let (mut wal, records, report) = open(&fs, lower);
    assert_eq!(records.len(), 20);
    assert_eq!(report.over_cap.len(), 14);
    append(&mut wal, 1, &[1; 100]).unwrap();
    let shed = wal.take_shed();
    assert_eq!(shed[..14], report.over_cap);
    assert!(wal.usage().bytes <= 1_100);
}

#[test]
fn a_release_unlinks_what_is_covered_whole() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    for _ in 0..9 {
        append(&mut wal, 1, &[1; 50]).unwrap(); // two to a segment
    }
    wal.commit().unwrap();
    assert_eq!(wal.release(0).unwrap(), Released::default());
    assert_eq!(wal.release(5).unwrap(), Released { segments: 2, bytes: 2 * 176 });
    assert_eq!(segments(&fs).len(), 3);
    assert_eq!(wal.release(8).unwrap().segments, 2);
    assert_eq!(wal.release(u64::MAX).unwrap().segments, 1, "the active one too");
    assert_eq!((segments(&fs).len(), wal.usage().bytes), (0, 0));
    assert_eq!(wal.release(u64::MAX).unwrap(), Released::default());
    assert_eq!(append(&mut wal, 1, b"on").unwrap(), 10);
    fs.power_cut(PowerCut::HARD);
    assert_eq!(open(&fs, small()).1.len(), 0, "the unlinks were synced, the last record was not");
}

#[test]
fn a_lost_unlink_brings_back_what_the_owner_skips() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    append(&mut wal, 1, b"one").unwrap();
    wal.commit().unwrap();
    let released = segments(&fs)[0].clone();
    let content = fs.content(&released).unwrap();
    wal.release(1).unwrap();
    append(&mut wal, 1, b"two").unwrap();
    fs.put(&released, &content);
    let (_, records, report) = open(&fs, small());
    assert_eq!(records, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    assert!(report.is_clean());
}

#[test]
fn ids_and_sequences_are_not_used_again_after_a_full_release() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    for _ in 0..5 {
        append(&mut wal, 1, b"old").unwrap();
    }
    let old = fs.content(&segments(&fs)[0]).unwrap();
    wal.release(5).unwrap();
    let (mut wal, _, _) = open(&fs, WalOptions { min_next_sequence: 6, ..small() });
    assert_eq!(append(&mut wal, 1, b"new").unwrap(), 6);
    assert_eq!(segments(&fs)[0], Path::new(DIR).join("wal-00000001-00000000000000000006.log"));
    fs.put(&Path::new(DIR).join("wal-00000001-00000000000000000007.log"), &old);
    let (_, records, report) = open(&fs, small());
    assert_eq!(records, [(6, b"new".to_vec())], "W4, W9");
    assert!(!report.is_clean());
}

#[test]
fn a_name_that_is_taken_is_passed_over() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    fs.put(&Path::new(DIR).join("wal-00000001-00000000000000000001.log"), b"mine");
    assert_eq!(append(&mut wal, 1, b"x").unwrap(), 1);
    assert!(segments(&fs)[1].ends_with("wal-00000001-00000000000000000002.log"));
}
