//! RocksDB's settings that were measured, as plain numbers: what [`crate::open`] applies, and what
//! `keyviz-bench settings` varies one at a time.
//!
//! Must not: hold a setting that a user is meant to change; those are options of the server.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompactionStyle, DataBlockIndexType, Options,
    UniversalCompactOptions,
};

/// What tells, without reading a table's block, that a key is not in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// Nothing does.
    None,
    /// A Bloom filter of so many bits a key.
    Bloom(f64),
    /// A ribbon filter that errs as often as a Bloom filter of so many bits: smaller, slower to build.
    Ribbon(f64),
}

/// The settings; [`Tuning::default`] is what keyviz uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// Bytes of a table's block.
    pub block_bytes: usize,
    /// Keys between two that are stored whole.
    pub restart_interval: i32,
    /// A hash of the keys at the end of each block.
    pub data_block_hash: bool,
    /// The tables' format.
    pub format_version: i32,
    /// What tells that a key is not there.
    pub filter: Filter,
    /// No filters for the last level.
    pub optimize_filters_for_hits: bool,
    /// Bytes of RocksDB's own cache of blocks.
    pub cache_bytes: usize,
    /// Whether indexes and filters live in that cache, and not beside it.
    pub cache_index_and_filter_blocks: bool,
    /// Bytes of a memtable.
    pub write_buffer_bytes: usize,
    /// Threads that flush and compact.
    pub background_jobs: i32,
    /// Bytes of the first level that is sorted as a whole.
    pub level_base_bytes: u64,
    /// Runs sorted as wholes (fewer bytes are written, more stand beside each other) and not levels.
    pub universal: bool,
    /// The most that flushes and compactions write, in bytes a second.
    pub background_bytes_per_second: Option<i64>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            block_bytes: 16 << 10,
            restart_interval: 64,
            data_block_hash: false,
            format_version: 5,
            filter: Filter::Bloom(10.0),
            optimize_filters_for_hits: false,
            cache_bytes: 32 << 20,
            cache_index_and_filter_blocks: false,
            write_buffer_bytes: 32 << 20,
            background_jobs: 2,
            level_base_bytes: 256 << 20,
            universal: false,
            background_bytes_per_second: None,
        }
    }
}

impl Tuning {
    pub(crate) fn apply_to_database(&self, options: &mut Options) {
        options.set_max_background_jobs(self.background_jobs);
        if let Some(bytes) = self.background_bytes_per_second {
            options.set_ratelimiter(bytes, 100_000, 10);
        }
    }

    pub(crate) fn apply_to_family(&self, options: &mut Options) {
        options.set_write_buffer_size(self.write_buffer_bytes);
        options.set_max_bytes_for_level_base(self.level_base_bytes);
        options.set_optimize_filters_for_hits(self.optimize_filters_for_hits);
        if self.universal {
            options.set_compaction_style(DBCompactionStyle::Universal);
            options.set_universal_compaction_options(&UniversalCompactOptions::default());
        }
        let mut tables = BlockBasedOptions::default();
        tables.set_block_size(self.block_bytes);
        tables.set_block_restart_interval(self.restart_interval);
        tables.set_format_version(self.format_version);
        if self.data_block_hash {
            tables.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        }
        match self.filter {
            Filter::None => {}
            Filter::Bloom(bits) => tables.set_bloom_filter(bits, false),
            Filter::Ribbon(bits) => tables.set_ribbon_filter(bits),
        }
        tables.set_block_cache(&Cache::new_lru_cache(self.cache_bytes));
        tables.set_cache_index_and_filter_blocks(self.cache_index_and_filter_blocks);
        options.set_block_based_table_factory(&tables);
    }
}
