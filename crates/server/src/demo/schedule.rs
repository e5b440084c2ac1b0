//! When what happens: the run's moments, from its length and the number of its transitions.
//!
//! Invariants: sweep < split < kill < merge < restart < end; the hotspot is in the middle of its
//! table at the split. However many transitions there are, half of them (and the odd one) are splits.
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

/// Many transitions are spread evenly over this part of the run, some of them while keyviz is away.
const BUSY: (f64, f64) = (0.05, 0.93);
/// So many splits for each move.
const SPLITS_A_MOVE: u32 = 3;

/// Transitions of a demo that nobody asked for more of: one split, one merge.
pub(super) const FEW: u32 = 2;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The range under the hotspot is cut in two.
    Split,
    /// Two ranges become one: two cold ones, or (of many) two that the hotspot has just left.
    Merge,
    /// The range under the hotspot goes to the other group.
    Move,
    /// Keyviz is killed.
    Kill,
    /// Keyviz is started again.
    Restart,
}

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

    /// Everything that happens, in order, with `transitions` splits and merges.
    pub(super) fn acts(&self, transitions: u32) -> Vec<(Duration, Act)> {
        let mut acts = vec![(self.kill, Act::Kill), (self.restart, Act::Restart)];
        if transitions <= FEW {
            acts.extend([(self.split, Act::Split), (self.merge, Act::Merge)]);
        } else {
            let between = self.end.mul_f64(BUSY.1 - BUSY.0) / (transitions - 1);
            for nth in 0..transitions {
                let at = self.end.mul_f64(BUSY.0) + between * nth;
                let act = if nth.is_multiple_of(2) { Act::Split } else { Act::Merge };
                acts.push((at, act));
                if (nth + 1).is_multiple_of(2 * SPLITS_A_MOVE) {
                    acts.push((at + between / 2, Act::Move));
                }
            }
        }
        acts.sort_by_key(|&(at, _)| at);
        acts
    }
}

#[cfg(test)]
#[path = "schedule_test.rs"]
mod schedule_test;
