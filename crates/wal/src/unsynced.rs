//! The frames that no successful fsync has covered, kept so that they can be written elsewhere.
//!
//! Responsible for: holding those frames in order, encoded; giving them new checksums for another
//! segment.
//! Owns: the only copy in memory of what W5 must not lose.
//! Invariants: sequences rise; the bytes are whole frames; empty means that all is durable.
//! Must not: do I/O or decide when something is durable.
//! Proved by: `fault_test.rs`, `wal_test.rs`.

use crate::layout::{Frame, Seed, push_frame, reseal};

/// Capacity that is given back after a sync, in bytes.
const KEEP_CAPACITY_BYTES: usize = 8 << 20;

/// Frames that no fsync has covered.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    bytes: Vec<u8>,
    first_sequence: u64,
    last_sequence: u64,
    records: u64,
}

/// A state to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    bytes: usize,
    last_sequence: u64,
    records: u64,
}

impl Unsynced {
    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Framed bytes.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// First sequence, if there is any.
    pub(crate) fn first_sequence(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.first_sequence)
    }

    /// Last sequence; 0 if there is none.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(crate) fn push(&mut self, seed: &Seed, sequence: u64, kind: u8, flags: u8, payload: &[u8]) {
        debug_assert!(sequence > self.last_sequence, "W3");
        push_frame(&mut self.bytes, seed, sequence, kind, flags, payload);
        if self.is_empty() {
            self.first_sequence = sequence;
        }
        self.last_sequence = sequence;
        self.records += 1;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), last_sequence: self.last_sequence, records: self.records }
    }

    /// Takes back what was pushed since the mark.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.last_sequence = mark.last_sequence;
        self.records = mark.records;
    }

    /// The frames pushed since the mark.
    pub(crate) fn since(&self, mark: Mark) -> &[u8] {
        &self.bytes[mark.bytes..]
    }

    /// All frames, with the checksums of another segment.
    pub(crate) fn resealed(&mut self, seed: &Seed) -> &[u8] {
        reseal(&mut self.bytes, seed);
        &self.bytes
    }

    /// All of it is durable.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_CAPACITY_BYTES);
        self.records = 0;
        self.last_sequence = 0;
    }

    /// Forgets the records up to a sequence, which the owner has persisted elsewhere.
    pub(crate) fn drop_through(&mut self, sequence: u64) {
        if self.last_sequence <= sequence {
            self.clear();
            return;
        }
        let mut at = 0;
        while let Some(frame) = Frame::peek(&self.bytes, at) {
            if frame.sequence > sequence {
                self.first_sequence = frame.sequence;
                break;
            }
            self.records -= 1;
            at = frame.end;
        }
        self.bytes.drain(..at);
    }
}
