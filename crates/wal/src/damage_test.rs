//! W1: whatever happened to the files, the start succeeds and every record that is intact is there.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use crate::layout::{Header, SegmentName, frame_bytes};
use crate::rig_test::{DIR, Owned, append, open, segments, small};
use crate::testing::{Fault, FaultyFs, Op};
use crate::{Finding, Reason, RecoveryReport, WalOptions};

/// Three segments with 3, 3 and 2 records of different lengths, and the records.
fn three_segments() -> (FaultyFs, Vec<Owned>) {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    let mut records = Vec::new();
    for (hour, count) in [(1, 3), (2, 3), (3, 2)] {
        for _ in 0..count {
            let next = wal.next_sequence();
            let payload = vec![next as u8; 3 * next as usize];
            assert_eq!(append(&mut wal, hour, &payload).unwrap(), next);
            records.push((next, payload));
        }
    }
    wal.commit().unwrap();
    assert_eq!(segments(&fs).len(), 3);
    (fs, records)
}

fn without(records: &[Owned], lost: &[u64]) -> Vec<Owned> {
    records.iter().filter(|(sequence, _)| !lost.contains(sequence)).cloned().collect()
}

/// Opens, checks what is delivered, appends, and opens again.
fn survives(fs: &FaultyFs, expected: &[Owned], what: &str) -> RecoveryReport {
    let (mut wal, records, report) = open(fs, small());
    assert_eq!(records, expected, "{what}: {report:?}");
    let sequence = append(&mut wal, 9, b"later").unwrap();
    assert!(expected.last().is_none_or(|(last, _)| sequence > *last), "{what}");
    wal.commit().unwrap();
    let (_, records, _) = open(fs, small());
    assert_eq!(records.len(), expected.len() + 1, "{what}, second open");
    assert_eq!(records.last().unwrap().0, sequence, "{what}, second open");
    report
}

fn asides(fs: &FaultyFs) -> Vec<PathBuf> {
    let aside = |path: &PathBuf| path.to_str().unwrap().contains(".corrupt-");
    fs.paths().into_iter().filter(aside).collect()
}

/// Offsets of the frames of the records with these payload lengths, and of the end.
fn offsets(lengths: &[usize]) -> Vec<usize> {
    let mut offsets = vec![40];
    for &length in lengths {
        offsets.push(offsets.last().unwrap() + frame_bytes(length) as usize);
    }
    offsets
}

#[test]
fn a_torn_write_at_every_offset_of_the_last_record_is_cut() {
    let (fs, records) = three_segments();
    let last = segments(&fs)[2].clone();
    let content = fs.content(&last).unwrap();
    let start = content.len() - frame_bytes(24) as usize;
    for end in start..content.len() {
        for garbage in [&[][..], &[0; 7], &[0xAB; 40]] {
            let torn = fs.fork();
            torn.put(&last, &[&content[..end], garbage].concat());
            open(&torn, small());
            assert_eq!(torn.content(&last).unwrap(), content[..start], "cut");
            torn.put(&last, &[&content[..end], garbage].concat());
            let report = survives(&torn, &without(&records, &[8]), &format!("torn at {end}"));
            let bytes = (end - start + garbage.len()) as u64;
            assert_eq!((report.torn_bytes, report.damaged_bytes), (bytes, 0));
            assert!(report.is_clean() && asides(&torn).is_empty());
        }
    }
}

#[test]
fn a_torn_write_at_every_offset_of_the_first_record_leaves_no_file() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    append(&mut wal, 1, b"the first").unwrap();
    let path = segments(&fs)[0].clone();
    let content = fs.content(&path).unwrap();
    for end in 0..content.len() {
        let torn = fs.fork();
        torn.put(&path, &content[..end]);
        let (_, records, report) = open(&torn, small());
        assert_eq!((records.len(), torn.paths().len()), (0, 0), "torn at {end}: {report:?}");
        assert!(report.is_clean());
        survives(&torn, &[], "emptied");
    }
}

