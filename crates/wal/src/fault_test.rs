//! W5, W6 and W1 under failure: every file-system call of a history fails in turn, once and from
//! then on, and then the process is killed or the power cut.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::ErrorKind;
use std::ops::Range;

use crate::rig_test::{Rig, append, open, segments, small};
use crate::testing::{Fault, FaultyFs, Op, PowerCut};
use crate::{SyncPolicy, WalError};

const ERROR: Fault = Fault::Error(ErrorKind::StorageFull);

/// A life with rotations by size and hour, batches, a large record, releases and a restart.
fn history(rig: &mut Rig) {
    rig.restart(None);
    for step in 0..12 {
        rig.append(step / 5, &[20]);
        rig.append(step / 5, &[10, 30]);
        if step % 2 == 0 {
            rig.commit();
        }
    }
    rig.append(3, &[500]);
    rig.append(3, &[9]);
    rig.commit();
    rig.release(10);
    rig.append(3, &[60, 60, 60, 60]);
    if rig.restart(None).is_none() {
        return; // the folder itself is out of order
    }
    rig.append(4, &[33]);
    rig.commit();
    rig.append(4, &[44]);
}

const CUTS: [PowerCut; 4] = [
    PowerCut::HARD,
    PowerCut { keep_names: true, keep_bytes: 0 },
    PowerCut { keep_names: true, keep_bytes: 45 },
    PowerCut { keep_names: true, keep_bytes: u64::MAX },
];

/// Runs the history with one fault and checks every way in which it may end; returns how many
/// calls of the kind there were.
fn suffer(policy: SyncPolicy, op: Op, calls: Range<u64>, fault: Fault) -> u64 {
    let mut rig = Rig::new(crate::WalOptions { sync: policy, ..small() });
    rig.lenient = matches!(op, Op::Open | Op::Read | Op::List);
    rig.honest = fault != Fault::Lie;
    if policy == SyncPolicy::Os {
        rig.honest = false; // no promise about power cuts
    }
    rig.fs.fail(op, calls, fault);
    history(&mut rig);
    let made = rig.fs.calls(op);
    for cut in CUTS {
        let mut end = rig.healed_fork();
        let (_, report) = end.restart(Some(cut)).unwrap();
        assert_eq!(report.unreplayed_records, 0);
        assert!(end.append(9, &[12]) && end.commit());
        end.restart(Some(PowerCut::HARD)).unwrap();
    }
    let mut end = rig.healed_fork();
    end.honest = true; // a kill loses nothing, whatever the syncs did
    end.restart(None).unwrap();
    made
}

fn every_call(op: Op, faults: &[Fault]) {
    let calls = suffer(SyncPolicy::EveryRecord, op, 0..0, ERROR);
    assert!(calls > 0 || op == Op::Rename || op == Op::Truncate, "{op:?} is not exercised");
    for &fault in faults {
        for call in 1..=calls {
            for policy in [SyncPolicy::EveryRecord, SyncPolicy::Os] {
                suffer(policy, op, call..call + 1, fault);
                suffer(policy, op, call..call + 2, fault);
                suffer(policy, op, call..u64::MAX, fault);
            }
        }
    }
}

#[test]
fn any_failed_write_loses_nothing_accepted() {
    every_call(Op::Write, &[ERROR, Fault::TornWrite(25), Fault::ShortWrite(3)]);
}

#[test]
fn any_failed_sync_loses_nothing_acknowledged() {
    every_call(Op::SyncData, &[ERROR]);
}

#[test]
fn a_lying_sync_may_lose_records_but_never_stops_a_start() {
    every_call(Op::SyncData, &[Fault::Lie]);
    every_call(Op::SyncDir, &[Fault::Lie]);
}

#[test]
fn any_failed_call_on_the_folder_loses_nothing_acknowledged() {
    for op in [Op::CreateDir, Op::List, Op::SyncDir, Op::Create, Op::Remove, Op::Rename] {
        every_call(op, &[ERROR]);
    }
}

