//! Giving back the space of what has expired, where RocksDB does not do it by itself.
//!
//! RocksDB compacts a quiet file once a day, by a clock of its own. Whoever finds that something is
//! overdue nevertheless has the files compacted one after the other ([`Store::compact_file`]), each a
//! bounded piece of work. Roll-ups, whose keys have the hour before the lineage, are dropped by whole
//! files first.
//! Invariant: whole files go only within stretches of hours that have expired and that no pin holds;
//! everything else goes by the filter (`retention.rs`).
//! Proof: `reclaim_test.rs`; what it takes is in `docs/decisions/0010-garbage-collection.md`.

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::rollup::Tier;
use keyviz_codec::{Key, Period};
use keyviz_lineage::{GroupId, Series};
use rocksdb::{BottommostLevelCompaction, CompactOptions};

use crate::open::FAMILY;
use crate::pins::{Pins, hidden};
use crate::retention::Cutoffs;
use crate::{History as _, Store, StoreError};

/// The keys of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileKeys {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Store {
    /// The files of the family as they are now, largest first.
    ///
    /// # Errors
    /// A read failure.
    pub fn files(&self) -> Result<Vec<FileKeys>, StoreError> {
        let mut files = self.db.live_files().map_err(unlisted)?;
        files.retain(|file| file.column_family_name == FAMILY);
        files.sort_by_key(|file| std::cmp::Reverse(file.size));
        let keys = files.into_iter();
        Ok(keys
            .filter_map(|file| Some(FileKeys { first: file.start_key?, last: file.end_key? }))
            .collect())
    }

    /// Compacts what lies between the keys of a file, down to the last level, so that the filter sees
    /// every row of it. Other compactions go on meanwhile.
    pub fn compact_file(&self, keys: &FileKeys) {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        let (first, last) = (keys.first.as_slice(), keys.last.as_slice());
        self.db.compact_range_cf_opt(self.family(), Some(first), Some(last), &options);
    }

    /// Drops the files that hold nothing but expired roll-ups.
    ///
    /// # Errors
    /// A read or write failure.
    pub fn drop_rollup_files(&self) -> Result<(), StoreError> {
        let (cutoffs, pins) = (self.retention.cutoffs(), self.retention.pins());
        let groups = self.view(0).groups()?;
        for group in groups.into_iter().chain([NODE_GROUP]) {
            for (first, last) in expired_rollups(group, cutoffs, &pins) {
                self.db
                    .delete_file_in_range_cf(self.family(), first, last)
                    .map_err(|source| StoreError::Write { source })?;
            }
        }
        Ok(())
    }

    /// Bytes of all files on disk, those that only an open iterator needs among them.
    pub fn file_bytes(&self) -> u64 {
        let name = "rocksdb.total-sst-files-size";
        self.db.property_int_value_cf(self.family(), name).ok().flatten().unwrap_or(0)
    }

    /// Bytes written by flushes and compactions since the store was opened, for each byte flushed; 0
    /// before the first flush.
    pub fn write_amplification(&self) -> f64 {
        let name = "rocksdb.cfstats-no-file-histogram";
        let text = self.db.property_value_cf(self.family(), name).ok().flatten();
        let text = text.unwrap_or_default();
        let column = text.lines().find_map(|line| {
            line.split_whitespace().filter(|word| !is_unit(word)).position(|word| word == "W-Amp")
        });
        let sum = text.lines().find(|line| line.trim_start().starts_with("Sum"));
        let value = column.zip(sum).and_then(|(column, sum)| {
            sum.split_whitespace().filter(|word| !is_unit(word)).nth(column)?.parse().ok()
        });
        value.unwrap_or(0.0)
    }
}

/// In the table a size is two words, `1.50 MB`, under one heading.
fn is_unit(word: &str) -> bool {
    matches!(word, "B" | "KB" | "MB" | "GB" | "TB")
}

/// From which key to which (both included) nothing but expired roll-ups lie.
fn expired_rollups(group: GroupId, cutoffs: Cutoffs, pins: &Pins) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for (tier, series) in Tier::ALL.iter().flat_map(|&tier| Series::ALL.map(|of| (tier, of))) {
        let key_of = |hour, chunk| Key::Rollup { tier, series, hour, chunk };
        let period = key_of(0, 0).expiry().map_or(Period::Longest, |(period, _)| period);
        let Some(last_hour) = cutoffs.of(period).checked_sub(1) else { continue };
        let kept = pins.hours_for(group, &key_of(0, 0));
        for hours in hidden(&(0..=last_hour), last_hour + 1, kept) {
            let (first, last) = (key_of(*hours.start(), 0), key_of(*hours.end(), u32::MAX));
            found.push((first.encode(group), last.encode(group)));
        }
    }
    found
}

fn unlisted(source: rocksdb::Error) -> StoreError {
    StoreError::Read { group: NODE_GROUP, key: "the list of files".to_owned(), source }
}

#[cfg(test)]
#[path = "reclaim_test.rs"]
mod reclaim_test;
