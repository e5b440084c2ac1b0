//! What RocksDB says of itself, for whoever watches a running node.
//!
//! Responsible for: levels, compaction, memtables, the cache of blocks, and what each kind of key takes.
//! Invariants: asking costs metadata only, no block is read; a figure that RocksDB does not give is 0.
//! Must not: judge a figure (`docs/operating.md` does).
//! Proof: `figures_test.rs`.

use std::collections::BTreeMap;
use std::fmt;

use keyviz_codec::key_layout::prefix;
use keyviz_codec::rollup::Tier;
use keyviz_lineage::{GroupId, Series};
use rocksdb::statistics::Ticker;
use rocksdb::{Options, Range, properties};

use crate::Store;
use crate::stats::{Level, levels};

/// What a database was opened with; RocksDB's statistics are found through it.
pub(crate) struct OpenedWith(pub(crate) Options);

impl fmt::Debug for OpenedWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedWith")
    }
}

/// As of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files of the history.
    pub levels: BTreeMap<i32, Level>,
    /// Bytes of these files by what they hold: `finest`, `1h`, `5m`, and `other` (lineages, coverage,
    /// marks, events). RocksDB's estimates, without what lies in memtables only.
    pub tiers: [(&'static str, u64); 4],
    /// RocksDB's estimate of the bytes that are neither overwritten nor deleted.
    pub live_bytes: u64,
    /// Bytes that compaction has to rewrite until every level has its size.
    pub pending_compaction_bytes: u64,
    /// Compactions that run.
    pub running_compactions: u64,
    /// Flushes that run.
    pub running_flushes: u64,
    /// Bytes of memtables, those that are being flushed included.
    pub memtable_bytes: u64,
    /// Memtables that wait for a flush.
    pub waiting_memtables: u64,
    /// Bytes of indexes and filters, which lie beside the cache.
    pub table_bytes: u64,
    /// Bytes of blocks in the cache.
    pub cache_bytes: u64,
    /// The most bytes that it takes.
    pub cache_max_bytes: u64,
    /// Blocks that were found in it.
    pub cache_hits: u64,
    /// Blocks that were not.
    pub cache_misses: u64,
    /// 1 while RocksDB holds writes back because it is behind with compaction.
    pub writes_stopped: u64,
    /// Bytes a second that writes are slowed down to; 0 = they are not.
    pub delayed_write_bytes_per_second: u64,
    /// Flushes and compactions that have failed since the store was opened.
    pub background_errors: u64,
}

impl Store {
    /// What RocksDB says of itself. `groups` are those whose keys are told by kind.
    pub fn figures(&self, groups: &[GroupId]) -> Figures {
        let of = |name: &properties::PropName| {
            self.db.property_int_value_cf(self.family(), name).ok().flatten().unwrap_or(0)
        };
        let (background_errors, live_bytes) = self.health();
        let levels = levels(self.db.live_files().unwrap_or_default());
        let tiers = self.tiers(groups, levels.values().map(|level| level.bytes).sum());
        Figures {
            levels,
            tiers,
            live_bytes,
            pending_compaction_bytes: of(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            running_compactions: of(properties::NUM_RUNNING_COMPACTIONS),
            running_flushes: of(properties::NUM_RUNNING_FLUSHES),
            memtable_bytes: of(properties::SIZE_ALL_MEM_TABLES),
            waiting_memtables: of(properties::NUM_IMMUTABLE_MEM_TABLE),
            table_bytes: of(properties::ESTIMATE_TABLE_READERS_MEM),
            cache_bytes: of(properties::BLOCK_CACHE_USAGE),
            cache_max_bytes: of(properties::BLOCK_CACHE_CAPACITY),
            cache_hits: self.options.0.get_ticker_count(Ticker::BlockCacheHit),
            cache_misses: self.options.0.get_ticker_count(Ticker::BlockCacheMiss),
            writes_stopped: of(properties::IS_WRITE_STOPPED),
            delayed_write_bytes_per_second: of(properties::ACTUAL_DELAYED_WRITE_RATE),
            background_errors,
        }
    }

    fn tiers(&self, groups: &[GroupId], total: u64) -> [(&'static str, u64); 4] {
        let bytes = |prefixes: &dyn Fn(GroupId) -> Vec<Vec<u8>>| -> u64 {
            let bounds = groups.iter().flat_map(|&group| prefixes(group));
            let bounds: Vec<_> = bounds.map(|from| (prefix::end(from.clone()), from)).collect();
            let ranges: Vec<_> = bounds.iter().map(|(end, from)| Range::new(from, end)).collect();
            self.db.get_approximate_sizes_cf(self.family(), &ranges).iter().sum()
        };
        let rollups = |tier| {
            bytes(&|group| {
                Series::ALL.iter().map(|&series| prefix::rollup_of(group, tier, series)).collect()
            })
        };
        let finest = bytes(&|group| vec![prefix::range(group)]);
        let (hours, minutes) = (rollups(Tier::Hour), rollups(Tier::FiveMinutes));
        let other = total.saturating_sub(finest + hours + minutes);
        [("finest", finest), ("1h", hours), ("5m", minutes), ("other", other)]
    }
}

#[cfg(test)]
#[path = "figures_test.rs"]
mod figures_test;
