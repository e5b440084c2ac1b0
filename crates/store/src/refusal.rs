//! Whether RocksDB takes writes, and what may be done about it.
//!
//! After some failures RocksDB goes on by itself (no space left), after others (an fsync of its own log)
//! it refuses every write until it is opened anew, and does not count that as a background error. So
//! what counts is what it said to the last write.
//!
//! Owns: the last refusal, and `db/keyviz.probe` for a moment.
//! Must not: decide when to try again, or to open anew.
//! Proof: `tests/src/torture/reopens.rs`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;

use crate::{Batch, Store, StoreError};

/// As much as RocksDB may want at once for its log.
const PROBE_BYTES: usize = 1 << 20;
const PROBE: &str = "keyviz.probe";

/// What RocksDB said to the last write, where it refused it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    said: Mutex<Option<String>>,
}

impl Refusal {
    pub(crate) fn heard(&self, written: &Result<(), StoreError>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        *said = match written {
            Ok(()) => None,
            Err(StoreError::Write { source }) => Some(source.to_string()),
            Err(error) => Some(error.to_string()),
        };
    }
}

impl Store {
    /// What RocksDB said to the last write, where it refused it.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A write that changes nothing: whether RocksDB takes writes again.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn try_write(&self) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put_mark(NODE_GROUP, &Key::Schema, &keyviz_migrations::CURRENT);
        self.commit(&batch)
    }

    /// Whether the disk takes a file beside RocksDB's, and syncs it. Where it does and RocksDB still
    /// refuses, only opening it anew helps.
    ///
    /// # Errors
    /// What the disk said.
    pub fn try_disk(&self) -> io::Result<()> {
        let path = self.path().join(PROBE);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0; PROBE_BYTES])?;
            file.sync_all()
        });
        // A disk that is full keeps an empty one.
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}
