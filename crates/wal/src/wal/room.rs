//! Making room: what the cap sheds and what the owner releases.
//!
//! Responsible for: unlinking closed segments, the oldest first; trying failed unlinks again.
//! Owns: nothing of its own; it works on the state of [`Wal`].
//! Invariants: W8; the active segment is never unlinked, only closed when a release covers it.
//! Must not: fail an append because a file could not be unlinked.
//! Proved by: `wal_test.rs`, `fault_test.rs`.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use super::Wal;
use crate::error::WalError;
use crate::layout::{HEADER_LEN, frame_bytes};
use crate::report::{Released, Shed};
use crate::segment::{Active, FileError, Superseded, plan_shed};

impl Wal {
    /// Sheds the oldest closed segments until `bytes` more fit (W8). Fails with the segment that has to
    /// stay because what it holds could not be noted.
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<(), FileError> {
        let (mut any, mut result) = (false, Ok(()));
        while self.bytes() + bytes > self.options.max_bytes {
            let Some(oldest) = self.closed.front() else { break };
            let shed = oldest.as_shed();
            if let (Some(notes), Some(shed)) = (&mut self.notes, &shed)
                && let Err(source) = notes.note(shed)
            {
                result = Err(FileError { path: oldest.path.clone(), source });
                break;
            }
            let Some(oldest) = self.closed.pop_front() else { break };
            self.closed_bytes -= oldest.bytes;
            if let Some(shed) = shed {
                self.stats.shed_segments += 1;
                self.stats.shed_records += shed.records;
                self.stats.shed_bytes += shed.bytes;
                self.shed.push(shed);
            }
            self.unlink(oldest.path, oldest.bytes).ok(); // counted, and tried again later
            any = true;
        }
        if any && self.fs.sync_dir(&self.dir).is_err() {
            self.stats.failed_dir_syncs += 1; // the files may be back after a crash: no harm
        }
        result
    }

    /// What appending one record of `payload_bytes` now would shed, the oldest first: the owner may
    /// note it durably before it happens.
    pub fn would_shed(&self, hour: u64, payload_bytes: usize) -> Vec<Shed> {
        let bytes = frame_bytes(payload_bytes);
        let segment_bytes = self.options.segment_bytes;
        let rotated = self.active.as_ref().filter(|a| a.is_over(hour, bytes, segment_bytes));
        let rotated = rotated.map(Active::close);
        let fresh = rotated.is_some() || (self.active.is_none() && self.unsynced.is_empty());
        let header = if fresh { HEADER_LEN as u64 } else { 0 };
        let total = self.bytes() + header + bytes;
        plan_shed(self.closed.iter().chain(&rotated), total, self.options.max_bytes)
    }

    /// What was shed since the last call, the oldest first.
    pub fn take_shed(&mut self) -> Vec<Shed> {
        std::mem::take(&mut self.shed)
    }

    /// The owner has every record up to `up_to` durably elsewhere: unlinks the segments that hold
    /// nothing after it. An active segment that holds nothing after it is closed for that.
    ///
    /// # Errors
    /// [`WalError::Unlink`] for the first file that could not be unlinked, or the folder if its
    /// fsync failed. Everything else was done, and a later release tries again.
    pub fn release(&mut self, up_to: u64) -> Result<Released, WalError> {
        let covered = |last: u64| last != 0 && last <= up_to;
        if self.active.as_ref().is_some_and(|a| covered(a.last_sequence())) {
            self.close_active();
        }
        self.unsynced.drop_through(up_to);
        if self.unsynced.is_empty() {
            self.durable_sequence = self.last_sequence;
        }
        let (released, closed): (VecDeque<_>, VecDeque<_>) =
            self.closed.drain(..).partition(|s| s.held_through <= up_to);
        self.closed = closed;
        self.unlink_superseded(|s| s.segment.held_through <= up_to);
        let mut first_error = self.unlink_stuck().err();
        let mut done = Released::default();
        for segment in released {
            self.closed_bytes -= segment.bytes;
            match self.unlink(segment.path, segment.bytes) {
                Ok(()) => {
                    done.segments += 1;
                    done.bytes += segment.bytes;
                    self.stats.released_segments += 1;
                }
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        if done.segments > 0
            && let Err(source) = self.fs.sync_dir(&self.dir)
        {
            self.stats.failed_dir_syncs += 1;
            first_error = first_error.or(Some(FileError { path: self.dir.clone(), source }));
        }
        match first_error {
            Some(FileError { path, source }) => Err(WalError::Unlink { path, source }),
            None => Ok(done),
        }
    }

    /// Unlinks a file, or keeps it for the next attempt.
    pub(super) fn unlink(&mut self, path: PathBuf, bytes: u64) -> Result<(), FileError> {
        match self.fs.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                self.stats.failed_unlinks += 1;
                self.stuck.push((path.clone(), bytes));
                Err(FileError { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Unlinks superseded segments whose records are safe elsewhere by now.
    pub(super) fn unlink_superseded(&mut self, safe: impl Fn(&Superseded) -> bool) {
        let (gone, superseded): (Vec<_>, Vec<_>) = self.superseded.drain(..).partition(safe);
        self.superseded = superseded;
        for Superseded { segment, .. } in gone {
            self.unlink(segment.path, segment.bytes).ok(); // counted, and tried again later
        }
    }

    fn unlink_stuck(&mut self) -> Result<(), FileError> {
        let mut result = Ok(());
        for (path, bytes) in std::mem::take(&mut self.stuck) {
            let unlinked = self.unlink(path, bytes);
            result = result.and(unlinked);
        }
        result
    }
}
