//! Everything that is stored, byte for byte: for comparing replicas.

use std::collections::BTreeMap;

use rocksdb::ReadOptions;

use crate::{StoreError, View};

impl View<'_> {
    /// Every physical key with its value, in key order, expired ones too. All of it in memory: for
    /// small stores.
    ///
    /// # Errors
    /// A read failure.
    pub fn dump(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        let mut cursor =
            self.snapshot.raw_iterator_cf_opt(self.store.family(), ReadOptions::default());
        let mut pairs = BTreeMap::new();
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            pairs.insert(key.to_vec(), value.to_vec());
            cursor.next();
        }
        cursor.status().map_err(|source| StoreError::Read {
            group: 0,
            key: "the whole store".to_owned(),
            source,
        })?;
        Ok(pairs)
    }
}
