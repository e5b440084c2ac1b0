//! Random histories against a model: what comes back is what was appended, in order.

#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;

use proptest::prelude::*;

use crate::rig_test::{Owned, Rig, small};
use crate::testing::{Fault, Op, PowerCut};
use crate::{SyncPolicy, WalOptions};

#[derive(Clone, Debug)]
enum Step {
    Append {
        later: bool,
        sizes: Vec<usize>,
    },
    Commit,
    /// Releases this share (of 255) of what was appended.
    Release(u8),
    Kill,
    PowerCut(PowerCut),
    Fail {
        op: Op,
        after: u64,
        count: u64,
        fault: Fault,
    },
    Heal,
}

fn quiet_step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(prop_oneof![9 => 8usize..90, 1 => 200usize..1_000], 1..6);
    prop_oneof![
        10 => (prop::bool::weighted(0.1), sizes).prop_map(|(later, sizes)| Step::Append { later, sizes }),
        4 => Just(Step::Commit),
        2 => any::<u8>().prop_map(Step::Release),
        1 => Just(Step::Kill),
        1 => (any::<bool>(), prop_oneof![Just(0), 0u64..300, Just(u64::MAX)])
            .prop_map(|(keep_names, keep_bytes)| Step::PowerCut(PowerCut { keep_names, keep_bytes })),
    ]
}

fn rough_step() -> impl Strategy<Value = Step> {
    let op = prop::sample::select(vec![
        Op::SyncDir,
        Op::Create,
        Op::Remove,
        Op::Rename,
        Op::Write,
        Op::Write,
        Op::Truncate,
        Op::SyncData,
        Op::SyncData,
    ]);
    let fault = prop_oneof![
        3 => Just(Fault::Error(ErrorKind::StorageFull)),
        1 => (0usize..100).prop_map(Fault::TornWrite),
        1 => (1usize..100).prop_map(Fault::ShortWrite),
    ];
    let count = prop_oneof![4 => 1u64..4, 1 => Just(u64::MAX)];
    let fail = (op, 1u64..5, count, fault).prop_map(|(op, after, count, fault)| Step::Fail {
        op,
        after,
        count,
        fault,
    });
    prop_oneof![12 => quiet_step(), 4 => fail, 1 => Just(Step::Heal)]
}

fn options(policy: SyncPolicy, roomy: bool) -> WalOptions {
    WalOptions { sync: policy, max_bytes: if roomy { 1 << 20 } else { 4_000 }, ..small() }
}

/// The model of a history without faults: all records ever accepted, in order.
fn check_suffix(model: &[Owned], records: &[Owned], released: u64) {
    let from = model.len() - records.len().min(model.len());
    assert_eq!(&model[from..], records, "what is left is an unbroken end of what was appended");
    let gone = model[..from].last().map_or(0, |(sequence, _)| *sequence);
    assert!(gone <= released, "{gone} was not released");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn without_faults_what_is_left_is_the_end_of_what_was_appended(
        steps in prop::collection::vec(quiet_step(), 1..60),
    ) {
        let mut rig = Rig::new(options(SyncPolicy::EveryRecord, true));
        rig.restart(None).unwrap();
        let (mut hour, mut released) = (1, 0);
        let mut model: Vec<Owned> = Vec::new();
        for step in steps {
            match step {
                Step::Append { later, sizes } => {
                    hour += u64::from(later);
                    prop_assert!(rig.append(hour, &sizes));
                    model.append(&mut rig.last);
                }
                Step::Commit => prop_assert!(rig.commit()),
                Step::Release(share) => {
                    let last = rig.wal.as_ref().unwrap().next_sequence() - 1;
                    let up_to = last * u64::from(share) / 255;
                    rig.release(up_to);
                    released = released.max(up_to);
                }
                Step::PowerCut(cut) => {
                    let (records, report) = rig.restart(Some(cut)).unwrap();
                    // What was not durable may be gone, from the end.
                    let last = records.last().map_or(released, |(sequence, _)| *sequence);
                    model.retain(|(sequence, _)| *sequence <= last);
                    check_suffix(&model, &records, released);
                    prop_assert_eq!(report.damaged_bytes, 0);
                }
                _ => {
                    let (records, report) = rig.restart(None).unwrap();
                    check_suffix(&model, &records, released);
                    prop_assert!(report.findings.is_empty(), "{:?}", report);
                }
            }
        }
        let (records, _) = rig.restart(None).unwrap();
        check_suffix(&model, &records, released);
    }

    #[test]
    fn with_faults_nothing_promised_is_lost_and_nothing_false_comes_back(
        steps in prop::collection::vec(rough_step(), 1..80),
        roomy in any::<bool>(),
        left_to_system in prop::bool::weighted(0.2),
    ) {
        let policy = if left_to_system { SyncPolicy::Os } else { SyncPolicy::EveryRecord };
        let mut rig = Rig::new(options(policy, roomy));
        rig.honest = !left_to_system;
        rig.restart(None).unwrap();
        let mut hour = 1;
        for step in steps {
            match step {
                Step::Append { later, sizes } => {
                    hour += u64::from(later);
                    rig.append(hour, &sizes);
                }
                Step::Commit => { rig.commit(); }
                Step::Release(share) => {
                    let last = rig.wal.as_ref().unwrap().next_sequence() - 1;
                    rig.release(last * u64::from(share) / 255);
                }
                Step::Kill => {
                    // What only memory held because no file would take it goes with the process.
                    rig.accepted = rig.durable.clone();
                    rig.restart(None).unwrap();
                }
                Step::PowerCut(cut) => { rig.restart(Some(cut)).unwrap(); }
                Step::Fail { op, after, count, fault } => {
                    let fault = if op == Op::Write { fault } else { Fault::Error(ErrorKind::StorageFull) };
                    let next = rig.fs.calls(op) + after;
                    rig.fs.fail(op, next..next.saturating_add(count), fault);
                }
                Step::Heal => rig.fs.heal(),
            }
        }
        rig.fs.heal();
        rig.restart(Some(PowerCut::HARD)).unwrap();
        prop_assert!(rig.append(hour, &[10]) && rig.commit());
        rig.restart(Some(PowerCut::HARD)).unwrap();
    }
}
