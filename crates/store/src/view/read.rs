//! The lowest reads: one key, a stretch of keys, the hours of one kind of key; and what is left to read
//! where RocksDB finds a block of a file corrupt.
//!
//! RocksDB gives up such a block as a whole (some KiB), and ends an iteration there. More can be read:
//! - What is kept by hour is looked up hour by hour from there on: only the hours of that block are
//!   errors, each in its place.
//! - What is not (marks, records, numbers, which lineages there are) is read once more without the
//!   checksums of blocks: every value has one of its own. It is told by [`crate::Store::damage`]. Keys
//!   have none, so this is not for what is kept by hour: one bit would move it to another hour.
//!
//! Proof: `tests/tests/damaged_store.rs`, with bits flipped in real files.

use std::ops::RangeInclusive;

use keyviz_codec::{CodecError, Key, key_layout};
use keyviz_lineage::GroupId;
use rocksdb::ReadOptions;

use super::{View, damaged_physical};
use crate::StoreError;

type Pair = (Vec<u8>, Vec<u8>);
/// An hour may have an error besides what is stored of it.
pub(super) type Hours<T> = Vec<(u64, Result<T, StoreError>)>;

impl View<'_> {
    pub(super) fn get<T>(
        &self,
        group: GroupId,
        key: &Key,
        decode: impl FnOnce(&[u8]) -> Result<T, CodecError>,
    ) -> Result<Option<T>, StoreError> {
        let read = |options: ReadOptions| {
            let read = self.snapshot.get_cf_opt(self.store.family(), key.encode(group), options);
            read.map_err(|source| StoreError::Read { group, key: key.to_string(), source })
        };
        let value = match key.expiry() {
            None => self.tolerant(read),
            Some(_) => read(ReadOptions::default()),
        };
        value?
            .map(|value| decode(&value).map_err(|source| StoreError::damaged(group, key, source)))
            .transpose()
    }

    /// What of a key can be read, even in a corrupt block: to be set aside, not to be believed.
    ///
    /// # Errors
    /// A read failure, naming the key.
    pub fn remains(&self, group: GroupId, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.tolerant(|options| {
            let read = self.snapshot.get_cf_opt(self.store.family(), key.encode(group), options);
            read.map_err(|source| StoreError::Read { group, key: key.to_string(), source })
        })
    }

    /// Every pair from `first` up to (not including) `end`.
    pub(super) fn scan(&self, first: Vec<u8>, end: Vec<u8>) -> Result<Vec<Pair>, StoreError> {
        self.scan_opt(first, end, ReadOptions::default())
    }

    fn scan_opt(
        &self,
        first: Vec<u8>,
        end: Vec<u8>,
        mut options: ReadOptions,
    ) -> Result<Vec<Pair>, StoreError> {
        options.set_iterate_lower_bound(first);
        options.set_iterate_upper_bound(end);
        let mut cursor = self.snapshot.raw_iterator_cf_opt(self.store.family(), options);
        let mut pairs = Vec::new();
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            pairs.push((key.to_vec(), value.to_vec()));
            cursor.next();
        }
        let key = || "a scan".to_owned();
        cursor.status().map_err(|source| StoreError::Read { group: 0, key: key(), source })?;
        Ok(pairs)
    }

    /// Every pair under a prefix of what is not kept by hour.
    pub(crate) fn scan_prefix(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let end = key_layout::prefix::end(prefix.to_vec());
        self.tolerant(|options| self.scan_opt(prefix.to_vec(), end.clone(), options))
    }

    /// Reads as usual; where RocksDB finds a corrupt block, once more without the checksums of blocks,
    /// which is told.
    pub(crate) fn tolerant<T>(
        &self,
        read: impl Fn(ReadOptions) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match read(ReadOptions::default()) {
            Err(error) if error.is_damage() => {
                let mut trusting = ReadOptions::default();
                trusting.set_verify_checksums(false);
                // Nobody else may find it in the cache as if it were good.
                trusting.fill_cache(false);
                let Ok(found) = read(trusting) else { return Err(error) };
                self.store.damage.met(error.to_string());
                Ok(found)
            }
            read => read,
        }
    }

    pub(super) fn hours<T>(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
        key_of: impl Fn(u64) -> Key,
        decode: impl Fn(&[u8]) -> Result<T, CodecError>,
    ) -> Hours<T> {
        let mut found: Hours<T> = Vec::new();
        for hours in self.visible(group, &key_of(0), hours) {
            let lost = self.set_aside(group, &hours, &key_of);
            found.extend(lost.into_iter().map(|(hour, error)| (hour, Err(error))));
            let mut end = key_of(*hours.end()).encode(group);
            end.push(0);
            match self.scan(key_of(*hours.start()).encode(group), end) {
                Ok(pairs) => found.extend(pairs.into_iter().filter_map(|(key, value)| {
                    let hour = Key::parse(&key)?.1.expiry_hour()?;
                    Some((hour, decode(&value).map_err(|source| damaged_physical(&key, source))))
                })),
                Err(_) => found.extend(self.hour_by_hour(group, hours, &key_of, &decode)),
            }
        }
        found
    }

    /// One look-up an hour: for a stretch that cannot be read in one go.
    pub(super) fn hour_by_hour<T>(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
        key_of: impl Fn(u64) -> Key,
        decode: impl Fn(&[u8]) -> Result<T, CodecError>,
    ) -> Hours<T> {
        let read = |hour| self.get(group, &key_of(hour), &decode).transpose();
        hours.filter_map(|hour| Some((hour, read(hour)?))).collect()
    }
}