#[test]
fn any_failed_open_or_read_loses_nothing_in_the_end() {
    for op in [Op::Open, Op::Read] {
        every_call(op, &[ERROR]);
    }
}

#[test]
fn torn_writes_whose_cut_fails_too_poison_the_segment() {
    let calls = suffer(SyncPolicy::EveryRecord, Op::Write, 0..0, ERROR);
    for call in 1..=calls {
        for torn in [0, 1, 17, 18, 19, 45, 1_000] {
            for truncates in [1..2, 1..u64::MAX] {
                let mut rig = Rig::new(small());
                rig.fs.fail(Op::Truncate, truncates, ERROR);
                rig.fs.fail(Op::Write, call..call + 2, Fault::TornWrite(torn));
                history(&mut rig);
                for cut in CUTS {
                    rig.healed_fork().restart(Some(cut)).unwrap();
                }
                rig.healed_fork().restart(None).unwrap();
            }
        }
    }
}

#[test]
fn a_failed_sync_moves_the_records_to_another_file_for_good() {
    let mut rig = Rig::new(small());
    rig.restart(None);
    assert!(rig.append(1, &[20]) && rig.commit());
    assert!(rig.append(1, &[21]) && rig.append(1, &[22]));
    let first = segments(&rig.fs);
    rig.fs.fail_next(Op::SyncData, 1, ERROR);
    assert!(rig.commit(), "the second file took them");
    let stats = rig.wal.as_ref().unwrap().stats();
    assert_eq!((stats.failed_syncs, stats.poisoned_segments, stats.syncs), (1, 1, 2));
    let syncs = rig.fs.calls(Op::SyncData);
    let poisoned = rig.fs.content(&first[0]).unwrap();
    assert!(rig.append(1, &[23]) && rig.commit());
    assert_eq!(rig.fs.calls(Op::SyncData), syncs + 1);
    assert_eq!(rig.fs.content(&first[0]).unwrap(), poisoned, "W5");
    assert_eq!(segments(&rig.fs).len(), 2);
    let (records, report) = rig.restart(Some(PowerCut::HARD)).unwrap();
    assert_eq!(records.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(report.missing.is_empty());
}

#[test]
fn syncs_that_keep_failing_stop_the_acknowledging_and_lose_nothing() {
    let mut rig = Rig::new(small());
    rig.restart(None);
    assert!(rig.append(1, &[20]) && rig.commit());
    rig.fs.fail_next(Op::SyncData, 7, ERROR);
    assert!(rig.append(1, &[21]));
    for attempt in 0..3 {
        assert!(rig.append(1, &[30 + attempt]));
        let Err(WalError::NotDurable { first_sequence, last_sequence, bytes, .. }) =
            rig.wal.as_mut().unwrap().commit()
        else {
            panic!("commit must fail")
        };
        assert_eq!((first_sequence, last_sequence), (2, 3 + attempt as u64));
        assert_eq!(bytes, rig.wal.as_ref().unwrap().usage().unsynced_bytes);
        assert_eq!(rig.wal.as_ref().unwrap().durable_sequence(), 1);
    }
    assert!(segments(&rig.fs).len() <= 2, "retries do not pile up");
    assert!(rig.append(1, &[40]) && rig.commit(), "the seventh failure, then another file");
    assert_eq!(rig.wal.as_ref().unwrap().stats().failed_syncs, 7);
    assert_eq!(rig.wal.as_ref().unwrap().durable_sequence(), 6);
    let (records, _) = rig.restart(Some(PowerCut::HARD)).unwrap();
    assert_eq!(records.len(), 6);
}

#[test]
fn appends_are_refused_when_too_much_waits_for_a_sync() {
    let mut rig = Rig::new(small());
    rig.restart(None);
    rig.fs.fail_next(Op::SyncData, u64::MAX, ERROR);
    let refused = (0..200).find(|_| !rig.append(1, &[100]) || rig.commit()).unwrap();
    assert!(refused > 20, "most of the cap is used before");
    let wal = rig.wal.as_mut().unwrap();
    assert!(matches!(append(wal, 1, &[1; 100]), Err(WalError::Backlog { .. })));
    assert!(wal.usage().unsynced_bytes <= wal.options().max_bytes);
    rig.fs.heal();
    assert!(rig.commit() && rig.append(1, &[100]) && rig.commit());
    let (records, _) = rig.restart(Some(PowerCut::HARD)).unwrap();
    assert_eq!(records.len() as u64 + rig.shed_records, refused + 1);
}

#[test]
fn a_short_write_is_completed_and_a_failed_one_cut_off() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    append(&mut wal, 1, b"whole").unwrap();
    fs.fail_next(Op::Write, 3, Fault::ShortWrite(4));
    append(&mut wal, 1, b"in four parts").unwrap();
    let before = fs.content(&segments(&fs)[0]).unwrap();
    fs.fail_next(Op::Write, 2, Fault::TornWrite(11));
    let refused = append(&mut wal, 1, b"refused");
    assert!(matches!(refused, Err(WalError::Write { sequence: 3, .. })), "{refused:?}");
    assert_eq!(fs.content(&segments(&fs)[0]).unwrap(), before);
    fs.fail_next(Op::Write, 1, Fault::TornWrite(11));
    assert_eq!(append(&mut wal, 1, b"at the second try").unwrap(), 4);
    assert_eq!(segments(&fs).len(), 1);
    assert_eq!(wal.stats().failed_writes, 3);
    let (_, records, report) = open(&fs, small());
    assert_eq!(records.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(report.is_clean());
}

#[test]
fn files_that_cannot_be_unlinked_are_tried_again() {
    let fs = FaultyFs::new();
    let (mut wal, _, _) = open(&fs, small());
    for _ in 0..12 {
        append(&mut wal, 1, &[1; 50]).unwrap();
    }
    let bytes = wal.usage().bytes;
    fs.fail_next(Op::Remove, 2, ERROR);
    let failed = wal.release(12);
    assert!(matches!(failed, Err(WalError::Unlink { .. })));
    assert!(failed.unwrap_err().to_string().contains("tried again"));
    assert_eq!(segments(&fs).len(), 2);
    assert!(wal.usage().bytes == 0 && wal.usage().stuck_bytes < bytes);
    wal.release(12).unwrap();
    assert_eq!((segments(&fs).len(), wal.usage().stuck_bytes), (0, 0));
}

#[test]
fn what_a_killed_process_had_not_synced_is_written_anew_by_the_first_commit() {
    let mut rig = Rig::new(small());
    rig.restart(None);
    rig.append(1, &[20, 21]);
    rig.fs.fail_next(Op::SyncData, u64::MAX, ERROR);
    assert!(!rig.commit());
    rig.fs.heal(); // a second sync of the same file would say Ok now
    let (records, report) = rig.restart(None).unwrap();
    assert_eq!((records.len(), report.is_clean()), (2, true));
    assert_eq!(rig.wal.as_ref().unwrap().durable_sequence(), 0);
    assert!(rig.commit());
    assert_eq!(rig.wal.as_ref().unwrap().durable_sequence(), 2);
    assert_eq!(segments(&rig.fs).len(), 1, "the old file went after the sync");
    let (records, _) = rig.restart(Some(PowerCut::HARD)).unwrap();
    assert_eq!(records.len(), 2);
}

#[test]
fn an_acknowledged_record_is_on_the_disk_while_a_new_segment_takes_it_over() {
    let mut rig = Rig::new(small());
    rig.restart(None);
    assert!(rig.append(1, &[20]) && rig.commit());
    rig.restart(None);
    assert!(rig.append(1, &[21])); // written to the new segment with record 1, not synced
    assert_eq!(segments(&rig.fs).len(), 2);
    let (records, _) = rig.restart(Some(PowerCut::HARD)).unwrap();
    assert_eq!(records.len(), 1);
}
