//! Finds the intact records in the bytes of one segment.
//!
//! ```text
//! header | frame 7 | frame 8 | ####### | frame 10 | frame 11 | frame 1~
//!          \__ extent 7..8 _/  damage    \__ extent 10..11 __/  tail
//! ```
//!
//! Responsible for: walking the frames, finding the way again after damage, and saying which
//! stretches hold nothing intact. What to do about them is `recovery`'s.
//! Owns: nothing; it is a pure function of the bytes and the name.
//! Invariants: extents, damage and tail tile the file after its header; W3 (sequences rise); after
//! damage a frame counts only if it verifies and so does its successor, or the file ends with it;
//! the checksumming is bounded, so that no file makes a start slow.
//! Must not: do I/O, panic, or trust a length before comparing it with what is there.
//! Proved by: `scan_test.rs`, `damage_test.rs`.

use crate::layout::{FRAME_HEADER_LEN, Frame, HEADER_LEN, Header, Seed};

/// How far a sequence may jump between neighbours beyond what the bytes between them could hold:
/// sequences of refused writes are not used again.
const SEQUENCE_SLACK: u64 = 1 << 20;
/// Bytes that may be checksummed while looking for the next intact frame, per segment. Only bytes
/// made to look like frames use it up; the rest of such a file counts as damaged.
const RESYNC_BUDGET_BYTES: u64 = 256 << 20;

/// Intact frames one after the other, with sequences without gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Offset of the first frame in bytes.
    pub(crate) start: usize,
    /// Offset just after the last frame.
    pub(crate) end: usize,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
}

impl Extent {
    pub(crate) fn records(&self) -> u64 {
        self.last_sequence - self.first_sequence + 1
    }
}

/// Bytes without an intact record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// First sequence by the header; `None` if the header is damaged.
    pub(crate) header_sequence: Option<u64>,
    pub(crate) extents: Vec<Extent>,
    /// Damage before the last intact record, the header's included, in order.
    pub(crate) damage: Vec<Stretch>,
    /// What follows the last intact record.
    pub(crate) tail: Option<Stretch>,
}

impl Scan {
    /// The sequence that a record after the last intact one would have; `None` if nothing in the
    /// segment tells.
    pub(crate) fn next_sequence(&self) -> Option<u64> {
        self.extents.last().map(|e| e.last_sequence + 1).or(self.header_sequence)
    }

    /// The least sequence that the segment may hold; `None` if nothing in it tells.
    pub(crate) fn first_sequence(&self) -> Option<u64> {
        self.header_sequence.or_else(|| self.extents.first().map(|e| e.first_sequence))
    }
}

/// Scans a segment. `header` is what its header decoded to, if it did and agrees with the name;
/// `segment_id` is the id in the name.
pub(crate) fn scan(bytes: &[u8], header: Option<Header>, segment_id: u64) -> Scan {
    let header_sequence = header.map(|h| h.first_sequence);
    let mut scan = Scan { header_sequence, ..Scan::default() };
    let mut walker = Walker {
        bytes,
        seed: Seed::new(segment_id),
        expected: header_sequence,
        budget: RESYNC_BUDGET_BYTES,
    };
    let mut at = HEADER_LEN.min(bytes.len());
    let mut bad_from = None;
    if header.is_none() {
        // Nothing says which sequence comes first: the first frame must prove itself as after
        // any other damage.
        bad_from = Some(0);
        match walker.resync(at, at) {
            Some(frame) => {
                scan.damage.push(Stretch { start: 0, end: frame.start });
                bad_from = None;
                at = frame.start;
            }
            None => at = bytes.len(),
        }
    }
    while at < bytes.len() {
        if let Some(frame) = walker.next_at(at) {
            extend(&mut scan.extents, &frame);
            walker.expected = Some(frame.sequence + 1);
            at = frame.end;
        } else if let Some(frame) = walker.resync(at, at + 1) {
            scan.damage.push(Stretch { start: at, end: frame.start });
            at = frame.start;
        } else {
            bad_from = Some(at);
            break;
        }
    }
    let end = bytes.len();
    scan.tail = bad_from.filter(|&start| start < end).map(|start| Stretch { start, end });
    scan
}

/// Adds a frame to the last extent, or begins one if it does not continue it.
fn extend(extents: &mut Vec<Extent>, frame: &Frame) {
    match extents.last_mut() {
        Some(last) if last.end == frame.start && last.last_sequence + 1 == frame.sequence => {
            last.end = frame.end;
            last.last_sequence = frame.sequence;
        }
        _ => extents.push(Extent {
            start: frame.start,
            end: frame.end,
            first_sequence: frame.sequence,
            last_sequence: frame.sequence,
        }),
    }
}

struct Walker<'a> {
    bytes: &'a [u8],
    seed: Seed,
    /// The least sequence that the next frame may have; `None` if not known.
    expected: Option<u64>,
    budget: u64,
}

impl Walker<'_> {
    /// The frame at `at`, if it is intact and its sequence does not go back.
    fn next_at(&self, at: usize) -> Option<Frame> {
        let frame = Frame::peek(self.bytes, at)?;
        let in_order = self.expected.is_none_or(|expected| frame.sequence >= expected);
        (in_order && frame.verifies(self.bytes, &self.seed)).then_some(frame)
    }

    /// The next frame at or after `from` that can be trusted after damage that began at
    /// `damage_start`.
    fn resync(&mut self, damage_start: usize, from: usize) -> Option<Frame> {
        let last = self.bytes.len().checked_sub(FRAME_HEADER_LEN)?;
        for at in from..=last {
            let Some(frame) = Frame::peek(self.bytes, at) else { continue };
            if !self.plausible(frame.sequence, at - damage_start) {
                continue;
            }
            let cost = (frame.end - frame.start) as u64;
            self.budget = self.budget.checked_sub(cost)?;
            if frame.verifies(self.bytes, &self.seed) && self.confirmed(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// Whether `skipped` damaged bytes can lie between the expected sequence and this one.
    fn plausible(&self, sequence: u64, skipped: usize) -> bool {
        let Some(expected) = self.expected else { return true };
        let most = (skipped / FRAME_HEADER_LEN) as u64 + SEQUENCE_SLACK;
        sequence.checked_sub(expected).is_some_and(|jump| jump <= most)
    }

    /// Whether the file ends with this frame or an intact one follows.
    fn confirmed(&self, frame: &Frame) -> bool {
        if frame.end == self.bytes.len() {
            return true;
        }
        Frame::peek(self.bytes, frame.end).is_some_and(|next| {
            next.sequence > frame.sequence && next.verifies(self.bytes, &self.seed)
        })
    }
}

#[cfg(test)]
#[path = "scan_test.rs"]
mod scan_test;
