//! The data folder: its marker, its lock, its database.
//!
//! | file | content |
//! |---|---|
//! | `keyviz-host.json` | `{"format":1}`: this folder is ours |
//! | `keyviz-host.lock` | locked while a host runs |
//! | `db/` | RocksDB |
//!
//! Invariant: a folder that holds anything else is never written to.
//! Proof: `data_dir_test.rs`.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::HostError;

const MARKER: &str = "keyviz-host.json";
const MARKER_NEW: &str = "keyviz-host.json.new";
const LOCK: &str = "keyviz-host.lock";
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u64,
}

/// A data folder that this process holds the lock of.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens or creates the folder and takes its lock.
    ///
    /// # Errors
    /// Locked by another process, not writable, foreign content, a newer format.
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        fs::create_dir_all(path).map_err(|source| at("create", path, source))?;
        if !path.join(MARKER).exists() {
            refuse_foreign(path)?;
        }
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| at("open", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HostError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(at("lock", &lock_path, source)),
        }
        check_marker(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where the database lives.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("db")
    }
}

fn refuse_foreign(path: &Path) -> Result<(), HostError> {
    for entry in fs::read_dir(path).map_err(|source| at("read", path, source))? {
        let name = entry.map_err(|source| at("read", path, source))?.file_name();
        if name != LOCK && name != MARKER && name != MARKER_NEW && name != "lost+found" {
            let found = name.to_string_lossy().into_owned();
            return Err(HostError::Foreign { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// Reads the marker, or writes it into a folder that has none yet (whole or not at all).
fn check_marker(path: &Path) -> Result<(), HostError> {
    let marker_path = path.join(MARKER);
    if !marker_path.exists() {
        let text = format!("{{\"format\":{FORMAT}}}\n");
        let new_path = path.join(MARKER_NEW);
        fs::write(&new_path, text).map_err(|source| at("write", &new_path, source))?;
        return fs::rename(&new_path, &marker_path)
            .map_err(|source| at("write", &marker_path, source));
    }
    let text = fs::read(&marker_path).map_err(|source| at("read", &marker_path, source))?;
    let marker: Marker = serde_json::from_slice(&text).map_err(|error| HostError::DamagedFile {
        path: marker_path.clone(),
        reason: error.to_string(),
    })?;
    if marker.format != FORMAT {
        let (path, found, known) = (path.to_owned(), marker.format, FORMAT);
        return Err(HostError::NewerFormat { path, found, known });
    }
    Ok(())
}

fn at(action: &'static str, path: &Path, source: std::io::Error) -> HostError {
    HostError::Path { action, path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "data_dir_test.rs"]
mod data_dir_test;
