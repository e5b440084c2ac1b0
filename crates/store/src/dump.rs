//! Everything that is stored, byte for byte: for comparing replicas, and for seeing what takes room.

use std::collections::BTreeMap;

use rocksdb::{Range, ReadOptions, WaitForCompactOptions};

use crate::{Store, StoreError, View};

impl View<'_> {
    /// Every physical key with its value, in key order, expired ones too. All of it in memory: for
    /// small stores.
    ///
    /// # Errors
    /// A read failure.
    pub fn dump(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        let mut pairs = BTreeMap::new();
        self.visit_pairs(&mut |key, value| {
            pairs.insert(key.to_vec(), value.to_vec());
        })?;
        Ok(pairs)
    }

    /// Tells every physical key with its value, in key order, expired ones too, without copying them.
    ///
    /// # Errors
    /// A read failure.
    pub fn visit_pairs(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let mut cursor =
            self.snapshot.raw_iterator_cf_opt(self.store.family(), ReadOptions::default());
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            visit(key, value);
            cursor.next();
        }
        cursor.status().map_err(|source| StoreError::Read {
            group: 0,
            key: "the whole store".to_owned(),
            source,
        })
    }
}

impl Store {
    /// Bytes on disk of the physical keys in `[first, end)`: RocksDB's estimate, by its indexes.
    pub fn disk_bytes(&self, first: &[u8], end: &[u8]) -> u64 {
        let ranges = [Range::new(first, end)];
        self.db.get_approximate_sizes_cf(self.family(), &ranges).into_iter().sum()
    }

    /// Waits until RocksDB has nothing to flush or compact.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn wait_for_compactions(&self) -> Result<(), StoreError> {
        self.db
            .wait_for_compact(&WaitForCompactOptions::default())
            .map_err(|source| StoreError::Write { source })
    }
}
