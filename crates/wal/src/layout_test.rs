//! The bytes are what the crate's table says, and no bytes make decoding panic.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn name(hour: u64, id: u64) -> SegmentName {
    SegmentName { hour, id }
}

#[test]
fn a_header_is_laid_out_as_documented() {
    let header = Header { name: name(495_000, 7), first_sequence: 5 };
    let bytes = header.encode();
    assert_eq!(&bytes[0..8], b"KVIZWAL1");
    assert_eq!(bytes[8..12], 1u32.to_le_bytes());
    assert_eq!(bytes[12..20], 7u64.to_le_bytes());
    assert_eq!(bytes[20..28], 495_000u64.to_le_bytes());
    assert_eq!(bytes[28..36], 5u64.to_le_bytes());
    assert_eq!(bytes[36..40], crc32fast::hash(&bytes[..36]).to_le_bytes());
    assert_eq!(Header::decode(&bytes), Ok(header));
}

#[test]
fn a_frame_is_laid_out_as_documented() {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, &Seed::new(7), 9, 3, 4, b"abc");
    assert_eq!(bytes[4..8], 3u32.to_le_bytes());
    assert_eq!((bytes[8], bytes[9]), (3, 4));
    assert_eq!(bytes[10..18], 9u64.to_le_bytes());
    assert_eq!(&bytes[18..], b"abc");
    let mut checked = 7u64.to_le_bytes().to_vec();
    checked.extend_from_slice(&bytes[4..]);
    assert_eq!(bytes[0..4], crc32fast::hash(&checked).to_le_bytes());
    let frame = Frame::peek(&bytes, 0).unwrap();
    assert_eq!(frame.payload(&bytes), b"abc");
    assert!(frame.verifies(&bytes, &Seed::new(7)));
    assert!(!frame.verifies(&bytes, &Seed::new(8)), "W4");
}

#[test]
fn every_flipped_bit_of_a_header_or_frame_shows() {
    let header = Header { name: name(495_000, 7), first_sequence: 5 }.encode();
    for bit in 0..header.len() * 8 {
        let mut bad = header;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&bad), Err(HeaderFault::Damaged), "bit {bit}");
    }
    let seed = Seed::new(7);
    let mut frame = Vec::new();
    push_frame(&mut frame, &seed, 9, 3, 4, b"abc");
    for bit in 0..frame.len() * 8 {
        let mut bad = frame.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let intact = Frame::peek(&bad, 0).is_some_and(|f| f.verifies(&bad, &seed));
        assert!(!intact, "bit {bit}");
    }
}

#[test]
fn a_newer_header_is_told_from_a_damaged_one() {
    let mut bytes = Header { name: name(1, 7), first_sequence: 5 }.encode();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..36]);
    bytes[36..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&bytes), Err(HeaderFault::Version(2)));
}

#[test]
fn resealed_frames_verify_under_the_new_id_only() {
    let mut frames = Vec::new();
    push_frame(&mut frames, &Seed::new(1), 1, 0, 0, b"");
    push_frame(&mut frames, &Seed::new(1), 2, 0, 0, b"two");
    reseal(&mut frames, &Seed::new(2));
    for at in [0, FRAME_HEADER_LEN] {
        let frame = Frame::peek(&frames, at).unwrap();
        assert!(frame.verifies(&frames, &Seed::new(2)));
        assert!(!frame.verifies(&frames, &Seed::new(1)));
    }
}

#[test]
fn a_length_beyond_the_bytes_is_refused() {
    let mut frame = Vec::new();
    push_frame(&mut frame, &Seed::new(7), 9, 3, 4, b"abc");
    for length in [4, MAX_PAYLOAD_BYTES as u32 + 1, u32::MAX] {
        frame[4..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(Frame::peek(&frame, 0), None);
    }
}

#[test]
fn names_sort_and_only_canonical_ones_are_ours() {
    let first = name(495_000, 99).file_name();
    assert_eq!(first, "wal-00495000-00000000000000000099.log");
    assert!(first < name(495_000, 100).file_name());
    assert_eq!(FileName::parse(&first), FileName::Segment(name(495_000, 99)));
    let aside = aside_name(name(1, 2), 3);
    assert_eq!(FileName::parse(&aside), FileName::Aside(name(1, 2), 3));
    assert_eq!(FileName::parse(&format!("{aside}.partial")), FileName::Partial);
    assert_eq!(FileName::parse("owner-anything"), FileName::Owners);
    for foreign in [
        "",
        "wal-.log",
        "wal-1-2.log",
        "wal-00495000-+0000000000000000099.log",
        "wal-00495000-18446744073709551615.log",
        "wal-00495000-00000000000000000099.log.partial",
        "wal-00495000-00000000000000000099.log.corrupt-",
        "wal-00495000-00000000000000000099.log.corrupt-01",
        "wal-00495000-00000000000000000099.log.corrupt-18446744073709551615",
        "wal-00495000-00000000000000000099.log~",
    ] {
        assert_eq!(FileName::parse(foreign), FileName::Foreign, "{foreign}");
    }
}

proptest! {
    #[test]
    fn decoding_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..220) {
        Header::decode(&bytes).ok();
        if let Some(frame) = Frame::peek(&bytes, at) {
            prop_assert!(frame.end <= bytes.len());
            frame.verifies(&bytes, &Seed::new(1));
        }
    }

    #[test]
    fn names_round_trip(hour in any::<u64>(), id in 0..=MAX_SEQUENCE, number in 0..MAX_ASIDE_NUMBER) {
        let name = name(hour, id);
        prop_assert_eq!(FileName::parse(&name.file_name()), FileName::Segment(name));
        prop_assert_eq!(FileName::parse(&aside_name(name, number)), FileName::Aside(name, number));
    }
}
