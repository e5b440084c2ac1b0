//! Lineages that have blocks but no record: their record was lost, or never was (an upgrade). They
//! are found by their blocks alone, with the range that was persisted with some of them (contract
//! section 4).
//!
//! A skip-scan: one seek for each lineage that has a record, three and a few steps for each that has
//! none; no block of the former is read. Virtual buckets have their place in `index|<hour>` instead
//! and are passed over.
//! Proof: `unrecorded_test.rs`; how long it takes at start is measured in `benches`.

use std::ops::RangeInclusive;

use keyviz_codec::{HourBlocks, Key, key_layout};
use keyviz_lineage::{GroupId, KeyRange, LineageId, id};
use rocksdb::{DBRawIterator, ReadOptions};

use super::View;
use crate::StoreError;
use crate::offline::first_readable_after;

/// A lineage that has blocks but no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// Its id.
    pub lineage: LineageId,
    /// Its keys, where a retained block that can be read says them.
    pub range: Option<KeyRange>,
    /// The first Unix hour that is retained of it.
    pub first_hour: u64,
    /// The last one.
    pub last_hour: u64,
}

impl View<'_> {
    /// The lineages of a group that have retained blocks and are not `known`, by id. A block that
    /// cannot be decoded counts as one that says no range: whoever reads it is told.
    ///
    /// # Errors
    /// A read failure.
    pub fn unrecorded(
        &self,
        group: GroupId,
        known: &dyn Fn(LineageId) -> bool,
    ) -> Result<Vec<Unrecorded>, StoreError> {
        let mut found = Vec::new();
        self.each_with_blocks(group, |cursor, lineage, _| {
            if !id::is_virtual(lineage) && !known(lineage) {
                found.extend(self.describe(cursor, group, lineage));
            }
        })?;
        Ok(found)
    }

    /// The lineages and virtual buckets that have blocks, whatever their age, by id. One seek each.
    ///
    /// # Errors
    /// A read failure.
    pub fn lineages_of_blocks(&self, group: GroupId) -> Result<Vec<LineageId>, StoreError> {
        let mut found = Vec::new();
        self.each_with_blocks(group, |_, lineage, _| found.push(lineage))?;
        Ok(found)
    }

    /// The first hour from `from` on of which any of `lineages` may have a block. One seek each; where a
    /// block of a file is corrupt, any hour may be that coverage is of.
    ///
    /// # Errors
    /// A read failure.
    pub fn next_block_hour(
        &self,
        group: GroupId,
        lineages: &[LineageId],
        from: u64,
    ) -> Result<Option<u64>, StoreError> {
        let mut first: Option<u64> = None;
        for &lineage in lineages {
            let mut cursor = self.blocks_cursor(group);
            cursor.seek(Key::Range { lineage, hour: from }.encode(group));
            let hour = match checked(&cursor, group) {
                Ok(()) => block_at(&cursor, lineage),
                Err(error) if error.is_damage() => {
                    self.store.damage.met(error.to_string());
                    self.covered_hour(group, from)?
                }
                Err(error) => return Err(error),
            };
            first = first.into_iter().chain(hour).min();
        }
        Ok(first)
    }

    /// The first hour from `from` on that lies between two that coverage is of.
    fn covered_hour(&self, group: GroupId, from: u64) -> Result<Option<u64>, StoreError> {
        let mut prefix = Key::Coverage { hour: 0 }.encode(group);
        prefix.truncate(prefix.len() - 8);
        let pairs = self.scan_prefix(&prefix)?;
        let hour = |pair: Option<&(Vec<u8>, Vec<u8>)>| Key::parse(&pair?.0)?.1.expiry_hour();
        let (first, last) = (hour(pairs.first()), hour(pairs.last()));
        let hour = first.map(|first| from.max(first));
        Ok(hour.filter(|hour| Some(*hour) <= last))
    }

    /// The first and the last hour of which blocks of each lineage are stored, whatever their age, by
    /// id. Two seeks a lineage; no block is read.
    ///
    /// # Errors
    /// A read failure.
    pub fn block_hours(&self, group: GroupId) -> Result<Vec<(LineageId, u64, u64)>, StoreError> {
        let mut found = Vec::new();
        self.each_with_blocks(group, |cursor, lineage, first_hour| {
            if !id::is_virtual(lineage) {
                cursor.seek_for_prev(Key::Range { lineage, hour: u64::MAX }.encode(group));
                let last_hour = block_at(cursor, lineage).unwrap_or(first_hour);
                found.push((lineage, first_hour, last_hour));
            }
        })?;
        Ok(found)
    }

    /// Every lineage and virtual bucket that has blocks, with its first hour, by id; the cursor stands
    /// at that block and may be moved. One seek each. What a corrupt block holds alone is passed by, and
    /// told.
    fn each_with_blocks(
        &self,
        group: GroupId,
        mut visit: impl FnMut(&mut DBRawIterator<'_>, LineageId, u64),
    ) -> Result<(), StoreError> {
        let open = || self.blocks_cursor(group);
        let mut from = key_layout::prefix::range(group);
        let mut reached = from.clone();
        loop {
            let mut cursor = open();
            cursor.seek(&from);
            while let Some(key) = cursor.key() {
                if let Some((_, Key::Range { lineage, hour })) = Key::parse(key) {
                    visit(&mut cursor, lineage, hour);
                    reached = key_layout::prefix::end(key_layout::prefix::range_of(group, lineage));
                    cursor.seek(&reached);
                } else {
                    reached = key.to_vec();
                    cursor.next();
                }
            }
            let Err(error) = checked(&cursor, group) else { return Ok(()) };
            if !error.is_damage() {
                return Err(error);
            }
            self.store.damage.met(error.to_string());
            match first_readable_after(&open, &reached) {
                Some(key) => from = key,
                None => return Ok(()),
            }
        }
    }

    /// The newest hour of which a block of a lineage is stored, whatever its age. Reads none.
    ///
    /// # Errors
    /// A read failure.
    pub fn newest_block_hour(
        &self,
        group: GroupId,
        lineage: LineageId,
    ) -> Result<Option<u64>, StoreError> {
        let mut cursor = self.blocks_cursor(group);
        cursor.seek_for_prev(Key::Range { lineage, hour: u64::MAX }.encode(group));
        let found = block_at(&cursor, lineage);
        checked(&cursor, group)?;
        Ok(found)
    }

    /// Whether any block of a lineage is stored in these hours, whatever its age; none that lies in a
    /// corrupt block of a file. Reads none.
    ///
    /// # Errors
    /// A read failure.
    pub fn has_blocks(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Result<bool, StoreError> {
        let mut cursor = self.blocks_cursor(group);
        cursor.seek(Key::Range { lineage, hour: *hours.start() }.encode(group));
        let found = block_at(&cursor, lineage).is_some_and(|hour| hour <= *hours.end());
        match checked(&cursor, group) {
            Err(error) if !error.is_damage() => Err(error),
            _ => Ok(found),
        }
    }

    /// What is retained of one lineage, if anything.
    fn describe(
        &self,
        cursor: &mut DBRawIterator<'_>,
        group: GroupId,
        lineage: LineageId,
    ) -> Option<Unrecorded> {
        cursor.seek_for_prev(Key::Range { lineage, hour: u64::MAX }.encode(group));
        let last_hour = match cursor.status() {
            Ok(()) => Some(block_at(cursor, lineage)?),
            // It lies in a corrupt block. The hours before it are shown.
            Err(_) => None,
        };
        if last_hour.is_some_and(|hour| hour < self.oldest.fine_hour) {
            return None;
        }
        cursor.seek(Key::Range { lineage, hour: self.oldest.fine_hour }.encode(group));
        let first_hour = block_at(cursor, lineage)?;
        let mut range = None;
        while range.is_none() && block_at(cursor, lineage).is_some() {
            range =
                cursor.value().and_then(|value| HourBlocks::decode_bounds(value).ok()).flatten();
            cursor.next();
        }
        let mut reached = first_hour;
        while let (None, Some(hour)) = (last_hour, block_at(cursor, lineage)) {
            reached = hour;
            cursor.next();
        }
        let last_hour = last_hour.unwrap_or(reached);
        Some(Unrecorded { lineage, range, first_hour, last_hour })
    }

    fn blocks_cursor(&self, group: GroupId) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        let all = key_layout::prefix::range(group);
        options.set_iterate_lower_bound(all.clone());
        options.set_iterate_upper_bound(key_layout::prefix::end(all));
        // One block of each lineage would push out what queries come back to.
        options.fill_cache(false);
        self.snapshot.raw_iterator_cf_opt(self.store.family(), options)
    }
}

/// The hour of the block under the cursor, if it is one of `lineage`.
fn block_at(cursor: &DBRawIterator<'_>, lineage: LineageId) -> Option<u64> {
    match Key::parse(cursor.key()?)? {
        (_, Key::Range { lineage: at, hour }) if at == lineage => Some(hour),
        _ => None,
    }
}

fn checked(cursor: &DBRawIterator<'_>, group: GroupId) -> Result<(), StoreError> {
    let key = || "a scan of the blocks".to_owned();
    cursor.status().map_err(|source| StoreError::Read { group, key: key(), source })
}

#[cfg(test)]
#[path = "unrecorded_test.rs"]
mod unrecorded_test;
