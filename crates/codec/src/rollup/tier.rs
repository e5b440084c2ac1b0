//! How long the windows of roll-ups are.
//!
//! Must not: know how they are stored.
//! Proof: `rollup_test.rs`.

use keyviz_lineage::Step;

use super::MAX_WINDOWS;

/// How long the windows of a roll-up are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// One window an hour.
    Hour,
    /// Twelve windows an hour.
    FiveMinutes,
}

impl Tier {
    /// All of them, coarsest first.
    pub const ALL: [Self; 2] = [Self::Hour, Self::FiveMinutes];

    /// How many windows an hour has; also its name in keys and values.
    pub const fn windows(self) -> usize {
        match self {
            Self::Hour => 1,
            Self::FiveMinutes => MAX_WINDOWS,
        }
    }

    /// The tier of so many windows an hour.
    pub fn from_windows(windows: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.windows() == usize::from(windows))
    }

    /// The length of a window in milliseconds.
    pub const fn step_ms(self) -> u64 {
        keyviz_lineage::HOUR_MS / self.windows() as u64
    }

    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::FiveMinutes => "5m",
        }
    }

    /// How many cells of a block of this step a window has; `None` where they do not fill it (R3).
    pub(super) fn cells_of(self, step: Step) -> Option<usize> {
        let is_even = self.step_ms().is_multiple_of(step.ms());
        is_even.then_some(step.columns_per_hour() / self.windows())
    }
}
