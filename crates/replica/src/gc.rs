//! Garbage collection as its operator sees it: whether it is frozen and why, how far it may go, and
//! how old the oldest row on disk is.
//!
//! Owns: the clock guard, and the mark of its freeze on disk.
//! Invariant: a freeze is on disk before anybody is told that there is one, and gone before anybody
//! is told that it has ended; where the disk refuses, the guard of this run still holds.
//! Must not: decide when to freeze (`clock_guard.rs`) or what may go (`keyviz_store::retention`).
//! Proof: `gc_test.rs`.

use std::sync::PoisonError;

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::{Freeze, FreezeReason, Mark as _};
use keyviz_lineage::{Clock, HOUR_MS};
use keyviz_store::retention::Cutoffs;
use keyviz_store::{Batch, Store, StoreError};

use crate::clock_guard::{ClockGuard, DAY_MS};
use crate::counters::Counters;
use crate::recorder::{Recorder, Shared};

/// The guard and what is on disk of it.
#[derive(Debug)]
pub(crate) struct Gc {
    guard: ClockGuard,
    stored: Option<Freeze>,
}

/// How garbage collection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcStatus {
    /// Wall time of the answer, Unix milliseconds.
    pub now_ms: u64,
    /// The freeze, if there is one.
    pub frozen: Option<Freeze>,
    /// Hours before these may be dropped by now.
    pub cutoffs: Cutoffs,
    /// The first hours of which anything is on disk that no pin keeps; `u64::MAX` where there is
    /// nothing.
    pub oldest: Cutoffs,
    /// Rows that compaction has dropped since the start.
    pub dropped: u64,
    /// Pin marks that cannot be read: while there is one, nothing is dropped.
    pub damaged_pins: u64,
}

impl Gc {
    /// As the last run left it. `newest_ms` is the end of the newest window that a source sent.
    pub(crate) fn start(
        store: &Store,
        clock: &dyn Clock,
        newest_ms: Option<u64>,
    ) -> Result<Self, StoreError> {
        let (wall_ms, monotonic_ms) = (clock.unix_ms(), clock.monotonic_ms());
        let view = store.view(wall_ms);
        // Sources that were silent for long are forgotten; what they sent may still be there.
        let stored_ms = view.newest_coverage_hour()?.map(|hour| (hour + 1) * HOUR_MS);
        let stored = view.raw(NODE_GROUP, &Key::Freeze)?.map(|value| {
            Freeze::decode(&value).unwrap_or_else(|error| {
                tracing::error!(%error, "the freeze mark is damaged; garbage collection is frozen anew");
                Freeze { since_ms: wall_ms, left_ms: DAY_MS, why: FreezeReason::Parted(0) }
            })
        });
        let guard = ClockGuard::new(wall_ms, monotonic_ms, newest_ms.max(stored_ms), stored);
        Ok(Self { guard, stored })
    }

    /// Has what is on disk say what the guard says; of time that passes, once an hour.
    fn keep(&mut self, store: &Store, monotonic_ms: u64) {
        let frozen = self.guard.frozen(monotonic_ms);
        let is_same = match (frozen, self.stored) {
            (Some(now), Some(then)) => {
                (now.since_ms, now.why) == (then.since_ms, then.why)
                    && now.left_ms.abs_diff(then.left_ms) < HOUR_MS
            }
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        let mut batch = Batch::default();
        match frozen {
            Some(freeze) => {
                if self.stored.is_none() {
                    tracing::warn!(
                        ?freeze,
                        "a clock jumped: nothing is dropped for 24 h, or until `keyviz gc --accept-clock`"
                    );
                }
                batch.put_mark(NODE_GROUP, &Key::Freeze, &freeze);
            }
            None => batch.delete(NODE_GROUP, &Key::Freeze),
        }
        match store.commit(&batch) {
            Ok(()) => self.stored = frozen,
            // The next look tries again.
            Err(error) => tracing::warn!(%error, "the freeze of garbage collection is not on disk"),
        }
    }
}

/// Looks at the clocks. Returns whether history may be dropped by wall time.
pub(crate) fn look(shared: &Shared, wall_ms: u64) -> bool {
    let monotonic_ms = shared.clock.monotonic_ms();
    let mut gc = shared.gc.lock().unwrap_or_else(PoisonError::into_inner);
    let may_drop = gc.guard.may_drop(wall_ms, monotonic_ms);
    gc.keep(&shared.store, monotonic_ms);
    Counters::set(&shared.counters.gc_frozen, u64::from(!may_drop));
    if may_drop && let Err(error) = shared.store.allow_gc_at(wall_ms) {
        tracing::warn!(%error, "nothing more is dropped for now");
    }
    may_drop
}

/// Takes note of the oldest row on disk.
pub(crate) fn note_oldest(shared: &Shared, wall_ms: u64) -> Result<Cutoffs, StoreError> {
    let oldest = shared.store.view(wall_ms).oldest_on_disk()?;
    let ms = |hour: u64| if hour == u64::MAX { 0 } else { hour.saturating_mul(HOUR_MS) };
    Counters::set(&shared.counters.oldest_row_ms, ms(oldest.fine_hour));
    Counters::set(&shared.counters.oldest_rollup_row_ms, ms(oldest.longest_hour));
    Ok(oldest)
}

impl Recorder {
    /// How garbage collection stands. Looks for the oldest row on disk: some microseconds a lineage.
    ///
    /// # Errors
    /// A read failure of the store.
    pub fn gc_status(&self) -> Result<GcStatus, StoreError> {
        let shared = &self.shared;
        let now_ms = shared.clock.unix_ms();
        look(shared, now_ms);
        let retention = shared.store.retention();
        let frozen = {
            let gc = shared.gc.lock().unwrap_or_else(PoisonError::into_inner);
            gc.guard.frozen(shared.clock.monotonic_ms())
        };
        Ok(GcStatus {
            now_ms,
            frozen,
            cutoffs: retention.cutoffs(),
            oldest: note_oldest(shared, now_ms)?,
            dropped: retention.dropped(),
            damaged_pins: self.counters().damaged_pins,
        })
    }

    /// Rows that compaction has dropped since the start.
    pub fn dropped_rows(&self) -> u64 {
        self.shared.store.retention().dropped()
    }

    /// Bytes of all files of the store.
    pub fn file_bytes(&self) -> u64 {
        self.shared.store.file_bytes()
    }

    /// Bytes that RocksDB has written since the start, for each byte that it was given.
    pub fn write_amplification(&self) -> f64 {
        self.shared.store.write_amplification()
    }

    /// Ends a freeze: the clock is right as it is. What has expired by it may be dropped from now on.
    ///
    /// # Errors
    /// A read failure of the store.
    pub fn accept_clock(&self) -> Result<GcStatus, StoreError> {
        let shared = &self.shared;
        let (wall_ms, monotonic_ms) = (shared.clock.unix_ms(), shared.clock.monotonic_ms());
        {
            let mut gc = shared.gc.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(freeze) = gc.guard.frozen(monotonic_ms) {
                tracing::info!(?freeze, "an operator accepts the clock");
            }
            gc.guard.accept(wall_ms, monotonic_ms);
            gc.keep(&shared.store, monotonic_ms);
        }
        self.gc_status()
    }
}

#[cfg(test)]
#[path = "gc_test.rs"]
mod gc_test;
