//! Where time comes from: a trait, and a clock for tests that moves only when told.
//!
//! Must not: read the machine's clock. The one implementation that does lives where the linter
//! allows it (`keyviz_api::ambient`).

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of time. Everything that needs "now" takes one of these.
pub trait Clock: Send + Sync + 'static {
    /// Wall time, milliseconds since the Unix epoch. May jump in both directions.
    fn unix_ms(&self) -> u64;
    /// Milliseconds since some fixed point of this process. Never goes back.
    fn monotonic_ms(&self) -> u64;
    /// The same in nanoseconds, for latencies; a clock that knows no better says milliseconds.
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ms().saturating_mul(1_000_000)
    }
}

/// A clock for tests: wall and monotonic time move only through [`ManualClock::advance`] and
/// [`ManualClock::set_wall`].
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock whose wall time is `unix_ms`.
    pub fn at(unix_ms: u64) -> Self {
        Self { wall_ms: AtomicU64::new(unix_ms), monotonic_ms: AtomicU64::new(0) }
    }

    /// Time passes: wall and monotonic move together.
    pub fn advance(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The wall clock is set (it jumps); monotonic time stays.
    pub fn set_wall(&self, unix_ms: u64) {
        self.wall_ms.store(unix_ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::Relaxed)
    }
}
