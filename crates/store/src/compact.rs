//! `keyviz compact`: everything rewritten once, with proof that it was.
//!
//! RocksDB's call returns nothing, so what it did is read from the files and the background errors.
//! Invariants: what the retention may drop is what its owner has allowed (`Retention::allow_gc_at`); an
//! offline tool has no clock that anybody has watched, so it allows nothing.
//! Proof: `compact_test.rs`.

use std::collections::BTreeMap;

use rocksdb::{BottommostLevelCompaction, CompactOptions};

use crate::stats::Level;
use crate::{Store, StoreError};

/// RocksDB's levels before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: BTreeMap<i32, Level>,
    /// After.
    pub after: BTreeMap<i32, Level>,
}

impl Store {
    /// Writes the memtable out and rewrites every file into the last level. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Compact`] when RocksDB met an error, or files are left in more than one level.
    pub fn compact_all(&self) -> Result<Compacted, StoreError> {
        let failed = |reason: String| StoreError::Compact { path: self.path().to_owned(), reason };
        self.flush()?;
        let before = self.levels()?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_cf_opt(self.family(), None::<&[u8]>, None::<&[u8]>, &options);
        let (errors, _) = self.health();
        if errors > 0 {
            return Err(failed(format!("RocksDB counts {errors} background errors")));
        }
        let after = self.levels()?;
        if after.len() > 1 || after.contains_key(&0) {
            let levels = after.keys().map(i32::to_string).collect::<Vec<_>>().join(", ");
            return Err(failed(format!("files are left in levels {levels}")));
        }
        Ok(Compacted { before, after })
    }

    fn levels(&self) -> Result<BTreeMap<i32, Level>, StoreError> {
        let path = self.path().to_owned();
        let files = self.db.live_files().map_err(|source| StoreError::Open { path, source })?;
        Ok(crate::stats::levels(files))
    }
}

#[cfg(test)]
#[path = "compact_test.rs"]
mod compact_test;
