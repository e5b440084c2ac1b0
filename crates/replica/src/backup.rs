//! A backup of a running recorder.
//!
//! Responsible for: taking hold of the WAL at one instant between two commits, then copying it and the
//! store beside everything else that goes on. Why that order: `keyviz_store::backup`.
//! Invariants: what was acknowledged before the call is in the backup, also where records were shed from
//! the WAL: then the store must have taken them first. Ingest waits for opening some files, not for
//! copying them.
//! Must not: write anywhere but into the backup folder.
//! Proof: `backup_test.rs`; `tests/tests/backup.rs` with a killed process.

use std::path::Path;
use std::time::Duration;

use futures::channel::oneshot;
use keyviz_store::StoreError;
use keyviz_store::backup::{Backups, Manifest, WalFile};
use keyviz_wal::{HeldSegment, WalError};
use thiserror::Error;

use crate::Recorder;
use crate::ingest::{Ingest, Job};

/// How long the store may take to hold what was shed from the WAL.
const STORE_WAIT: Duration = Duration::from_secs(60);

/// Why a backup was not taken.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(
        "the write-ahead log cannot be made durable now; free disk space or check the device (see /readyz), then take the backup again"
    )]
    NotDurable,
    #[error(
        "records were shed from the write-ahead log and the store has not taken them: a backup would lack them; free disk space or check the device, then take it again"
    )]
    Shed,
    #[error(
        "the recorder is stopping; take the backup after its restart, or of the stopped folder"
    )]
    Stopping,
}

/// The log at one instant.
#[derive(Debug)]
pub(crate) struct Held {
    segments: Vec<HeldSegment>,
    /// The sequence that the next record would have got.
    next_sequence: u64,
    has_shed: bool,
}

impl Ingest {
    /// Takes hold of the WAL once everything that was handled is durable.
    pub(crate) fn hold_wal(&mut self) -> Result<Held, BackupError> {
        self.finish();
        if !self.limbo.is_empty() {
            return Err(BackupError::NotDurable);
        }
        Ok(Held {
            segments: self.wal.hold()?,
            next_sequence: self.wal.next_sequence(),
            has_shed: self.shed.lock().is_outstanding(),
        })
    }
}

impl Recorder {
    /// Takes a backup into the folder `to`, which is made if need be. Blocking: as long as copying takes.
    ///
    /// # Errors
    /// See [`BackupError`]. What is in the folder already is as it was.
    pub fn backup(&self, to: &Path) -> Result<Manifest, BackupError> {
        // First of all, so that a second backup at the same time ends here.
        let backups = Backups::open(to)?;
        let (reply, held) = oneshot::channel();
        self.jobs.send(Job::HoldWal { reply }).map_err(|_| BackupError::Stopping)?;
        let held = futures::executor::block_on(held).map_err(|_| BackupError::Stopping)??;
        if held.has_shed {
            self.shared.checkpoint.persist_and_wait(STORE_WAIT);
            let needed = self.shared.memory().first_needed();
            if needed.is_some_and(|needed| needed < held.next_sequence) {
                return Err(BackupError::Shed);
            }
        }
        Ok(backups.take(&self.shared.store, files(held.segments), self.shared.clock.unix_ms())?)
    }
}

/// Held segments as the store copies them.
pub fn files(segments: Vec<HeldSegment>) -> Vec<WalFile> {
    segments
        .into_iter()
        .map(|segment| WalFile {
            name: segment.name().to_owned(),
            bytes: segment.file_bytes(),
            reader: Box::new(segment),
        })
        .collect()
}

#[cfg(test)]
#[path = "backup_test.rs"]
mod backup_test;
