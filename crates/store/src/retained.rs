//! Which lineages still have blocks: what a sweep of lineage records asks.
//!
//! One seek a lineage with one iterator, so thousands of lineages cost milliseconds and no value is
//! read. What lies before the hour is not looked at: whether compaction has dropped it by now does
//! not matter.

use std::collections::HashSet;

use keyviz_codec::Key;
use keyviz_codec::marks::Mark;
use keyviz_lineage::{GroupId, LineageId};
use rocksdb::ReadOptions;

use crate::{StoreError, View};

impl View<'_> {
    /// Those of `lineages` that have a block of hour `from_hour` or later.
    ///
    /// # Errors
    /// A read failure.
    pub fn lineages_with_blocks(
        &self,
        group: GroupId,
        lineages: impl IntoIterator<Item = LineageId>,
        from_hour: u64,
    ) -> Result<HashSet<LineageId>, StoreError> {
        let mut cursor =
            self.snapshot.raw_iterator_cf_opt(self.store.family(), ReadOptions::default());
        let mut found = HashSet::new();
        for lineage in lineages {
            cursor.seek(Key::Range { lineage, hour: from_hour }.encode(group));
            let next = cursor.key().and_then(Key::parse);
            if matches!(next, Some((of, Key::Range { lineage: held, .. })) if of == group && held == lineage)
            {
                found.insert(lineage);
            }
            cursor.status().map_err(|source| StoreError::Read {
                group,
                key: format!("the blocks of lineage {lineage}"),
                source,
            })?;
        }
        Ok(found)
    }

    /// Closed lineages of the group whose last hour lies before this one may have been removed.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn swept(&self, group: GroupId) -> Result<u64, StoreError> {
        let decode = |value: Vec<u8>| {
            u64::decode(&value).map_err(|source| StoreError::Damaged {
                group,
                key: Key::Swept.to_string(),
                source,
            })
        };
        self.raw(group, &Key::Swept)?.map_or(Ok(0), decode)
    }
}
