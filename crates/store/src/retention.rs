//! Retention: what is too old is hidden from reads at once, and dropped by compaction.
//!
//! Owns: the two periods (see `keyviz_codec::Period`), and the cutoffs that the compaction filter
//! uses.
//! Invariants: the filter's cutoffs are fixed when a compaction starts (`create` may be called by
//! several threads at once, so all it does is copy them); only Keep and Remove; what cannot be
//! parsed is kept, and so is what is pinned; no cutoff ever exceeds what the owner allowed, so that a clock that jumps
//! erases nothing (R1, see `keyviz_replica::clock_guard`). The filter looks up nothing: lineage
//! records, which go by what else is stored, are removed by a command (`keyviz_replica::sweep`).

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyviz_codec::{Key, Period};
use keyviz_lineage::{HOUR_MS, unix_hour};
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

use crate::Pins;

/// How long history is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    fine_ms: u64,
    rollup_ms: u64,
    /// Finest columns of hours before this one may be gone, whatever the period says now.
    dropped_hour: Arc<AtomicU64>,
    gc: Gc,
}

/// What compaction may drop, shared with its filters.
#[derive(Clone, Debug, Default)]
struct Gc {
    rules: Arc<Mutex<Rules>>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Rules {
    cutoffs: Cutoffs,
    pins: Arc<Pins>,
    /// How many ask that the cutoffs stay where they are.
    holds: usize,
}

/// While one lives, the cutoffs stay where they are: what was retained when it was taken cannot be
/// dropped meanwhile.
#[derive(Debug)]
pub struct Hold {
    gc: Gc,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gc.rules().holds -= 1;
    }
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
    // A panic while the lock was held leaves what is whole.
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self { fine_ms, rollup_ms, dropped_hour: Arc::default(), gc: Gc::default() }
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
        self.cutoffs_at(now_ms).fine_hour * HOUR_MS
    }

    /// Lets compaction drop what has expired at wall time `now_ms`, unless somebody holds it.
    pub fn allow_gc_at(&self, now_ms: u64) {
        let mut rules = self.gc.rules();
        if rules.holds == 0 {
            rules.cutoffs = self.cutoffs_at(now_ms);
        }
    }

    /// Keeps the cutoffs where they are.
    pub fn hold(&self) -> Hold {
        self.gc.rules().holds += 1;
        Hold { gc: self.gc.clone() }
    }

    /// What is kept whatever its age.
    pub fn pins(&self) -> Arc<Pins> {
        Arc::clone(&self.gc.rules().pins)
    }

    /// Keeps other things from now on. Compactions that are underway go by what they began with.
    pub fn set_pins(&self, pins: Pins) {
        self.gc.rules().pins = Arc::new(pins);
    }

    /// Finest columns of hours before this one may have been dropped: under a shorter period, or before
    /// the clock went back.
    pub fn dropped_hour(&self) -> u64 {
        self.dropped_hour.load(Ordering::Relaxed)
    }

    pub(crate) fn note_dropped(&self, before_hour: u64) {
        self.dropped_hour.fetch_max(before_hour, Ordering::Relaxed);
    }

    /// The first hours that are retained at wall time `now_ms`.
    pub fn cutoffs_at(&self, now_ms: u64) -> Cutoffs {
        Cutoffs {
            fine_hour: self.first_hour_of(Period::Fine, now_ms).max(self.dropped_hour()),
            longest_hour: self.first_hour_of(Period::Longest, now_ms),
        }
    }

    /// What compaction may drop by now.
    pub fn cutoffs(&self) -> Cutoffs {
        self.gc.rules().cutoffs
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
        let rules = self.gc.rules();
        let (cutoffs, pins) = (rules.cutoffs, Arc::clone(&rules.pins));
        Filter { cutoffs, pins, dropped: Arc::clone(&self.gc.dropped) }
    }

    fn name(&self) -> &CStr {
        c"keyviz.retention.factory"
    }
}

/// One compaction's view of what is too old.
pub(crate) struct Filter {
    cutoffs: Cutoffs,
    pins: Arc<Pins>,
    dropped: Arc<AtomicU64>,
}

impl Filter {
    /// Whether a key has expired and no pin keeps it.
    fn may_go(&self, key: &[u8]) -> bool {
        let Some((group, key)) = Key::parse(key) else { return false };
        let expired = key.expiry().is_some_and(|(period, hour)| hour < self.cutoffs.of(period));
        expired && !self.pins.keeps(group, &key)
    }
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> rocksdb::CompactionDecision {
        if !self.may_go(key) {
            return rocksdb::CompactionDecision::Keep;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        rocksdb::CompactionDecision::Remove
    }

    fn name(&self) -> &CStr {
        c"keyviz.retention"
    }
}
