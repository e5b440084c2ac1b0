//! The data folder: what lies in it, and the lock that keeps a second process out.
//!
//! ```text
//! <data dir>/LOCK    locked while a process uses the folder
//! <data dir>/db/     RocksDB
//! <data dir>/wal/    write-ahead log segments
//! <data dir>/db.before-<n>/ the folder as it was at schema version n, for a while after an upgrade
//! <data dir>/db-before-repair-<n>/    RocksDB as it was before a repair; it may be removed by hand
//! ```

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{StoreError, migrate};

const LOCK: &str = "LOCK";
const DB: &str = "db";
const WAL: &str = "wal";
const BEFORE_REPAIR: &str = "db-before-repair-";

/// A data folder that this process holds.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock, which the system drops with the process. Absent where the folder was opened
    /// for reading and has no lock file: a process that used it would have made one.
    _lock: Option<File>,
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
        check_names(path)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(folder)?;
        Self::take(path, Some(lock))
    }

    /// Takes the lock of a folder that is there, and changes nothing in it: no file is created.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no store; else as [`DataDir::lock`].
    pub fn lock_for_reading(path: &Path) -> Result<Self, StoreError> {
        let missing = |reason| StoreError::Missing { path: path.to_owned(), reason };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => check_names(path)?,
            Ok(_) => return Err(missing("it is not a folder")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(missing("there is nothing at this path"));
            }
            Err(source) => return Err(StoreError::Folder { path: path.to_owned(), source }),
        }
        let lock = match File::open(path.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(StoreError::Folder { path: path.to_owned(), source }),
        };
        let held = Self::take(path, lock)?;
        if !held.db().join("CURRENT").exists() {
            return Err(missing("it has no db/CURRENT"));
        }
        Ok(held)
    }

    /// Takes the lock of a folder that is there, for changing what it holds.
    ///
    /// # Errors
    /// As [`DataDir::lock_for_reading`].
    pub fn lock_existing(path: &Path) -> Result<Self, StoreError> {
        drop(Self::lock_for_reading(path)?);
        Self::lock(path)
    }

    fn take(path: &Path, lock: Option<File>) -> Result<Self, StoreError> {
        let path = path.to_owned();
        match lock.as_ref().map_or(Ok(()), File::try_lock) {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(StoreError::Folder { path, source }),
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

    /// A folder that is not there yet, for RocksDB as it is before a repair.
    pub fn before_repair(&self) -> PathBuf {
        let names = (1u64..).map(|n| self.path.join(format!("{BEFORE_REPAIR}{n}")));
        // invariant: the numbers do not end
        names.into_iter().find(|path| !path.exists()).expect("invariant: a number that is free")
    }
}

/// Where RocksDB and the WAL live in the data folder at `path`.
pub(crate) fn parts(path: &Path) -> (PathBuf, PathBuf) {
    (path.join(DB), path.join(WAL))
}

fn check_names(path: &Path) -> Result<(), StoreError> {
    let folder = |source| StoreError::Folder { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(folder)? {
        let name = entry.map_err(folder)?.file_name();
        let is_ours = [LOCK, DB, WAL, "lost+found"].iter().any(|ours| name == *ours)
            || migrate::is_checkpoint_of(DB, &name.to_string_lossy())
            || name.to_str().is_some_and(|name| name.starts_with(BEFORE_REPAIR));
        if !is_ours {
            let found = name.to_string_lossy().into_owned();
            return Err(StoreError::Foreign { path: path.to_owned(), found });
        }
    }
    Ok(())
}
