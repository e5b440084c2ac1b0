//! What can go wrong, and what the owner should do then.
//!
//! Responsible for: one error type for the crate; each message names the thing, the reason and the
//! next step.
//! Owns: nothing.
//! Invariants: an error from `append` means that the record must not be acknowledged; an error from
//! `commit` means that nothing since the last good `commit` may be.
//! Must not: carry free text in place of a variant.
//! Proved by: `wal_test.rs`, `fault_test.rs`.

use std::io;
use std::path::PathBuf;

/// An error of the write-ahead log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// The folder could not be created or listed: the only thing that stops a start.
    #[error(
        "cannot {doing} the WAL folder {}: {source}; make it a directory that this process may \
         read and write", dir.display()
    )]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What was tried: `create` or `list`.
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// An option is outside its range.
    #[error("WAL option {option} is {value}, it must be between {min} and {max}; change it")]
    OptionOutOfRange {
        /// The field of `WalOptions`.
        option: &'static str,
        /// What was given.
        value: u64,
        /// The least that is accepted.
        min: u64,
        /// The most that is accepted.
        max: u64,
    },
    /// A payload is larger than `max_record_bytes`; nothing was written.
    #[error(
        "a record of {bytes} bytes is larger than max_record_bytes ({max_record_bytes}); \
         split it or raise the cap"
    )]
    RecordTooLarge {
        /// Payload bytes of the record.
        bytes: u64,
        /// The cap in bytes.
        max_record_bytes: u64,
    },
    /// No new segment could be made; nothing was logged.
    #[error(
        "cannot create WAL segment {}: {source}; nothing was logged, free space or repair the \
         folder and append again", path.display()
    )]
    Create {
        /// The segment.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The log is full, and what would be shed for the record could not be noted; nothing was logged.
    #[error(
        "the WAL is full, and what segment {} holds cannot be noted before it is shed: {source}; \
         nothing was logged, free space or have the records persisted and append again",
        path.display()
    )]
    Room {
        /// The segment that stays.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Records could not be written and are refused; a restart may still find them, under
    /// sequences that no other record has.
    #[error(
        "cannot write record {sequence} to WAL segment {}: {source}; do not acknowledge it, \
         append it again", path.display()
    )]
    Write {
        /// The segment.
        path: PathBuf,
        /// Sequence that the first record of the write would have had.
        sequence: u64,
        /// The reason.
        source: io::Error,
    },
    /// Records are written or in memory, but no fsync has covered them.
    #[error(
        "records {first_sequence} to {last_sequence} ({bytes} bytes) are not durable, {} failed: \
         {source}; stop acknowledging and commit again later", path.display()
    )]
    NotDurable {
        /// First record that is not durable.
        first_sequence: u64,
        /// Last record that is not durable.
        last_sequence: u64,
        /// Bytes kept in memory for the next attempt.
        bytes: u64,
        /// The file that failed last.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// So much waits for an fsync that works that one more record would break the cap.
    #[error(
        "{unsynced_bytes} bytes wait for an fsync that works, the limit is {limit_bytes}; stop \
         appending and commit again until it succeeds"
    )]
    Backlog {
        /// Bytes that wait.
        unsynced_bytes: u64,
        /// The most that may wait.
        limit_bytes: u64,
    },
    /// A released segment could not be unlinked, or the folder not be synced after it.
    #[error(
        "cannot unlink released WAL file {}: {source}; it does no harm and is tried again at the \
         next release", path.display()
    )]
    Unlink {
        /// The file, or the folder if its fsync failed.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The sequence numbers are used up (2^62).
    #[error("WAL sequence {next_sequence} is past the last one; start with an empty WAL folder")]
    SequencesExhausted {
        /// The sequence that would be next.
        next_sequence: u64,
    },
}
