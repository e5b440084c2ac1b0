//! What is intact is found, whatever is around it.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::layout::{SegmentName, push_frame};

const ID: u64 = 40;

/// A segment with these records, and the offset of each frame and of the end.
fn segment(records: &[(u64, &[u8])]) -> (Vec<u8>, Header, Vec<usize>) {
    let first_sequence = records.first().map_or(1, |(sequence, _)| *sequence);
    let header = Header { name: SegmentName { hour: 9, id: ID }, first_sequence };
    let mut bytes = header.encode().to_vec();
    let mut offsets = vec![bytes.len()];
    for (sequence, payload) in records {
        push_frame(&mut bytes, &Seed::new(ID), *sequence, 1, 2, payload);
        offsets.push(bytes.len());
    }
    (bytes, header, offsets)
}

fn ranges(scan: &Scan) -> Vec<(u64, u64)> {
    scan.extents.iter().map(|e| (e.first_sequence, e.last_sequence)).collect()
}

#[test]
fn an_intact_segment_is_one_extent() {
    let (bytes, header, offsets) = segment(&[(5, b"a"), (6, b""), (7, b"ccc")]);
    let scan = scan(&bytes, Some(header), ID);
    assert_eq!(ranges(&scan), [(5, 7)]);
    assert_eq!((scan.extents[0].start, scan.extents[0].end), (40, offsets[3]));
    assert_eq!((scan.damage.len(), scan.tail), (0, None));
    assert_eq!(scan.next_sequence(), Some(8));
}

#[test]
fn a_jump_in_the_sequences_begins_an_extent() {
    let (bytes, header, _) = segment(&[(5, b"a"), (9, b"b"), (10, b"c")]);
    assert_eq!(ranges(&scan(&bytes, Some(header), ID)), [(5, 5), (9, 10)]);
}

#[test]
fn sequences_that_go_back_are_damage() {
    let (bytes, header, offsets) = segment(&[(5, b"a"), (5, b"b"), (6, b"c")]);
    let scan = scan(&bytes, Some(header), ID);
    assert_eq!(ranges(&scan), [(5, 5), (6, 6)]);
    assert_eq!(scan.damage, [Stretch { start: offsets[1], end: offsets[2] }]);
}

#[test]
fn after_damage_one_frame_alone_is_not_enough() {
    let records: Vec<(u64, &[u8])> = (5..10).map(|s| (s, b"payload".as_slice())).collect();
    let (mut bytes, header, offsets) = segment(&records);
    bytes[offsets[1] + 20] ^= 1;
    bytes[offsets[3] + 20] ^= 1; // the successor of record 7
    let found = scan(&bytes, Some(header), ID);
    assert_eq!(ranges(&found), [(5, 5), (9, 9)], "7 is not confirmed, 9 ends with the file");
    assert_eq!(found.damage, [Stretch { start: offsets[1], end: offsets[4] }]);
    bytes.push(0);
    let found = scan(&bytes, Some(header), ID);
    assert_eq!(ranges(&found), [(5, 5)], "nothing confirms 9 now");
    assert_eq!(found.tail, Some(Stretch { start: offsets[1], end: bytes.len() }));
}

#[test]
fn a_frame_inside_a_payload_is_not_taken_for_a_later_one() {
    let mut planted = Vec::new();
    push_frame(&mut planted, &Seed::new(ID), u64::MAX / 8, 0, 0, b"x");
    push_frame(&mut planted, &Seed::new(ID), u64::MAX / 8 + 1, 0, 0, b"y");
    let (mut bytes, header, offsets) = segment(&[(5, b"a"), (6, &planted), (7, b"c"), (8, b"d")]);
    bytes[offsets[1]] ^= 1;
    assert_eq!(ranges(&scan(&bytes, Some(header), ID)), [(5, 5), (7, 8)]);
}

#[test]
fn without_a_header_the_id_of_the_name_is_enough() {
    let (mut bytes, _, offsets) = segment(&[(5, b"a"), (6, b"b"), (7, b"c")]);
    bytes[3] ^= 1;
    let found = scan(&bytes, None, ID);
    assert_eq!(ranges(&found), [(5, 7)]);
    assert_eq!(found.damage, [Stretch { start: 0, end: offsets[0] }]);
    assert_eq!(found.next_sequence(), Some(8));
    let other = scan(&bytes, None, ID + 1);
    assert_eq!((ranges(&other).len(), other.next_sequence()), (0, None), "W4");
    assert_eq!(other.tail, Some(Stretch { start: 0, end: bytes.len() }));
}

#[test]
fn bytes_that_look_like_frames_everywhere_are_given_up_in_time() {
    // Each offset of the 4 MiB holds a plausible length of 1 MiB and a plausible sequence.
    let header = Header { name: SegmentName { hour: 9, id: ID }, first_sequence: 1 };
    let mut bytes = header.encode().to_vec();
    bytes.resize(4 << 20, 0);
    for frame in bytes[40..].chunks_exact_mut(18) {
        frame[4..8].copy_from_slice(&(1u32 << 20).to_le_bytes());
        frame[10..18].copy_from_slice(&77u64.to_le_bytes());
    }
    let found = scan(&bytes, Some(header), ID);
    assert_eq!(found.tail, Some(Stretch { start: 40, end: bytes.len() }));
}

proptest! {
    #[test]
    fn any_bytes_are_tiled_without_panic(
        sizes in prop::collection::vec(0usize..30, 0..8),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        headless in any::<bool>(),
    ) {
        let payloads: Vec<Vec<u8>> = sizes.iter().map(|&n| vec![7; n]).collect();
        let records: Vec<(u64, &[u8])> =
            payloads.iter().zip(3..).map(|(p, s)| (s, p.as_slice())).collect();
        let (mut bytes, header, _) = segment(&records);
        for (at, value) in wounds {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let headless = headless || bytes.len() < HEADER_LEN;
        let scan = scan(&bytes, (!headless).then_some(header), ID);
        let mut parts: Vec<(usize, usize)> = scan.extents.iter().map(|e| (e.start, e.end)).collect();
        parts.extend(scan.damage.iter().map(|s| (s.start, s.end)));
        parts.extend(scan.tail.iter().map(|s| (s.start, s.end)));
        parts.sort_unstable();
        let mut at = if headless { 0 } else { HEADER_LEN };
        for (start, end) in parts {
            prop_assert_eq!(start, at);
            prop_assert!(end > start);
            at = end;
        }
        prop_assert_eq!(at, bytes.len());
        for pair in scan.extents.windows(2) {
            prop_assert!(pair[0].last_sequence < pair[1].first_sequence);
        }
    }
}
