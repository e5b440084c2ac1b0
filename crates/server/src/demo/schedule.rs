//! When what happens: the run's moments, from its length.
//!
//! Invariants: sweep < split < kill < merge < restart < end; the hotspot is in the middle of its
//! table at the split.
//! Must not: read a clock.
//! Proof: `schedule_test.rs`.

use std::time::Duration;

/// Times the hotspot moves over its table.
const SWEEPS: u32 = 4;
/// How long keyviz stays away after SIGKILL, at most.
const MAX_OUTAGE: Duration = Duration::from_secs(3);

/// The kill comes so far into the run. In a minute: some seconds after the node's latest checkpoint,
/// so that the write-ahead log has something to replay.
const KILL: f64 = 0.55;

/// Moments since the traffic began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// How long the hotspot takes from one end of its table to the other.
    pub(super) sweep: Duration,
    /// The hot range is split.
    pub(super) split: Duration,
    /// Keyviz is killed.
    pub(super) kill: Duration,
    /// Two cold ranges are merged; keyviz is away.
    pub(super) merge: Duration,
    /// Keyviz is started again.
    pub(super) restart: Duration,
    /// The traffic stops.
    pub(super) end: Duration,
}

impl Schedule {
    /// The moments of a run of `seconds`.
    pub(super) fn of(seconds: u32) -> Self {
        let end = Duration::from_secs(seconds.into());
        let sweep = end / SWEEPS;
        let kill = end.mul_f64(KILL);
        let outage = MAX_OUTAGE.min(end / 6);
        Self {
            sweep,
            split: sweep.mul_f64(1.5),
            kill,
            merge: kill + outage / 3,
            restart: kill + outage,
            end,
        }
    }
}

#[cfg(test)]
#[path = "schedule_test.rs"]
mod schedule_test;
