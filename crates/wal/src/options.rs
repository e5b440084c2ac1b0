//! Settings of a log: plain values with documented defaults and ranges.
//!
//! Responsible for: the options, their defaults, their validation.
//! Owns: nothing.
//! Invariants: options that validate let any record within `max_record_bytes` fit under `max_bytes`.
//! Must not: hold components (the file system is passed apart).
//! Proved by: `wal_test.rs`.

use crate::error::WalError;
use crate::layout::{FRAME_HEADER_LEN, HEADER_LEN, MAX_PAYLOAD_BYTES, MAX_SEQUENCE};

const MIB: u64 = 1 << 20;
/// The largest `segment_bytes`; also bounds the memory that a start needs.
const MAX_SEGMENT_BYTES: u64 = 64 * MIB;
/// One header and one empty frame.
const MIN_SEGMENT_BYTES: u64 = (HEADER_LEN + FRAME_HEADER_LEN) as u64;

/// When a record counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// [`crate::Wal::commit`] syncs: what it acknowledged survives power loss.
    #[default]
    EveryRecord,
    /// `commit` does not sync; the operating system writes back when it likes. Records survive
    /// `kill -9`, not power loss. For an interval policy use this and call [`crate::Wal::sync`].
    Os,
}

/// Settings of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// Cap on the bytes of all segments. Default 64 MiB. At least twice `segment_bytes`, and enough
    /// for one record of `max_record_bytes`.
    pub max_bytes: u64,
    /// Size in bytes at which a segment is closed. Default 4 MiB; 58 bytes to 64 MiB. A larger
    /// record gets a segment of its own.
    pub segment_bytes: u64,
    /// Largest payload in bytes that is accepted. Default 16 MiB; 1 byte to 64 MiB. Reading is not
    /// bound by it (the cap may have been lowered since), only by the 64 MiB.
    pub max_record_bytes: u64,
    /// When a record counts as safe. Default: every record.
    pub sync: SyncPolicy,
    /// The least sequence that a new record may get: the owner's durable mark plus one. Default 1;
    /// at most 2^62.
    pub min_next_sequence: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            max_bytes: 64 * MIB,
            segment_bytes: 4 * MIB,
            max_record_bytes: 16 * MIB,
            sync: SyncPolicy::EveryRecord,
            min_next_sequence: 1,
        }
    }
}

impl WalOptions {
    /// Options for a cap of `max_bytes`, with segments of 1/16 and records of 1/4 of it where the
    /// defaults would be larger than that.
    pub fn with_max_bytes(max_bytes: u64) -> Self {
        let defaults = Self::default();
        Self {
            max_bytes,
            segment_bytes: defaults.segment_bytes.min(max_bytes / 16).max(MIN_SEGMENT_BYTES),
            max_record_bytes: defaults.max_record_bytes.min(max_bytes / 4).max(1),
            ..defaults
        }
    }

    /// Checks the ranges above.
    ///
    /// # Errors
    /// [`WalError::OptionOutOfRange`] for the first option that is outside its range.
    pub fn validate(&self) -> Result<(), WalError> {
        let max_record_cap = MAX_PAYLOAD_BYTES as u64;
        check("segment_bytes", self.segment_bytes, MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES)?;
        check("max_record_bytes", self.max_record_bytes, 1, max_record_cap)?;
        let least = (2 * self.segment_bytes).max(MIN_SEGMENT_BYTES + self.max_record_bytes);
        check("max_bytes", self.max_bytes, least, u64::MAX)?;
        check("min_next_sequence", self.min_next_sequence, 0, MAX_SEQUENCE)
    }
}

fn check(option: &'static str, value: u64, min: u64, max: u64) -> Result<(), WalError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(WalError::OptionOutOfRange { option, value, min, max })
    }
}
