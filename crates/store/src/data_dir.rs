//! The data folder: what lies in it, and the lock that keeps a second process out.
//!
//! ```text
//! <data dir>/LOCK           locked while a process uses the folder
//! <data dir>/db/            RocksDB
//! <data dir>/db.before-<n>/ the folder as it was at schema version n, for a while after an upgrade
//! <data dir>/wal/           write-ahead log segments
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{StoreError, migrate};

const LOCK: &str = "LOCK";
const DB: &str = "db";
const WAL: &str = "wal";

/// A data folder that this process holds.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock, which the system drops with the process.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if need be and takes its lock.
    ///
    /// # Errors
    /// [`StoreError::Folder`], [`StoreError::Locked`], or [`StoreError::Foreign`] when it holds
    /// something that is not keyviz's.
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        let folder = |source| StoreError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(folder)?;
        for entry in fs::read_dir(path).map_err(folder)? {
            let name = entry.map_err(folder)?.file_name();
            let is_ours = [LOCK, DB, WAL, "lost+found"].iter().any(|ours| name == *ours);
            if !is_ours && !migrate::is_checkpoint_of(DB, &name.to_string_lossy()) {
                let found = name.to_string_lossy().into_owned();
                return Err(StoreError::Foreign { path: path.to_owned(), found });
            }
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(folder(source)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where RocksDB lives.
    pub fn db(&self) -> PathBuf {
        self.path.join(DB)
    }

    /// Where the WAL lives.
    pub fn wal(&self) -> PathBuf {
        self.path.join(WAL)
    }
}
