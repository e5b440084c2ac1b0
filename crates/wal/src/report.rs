//! What the log tells its owner: what a start found, what was shed, how full it is, counters.
//!
//! Responsible for: the shapes of reports. Plain values; every count is since the open.
//! Owns: nothing.
//! Invariants: findings are in the order of segment ids, then offsets.
//! Must not: hold file handles or decide anything.
//! Proved by: `damage_test.rs`, `wal_test.rs`.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Sequences from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// A segment that was unlinked to keep the cap although it was not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// First sequence that only this segment held.
    pub first_sequence: u64,
    /// Last sequence that only this segment held.
    pub last_sequence: u64,
    /// Records that only this segment held.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What [`crate::Wal::release`] unlinked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Segments unlinked.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How full the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segments, including what waits in memory for the next one.
    pub bytes: u64,
    /// Segments, the active or next one included.
    pub segments: u64,
    /// The cap on `bytes`.
    pub cap_bytes: u64,
    /// Bytes of records that no fsync has covered; they are also in memory.
    pub unsynced_bytes: u64,
    /// Bytes of files that are to go, not in `bytes`: released or shed but not unlinked yet because
    /// that failed, or with all records in memory on their way to another segment.
    pub stuck_bytes: u64,
}

impl Usage {
    /// `bytes` over `cap_bytes`, 0.0 to 1.0: at 0.5 the owner should persist early.
    pub fn ratio(&self) -> f64 {
        self.bytes as f64 / self.cap_bytes as f64
    }
}

/// Counters since the open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that `append` accepted.
    pub appended_records: u64,
    /// Their bytes, framed.
    pub appended_bytes: u64,
    /// Successful fsyncs of segments.
    pub syncs: u64,
    /// Failed fsyncs of segments; each poisoned one.
    pub failed_syncs: u64,
    /// Failed fsyncs of the folder.
    pub failed_dir_syncs: u64,
    /// Failed or short writes.
    pub failed_writes: u64,
    /// Segments abandoned after a failed fsync, or a failed write that could not be cut off.
    pub poisoned_segments: u64,
    /// Segments closed because of their size, the hour or a release.
    pub rotations: u64,
    /// Records shed.
    pub shed_records: u64,
    /// Bytes of the files shed.
    pub shed_bytes: u64,
    /// Segments shed.
    pub shed_segments: u64,
    /// Segments unlinked by a release.
    pub released_segments: u64,
    /// Unlinks that failed; each is tried again later.
    pub failed_unlinks: u64,
}

/// Why a file was walled off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It holds no record, and never did or never will.
    Empty,
    /// Its header is that of another segment: it was copied or renamed.
    Misnamed {
        /// Unix hour in the header.
        hour: u64,
        /// Segment id in the header.
        id: u64,
    },
    /// It was written by a newer format.
    UnknownVersion {
        /// The format version in the header.
        version: u32,
    },
    /// It is larger than any segment can be.
    Oversized {
        /// Its length.
        bytes: u64,
    },
    /// No record in it is intact.
    NothingIntact,
    /// It cannot be opened or read at all.
    Unreadable {
        /// The kind of the first error.
        kind: io::ErrorKind,
    },
    /// It has the name of a segment but is not a file.
    NotAFile,
    /// A copy that was not finished.
    Unfinished,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it holds no record"),
            Self::Misnamed { hour, id } => write!(f, "it is a copy of segment {id} of hour {hour}"),
            Self::UnknownVersion { version } => write!(f, "its format {version} is newer"),
            Self::Oversized { bytes } => write!(f, "{bytes} bytes are too many for a segment"),
            Self::NothingIntact => write!(f, "no record in it is intact"),
            Self::Unreadable { kind } => write!(f, "it cannot be read: {kind}"),
            Self::NotAFile => write!(f, "it is not a file"),
            Self::Unfinished => write!(f, "it is an unfinished copy"),
        }
    }
}

/// One thing that a start found and what it did about it. Offsets and lengths in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The end of the last write before a crash: cut off.
    TornTail {
        /// The segment.
        path: PathBuf,
        /// Where the tail began.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// A stretch without an intact record: skipped.
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where it begins.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// A segment with damage was copied before anything else was done; its intact records count.
    CopiedAside {
        /// The segment.
        path: PathBuf,
        /// The copy.
        to: PathBuf,
    },
    /// A file without use was moved.
    MovedAside {
        /// Where it was.
        path: PathBuf,
        /// Where it is.
        to: PathBuf,
        /// Why it cannot be used.
        reason: Reason,
    },
    /// A file was neither read nor touched.
    LeftInPlace {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// A file without content was unlinked.
    Removed {
        /// Where it was.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// More than 4 files had been set aside: this was the oldest, and was unlinked.
    Pruned {
        /// Where it was.
        path: PathBuf,
    },
    /// A file that is not the log's: not touched. Only the first 16 are listed.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Something that the start wanted to do did not work; it went on without.
    Failed {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The kind of the error.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { path, offset, bytes } => {
                write!(f, "{}: torn tail of {bytes} bytes at {offset}", path.display())
            }
            Self::Damaged { path, offset, bytes } => {
                write!(f, "{}: skipped {bytes} damaged bytes at {offset}", path.display())
            }
            Self::CopiedAside { path, to } => {
                write!(f, "{}: damaged, copied to {}", path.display(), to.display())
            }
            Self::MovedAside { path, to, reason } => {
                write!(f, "{}: moved to {}, {reason}", path.display(), to.display())
            }
            Self::LeftInPlace { path, reason } => {
                write!(f, "{}: left in place, {reason}", path.display())
            }
            Self::Removed { path, reason } => write!(f, "{}: removed, {reason}", path.display()),
            Self::Pruned { path } => {
                write!(f, "{}: removed, newer files have been set aside", path.display())
            }
            Self::Foreign { path } => write!(f, "{}: not a file of the WAL", path.display()),
            Self::Failed { path, doing, kind } => {
                write!(f, "{}: could not {doing}: {kind}", path.display())
            }
        }
    }
}

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments with at least one intact record.
    pub segments: u64,
    /// Records that the replay delivers, each sequence once.
    pub records: u64,
    /// Bytes of the intact frames, doubles included.
    pub bytes: u64,
    /// Intact records whose sequence another segment has too (written again after a failed fsync).
    pub duplicate_records: u64,
    /// Bytes of torn tails.
    pub torn_bytes: u64,
    /// Bytes of damaged stretches.
    pub damaged_bytes: u64,
    /// Files that are not the log's.
    pub foreign_files: u64,
    /// Sequences between intact ones that no intact record has: damaged, or never used (a refused
    /// append, an owner's mark that pushed the sequence up).
    pub missing: Vec<SequenceRange>,
    /// Segments beyond the cap (it was lowered): replayed now, shed by the first append that is
    /// not preceded by a release.
    pub over_cap: Vec<Shed>,
    /// Records that were intact at the start but could not be read again by the replay.
    pub unreplayed_records: u64,
    /// Everything out of the ordinary, in order.
    pub findings: Vec<Finding>,
}

impl RecoveryReport {
    /// True if every file was as an orderly or a crashed process leaves it.
    pub fn is_clean(&self) -> bool {
        self.findings
            .iter()
            .all(|f| matches!(f, Finding::TornTail { .. } | Finding::Removed { .. }))
    }

    pub(crate) fn failed(&mut self, path: PathBuf, doing: &'static str, error: &io::Error) {
        self.findings.push(Finding::Failed { path, doing, kind: error.kind() });
    }
}