#[test]
fn a_flip_of_every_byte_costs_its_record_only() {
    let (fs, records) = three_segments();
    let lengths: [&[usize]; 3] = [&[3, 6, 9], &[12, 15, 18], &[21, 24]];
    let mut sequence = 0;
    for (number, path) in segments(&fs).into_iter().enumerate() {
        let content = fs.content(&path).unwrap();
        let offsets = offsets(lengths[number]);
        assert_eq!(*offsets.last().unwrap(), content.len());
        for at in 0..content.len() {
            let record = offsets.iter().filter(|&&o| o <= at).count() as u64; // 0: the header
            let lost = if record == 0 { vec![] } else { vec![sequence + record] };
            for mask in [0x01, 0x80, 0xFF] {
                let mut bad = content.clone();
                bad[at] ^= mask;
                let flipped = fs.fork();
                flipped.put(&path, &bad);
                let what = format!("segment {number}, byte {at}, mask {mask:#x}");
                let report = survives(&flipped, &without(&records, &lost), &what);
                if lost == [8] {
                    assert!(report.torn_bytes > 0 && report.damaged_bytes == 0, "{what}");
                    continue; // at the end of the log damage cannot be told from a torn write
                }
                let start = if record == 0 { 0 } else { offsets[record as usize - 1] };
                let bytes = (offsets[record as usize] - start) as u64;
                let offset = start as u64;
                let damaged = Finding::Damaged { path: path.clone(), offset, bytes };
                assert!(report.findings.contains(&damaged), "{what}: {report:?}");
                assert_eq!((report.damaged_bytes, report.torn_bytes), (bytes, 0), "{what}");
                let aside = asides(&flipped);
                assert_eq!(aside.len(), 1, "{what}: copied once, though opened three times");
                assert_eq!(flipped.content(&aside[0]).unwrap(), bad, "{what}");
                if number < 2 {
                    assert_eq!(flipped.content(&path).unwrap(), bad, "{what}: not touched");
                } // else its records went to a new segment
                let missing: u64 = report.missing.iter().map(|m| m.last - m.first + 1).sum();
                assert_eq!(missing, u64::from(record != 0 && lost != [1]), "{what}");
            }
        }
        sequence += lengths[number].len() as u64;
    }
}

#[test]
fn a_segment_cut_short_at_every_offset_keeps_its_whole_records() {
    let (fs, records) = three_segments();
    let path = segments(&fs)[1].clone();
    let content = fs.content(&path).unwrap();
    let offsets = offsets(&[12, 15, 18]);
    for end in 0..content.len() {
        let cut = fs.fork();
        cut.put(&path, &content[..end]);
        let whole = offsets.iter().filter(|&&o| o <= end).count().saturating_sub(1) as u64;
        let lost: Vec<u64> = (4 + whole..=6).collect();
        let report = survives(&cut, &without(&records, &lost), &format!("cut at {end}"));
        assert_eq!(report.missing.len(), 1);
        assert_eq!((report.missing[0].first, report.missing[0].last), (4 + whole, 6));
    }
}

#[test]
fn zeros_in_place_of_a_segment_or_of_its_end() {
    let (fs, records) = three_segments();
    for (number, lost) in [(0, vec![1, 2, 3]), (1, vec![4, 5, 6]), (2, vec![7, 8])] {
        let path = segments(&fs)[number].clone();
        let content = fs.content(&path).unwrap();
        for length in [0, 1, 39, 40, content.len(), 4096] {
            let zeroed = fs.fork();
            zeroed.put(&path, &vec![0; length]);
            let report = survives(&zeroed, &without(&records, &lost), "zeros");
            let removed = Finding::Removed { path: path.clone(), reason: Reason::Empty };
            assert!(report.findings.contains(&removed));
        }
        let longer = fs.fork();
        longer.put(&path, &[&content[..], &[0; 4096]].concat());
        let report = survives(&longer, &records, "zeros after the end");
        assert_eq!((report.torn_bytes, report.damaged_bytes), (4096, 0), "nothing is missing");
    }
}

