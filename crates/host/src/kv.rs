//! User data on RocksDB.
//!
//! Owns: every key outside `!admin|` (values as in `value.rs`).
//! Invariants: what was acknowledged is in RocksDB's log, so that kill -9 loses nothing (V1); a
//! write holds the stripes of its keys from its first read to its batch, so that INCR, SET NX and
//! the like are atomic (V2); a value whose time has come is absent to everyone, and compaction
//! removes it (V3); scans never leave user data (V4).
//! Must not: count anything, or know about ranges. The dispatcher keeps `!admin|` keys away from
//! point operations; scans skip them here.
//! Proof: `commands_test.rs`, `kv_test.rs`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use keyviz_lineage::Clock;
use rocksdb::compaction_filter::Decision;
use rocksdb::{BlockBasedOptions, DB, DBRawIterator, Options, WriteBatch};

use crate::error::HostError;
use crate::keys::{RESERVED, RESERVED_END, is_reserved};
use crate::value::{self, Stored};

const STRIPES: usize = 1_024;
/// Files that the database keeps open at a time.
pub(crate) const MAX_OPEN_FILES: i32 = 256;

/// User data.
pub(crate) struct Kv {
    db: Arc<DB>,
    clock: Arc<dyn Clock>,
    stripes: Box<[Mutex<()>]>,
}

/// What a write does to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Put(Stored),
    Delete,
}

/// Opens the database.
pub(crate) fn open_database(path: &Path, clock: Arc<dyn Clock>) -> Result<Arc<DB>, HostError> {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_keep_log_file_num(4);
    // Most file handles are for clients.
    options.set_max_open_files(MAX_OPEN_FILES);
    options.increase_parallelism(2);
    options.set_compaction_filter("keyviz_host_expired", move |_, key: &[u8], bytes: &[u8]| {
        // V3
        if !is_reserved(key) && value::is_expired(bytes, clock.unix_ms()) {
            Decision::Remove
        } else {
            Decision::Keep
        }
    });
    DB::open(&options, path)
        .map(Arc::new)
        .map_err(|source| HostError::Open { path: path.to_owned(), source })
}

impl Kv {
    pub(crate) fn new(db: Arc<DB>, clock: Arc<dyn Clock>) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Self { db, clock, stripes }
    }

    /// The time that decides about expiry, Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Stored>, HostError> {
        let Some(bytes) = self.db.get_pinned(key).map_err(read_error)? else { return Ok(None) };
        let (expires_ms, data) = value::decode(key, &bytes)?;
        if expires_ms.is_some_and(|ms| ms <= self.now_ms()) {
            return Ok(None);
        }
        Ok(Some(Stored { data: Bytes::copy_from_slice(data), expires_ms }))
    }

    /// Runs `work` while nobody else writes any of `keys` (V2).
    pub(crate) fn locked<'k, T>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
        work: impl FnOnce() -> T,
    ) -> T {
        let mut wanted: Vec<usize> = keys.map(stripe_of).collect();
        // Ascending, so that two writers never wait for each other.
        wanted.sort_unstable();
        wanted.dedup();
        let _held: Vec<MutexGuard<'_, ()>> = wanted
            .into_iter()
            .map(|stripe| self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        work()
    }

    /// Writes one key.
    pub(crate) fn edit(&self, key: &[u8], edit: &Edit) -> Result<(), HostError> {
        match edit {
            Edit::Put(stored) => self.db.put(key, value::encode(&stored.data, stored.expires_ms)),
            Edit::Delete => self.db.delete(key),
        }
        .map_err(write_error)
    }

    /// Writes several keys, all or none. Later edits of a key win.
    pub(crate) fn edit_all<'k>(
        &self,
        edits: impl Iterator<Item = (&'k [u8], Edit)>,
    ) -> Result<(), HostError> {
        let mut batch = WriteBatch::default();
        for (key, edit) in edits {
            match edit {
                Edit::Put(stored) => batch.put(key, value::encode(&stored.data, stored.expires_ms)),
                Edit::Delete => batch.delete(key),
            }
        }
        self.db.write(batch).map_err(write_error)
    }

    /// Visits the user keys that have not expired in key order, from the first after `after` (from
    /// the very first without it), until `visit` says stop. Returns the last key visited, or `None`
    /// when the end was reached.
    pub(crate) fn scan(
        &self,
        after: Option<&[u8]>,
        mut visit: impl FnMut(&[u8]) -> Walk,
    ) -> Result<Option<Vec<u8>>, HostError> {
        let now_ms = self.now_ms();
        let mut cursor = self.db.raw_iterator();
        match after {
            None => cursor.seek_to_first(),
            Some(key) => {
                cursor.seek(key);
                if cursor.key() == Some(key) {
                    cursor.next();
                }
            }
        }
        loop {
            skip_reserved(&mut cursor);
            let (Some(key), Some(bytes)) = (cursor.key(), cursor.value()) else { break };
            let walk = if value::is_expired(bytes, now_ms) { Walk::On } else { visit(key) };
            if let Walk::Stop = walk {
                return Ok(Some(key.to_vec()));
            }
            cursor.next();
        }
        cursor.status().map_err(read_error)?;
        Ok(None)
    }

    /// How many user keys there are.
    pub(crate) fn count(&self) -> Result<u64, HostError> {
        let mut count = 0;
        self.scan(None, |_| {
            count += 1;
            Walk::On
        })?;
        Ok(count)
    }

    /// About how many keys there are, without looking at them.
    pub(crate) fn estimate(&self) -> u64 {
        let property = self.db.property_int_value("rocksdb.estimate-num-keys");
        property.ok().flatten().unwrap_or(0)
    }

    /// Removes all user data and nothing of the system's. The caller makes sure that nobody writes.
    pub(crate) fn clear(&self) -> Result<(), HostError> {
        let mut last = self.db.raw_iterator();
        last.seek_to_last();
        let mut batch = WriteBatch::default();
        batch.delete_range(&b""[..], RESERVED);
        if let Some(key) = last.key().filter(|&key| key >= RESERVED_END) {
            batch.delete_range(RESERVED_END, key);
            batch.delete(key);
        }
        last.status().map_err(read_error)?;
        self.db.write(batch).map_err(write_error)
    }
}

/// Whether a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    On,
    Stop,
}

/// V4
fn skip_reserved(cursor: &mut DBRawIterator<'_>) {
    if cursor.key().is_some_and(is_reserved) {
        cursor.seek(RESERVED_END);
    }
}

fn stripe_of(key: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % STRIPES
}

fn read_error(source: rocksdb::Error) -> HostError {
    HostError::Database { action: "read", source }
}

fn write_error(source: rocksdb::Error) -> HostError {
    HostError::Database { action: "write", source }
}

#[cfg(test)]
#[path = "kv_test.rs"]
mod kv_test;
