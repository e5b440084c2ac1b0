//! A capped, checksummed write-ahead log of opaque records.
//!
//! Responsible for: keeping records that the owner has not yet persisted elsewhere, so that they
//! survive `kill -9` under any [`SyncPolicy`] and power loss once [`Wal::commit`] said so under
//! [`SyncPolicy::EveryRecord`].
//!
//! Owns: the files below in one folder. The lock on the folder is the owner's.
//!
//! | file | what it is |
//! |---|---|
//! | `wal-<hour>-<id>.log` | a segment; `hour` is the Unix hour (8 digits), `id` the segment id (20 digits) |
//! | `wal-<hour>-<id>.log.corrupt-<n>` | a bad segment, copied or moved aside; the 4 with the largest `n` are kept |
//! | `wal-<hour>-<id>.log.corrupt-<n>.partial` | a copy that a crash interrupted; removed at the next start |
//! | `owner-<anything>` | the owner's: neither touched nor reported |
//! | anything else | foreign: reported, never touched |
//!
//! A segment is a header and then frames without padding. Integers are little-endian.
//!
//! ```text
//! header, 40 bytes                          frame, 18 bytes + payload
//! offset size                               offset size
//!  0     8  magic "KVIZWAL1"                 0     4  CRC32 of (segment id, bytes 4..end)
//!  8     4  format version, 1                4     4  payload length in bytes
//! 12     8  segment id                       8     1  kind   (opaque to this crate)
//! 20     8  Unix hour                        9     1  flags  (opaque to this crate)
//! 28     8  sequence of the first record    10     8  record sequence, from 1
//! 36     4  CRC32 of bytes 0..36            18     n  payload
//! ```
//!
//! Every later format keeps the 40 header bytes where they are, so that an older build can tell a
//! newer segment (left in place) from a damaged one (copied aside).
//!
//! Invariants, by number (tests and `debug_assert!`s name them):
//!
//! - **W1** Nothing in the folder stops a start: only a folder that cannot be created or listed does.
//! - **W2** A segment is written by one process life only; after an open, records go to a new one.
//! - **W3** Inside a segment sequences rise strictly; over the life of the log each names one record.
//! - **W4** A frame verifies only under the id in its file's name: a copied file does not verify.
//! - **W5** After a failed fsync a file is never written or synced again; what it had not made
//!   durable is still in memory and goes to another segment.
//! - **W6** `commit` says Ok only if every record before it was part of a successful fsync of its
//!   file, and the file's name of a successful fsync of the folder (under `EveryRecord`). That
//!   includes the records of an earlier life.
//! - **W7** At most one segment holds records that were not synced.
//! - **W8** Segment bytes stay within `max_bytes` (not counting a segment that is being replaced,
//!   until the fsync of its successor); what is shed for that is whole files, the oldest
//!   first, never the active one, and each is reported; where the owner wants to know before
//!   ([`Wal::note_shed_by`]), nothing is shed that it could not note.
//! - **W9** A segment id is at least the sequence of its first record, so that an id is not used
//!   again after a full release and a restart.
//!
//! Must not: read a clock or draw random numbers (the hour comes with the record), look into a
//! payload, know another crate of the workspace, log, or block on anything but its files.
//!
//! Proved by: `wal_test.rs` (behaviour), `model_test.rs` (random histories against a model),
//! `damage_test.rs` (every torn offset, every flipped byte, bad files), `fault_test.rs` (every
//! file-system call failing in turn, power cuts), `layout_test.rs` and `scan_test.rs` (bytes).
//!
//! ```
//! use std::sync::Arc;
//! use keyviz_wal::{RealFs, Wal, WalOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path().join("wal");
//! let (mut wal, mut recovery) = Wal::open(Arc::new(RealFs), &dir, WalOptions::default())?;
//! while let Some(record) = recovery.next_record() {
//!     println!("{} {} {}", record.sequence, record.kind, record.payload.len());
//! }
//! let unix_hour = 495_000;
//! let sequence = wal.append(unix_hour, 1, 0, b"a column")?;
//! assert!(wal.commit()? >= sequence); // now it may be acknowledged
//! wal.release(sequence)?; // once it is persisted elsewhere
//! # Ok(())
//! # }
//! ```

mod aside;
mod error;
mod fs;
mod hold;
mod inspect;
mod layout;
mod options;
mod recovery;
mod replay;
mod report;
mod scan;
mod segment;
pub mod testing;
mod unsynced;
mod wal;

pub use error::WalError;
pub use fs::{Access, Entry, FileSystem, LogFile, RealFs};
pub use hold::{HeldSegment, hold_segments};
pub use inspect::{Inspection, SegmentView, inspect};
pub use layout::OWNERS_PREFIX;
pub use options::{SyncPolicy, WalOptions};
pub use replay::{Record, Recovery};
pub use report::{Finding, Reason, RecoveryReport, Released, SequenceRange, Shed, Stats, Usage};
pub use wal::{NewRecord, ShedNotes, Wal};

#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod fault_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod rig_test;
#[cfg(test)]
mod wal_test;
