//! The lowest reads: one key, a stretch of keys, the hours of one kind of key; and what is left to read
//! where RocksDB finds a block of a file corrupt.
//!
//! RocksDB gives up such a block as a whole (some KiB), and ends an iteration there. Nothing of it is used:
//! without its checksum RocksDB can crash on it. More can be read all the same:
//! - What is kept by hour is looked up hour by hour from there on: only the hours of that block are
//!   errors, each in its place.
//! - Marks and numbers have a second copy in another file (`copies.rs`), which is read instead.
//! - Of lineage records those in other blocks are read; who has blocks and no record is found by
//!   [`View::unrecorded`].
//!
//! What was passed by is told by [`crate::Store::damage`].
//!
//! Proof: `tests/tests/damaged_store.rs`, with bits flipped in real files.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use keyviz_codec::{CodecError, Key, key_layout};
use keyviz_lineage::GroupId;
use rocksdb::{ColumnFamily, DBRawIterator, ReadOptions};

use super::{View, damaged_physical};
use crate::StoreError;
use crate::offline::first_readable_after;

type Pair = (Vec<u8>, Vec<u8>);
/// An hour may have an error besides what is stored of it.
pub(super) type Hours<T> = Vec<(u64, Result<T, StoreError>)>;

impl View<'_> {
    pub(super) fn get<T>(
        &self,
        group: GroupId,
        key: &Key,
        decode: impl Fn(&[u8]) -> Result<T, CodecError>,
    ) -> Result<Option<T>, StoreError> {
        let physical = key.encode(group);
        let read = |family| {
            let read = self.snapshot.get_cf(family, &physical);
            read.map_err(|source| StoreError::Read { group, key: key.to_string(), source })?
                .map(|value| {
                    decode(&value).map_err(|source| StoreError::damaged(group, key, source))
                })
                .transpose()
        };
        match read(self.store.family()) {
            Err(error) if error.is_damage() && key_layout::is_kept_twice(&physical) => {
                let was_read = !matches!(error, StoreError::Read { .. });
                match read(self.store.copies()) {
                    // Its absence says something only where every mark has a copy.
                    Ok(None) if was_read || !self.store.copies_are_whole() => Err(error),
                    Err(_) => Err(error),
                    Ok(copy) => {
                        self.store.damage.met(error.to_string());
                        Ok(copy)
                    }
                }
            }
            read => read,
        }
    }

    /// What a scan found under a key, or its second copy where that is damaged.
    pub(crate) fn decoded<T>(
        &self,
        physical: &[u8],
        value: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, CodecError>,
    ) -> Result<T, StoreError> {
        decode(value).or_else(|source| {
            let copy = Key::parse(physical).map(|(group, key)| self.get(group, &key, decode));
            match copy {
                Some(Ok(Some(copy))) => Ok(copy),
                _ => Err(damaged_physical(physical, source)),
            }
        })
    }

    /// Every pair from `first` up to (not including) `end`.
    pub(super) fn scan(&self, first: Vec<u8>, end: Vec<u8>) -> Result<Vec<Pair>, StoreError> {
        self.scan_in(self.store.family(), first, end)
    }

    fn scan_in(
        &self,
        family: &ColumnFamily,
        first: Vec<u8>,
        end: Vec<u8>,
    ) -> Result<Vec<Pair>, StoreError> {
        let mut cursor = self.cursor_in(family, first, end, true);
        let mut pairs = Vec::new();
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            pairs.push((key.to_vec(), value.to_vec()));
            cursor.next();
        }
        cursor.status().map_err(a_scan)?;
        Ok(pairs)
    }

    fn cursor_in(
        &self,
        family: &ColumnFamily,
        first: Vec<u8>,
        end: Vec<u8>,
        fill_cache: bool,
    ) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(first);
        options.set_iterate_upper_bound(end);
        options.fill_cache(fill_cache);
        self.snapshot.raw_iterator_cf_opt(family, options)
    }

    /// Every pair under a prefix of what is not kept by hour. Where a block is corrupt, all of the copies;
    /// of what has none, what lies in other blocks.
    pub(crate) fn scan_prefix(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let end = || key_layout::prefix::end(prefix.to_vec());
        match self.scan(prefix.to_vec(), end()) {
            Err(error) if error.is_damage() => {
                self.store.damage.met(error.to_string());
                match key_layout::is_kept_twice(prefix) {
                    true if self.store.copies_are_whole() => {
                        self.scan_in(self.store.copies(), prefix.to_vec(), end())
                    }
                    true => Err(error),
                    false => self.scan_around(prefix, &end()),
                }
            }
            read => read,
        }
    }

    /// Every pair of a stretch that does not lie in a corrupt block.
    fn scan_around(&self, first: &[u8], end: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let open = || self.cursor_in(self.store.family(), first.to_vec(), end.to_vec(), false);
        let mut pairs: Vec<Pair> = Vec::new();
        let mut from = first.to_vec();
        loop {
            let mut cursor = open();
            cursor.seek(&from);
            while let Some((key, value)) = cursor.item() {
                pairs.push((key.to_vec(), value.to_vec()));
                cursor.next();
            }
            let Err(error) = cursor.status().map_err(a_scan) else { return Ok(pairs) };
            if !error.is_damage() {
                return Err(error);
            }
            let reached = pairs.last().map_or(first, |(key, _)| key).max(&from);
            match first_readable_after(&open, reached) {
                Some(key) => from = key,
                None => return Ok(pairs),
            }
        }
    }

    /// Every group, but the node's own. Those of a corrupt block have a mark among the copies.
    pub(super) fn all_groups(&self) -> Result<BTreeSet<GroupId>, StoreError> {
        let (mut groups, error) = self.groups_in(self.store.family())?;
        if let Some(error) = error {
            self.store.damage.met(error.to_string());
            groups.extend(self.groups_in(self.store.copies())?.0);
        }
        Ok(groups)
    }

    /// The groups that have keys in a family, and what kept it from telling all.
    fn groups_in(
        &self,
        family: &ColumnFamily,
    ) -> Result<(BTreeSet<GroupId>, Option<StoreError>), StoreError> {
        let open = || self.snapshot.raw_iterator_cf_opt(family, ReadOptions::default());
        let (mut groups, mut damage) = (BTreeSet::new(), None);
        let mut from = (key_layout::NODE_GROUP + 1).to_be_bytes().to_vec();
        let mut cursor = open();
        loop {
            cursor.seek(&from);
            let found = cursor.key().and_then(<[u8]>::first_chunk).copied();
            if let Err(error) = cursor.status().map_err(a_scan) {
                if !error.is_damage() {
                    return Err(error);
                }
                damage = Some(error);
                let Some(key) = first_readable_after(&open, &from) else { break };
                (from, cursor) = (key, open());
                continue;
            }
            let Some(group) = found.map(GroupId::from_be_bytes) else { break };
            groups.insert(group);
            let Some(next) = group.checked_add(1) else { break };
            from = next.to_be_bytes().to_vec();
        }
        Ok((groups, damage))
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

fn a_scan(source: rocksdb::Error) -> StoreError {
    StoreError::Read { group: key_layout::NODE_GROUP, key: "a scan".to_owned(), source }
}