#[test]
fn copies_and_renamed_segments_do_not_verify() {
    let (fs, records) = three_segments();
    for (number, path) in segments(&fs).into_iter().enumerate() {
        let content = fs.content(&path).unwrap();
        let name = SegmentName { hour: 1, id: [1, 4, 7][number] };
        for other in [
            SegmentName { hour: 1, id: 2 },
            SegmentName { hour: 9, id: 900 },
            SegmentName { hour: 900, id: name.id },
        ] {
            let to = Path::new(DIR).join(other.file_name());
            let copied = fs.fork();
            copied.put(&to, &content);
            let report = survives(&copied, &records, "copied");
            let moved = |f: &Finding| match f {
                Finding::MovedAside { path, reason: Reason::Misnamed { id, .. }, .. } => {
                    *path == to && *id == name.id
                }
                _ => false,
            };
            assert!(report.findings.iter().any(moved), "{report:?}");
            assert_eq!(copied.content(&asides(&copied)[0]).unwrap(), content);
            // Without its header a copy does not verify either (W4), under another id.
            if other.id != name.id {
                let headless = fs.fork();
                headless.put(&to, &[&[1; 40], &content[40..]].concat());
                survives(&headless, &records, "copied without header");
                assert_eq!(asides(&headless).len(), 1);
            }
            let renamed = fs.fork();
            renamed.take(&path);
            renamed.put(&to, &content);
            let lost = [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]][number].clone();
            let (mut wal, left, _) = open(&renamed, small());
            assert_eq!(left, without(&records, &lost));
            assert_eq!(append(&mut wal, 1, b"x").unwrap(), 9, "its sequences stay its own");
        }
    }
}

#[test]
fn foreign_files_are_counted_and_not_touched() {
    let (fs, records) = three_segments();
    for number in 0..40 {
        fs.put(&Path::new(DIR).join(format!("foreign-{number}")), b"mine");
    }
    fs.put(&Path::new(DIR).join("wal-00000001-18446744073709551615.log"), b"id out of range");
    let report = survives(&fs, &records, "foreign");
    assert_eq!((report.foreign_files, report.findings.len()), (41, 16));
    assert_eq!(fs.paths().len(), 3 + 41, "the last segment went into the new one");
}

#[test]
fn garbage_and_oversized_files_are_moved_aside_and_the_newest_four_kept() {
    let (fs, records) = three_segments();
    let huge = Path::new(DIR).join("wal-00000001-00000000000000000100.log");
    fs.put(&huge, &vec![7; (64 << 20) + 4097]);
    for id in 101..106 {
        let name = SegmentName { hour: 1, id }.file_name();
        fs.put(&Path::new(DIR).join(name), &vec![id as u8; 500]);
    }
    let report = survives(&fs, &records, "garbage");
    let count = |wanted: fn(&Finding) -> bool| report.findings.iter().filter(|f| wanted(f)).count();
    assert_eq!(count(|f| matches!(f, Finding::MovedAside { .. })), 6);
    assert_eq!(count(|f| matches!(f, Finding::Pruned { .. })), 2);
    let kept: Vec<u8> = asides(&fs).iter().map(|p| fs.content(p).unwrap()[0]).collect();
    assert_eq!(kept, [102, 103, 104, 105]);
    for finding in &report.findings {
        assert!(finding.to_string().starts_with("/wal/wal-"), "{finding}");
    }
}

#[test]
fn a_made_up_name_does_not_use_the_ids_up() {
    let fs = FaultyFs::new();
    let name = SegmentName { hour: 1, id: 1 << 62 }.file_name();
    fs.put(&Path::new(DIR).join(name), &[1; 100]);
    survives(&fs, &[], "a made-up id");
}

#[test]
fn a_newer_format_is_left_for_the_newer_build() {
    let (fs, records) = three_segments();
    let name = SegmentName { hour: 3, id: 50 };
    let mut newer = Header { name, first_sequence: 50 }.encode().to_vec();
    newer[8] = 2;
    let crc = crc32fast::hash(&newer[..36]);
    newer[36..].copy_from_slice(&crc.to_le_bytes());
    newer.extend_from_slice(&[1; 180]);
    let path = Path::new(DIR).join(name.file_name());
    fs.put(&path, &newer);
    let report = survives(&fs, &records, "newer");
    let reason = Reason::UnknownVersion { version: 2 };
    assert_eq!(report.findings, [Finding::LeftInPlace { path: path.clone(), reason }]);
    assert_eq!(fs.content(&path).unwrap(), newer);
}

