//! The oldest row on disk: whether what has expired really goes.
//!
//! A seek for each family that has the hour first in its keys, and two for each lineage, whose blocks
//! have it last; no value is read. (RocksDB could keep the smallest hour of a file in the file's
//! properties, but neither the collector nor the properties are to be had from this crate, and a file
//! spans many lineages: one old row would make all of it look old.) What a pin keeps does not count:
//! it is meant to be old.
//! Proof: `view/kept_test.rs`; why by seeks is in `docs/decisions/0009-garbage-collection.md`.

use keyviz_codec::rollup::Tier;
use keyviz_codec::{Key, Period, key_layout};
use keyviz_lineage::{GroupId, Series};
use rocksdb::{DBRawIterator, ReadOptions};

use crate::retention::Cutoffs;
use crate::{History as _, StoreError, View};

impl View<'_> {
    /// The first Unix hour of either period that anything on disk is of, expired or not, but for what
    /// is pinned; `u64::MAX` where there is nothing.
    ///
    /// # Errors
    /// A read failure.
    pub fn oldest_on_disk(&self) -> Result<Cutoffs, StoreError> {
        let mut oldest = Cutoffs { fine_hour: u64::MAX, longest_hour: u64::MAX };
        for group in self.groups()?.into_iter().chain([key_layout::NODE_GROUP]) {
            let mut families =
                vec![key_layout::prefix::event(group), Key::Coverage { hour: 0 }.encode(group)];
            families.push(Key::Index { hour: 0 }.encode(group));
            for (tier, series) in
                Tier::ALL.iter().flat_map(|&tier| Series::ALL.map(|series| (tier, series)))
            {
                families.push(key_layout::prefix::rollup_of(group, tier, series));
            }
            for first in families {
                let end = match Key::parse(&first) {
                    Some((_, Key::Coverage { .. })) => {
                        Key::Coverage { hour: u64::MAX }.encode(group)
                    }
                    Some((_, Key::Index { .. })) => Key::Index { hour: u64::MAX }.encode(group),
                    _ => key_layout::prefix::end(first.clone()),
                };
                let mut cursor = self.keys_cursor(first, end);
                cursor.seek_to_first();
                self.note_first(&mut cursor, group, &mut oldest)?;
            }
            self.note_blocks(group, &mut oldest)?;
        }
        Ok(oldest)
    }

    /// The last Unix hour that any group's coverage is of; `None` where nothing was recorded.
    ///
    /// # Errors
    /// A read failure.
    pub fn newest_coverage_hour(&self) -> Result<Option<u64>, StoreError> {
        let mut newest = None;
        for group in self.groups()?.into_iter().chain([key_layout::NODE_GROUP]) {
            match self.newest_coverage_of(group) {
                Ok(hour) => newest = newest.max(hour),
                // It is one of two witnesses of how far time had come; without it a start may take the
                // clock for one that has jumped, and drops nothing.
                Err(error) if error.is_damage() => self.store.damage.met(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    fn newest_coverage_of(&self, group: GroupId) -> Result<Option<u64>, StoreError> {
        let first = Key::Coverage { hour: 0 }.encode(group);
        let last = Key::Coverage { hour: u64::MAX }.encode(group);
        let mut cursor = self.keys_cursor(first, [last.as_slice(), &[0]].concat());
        cursor.seek_for_prev(last);
        let found = match cursor.key().and_then(Key::parse) {
            Some((_, Key::Coverage { hour })) => Some(hour),
            _ => None,
        };
        checked(&cursor, group)?;
        Ok(found)
    }

    /// Takes note of the first key under the cursor and behind it that no pin keeps.
    fn note_first(
        &self,
        cursor: &mut DBRawIterator<'_>,
        group: GroupId,
        oldest: &mut Cutoffs,
    ) -> Result<(), StoreError> {
        while let Some(key) = cursor.key() {
            if let Some((_, key)) = Key::parse(key).filter(|(_, key)| !self.pins.keeps(group, key))
            {
                note(&key, oldest);
                break;
            }
            cursor.next();
        }
        checked(cursor, group)
    }

    fn note_blocks(&self, group: GroupId, oldest: &mut Cutoffs) -> Result<(), StoreError> {
        let all = key_layout::prefix::range(group);
        let mut cursor = self.keys_cursor(all.clone(), key_layout::prefix::end(all));
        cursor.seek_to_first();
        while let Some(key) = cursor.key() {
            match Key::parse(key) {
                Some((_, key @ Key::Range { lineage, .. })) if !self.pins.keeps(group, &key) => {
                    note(&key, oldest);
                    let of_lineage = key_layout::prefix::range_of(group, lineage);
                    cursor.seek(key_layout::prefix::end(of_lineage));
                }
                _ => cursor.next(),
            }
        }
        checked(&cursor, group)
    }

    fn keys_cursor(&self, first: Vec<u8>, end: Vec<u8>) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(first);
        options.set_iterate_upper_bound(end);
        options.fill_cache(false);
        self.snapshot.raw_iterator_cf_opt(self.store.family(), options)
    }
}

fn note(key: &Key, oldest: &mut Cutoffs) {
    match key.expiry() {
        Some((Period::Fine, hour)) => oldest.fine_hour = oldest.fine_hour.min(hour),
        Some((Period::Longest, hour)) => oldest.longest_hour = oldest.longest_hour.min(hour),
        None => {}
    }
}

fn checked(cursor: &DBRawIterator<'_>, group: GroupId) -> Result<(), StoreError> {
    let key = || "a scan for the oldest row".to_owned();
    cursor.status().map_err(|source| StoreError::Read { group, key: key(), source })
}
