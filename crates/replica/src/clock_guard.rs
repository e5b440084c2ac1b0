//! A clock that jumps must not erase history (contract section 6).
//!
//! Garbage collection freezes for 24 h of uptime when wall and monotonic time part by more than an
//! hour, or when the wall is more than a day past the newest stored window at start; or until an
//! operator says that the clock is right. A freeze goes on over restarts: what was recorded during
//! the jump would otherwise make the next start believe it. Pure; `gc.rs` looks at the clocks and
//! keeps the freeze on disk.

use keyviz_codec::marks::{Freeze, FreezeReason};

const HOUR_MS: u64 = keyviz_lineage::HOUR_MS;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;

/// Decides whether the wall clock may be trusted with deleting.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    /// Wall minus monotonic, at the last look.
    offset_ms: i128,
    /// What happened, and until when on the monotonic clock.
    frozen: Option<(Freeze, u64)>,
}

impl ClockGuard {
    /// At start: `newest_ms` is the end of the newest window that is stored, `held` the freeze that
    /// the last run left, if any.
    pub(crate) fn new(
        wall_ms: u64,
        monotonic_ms: u64,
        newest_ms: Option<u64>,
        held: Option<Freeze>,
    ) -> Self {
        let mut guard = Self { offset_ms: offset_ms(wall_ms, monotonic_ms), frozen: None };
        if let Some(freeze) = held {
            guard.frozen = Some((freeze, monotonic_ms.saturating_add(freeze.left_ms)));
        }
        let behind_ms = newest_ms.map_or(0, |newest| wall_ms.saturating_sub(newest));
        if behind_ms > DAY_MS {
            guard.freeze(wall_ms, monotonic_ms, FreezeReason::Behind(behind_ms));
        }
        guard
    }

    /// Whether history may be dropped by this wall time.
    pub(crate) fn may_drop(&mut self, wall_ms: u64, monotonic_ms: u64) -> bool {
        let offset_ms = offset_ms(wall_ms, monotonic_ms);
        let parted_ms = u64::try_from(offset_ms.abs_diff(self.offset_ms)).unwrap_or(u64::MAX);
        if parted_ms > HOUR_MS {
            self.freeze(wall_ms, monotonic_ms, FreezeReason::Parted(parted_ms));
        }
        self.offset_ms = offset_ms;
        self.frozen = self.frozen.filter(|&(_, until)| monotonic_ms < until);
        self.frozen.is_none()
    }

    /// The clock is right as it is.
    pub(crate) fn accept(&mut self, wall_ms: u64, monotonic_ms: u64) {
        self.offset_ms = offset_ms(wall_ms, monotonic_ms);
        self.frozen = None;
    }

    /// The freeze, if there is one, with what is left of it.
    pub(crate) fn frozen(&self, monotonic_ms: u64) -> Option<Freeze> {
        let (freeze, until) = self.frozen?;
        Some(Freeze { left_ms: until.saturating_sub(monotonic_ms), ..freeze })
    }

    fn freeze(&mut self, wall_ms: u64, monotonic_ms: u64, why: FreezeReason) {
        let freeze = Freeze { since_ms: wall_ms, left_ms: DAY_MS, why };
        self.frozen = Some((freeze, monotonic_ms.saturating_add(DAY_MS)));
    }
}

fn offset_ms(wall_ms: u64, monotonic_ms: u64) -> i128 {
    i128::from(wall_ms) - i128::from(monotonic_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_freezes_for_a_day_of_uptime() {
        let mut guard = ClockGuard::new(100 * DAY_MS, 0, Some(100 * DAY_MS - 60_000), None);
        assert!(guard.may_drop(100 * DAY_MS + 1_000, 1_000));
        assert!(!guard.may_drop(110 * DAY_MS, 2_000), "ten days in a second");
        assert!(!guard.may_drop(110 * DAY_MS + 1_000, 3_000));
        let frozen = guard.frozen(3_000).unwrap();
        assert_eq!((frozen.since_ms, frozen.left_ms), (110 * DAY_MS, DAY_MS - 1_000));
        assert_eq!(frozen.why, FreezeReason::Parted(10 * DAY_MS - 2_000));
        assert!(guard.may_drop(111 * DAY_MS, 2_000 + DAY_MS));
        assert_eq!(guard.frozen(2_000 + DAY_MS), None);
    }

    #[test]
    fn a_start_long_after_the_newest_window_freezes_too() {
        let mut guard = ClockGuard::new(100 * DAY_MS, 5, Some(98 * DAY_MS), None);
        assert!(!guard.may_drop(100 * DAY_MS, 5));
        assert_eq!(guard.frozen(5).unwrap().why, FreezeReason::Behind(2 * DAY_MS));
        assert!(guard.may_drop(101 * DAY_MS, 5 + DAY_MS));
        assert!(ClockGuard::new(100 * DAY_MS, 5, None, None).may_drop(100 * DAY_MS, 5));
    }

    #[test]
    fn an_operator_ends_a_freeze_and_a_restart_does_not() {
        let mut guard = ClockGuard::new(100 * DAY_MS, 0, Some(100 * DAY_MS), None);
        assert!(!guard.may_drop(110 * DAY_MS, 2_000));
        let held = guard.frozen(HOUR_MS);
        // Columns of the wrong time have been stored meanwhile.
        let mut next = ClockGuard::new(110 * DAY_MS + HOUR_MS, 7, Some(110 * DAY_MS), held);
        assert!(!next.may_drop(110 * DAY_MS + HOUR_MS, 7));
        assert_eq!(next.frozen(7), held);
        next.accept(110 * DAY_MS + HOUR_MS, 8);
        assert!(next.may_drop(110 * DAY_MS + HOUR_MS, 8));
        assert!(!next.may_drop(10 * DAY_MS, 9), "it may jump again");
    }
}
