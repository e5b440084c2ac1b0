use super::*;
use crate::{Column, ColumnError, Step, Window};

fn part(group: GroupId, term: u64) -> BucketPart {
    let counts = Counts { writes: 1, ..Counts::default() };
    BucketPart { group, term, counts, flags: Flags::NONE }
}

fn bucket(start: &[u8], end: &[u8]) -> Bucket {
    Bucket {
        group: 1,
        range: KeyRange::new(start, end).unwrap(),
        members: vec![3, 4, 9],
        member_count: 3,
        parts: vec![part(1, 0), part(1, 7), part(2, 3)],
    }
}

fn column(buckets: Vec<Bucket>) -> Column {
    Column {
        window: Window::new(60_000, Step::MINUTE).unwrap(),
        covered_from_ms: 60_000,
        covered_to_ms: 120_000,
        unattributed: 0,
        groups: vec![1, 2],
        rows: Vec::new(),
        buckets,
    }
}

#[test]
fn good_buckets_pass() {
    let mut crowded = bucket(b"m", b"");
    crowded.members = (1..=256).collect();
    crowded.member_count = 5_000;
    let mut silent = bucket(b"m", b"z");
    silent.members.clear();
    silent.parts.clear();
    // The same start, once more: the end tells them apart.
    assert_eq!(column(vec![bucket(b"", b"m"), crowded, silent]).validate(), Ok(()));
}

#[test]
fn every_violation_names_the_bucket() {
    let refused = |spoil: &dyn Fn(&mut Bucket)| {
        let mut spoiled = bucket(b"m", b"");
        spoil(&mut spoiled);
        match column(vec![bucket(b"", b"m"), spoiled]).validate() {
            Err(ColumnError::Bucket { bucket: 1, source }) => source,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|b| b.group = 0), BucketError::Zero { what: "group" });
    assert_eq!(refused(&|b| b.group = 3), BucketError::UnlistedGroup { group: 3 });
    assert_eq!(refused(&|b| b.range = KeyRange::new(*b"", *b"k").unwrap()), BucketError::Order);
    assert_eq!(refused(&|b| b.range = KeyRange::new(*b"", *b"m").unwrap()), BucketError::Order);
    assert_eq!(
        refused(&|b| b.range = KeyRange::new(vec![b'n'; 65_537], *b"").unwrap()),
        BucketError::KeyTooLong { bytes: 65_537 }
    );
    assert_eq!(refused(&|b| b.members[0] = 0), BucketError::Zero { what: "member" });
    assert_eq!(refused(&|b| b.members[1] = 3), BucketError::MemberOrder { route: 3 });
    assert_eq!(
        refused(&|b| {
            b.members = (1..=257).collect();
            b.member_count = 257;
        }),
        BucketError::TooManyMembers { listed: 257 }
    );
    assert_eq!(refused(&|b| b.member_count = 2), BucketError::MemberCount { count: 2, listed: 3 });
    assert_eq!(
        refused(&|b| {
            b.members.clear();
            b.member_count = 0;
        }),
        BucketError::MemberCount { count: 0, listed: 0 }
    );
    assert_eq!(refused(&|b| b.parts[0].group = 0), BucketError::Zero { what: "group" });
    assert_eq!(refused(&|b| b.parts[2].group = 5), BucketError::UnlistedGroup { group: 5 });
    let order = BucketError::PartOrder { part: 1, group: 1, term: 0 };
    assert_eq!(refused(&|b| b.parts[1].term = 0), order);
    let message = ColumnError::Bucket { bucket: 1, source: order }.to_string();
    assert!(message.starts_with("bucket 1: part 1 (group 1, term 0)"), "{message}");
}

#[test]
fn a_bucket_is_named_by_its_bounds_alone() {
    let mut other = bucket(b"a", b"b");
    other.members = vec![77];
    other.group = 2;
    assert_eq!(bucket(b"a", b"b").id(), other.id());
    assert_ne!(bucket(b"a", b"b").id(), bucket(b"a", b"bb").id());
    assert!(id::is_virtual(other.id()));
}
