//! Retention: what is too old is hidden from reads at once, and dropped by compaction.
//!
//! Owns: the period, and the cutoff that the compaction filter uses.
//! Invariants: the filter's cutoff is fixed when a compaction starts (`create` may be called by
//! several threads at once, so all it does is read an atomic); only Keep and Remove; what cannot be
//! parsed is kept; the cutoff never exceeds what the owner allowed, so that a clock that jumps
//! erases nothing (R1, see `keyviz_replica::clock_guard`). The filter looks up nothing: lineage
//! records, which go by what else is stored, are removed by a command (`keyviz_replica::sweep`).

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyviz_codec::Key;
use keyviz_lineage::{HOUR_MS, unix_hour};
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

/// How long history is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    period_ms: u64,
    /// Hours before this one may be dropped by compaction.
    gc_before_hour: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Retention {
    /// Keeps `period_ms` of history; drops nothing until [`Retention::allow_gc_at`] is called.
    pub fn new(period_ms: u64) -> Self {
        Self { period_ms, gc_before_hour: Arc::default(), dropped: Arc::default() }
    }

    /// The period, in milliseconds.
    pub fn period_ms(&self) -> u64 {
        self.period_ms
    }

    /// The first hour that is still retained at wall time `now_ms`: an hour goes once its end is
    /// older than the period.
    pub fn first_hour_at(&self, now_ms: u64) -> u64 {
        unix_hour(now_ms.saturating_sub(self.period_ms))
    }

    /// The first hour that any tier still holds at wall time `now_ms`: what lineage records are kept
    /// for. Blocks of the finest step are the only tier so far.
    pub fn first_hour_of_any_tier_at(&self, now_ms: u64) -> u64 {
        self.first_hour_at(now_ms)
    }

    /// The oldest instant that is still retained at wall time `now_ms`.
    pub fn oldest_ms_at(&self, now_ms: u64) -> u64 {
        self.first_hour_at(now_ms) * HOUR_MS
    }

    /// Lets compaction drop what has expired at wall time `now_ms`.
    pub fn allow_gc_at(&self, now_ms: u64) {
        self.gc_before_hour.store(self.first_hour_at(now_ms), Ordering::Relaxed);
    }

    /// Rows that compaction has dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn filter_factory(&self) -> FilterFactory {
        FilterFactory {
            before_hour: Arc::clone(&self.gc_before_hour),
            dropped: Arc::clone(&self.dropped),
        }
    }
}

pub(crate) struct FilterFactory {
    before_hour: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl CompactionFilterFactory for FilterFactory {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        Filter {
            before_hour: self.before_hour.load(Ordering::Relaxed),
            dropped: Arc::clone(&self.dropped),
        }
    }

    fn name(&self) -> &CStr {
        c"keyviz.retention.factory"
    }
}

/// One compaction's view of what is too old.
pub(crate) struct Filter {
    before_hour: u64,
    dropped: Arc<AtomicU64>,
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> rocksdb::CompactionDecision {
        match Key::parse(key).and_then(|(_, key)| key.expiry_hour()) {
            Some(hour) if hour < self.before_hour => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                rocksdb::CompactionDecision::Remove
            }
            _ => rocksdb::CompactionDecision::Keep,
        }
    }

    fn name(&self) -> &CStr {
        c"keyviz.retention"
    }
}
