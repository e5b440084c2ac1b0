//! A store that nobody uses, read without changing a byte of it.
//!
//! Responsible for: opening RocksDB read-only, and one walk over every pair that goes on behind what
//! cannot be read.
//! Invariants: no file is created, written or removed (a read-only RocksDB writes no log either); the
//! walk holds one block in memory and does not fill the cache; every block's checksum is verified by
//! RocksDB as it is read, and the status of every iterator is asked; what cannot be read is told as the
//! stretch between its two readable neighbours.
//! Must not: judge what a value says.
//! Proof: `offline_test.rs`.

use std::path::{Path, PathBuf};

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::Mark;
use rocksdb::{ColumnFamily, DB, DBRawIterator, LiveFile, ReadOptions};

use crate::StoreError;
use crate::copies::{self, COPIES};
use crate::open::{FAMILY, base_options};

/// Files that RocksDB keeps open during a walk. The others are opened when their turn comes, so a
/// file that cannot be opened does not keep the rest from being read.
const OPEN_FILES: i32 = 64;
/// Bytes of a key that the search for the end of an unreadable stretch tells apart.
const SEARCHED_BYTES: usize = 96;

/// A store, opened for reading alone.
#[derive(Debug)]
pub struct OfflineStore {
    db: DB,
    path: PathBuf,
    /// Why RocksDB would not open it as a node does, if it would not.
    pub(crate) refusal: Option<rocksdb::Error>,
}

/// Keys that cannot be read: those between the two.
#[derive(Debug)]
pub(crate) struct Unreadable<'a> {
    /// The last readable physical key before them; empty at the beginning.
    pub(crate) after: &'a [u8],
    /// The first readable physical key behind them; `None` at the end.
    pub(crate) before: Option<&'a [u8]>,
    /// What RocksDB says; it names the file.
    pub(crate) source: rocksdb::Error,
}

/// What a walk meets.
pub(crate) trait Walker {
    fn pair(&mut self, key: &[u8], value: &[u8]);
    fn unreadable(&mut self, stretch: &Unreadable<'_>);
}

impl OfflineStore {
    /// Opens RocksDB in `path`. Damage that keeps a node from opening it is kept in
    /// `refusal` where the rest can be read all the same.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Foreign`]; [`StoreError::NewerSchema`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let mut options = base_options();
        options.set_max_open_files(OPEN_FILES);
        let families = DB::list_cf(&options, path).map_err(failed)?;
        if !families.iter().any(|family| family == FAMILY) {
            let found = format!("a RocksDB without the column family {FAMILY:?}");
            return Err(StoreError::Foreign { path: path.to_owned(), found });
        }
        let (db, refusal) = match DB::open_cf_for_read_only(&options, path, &families, false) {
            Ok(db) => (db, None),
            Err(refusal) => {
                options.set_paranoid_checks(false);
                let lenient = DB::open_cf_for_read_only(&options, path, &families, false);
                (lenient.map_err(|_| failed(refusal.clone()))?, Some(refusal))
            }
        };
        let store = Self { db, path: path.to_owned(), refusal };
        match store.schema() {
            Some(Ok(found)) if found > keyviz_migrations::CURRENT => Err(StoreError::NewerSchema {
                path: path.to_owned(),
                found,
                known: keyviz_migrations::CURRENT,
            }),
            _ => Ok(store),
        }
    }

    /// The schema version: absent in an empty store, an error where it cannot be read.
    pub fn schema(&self) -> Option<Result<u64, String>> {
        let key = Key::Schema.encode(NODE_GROUP);
        let read = self.db.get_cf(self.family(), &key);
        match copies::either(read, || self.db.get_cf(self.copies(), &key)) {
            Ok(value) => value.map(|value| u64::decode(&value).map_err(|error| error.to_string())),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// Visits every pair that can be read, in key order, and tells of those that cannot.
    pub(crate) fn walk(&self, walker: &mut dyn Walker) {
        self.walk_in(self.family(), walker);
    }

    /// As [`OfflineStore::walk`], over the second copies of what is kept twice.
    pub(crate) fn walk_copies(&self, walker: &mut dyn Walker) {
        self.walk_in(self.copies(), walker);
    }

    fn walk_in(&self, family: &ColumnFamily, walker: &mut dyn Walker) {
        let mut last: Vec<u8> = Vec::new();
        let mut from: Vec<u8> = Vec::new();
        loop {
            let mut cursor = self.cursor(family);
            cursor.seek(&from);
            while let Some((key, value)) = cursor.item() {
                walker.pair(key, value);
                last.clear();
                last.extend_from_slice(key);
                cursor.next();
            }
            let Err(source) = cursor.status() else { return };
            let reached = last.as_slice().max(from.as_slice());
            let before = first_readable_after(&|| self.cursor(family), reached);
            walker.unreadable(&Unreadable { after: &last, before: before.as_deref(), source });
            match before {
                Some(key) => from = key,
                None => return,
            }
        }
    }

    fn cursor(&self, family: &ColumnFamily) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        self.db.raw_iterator_cf_opt(family, options)
    }

    /// RocksDB's files.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub(crate) fn files(&self) -> Result<Vec<LiveFile>, StoreError> {
        self.db.live_files().map_err(|source| StoreError::Open { path: self.path.clone(), source })
    }

    fn family(&self) -> &ColumnFamily {
        // invariant: `open` has seen it in the list of families and opened them all
        self.db.cf_handle(FAMILY).expect("invariant: opened with this family")
    }

    fn copies(&self) -> &ColumnFamily {
        // invariant: every RocksDB has the family `default`, and `open` has opened them all
        self.db.cf_handle(COPIES).expect("invariant: opened with this family")
    }
}

/// The first key behind an unreadable stretch, whose last readable neighbour is `key`. RocksDB does not
/// tell where a bad block ends, so targets are tried: ever farther until one can be reached, then back to
/// the nearest. A cursor for each: one that has met damage does not tell it again everywhere.
pub(crate) fn first_readable_after<'a>(
    cursor: &dyn Fn() -> DBRawIterator<'a>,
    key: &[u8],
) -> Option<Vec<u8>> {
    let reached = |target: &[u8]| {
        let mut cursor = cursor();
        cursor.seek(target);
        let is_behind = cursor.key().is_none_or(|found| found > key);
        (cursor.status().is_ok() && is_behind).then(|| cursor.key().map(<[u8]>::to_vec))
    };
    let mut low = key.to_vec();
    low.truncate(SEARCHED_BYTES);
    low.resize(SEARCHED_BYTES, 0);
    let bits = 8 * SEARCHED_BYTES;
    let far = (0..bits)
        .step_by(4)
        .find(|&bit| plus_bit(&low, bit).is_none_or(|target| reached(&target).is_some()));
    for bit in (0..far.unwrap_or(bits)).rev() {
        if let Some(target) = plus_bit(&low, bit)
            && reached(&target).is_none()
        {
            low = target;
        }
    }
    reached(&plus_bit(&low, 0)?).flatten()
}

/// A big-endian number plus 2^bit; `None` beyond its last.
fn plus_bit(number: &[u8], bit: usize) -> Option<Vec<u8>> {
    let mut sum = number.to_vec();
    let mut carry = 1u16 << (bit % 8);
    for byte in sum.iter_mut().rev().skip(bit / 8) {
        carry += u16::from(*byte);
        *byte = carry as u8;
        carry >>= 8;
        if carry == 0 {
            return Some(sum);
        }
    }
    None
}

#[cfg(test)]
#[path = "offline_test.rs"]
pub(crate) mod offline_test;
