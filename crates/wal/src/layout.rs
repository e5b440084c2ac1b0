//! The bytes of a segment and the names of files. The tables are in the crate's documentation.
//!
//! ```text
//! segment = header (40) frame*
//! header  = magic 8 | version 4 | segment id 8 | hour 8 | first sequence 8 | crc 4
//! frame   = crc 4 | payload length 4 | kind 1 | flags 1 | sequence 8 | payload
//! ```
//!
//! Responsible for: encoding and decoding headers, frames and file names; pure functions.
//! Owns: the format version.
//! Invariants: W4 (the frame's CRC starts from the segment's id); a length is checked against what
//! is there before it is used; decoding never panics, whatever the bytes.
//! Must not: do I/O or allocate by a length that was read.
//! Proved by: `layout_test.rs`.

use crc32fast::Hasher;

/// Bytes of a segment's header.
pub(crate) const HEADER_LEN: usize = 40;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER_LEN: usize = 18;
/// The largest payload that the format allows, in bytes.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// The largest file that can be a segment, in bytes: both limits are 64 MiB, a segment with a
/// larger frame holds that one only, and a page is spare.
pub(crate) const MAX_FILE_BYTES: u64 = MAX_PAYLOAD_BYTES as u64 + 4096;
/// Sequences and segment ids end here; the rest of u64 keeps sums from overflowing.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 62;

/// Numbers of files set aside end here.
const MAX_ASIDE_NUMBER: u64 = 1 << 48;
const MAGIC: [u8; 8] = *b"KVIZWAL1";
const VERSION: u32 = 1;
const HEADER_CRC_AT: usize = 36;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: SegmentName,
    pub(crate) first_sequence: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Too short, wrong magic or wrong checksum.
    Damaged,
    /// Intact, of a format that this build does not know.
    Version(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.name.id.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.name.hour.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.first_sequence.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(HeaderFault::Damaged);
        };
        let crc = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
        if bytes[0..8] != MAGIC || crc != read_u32(bytes, HEADER_CRC_AT) {
            return Err(HeaderFault::Damaged);
        }
        let version = read_u32(bytes, 8);
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let name = SegmentName { hour: read_u64(bytes, 20), id: read_u64(bytes, 12) };
        let first_sequence = read_u64(bytes, 28);
        if name.id > MAX_SEQUENCE || first_sequence == 0 || first_sequence > MAX_SEQUENCE {
            return Err(HeaderFault::Damaged);
        }
        Ok(Self { name, first_sequence })
    }
}

/// The start of every frame checksum in one segment (W4).
#[derive(Clone, Debug)]
pub(crate) struct Seed(Hasher);

impl Seed {
    pub(crate) fn new(segment_id: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&segment_id.to_le_bytes());
        Self(hasher)
    }

    fn crc(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The fields of a frame at an offset, read but not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) sequence: u64,
    /// Offset of the frame.
    pub(crate) start: usize,
    /// Offset just after the frame.
    pub(crate) end: usize,
}

impl Frame {
    /// Reads the fields of the frame at `start`; `None` if `bytes` cannot hold it all or a field
    /// is out of its range.
    pub(crate) fn peek(bytes: &[u8], start: usize) -> Option<Self> {
        let head = bytes.get(start..)?.first_chunk::<FRAME_HEADER_LEN>()?;
        let payload = usize::try_from(read_u32(head, 4)).ok()?;
        let sequence = read_u64(head, 10);
        let end = start + FRAME_HEADER_LEN + payload.min(MAX_PAYLOAD_BYTES);
        let in_range = payload <= MAX_PAYLOAD_BYTES && end <= bytes.len();
        let usable = in_range && sequence != 0 && sequence < MAX_SEQUENCE;
        usable.then_some(Self { kind: head[8], flags: head[9], sequence, start, end })
    }

    /// Whether the checksum is right. `bytes` is what [`Self::peek`] was given.
    pub(crate) fn verifies(&self, bytes: &[u8], seed: &Seed) -> bool {
        seed.crc(&bytes[self.start + 4..self.end]) == read_u32(bytes, self.start)
    }

    /// The payload in `bytes`.
    pub(crate) fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start + FRAME_HEADER_LEN..self.end]
    }
}

/// Bytes of the frame for a payload of `payload_bytes`.
pub(crate) fn frame_bytes(payload_bytes: usize) -> u64 {
    (FRAME_HEADER_LEN + payload_bytes) as u64
}

/// Appends a frame to `out`. The caller has checked the payload against [`MAX_PAYLOAD_BYTES`].
pub(crate) fn push_frame(
    out: &mut Vec<u8>,
    seed: &Seed,
    sequence: u64,
    kind: u8,
    flags: u8,
    payload: &[u8],
) {
    debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES);
    let start = out.len();
    out.reserve(FRAME_HEADER_LEN + payload.len());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = seed.crc(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Gives every frame in `frames` the checksum that it must have in another segment.
pub(crate) fn reseal(frames: &mut [u8], seed: &Seed) {
    let mut at = 0;
    while let Some(frame) = Frame::peek(frames, at) {
        let crc = seed.crc(&frames[at + 4..frame.end]);
        frames[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        at = frame.end;
    }
    debug_assert_eq!(at, frames.len());
}

/// The hour and id in a segment's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName {
    /// Unix hour of its first record; only for people, recovery does not use it.
    pub(crate) hour: u64,
    /// Segment id.
    pub(crate) id: u64,
}

impl SegmentName {
    pub(crate) fn file_name(self) -> String {
        format!("wal-{:08}-{:020}.log", self.hour, self.id)
    }

    /// Parses a name that [`Self::file_name`] could have written; anything else is foreign.
    fn parse(name: &str) -> Option<Self> {
        let (hour, id) = name.strip_prefix("wal-")?.strip_suffix(".log")?.split_once('-')?;
        let parsed = Self { hour: hour.parse().ok()?, id: id.parse().ok()? };
        (parsed.id <= MAX_SEQUENCE && parsed.file_name() == name).then_some(parsed)
    }
}

/// What the names of the owner's own files and folders beside the segments begin with.
pub const OWNERS_PREFIX: &str = "owner-";

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Segment(SegmentName),
    /// A bad segment set aside, with its number.
    Aside(SegmentName, u64),
    /// A copy that was not finished.
    Partial,
    /// Something that the owner keeps beside the segments.
    Owners,
    Foreign,
}

impl FileName {
    pub(crate) fn parse(name: &str) -> Self {
        if let Some(segment) = SegmentName::parse(name) {
            return Self::Segment(segment);
        }
        if name.starts_with(OWNERS_PREFIX) {
            return Self::Owners;
        }
        let (stem, partial) = match name.strip_suffix(".partial") {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        let parts = stem.rsplit_once(".corrupt-").and_then(|(base, number)| {
            Some((
                SegmentName::parse(base)?,
                number.parse::<u64>().ok().filter(|&n| n < MAX_ASIDE_NUMBER)?,
            ))
        });
        match parts {
            Some((base, number)) if aside_name(base, number) == stem => {
                if partial {
                    Self::Partial
                } else {
                    Self::Aside(base, number)
                }
            }
            _ => Self::Foreign,
        }
    }
}

/// Name of a bad segment that was set aside.
pub(crate) fn aside_name(base: SegmentName, number: u64) -> String {
    format!("{}.corrupt-{number}", base.file_name())
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(le)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(le)
}

#[cfg(test)]
#[path = "layout_test.rs"]
mod layout_test;
