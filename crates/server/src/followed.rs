//! Files that are read again when they change, so that a rotation needs no restart.
//!
//! Invariants: what was read last and could be used stays in force until something newer can be; a reader
//! takes no lock.
//! Must not: know what the files mean.
//! Proof: `auth_test.rs` and `tests/tests/tls.rs`, whose files these are.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};

/// Files, and what was made of them.
pub(crate) struct Followed<T> {
    files: Vec<PathBuf>,
    stamps: ArcSwap<Vec<Option<Stamp>>>,
    held: ArcSwap<T>,
}

/// When a file and what is said of it was changed, how long it is, which file it is.
type Stamp = (SystemTime, (i64, i64), u64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    // A `chmod` changes what may be done with it, and nothing else.
    let said = (found.ctime(), found.ctime_nsec());
    Some((found.modified().ok()?, said, found.len(), found.ino()))
}

impl<T> Followed<T> {
    /// What `read` makes of these files.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn open<E>(
        files: Vec<PathBuf>,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<Self, E> {
        // Taken first: what is changed meanwhile is read once more.
        let stamps = files.iter().map(|path| stamp(path)).collect();
        let held = ArcSwap::from_pointee(read()?);
        Ok(Self { files, stamps: ArcSwap::from_pointee(stamps), held })
    }

    /// What is in force.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.held.load()
    }

    /// Reads again if a file has changed since the last time; `None` if none has.
    ///
    /// # Errors
    /// Those of `read`; what was in force stays so.
    pub(crate) fn follow<E>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<Arc<T>, E>> {
        let found: Vec<_> = self.files.iter().map(|path| stamp(path)).collect();
        if found == **self.stamps.load() {
            return None;
        }
        self.stamps.store(Arc::new(found));
        Some(read().map(|read| {
            let read = Arc::new(read);
            self.held.store(Arc::clone(&read));
            read
        }))
    }
}
