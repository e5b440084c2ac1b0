use keyviz_lineage::{BucketError, Column, ColumnError, Flags, Step, Window};
use proptest::prelude::*;

use super::super::{column_from_wire, column_to_wire};
use super::*;

fn bucket(start: &[u8], end: &[u8], members: Vec<u64>, parts: &[(u64, u64)]) -> Bucket {
    let part = |&(group, term): &(u64, u64)| BucketPart {
        group,
        term,
        counts: Counts { reads: 1, writes: term, read_bytes: 3, write_bytes: u64::MAX },
        flags: Flags::NONE,
    };
    Bucket {
        group: 1,
        range: KeyRange::new(start, end).unwrap(),
        member_count: members.len() as u64 + 5,
        members,
        parts: parts.iter().map(part).collect(),
    }
}

fn sample() -> Column {
    Column {
        window: Window::new(60_000, Step::MINUTE).unwrap(),
        covered_from_ms: 60_000,
        covered_to_ms: 120_000,
        unattributed: 0,
        groups: vec![1, 2],
        rows: Vec::new(),
        buckets: vec![
            bucket(b"", b"user:1", vec![1, 7], &[(1, 4), (2, 9)]),
            bucket(b"user:1", b"user:20", vec![], &[]),
            bucket(b"user:20", b"", vec![8], &[(2, 9)]),
        ],
    }
}

#[test]
fn buckets_survive_the_wire_and_share_the_bounds() {
    let wire = column_to_wire(&sample());
    assert_eq!(&wire.bound_suffixes[..], b"user:120");
    assert_eq!((wire.bucket_members.len(), wire.part_group.len()), (3, 3));
    assert!(wire.part_flags.is_empty());
    assert_eq!(column_from_wire(&wire).unwrap(), sample());
    let mut flagged = sample();
    flagged.buckets[2].parts[0].flags = Flags::SOFT;
    assert_eq!(column_from_wire(&column_to_wire(&flagged)).unwrap(), flagged);
}

#[test]
fn every_malformed_array_is_named() {
    type Spoil = fn(&mut wire::Column);
    let refused = |spoil: Spoil| {
        let mut wire = column_to_wire(&sample());
        spoil(&mut wire);
        column_from_wire(&wire).unwrap_err().to_string()
    };
    let wrong: [(Spoil, &str); 13] = [
        (|c| c.bucket_end.truncate(2), "bucket_end has 2"),
        (|c| c.bucket_parts.truncate(2), "bucket_parts has 2"),
        (|c| c.part_writes.truncate(2), "part_writes has 2"),
        (|c| c.part_flags.push(0), "part_flags has 1"),
        (|c| c.part_flags = vec![0, 1 << 15, 0], "element 1 of part_flags"),
        (|c| c.bucket_members.truncate(2), "bucket_listed_members adds up to 3"),
        (|c| c.bucket_listed_members[0] = u32::MAX, "bucket_listed_members adds up to"),
        (|c| c.bucket_parts[0] = 1, "bucket_parts adds up to 2, but there are 3"),
        (|c| c.bucket_start[1] = 9, "element 1: bucket_start 9 points behind"),
        (|c| c.bucket_end[1] = 1, "bucket 1: range"),
        (|c| c.bucket_group[2] = 3, "bucket 2: it names group 3"),
        (|c| c.bucket_members[1] = 1, "bucket 0: member 1 is out of order"),
        (|c| c.bucket_member_count[2] = 0, "bucket 2: its member count is 0"),
    ];
    for (spoil, name) in wrong {
        let message = refused(spoil);
        assert!(message.contains(name), "{name:?} is not in {message:?}");
    }
    let mut crowded = sample();
    crowded.buckets[0].members = (1..=257).collect();
    crowded.buckets[0].member_count = 257;
    let source = BucketError::TooManyMembers { listed: 257 };
    let expected = ConvertError::Column(ColumnError::Bucket { bucket: 0, source });
    assert_eq!(column_from_wire(&column_to_wire(&crowded)), Err(expected));
}

#[test]
fn buckets_share_what_the_keys_may_unfold_to() {
    let mut wire = column_to_wire(&sample());
    let count = 2_000;
    wire.bound_shared = vec![0];
    wire.bound_suffix_bytes = vec![40_000];
    wire.bound_suffixes = vec![7; 40_000].into();
    wire.bucket_start = vec![1; count];
    wire.bucket_end = vec![0; count];
    wire.bucket_group = vec![1; count];
    wire.bucket_member_count = vec![1; count];
    wire.bucket_listed_members = vec![0; count];
    wire.bucket_members.clear();
    wire.bucket_parts = [vec![3], vec![0; count - 1]].concat();
    assert!(matches!(column_from_wire(&wire), Err(ConvertError::TooLarge { .. })));
}

proptest! {
    #[test]
    fn arbitrary_arrays_never_panic(
        bounds in prop::collection::vec(0u32..5, 0..5), groups in prop::collection::vec(0u64..3, 0..5),
        listed in prop::collection::vec(any::<u32>(), 0..5), members in prop::collection::vec(0u64..9, 0..9),
        parts in prop::collection::vec(0u32..4, 0..5), part_groups in prop::collection::vec(0u64..3, 0..9),
    ) {
        let zeros = vec![0; part_groups.len()];
        let _ = column_from_wire(&wire::Column {
            step_ms: 60_000, bound_shared: vec![0, 1], bound_suffix_bytes: vec![1, 1],
            bound_suffixes: vec![7, 8].into(), bucket_start: bounds.clone(), bucket_end: bounds,
            bucket_member_count: groups.clone(), bucket_group: groups, bucket_listed_members: listed,
            bucket_members: members, bucket_parts: parts, part_term: zeros.clone(),
            part_reads: zeros.clone(), part_writes: zeros.clone(), part_read_bytes: zeros.clone(),
            part_write_bytes: zeros, part_group: part_groups, groups: vec![1, 2], ..Default::default()
        });
    }
}
