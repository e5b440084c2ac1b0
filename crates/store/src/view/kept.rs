//! What of the store is to be seen beyond the retention, and what pinning it takes.
//!
//! Invariant: T2; the rule itself is in [`crate::pins`].
//! Proof: `kept_test.rs` (every read against a model, over clocks, pins and compactions).

use std::ops::RangeInclusive;

use keyviz_codec::{Key, Pin, key_layout};
use keyviz_lineage::GroupId;
use rocksdb::ReadOptions;
use uuid::Uuid;

use super::View;
use crate::StoreError;
use crate::pins::{self, Pins};

/// A pin under its id, or why it cannot be read.
pub type PinMark = Result<(Uuid, Pin), StoreError>;

impl View<'_> {
    /// The stretches of `hours`, ascending, in which values such as `like` are to be seen (T2): what
    /// is retained, and what is pinned.
    pub fn visible(
        &self,
        group: GroupId,
        like: &Key,
        hours: RangeInclusive<u64>,
    ) -> Vec<RangeInclusive<u64>> {
        let oldest_hour = like.expiry().map_or(0, |(period, _)| self.oldest.of(period));
        pins::visible(&hours, oldest_hour, self.pins.hours_for(group, like))
    }

    /// What is kept whatever its age.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Every pin of a group that is stored. A damaged one is an error in its place.
    ///
    /// # Errors
    /// A read failure.
    pub fn pin_marks(&self, group: GroupId) -> Result<Vec<PinMark>, StoreError> {
        let pairs = self.scan_prefix(&key_layout::prefix::pin(group))?;
        Ok(pairs
            .into_iter()
            .filter_map(|(key, value)| {
                let Some((_, Key::Pin { id })) = Key::parse(&key) else { return None };
                let pin = self.decoded(&key, &value, Pin::decode);
                Some(pin.map(|pin| (id, pin)))
            })
            .collect())
    }

    /// The sizes of the stored values of one lineage in these hours, or of a family that is kept by
    /// hour for the whole group, whatever their age: `(hour, bytes)`, ascending.
    ///
    /// # Errors
    /// A read failure.
    pub fn sizes(
        &self,
        group: GroupId,
        key_of: &dyn Fn(u64) -> Key,
        hours: &RangeInclusive<u64>,
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut sizes = Vec::new();
        if hours.is_empty() {
            return Ok(sizes);
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(key_of(*hours.start()).encode(group));
        options.set_iterate_upper_bound(key_of(hours.end().saturating_add(1)).encode(group));
        options.fill_cache(false);
        let mut cursor = self.snapshot.raw_iterator_cf_opt(self.store.family(), options);
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            if let Some(hour) = Key::parse(key).and_then(|(_, key)| key.expiry_hour()) {
                sizes.push((hour, value.len() as u64));
            }
            cursor.next();
        }
        let key = || key_of(*hours.start()).to_string();
        cursor.status().map_err(|source| StoreError::Read { group, key: key(), source })?;
        Ok(sizes)
    }
}

#[cfg(test)]
#[path = "kept_test.rs"]
mod kept_test;
