//! Retention: what is too old is hidden from reads at once, and dropped by compaction.
//!
//! Owns: the two periods (see `keyviz_codec::Period`), and the cutoffs that the compaction filter
//! uses.
//! Invariants: the filter's cutoffs are fixed when a compaction starts (`create` may be called by
//! several threads at once, so all it does is copy them); only Keep and Remove; what cannot be
//! parsed is kept; no cutoff ever exceeds what the owner allowed, so that a clock that jumps
//! erases nothing (R1, see `keyviz_replica::clock_guard`). The filter looks up nothing: lineage
//! records, which go by what else is stored, are removed by a command (`keyviz_replica::sweep`).

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyviz_codec::{Key, Period};
use keyviz_lineage::{HOUR_MS, unix_hour};
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

/// How long history is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    fine_ms: u64,
    rollup_ms: u64,
    gc: Gc,
}

/// What compaction may drop, shared with its filters.
#[derive(Clone, Debug, Default)]
struct Gc {
    cutoffs: Arc<Mutex<Cutoffs>>,
    dropped: Arc<AtomicU64>,
}

/// The first hours that must be kept: those before them may be dropped by compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cutoffs {
    /// Of [`Period::Fine`].
    pub fine_hour: u64,
    /// Of [`Period::Longest`].
    pub longest_hour: u64,
}

impl Cutoffs {
    /// The one that goes for `period`.
    pub fn of(self, period: Period) -> u64 {
        match period {
            Period::Fine => self.fine_hour,
            Period::Longest => self.longest_hour,
        }
    }
}

impl Gc {
    // A panic while the lock was held leaves plain numbers.
    fn cutoffs(&self) -> MutexGuard<'_, Cutoffs> {
        self.cutoffs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Retention {
    /// Keeps `period_ms` of everything; drops nothing until [`Retention::allow_gc_at`] is called.
    pub fn new(period_ms: u64) -> Self {
        Self::with_rollups(period_ms, period_ms)
    }

    /// Keeps the finest columns for `fine_ms`, hourly roll-ups and what tells about them for
    /// `rollup_ms`, or `fine_ms` where that is more.
    pub fn with_rollups(fine_ms: u64, rollup_ms: u64) -> Self {
        Self { fine_ms, rollup_ms, gc: Gc::default() }
    }

    /// How long keys of a period are kept, in milliseconds.
    pub fn period_ms(&self, period: Period) -> u64 {
        match period {
            Period::Fine => self.fine_ms,
            Period::Longest => self.fine_ms.max(self.rollup_ms),
        }
    }

    /// The first hour of a period that is still retained at wall time `now_ms`: an hour goes once its
    /// end is older than the period.
    pub fn first_hour_of(&self, period: Period, now_ms: u64) -> u64 {
        unix_hour(now_ms.saturating_sub(self.period_ms(period)))
    }

    /// The first hour of the finest columns that is still retained at wall time `now_ms`.
    pub fn first_hour_at(&self, now_ms: u64) -> u64 {
        self.first_hour_of(Period::Fine, now_ms)
    }

    /// The first hour that any tier still holds at wall time `now_ms`: what lineage records are kept
    /// for.
    pub fn first_hour_of_any_tier_at(&self, now_ms: u64) -> u64 {
        self.first_hour_of(Period::Longest, now_ms)
    }

    /// The oldest instant of the finest columns that is still retained at wall time `now_ms`.
    pub fn oldest_ms_at(&self, now_ms: u64) -> u64 {
        self.first_hour_at(now_ms) * HOUR_MS
    }

    /// Lets compaction drop what has expired at wall time `now_ms`.
    pub fn allow_gc_at(&self, now_ms: u64) {
        *self.gc.cutoffs() = self.cutoffs_at(now_ms);
    }

    /// The first hours that are retained at wall time `now_ms`.
    pub fn cutoffs_at(&self, now_ms: u64) -> Cutoffs {
        Cutoffs {
            fine_hour: self.first_hour_of(Period::Fine, now_ms),
            longest_hour: self.first_hour_of(Period::Longest, now_ms),
        }
    }

    /// What compaction may drop by now.
    pub fn cutoffs(&self) -> Cutoffs {
        *self.gc.cutoffs()
    }

    /// Rows that compaction has dropped.
    pub fn dropped(&self) -> u64 {
        self.gc.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn filter_factory(&self) -> FilterFactory {
        FilterFactory { gc: self.gc.clone() }
    }
}

pub(crate) struct FilterFactory {
    gc: Gc,
}

impl CompactionFilterFactory for FilterFactory {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        Filter { cutoffs: *self.gc.cutoffs(), dropped: Arc::clone(&self.gc.dropped) }
    }

    fn name(&self) -> &CStr {
        c"keyviz.retention.factory"
    }
}

/// One compaction's view of what is too old.
pub(crate) struct Filter {
    cutoffs: Cutoffs,
    dropped: Arc<AtomicU64>,
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> rocksdb::CompactionDecision {
        match Key::parse(key).and_then(|(_, key)| key.expiry()) {
            Some((period, hour)) if hour < self.cutoffs.of(period) => {
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