#[test]
fn unreadable_files_are_left_and_used_once_they_can_be_read() {
    let (fs, records) = three_segments();
    for (number, lost) in [(0, vec![1, 2, 3]), (1, vec![4, 5, 6]), (2, vec![7, 8])] {
        let path = segments(&fs)[number].clone();
        for whole in [true, false] {
            let bad = fs.fork();
            if whole {
                bad.deny(&path);
            } else {
                bad.break_reads(&path, 0..u64::MAX);
            }
            let report = survives(&bad, &without(&records, &lost), "unreadable");
            let left = |f: &Finding| {
                matches!(f, Finding::LeftInPlace { reason: Reason::Unreadable { .. }, .. })
            };
            assert!(report.findings.iter().any(left));
            bad.heal();
            let (_, all, _) = open(&bad, small());
            assert_eq!(all[..8], records, "nothing took their sequences");
        }
    }
}

#[test]
fn one_bad_block_costs_the_records_in_it() {
    let fs = FaultyFs::new();
    let options = WalOptions { segment_bytes: 64 << 10, max_bytes: 1 << 20, ..small() };
    let (mut wal, _, _) = open(&fs, options.clone());
    for _ in 0..60 {
        append(&mut wal, 1, &[1; 982]).unwrap(); // frames of 1,000 bytes from offset 40
    }
    fs.break_reads(&segments(&fs)[0], 5_000..5_001);
    let (_, records, report) = open(&fs, options);
    let got: Vec<u64> = records.iter().map(|r| r.0).collect();
    // The block is 4,096..8,192: records 5 (4,040..) to 9 (8,040..).
    assert_eq!(got, (1..=4).chain(10..=60).collect::<Vec<_>>());
    assert_eq!((report.damaged_bytes, report.unreplayed_records), (5_000, 0));
    assert_eq!(asides(&fs).len(), 1);
}

#[test]
fn a_copy_that_cannot_be_made_leaves_the_segment_alone() {
    let (fs, records) = three_segments();
    let path = segments(&fs)[2].clone();
    let mut bad = fs.content(&path).unwrap();
    bad[50] ^= 1; // record 7
    bad.extend_from_slice(&[9; 5]); // and a torn tail: record 8 is not confirmed
    let middle = segments(&fs)[0].clone();
    let mut wound = fs.content(&middle).unwrap();
    wound[42] ^= 1;
    fs.put(&middle, &wound);
    for op in [Op::Create, Op::Write, Op::SyncData, Op::Rename] {
        let full = fs.fork();
        full.fail(op, 1..u64::MAX, Fault::Error(std::io::ErrorKind::StorageFull));
        let (_, got, report) = open(&full, small());
        assert_eq!(got, without(&records, &[1]));
        let failed = |f: &Finding| matches!(f, Finding::Failed { doing: "copy it aside", .. });
        assert!(report.findings.iter().any(failed), "{op:?}");
        assert_eq!(full.content(&middle).unwrap(), wound);
        assert!(asides(&full).is_empty(), "{op:?}: {:?}", full.paths());
    }
    fs.put(&path, &bad);
    survives(&fs, &without(&records, &[1, 7, 8]), "damage, then a torn tail");
}

#[test]
fn an_unfinished_copy_is_removed() {
    let (fs, records) = three_segments();
    let partial = format!("{}.corrupt-1.partial", segments(&fs)[0].display());
    fs.put(Path::new(&partial), b"half");
    let report = survives(&fs, &records, "partial");
    let reason = Reason::Unfinished;
    assert_eq!(report.findings, [Finding::Removed { path: partial.into(), reason }]);
}

#[test]
fn files_that_change_after_the_start_are_reported_by_the_replay() {
    let (fs, records) = three_segments();
    let (wal, mut recovery) =
        crate::Wal::open(std::sync::Arc::new(fs.clone()), Path::new(DIR), small()).unwrap();
    drop(wal);
    fs.take(&segments(&fs)[1]);
    let last = segments(&fs)[1].clone();
    let mut bad = fs.content(&last).unwrap();
    bad[45] ^= 1;
    fs.put(&last, &bad);
    let mut got = Vec::new();
    while let Some(record) = recovery.next_record() {
        got.push((record.sequence, record.payload.to_vec()));
    }
    assert_eq!(got, records[..3]);
    assert_eq!((recovery.report().records, recovery.report().unreplayed_records), (8, 5));
    assert_eq!(recovery.report().findings.len(), 2);
}
