//! What is missing because it was damaged: a block, a coverage or an index that failed its checksum when
//! it had to be written, and whose bytes lie under `damaged|` since. What was stored in its place holds
//! only what came later, so a read of that hour says so with an error of its own
//! ([`StoreError::SetAside`]): without it, what was lost would look idle (Q3).
//!
//! Looked up once a view and group: one seek where there is none. Where a corrupt block keeps it from being
//! told, every value may be one, and every answer says so.
//! Proof: `set_aside_test.rs`.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use keyviz_codec::{Key, key_layout};
use keyviz_lineage::GroupId;
use rocksdb::ReadOptions;

use super::View;
use crate::StoreError;

/// The keys that were set aside, of each group that was asked about.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    known: Mutex<HashMap<GroupId, Arc<BTreeSet<Key>>>>,
}

impl View<'_> {
    /// One error for each hour of `hours` of which something was set aside under `key_of`; also where
    /// that cannot be told. What is older than the retention and not pinned is left out.
    pub fn set_aside(
        &self,
        group: GroupId,
        hours: &RangeInclusive<u64>,
        key_of: impl Fn(u64) -> Key,
    ) -> Vec<(u64, StoreError)> {
        let keys = match self.keys_set_aside(group) {
            Ok(keys) if keys.is_empty() => return Vec::new(),
            Ok(keys) => keys,
            Err(error) => return vec![(*hours.start(), error)],
        };
        let mut found = Vec::new();
        for hours in self.visible(group, &key_of(0), hours.clone()) {
            found.extend(keys.range(key_of(*hours.start())..=key_of(*hours.end())).filter_map(
                |key| {
                    let error = StoreError::SetAside { group, key: key.to_string() };
                    Some((key.expiry_hour()?, error))
                },
            ));
        }
        found
    }

    /// Whether a value of this key was set aside, or may have been.
    ///
    /// # Errors
    /// A read failure.
    pub fn is_set_aside(&self, group: GroupId, key: &Key) -> Result<bool, StoreError> {
        match self.keys_set_aside(group) {
            Ok(keys) => Ok(keys.contains(key)),
            Err(error) if error.is_damage() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether any value of a group was set aside; also where that cannot be told.
    pub fn has_set_aside(&self, group: GroupId) -> bool {
        self.keys_set_aside(group).map_or(true, |keys| !keys.is_empty())
    }

    pub(super) fn keys_set_aside(&self, group: GroupId) -> Result<Arc<BTreeSet<Key>>, StoreError> {
        let mut known = self.set_aside.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = known.get(&group) {
            return Ok(Arc::clone(keys));
        }
        let first = key_layout::prefix::damaged(group);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(key_layout::prefix::end(first.clone()));
        let mut cursor = self.snapshot.raw_iterator_cf_opt(self.store.family(), options);
        let mut keys = BTreeSet::new();
        cursor.seek(first);
        while let Some(key) = cursor.key() {
            keys.extend(Key::parse(key).and_then(|(_, key)| key.set_aside()));
            cursor.next();
        }
        cursor.status().map_err(|source| {
            let key = "what was set aside as damaged".to_owned();
            StoreError::Read { group, key, source }
        })?;
        let keys = Arc::new(keys);
        known.insert(group, Arc::clone(&keys));
        Ok(keys)
    }
}

#[cfg(test)]
#[path = "set_aside_test.rs"]
mod set_aside_test;
