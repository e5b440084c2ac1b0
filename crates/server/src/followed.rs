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
    /// Of what is in force, and of what could not be used.
    stamps: ArcSwap<Stamps>,
    failed: ArcSwap<Option<Stamps>>,
    held: ArcSwap<T>,
}

/// When a file and what is said of it was changed, how long it is, which file it is.
type Stamp = (SystemTime, (i64, i64), u64, u64);
type Stamps = Vec<Option<Stamp>>;

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
        let (stamps, failed) = (ArcSwap::from_pointee(stamps), ArcSwap::from_pointee(None));
        Ok(Self { files, stamps, failed, held })
    }

    /// What is in force.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.held.load()
    }

    /// Reads again if a file has changed since what is in force; `None` if none has. What cannot be used
    /// is tried again at every call, and told once for each change.
    ///
    /// # Errors
    /// Those of `read`; what was in force stays so.
    pub(crate) fn follow<E>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<Arc<T>, E>> {
        let found: Stamps = self.files.iter().map(|path| stamp(path)).collect();
        if found == **self.stamps.load() {
            return None;
        }
        match read() {
            Ok(read) => {
                let read = Arc::new(read);
                self.held.store(Arc::clone(&read));
                self.stamps.store(Arc::new(found));
                Some(Ok(read))
            }
            Err(error) => {
                let is_told = self.failed.load().as_ref().as_ref() == Some(&found);
                self.failed.store(Arc::new(Some(found)));
                (!is_told).then_some(Err(error))
            }
        }
    }
}
