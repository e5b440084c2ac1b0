//! What is kept twice: marks and numbers, each a second time in a column family of its own.
//!
//! Without the applied mark of a group the WAL would count twice or not at all, without a boot mark what
//! a source sends again would, and without a number nobody knows whose roll-up it is. All of them are
//! small, and nothing else says them. RocksDB gives up a block of a file as a whole where one bit of it
//! is wrong, so the second copy lies in another file: families share none.
//!
//! Owns: the family named `default`, which RocksDB wants to be there anyway.
//! Invariants: both are written by the same batch ([`crate::Store::commit`]) and reach files by the same
//! flush; a start reads, before it changes anything, all of either the one or the other, and is refused
//! where it cannot; no block is ever used whose checksum failed, RocksDB can crash on one.
//! A folder from before schema version 4 has no copies until its upgrade has ended.
//! Proof: `copies_test.rs`; `tests/tests/damaged_store.rs` with real files.

use std::path::Path;
use std::sync::atomic::Ordering;

use keyviz_codec::Key;
use keyviz_codec::key_layout::{NODE_GROUP, prefix};
use keyviz_codec::marks::Mark as _;
use rocksdb::{ColumnFamily, DB, DBRawIterator, Error, ErrorKind, ReadOptions};

use crate::open::{FAMILY, base_options};
use crate::{Store, StoreError};

/// The family of the second copies.
pub(crate) const COPIES: &str = "default";
/// The schema version from which on they are there.
pub(crate) const SINCE_SCHEMA: u64 = 4;

impl Store {
    pub(crate) fn copies(&self) -> &ColumnFamily {
        // invariant: `open` names the family in its descriptors, so it exists
        self.db.cf_handle(COPIES).expect("invariant: opened with this family")
    }

    /// Whether what is not among the copies is not there at all.
    pub(crate) fn copies_are_whole(&self) -> bool {
        self.copies_whole.load(Ordering::Relaxed)
    }
}

/// Reads the schema version, and whether every mark and number can be read in one of its two places,
/// without changing anything. A kill between creating the folder and its first write leaves no version:
/// it is empty.
pub(crate) fn schema_of(path: &Path) -> Result<Option<u64>, StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let families = DB::list_cf(&base_options(), path).map_err(open)?;
    if !families.iter().any(|family| family == FAMILY) {
        let found = format!(
            "a RocksDB without the column family {FAMILY}, or one whose MANIFEST is damaged: then restore a backup"
        );
        return Err(StoreError::Foreign { path: path.to_owned(), found });
    }
    let db = DB::open_cf_for_read_only(&base_options(), path, &families, false).map_err(open)?;
    let Some((family, copies)) = db.cf_handle(FAMILY).zip(db.cf_handle(COPIES)) else {
        return Ok(None);
    };
    let key = Key::Schema.encode(NODE_GROUP);
    let stored = either(db.get_cf(family, &key), || db.get_cf(copies, &key)).map_err(open)?;
    let decoded = stored.map(|stored| u64::decode(&stored)).transpose();
    let schema = decoded.map_err(|source| {
        let key = Key::Schema.to_string();
        StoreError::Damaged { group: NODE_GROUP, key, source }
    })?;
    let has_copies = schema.is_none_or(|schema| schema >= SINCE_SCHEMA);
    let cursor = |family| db.raw_iterator_cf_opt(family, passing_by());
    if !has_copies || can_be_read(&mut cursor(copies)).is_err() {
        marks_can_be_read(&mut cursor(family)).map_err(open)?;
    }
    Ok(schema)
}

/// A value, or its copy where that block is corrupt and the copy is there.
pub(crate) fn either(
    value: Result<Option<Vec<u8>>, Error>,
    copy: impl FnOnce() -> Result<Option<Vec<u8>>, Error>,
) -> Result<Option<Vec<u8>>, Error> {
    match value {
        Err(error) if error.kind() == ErrorKind::Corruption => match copy() {
            Ok(Some(copy)) => Ok(Some(copy)),
            _ => Err(error),
        },
        value => value,
    }
}

fn passing_by() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options
}

fn can_be_read(cursor: &mut DBRawIterator<'_>) -> Result<(), Error> {
    cursor.seek_to_first();
    while cursor.valid() {
        cursor.next();
    }
    cursor.status()
}

/// Every mark and number of every group, where they lie among all the rest.
fn marks_can_be_read(cursor: &mut DBRawIterator<'_>) -> Result<(), Error> {
    let mut group = NODE_GROUP;
    loop {
        cursor.seek(group.to_be_bytes());
        let Some((found, _)) = cursor.key().and_then(<[u8]>::split_first_chunk) else { break };
        group = u64::from_be_bytes(*found);
        for first in [prefix::meta(group), prefix::numbers(group)] {
            cursor.seek(&first);
            while cursor.key().is_some_and(|key| key.starts_with(&first)) {
                cursor.next();
            }
            cursor.status()?;
        }
        match group.checked_add(1) {
            Some(next) => group = next,
            None => break,
        }
    }
    cursor.status()
}

#[cfg(test)]
#[path = "copies_test.rs"]
mod copies_test;
