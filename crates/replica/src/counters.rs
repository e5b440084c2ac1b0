//! What happened so far, in numbers. Nothing is dropped without one of these.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Live counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64),* }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct CountersSnapshot { $($(#[$doc])* pub $name: u64),* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }
    };
}

counters! {
    /// Columns stored.
    columns,
    /// Rows stored.
    rows,
    /// Virtual buckets stored.
    buckets,
    /// Transitions applied or known already.
    transitions,
    /// Entries that were held already.
    duplicates,
    /// Entries refused as a whole.
    refused_entries,
    /// Transitions refused because their catalogue was stale.
    aborted_transitions,
    /// Transitions of a time whose lineages have been swept: nothing to do.
    expired_transitions,
    /// Rows refused while their column was stored.
    refused_rows,
    /// Columns refused because they were older than the retention.
    late_columns,
    /// Columns refused because they lay in the future.
    future_columns,
    /// Checkpoints written.
    persists,
    /// Microseconds that the written ones took in all.
    persist_us,
    /// Microseconds that the last one took.
    last_persist_us,
    /// When the last one was written, Unix milliseconds; 0 = none since the start.
    last_persist_ms,
    /// Checkpoints that failed and will be tried again.
    persist_failures,
    /// Times that the WAL was released after a checkpoint.
    releases,
    /// Lineages that were backfilled.
    backfills,
    /// Lineages without a record that the last start found by their blocks and shows by the keys
    /// that these say.
    recovered_lineages,
    /// Lineages without a record that the last start found by their blocks, none of which says their
    /// keys: they cannot be shown.
    lost_lineages,
    /// Lineage records removed because nothing retained needs them.
    swept_lineages,
    /// Replayed rows whose lineage record was lost, and that got another.
    rehomed_rows,
    /// WAL records shed.
    shed_records,
    /// WAL bytes shed.
    shed_bytes,
    /// Columns that were acknowledged and shed, and that the last start found gone.
    shed_lost_columns,
    /// WAL records that a replay could not use.
    unusable_records,
    /// Bytes in the WAL.
    wal_bytes,
    /// The WAL's cap, in bytes.
    wal_cap_bytes,
    /// WAL records replayed at start.
    replayed_records,
    /// 1 while the store does not take checkpoints.
    store_failing,
    /// 1 while RocksDB refuses writes.
    store_read_only,
    /// 1 from a flush or a compaction of RocksDB that failed until a flush works.
    background_failing,
    /// 1 while the store could be helped by opening it anew.
    wants_reopening,
    /// 1 while something was shed that the store may not have.
    shed_outstanding,
    /// 1 while the WAL cannot be made durable.
    wal_failing,
    /// 1 while garbage collection is frozen (a clock jumped).
    gc_frozen,
    /// Pin marks that the last start could not read: nothing is dropped while there is one.
    damaged_pins,
    /// The start of the oldest hour of finest columns on disk that no pin keeps, Unix milliseconds; 0
    /// = none. As of the last full hour.
    oldest_row_ms,
    /// The same of what is kept with the hourly roll-ups.
    oldest_rollup_row_ms,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn set(counter: &AtomicU64, value: u64) {
        counter.store(value, Ordering::Relaxed);
    }
}
