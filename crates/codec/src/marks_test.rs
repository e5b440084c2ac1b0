use super::*;

#[test]
fn marks_come_back_and_damage_is_an_error() {
    fn check<M: Mark + PartialEq + std::fmt::Debug>(mark: &M) {
        let value = mark.encode();
        assert_eq!(M::decode(&value).as_ref(), Ok(mark));
        for at in 0..value.len() {
            let mut spoiled = value.clone();
            spoiled[at] ^= 1;
            assert!(M::decode(&spoiled).is_err());
            assert!(M::decode(&value[..at]).is_err());
        }
    }
    check(&Applied { index: 7, wal_sequence: u64::MAX });
    check(&Member { spans: vec![(1, Some(5)), (9, None)] });
    check(&BootMark {
        last_sequence: 3,
        last_window_end_ms: 60_000,
        touched_ms: 5,
        digests: [1, 2, u64::MAX].into(),
    });
    check(&LeaderEvent { node: "n1".into(), term: 4 });
    check(&Upgrade { from: 1, to: 3, position: b"\0x".to_vec() });
    check(&77u64);
    check(&Freeze { since_ms: 5, left_ms: 86_400_000, why: FreezeReason::Parted(7_200_000) });
    check(&Freeze { since_ms: 5, left_ms: 0, why: FreezeReason::Behind(u64::MAX) });
}

#[test]
fn a_member_is_expected_from_its_first_column_until_it_leaves() {
    let mut member = Member::default();
    assert!(member.arrived(60));
    assert!(!member.arrived(120));
    assert!(member.arrived(0), "a late, earlier column");
    assert!(member.expected_at(1_000));
    member.leave(180);
    assert!(member.expected_at(179) && !member.expected_at(180));
    assert!(!member.arrived(120), "late, but before it left");
    assert!(member.arrived(300) && member.expected_at(300) && !member.expected_at(240));
}

#[test]
fn a_boot_mark_knows_the_latest_entries() {
    let mut mark = BootMark::default();
    for entry in 1..=2_000u64 {
        mark.take(entry, entry * 10, entry, 0);
    }
    assert_eq!((mark.last_sequence, mark.digests.len()), (2_000, DIGESTS_KEPT));
    assert_eq!(mark.digest_of(2_000), Some(20_000));
    assert_eq!(mark.digest_of(977), Some(9_770));
    assert_eq!((mark.digest_of(976), mark.digest_of(2_001)), (None, None));
    mark.take(3_000, 7, 0, 0);
    assert_eq!((mark.digest_of(3_000), mark.digest_of(2_000)), (Some(7), None));
    mark.take(u64::MAX, 8, 0, 0);
    mark.take(1, 9, 0, 0);
    assert_eq!((mark.digest_of(1), mark.digest_of(u64::MAX)), (Some(9), None));
}
