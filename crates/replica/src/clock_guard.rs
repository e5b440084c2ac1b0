//! A clock that jumps must not erase history (contract section 6).
//!
//! Garbage collection freezes for 24 h of uptime when wall and monotonic time part by more than an
//! hour, or when the wall is more than a day past the newest stored window at start. Pure.

const HOUR_MS: u64 = keyviz_lineage::HOUR_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Decides whether the wall clock may be trusted with deleting.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    /// Wall minus monotonic, at the last look.
    offset_ms: i128,
    frozen_until_monotonic_ms: Option<u64>,
}

impl ClockGuard {
    /// At start: `newest_ms` is the newest window that is stored, if any.
    pub(crate) fn new(wall_ms: u64, monotonic_ms: u64, newest_ms: Option<u64>) -> Self {
        let jumped = newest_ms.is_some_and(|newest| wall_ms > newest.saturating_add(DAY_MS));
        Self {
            offset_ms: i128::from(wall_ms) - i128::from(monotonic_ms),
            frozen_until_monotonic_ms: jumped.then(|| monotonic_ms.saturating_add(DAY_MS)),
        }
    }

    /// Whether history may be dropped by this wall time.
    pub(crate) fn may_drop(&mut self, wall_ms: u64, monotonic_ms: u64) -> bool {
        let offset_ms = i128::from(wall_ms) - i128::from(monotonic_ms);
        if offset_ms.abs_diff(self.offset_ms) > u128::from(HOUR_MS) {
            self.frozen_until_monotonic_ms = Some(monotonic_ms.saturating_add(DAY_MS));
        }
        self.offset_ms = offset_ms;
        self.frozen_until_monotonic_ms.is_none_or(|until| monotonic_ms >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_freezes_for_a_day_of_uptime() {
        let mut guard = ClockGuard::new(100 * DAY_MS, 0, Some(100 * DAY_MS - 60_000));
        assert!(guard.may_drop(100 * DAY_MS + 1_000, 1_000));
        assert!(!guard.may_drop(110 * DAY_MS, 2_000), "ten days in a second");
        assert!(!guard.may_drop(110 * DAY_MS + 1_000, 3_000));
        assert!(guard.may_drop(111 * DAY_MS, 2_000 + DAY_MS));
    }

    #[test]
    fn a_start_long_after_the_newest_window_freezes_too() {
        let mut guard = ClockGuard::new(100 * DAY_MS, 5, Some(98 * DAY_MS));
        assert!(!guard.may_drop(100 * DAY_MS, 5));
        assert!(guard.may_drop(101 * DAY_MS, 5 + DAY_MS));
        assert!(ClockGuard::new(100 * DAY_MS, 5, None).may_drop(100 * DAY_MS, 5));
    }
}
