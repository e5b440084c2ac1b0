//! Steps and windows: how time is cut (contract section 1).
//!
//! A window is `[t, t + step)` with `t` a multiple of the step. Recorded steps divide an hour;
//! answers may use coarser ones that are whole hours.

use thiserror::Error;

use crate::HOUR_MS;

/// The steps an answer may choose by itself, in milliseconds, finest first (contract section 1).
const AUTO_STEPS_MS: [u64; 11] = [
    120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000,
    43_200_000, 86_400_000,
];
/// The most columns that an automatic step produces (contract section 1).
pub const AUTO_STEP_MAX_COLUMNS: u64 = 1_500;

/// A length of time that cuts the time axis. At least one second, either a divisor of an hour or a
/// whole number of hours up to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(u64);

/// Why a step or a time is not on the grid.
#[allow(missing_docs)] // the messages name the fields
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StepError {
    /// The length cannot cut an hour (or a day) evenly.
    #[error(
        "step of {step_ms} ms: a step is at least 1 s and divides 1 h (3,600 s), or is a whole \
         number of hours that divides a day; use for example 1s, 10s, 60s or 1h"
    )]
    Uneven { step_ms: u64 },
    /// The step is right for an answer, but too long to be recorded.
    #[error(
        "step of {step_ms} ms: a recorded step is at most 10 min (600,000 ms); record finer and \
         let the query coarsen"
    )]
    TooLongToRecord { step_ms: u64 },
    /// A window that does not start on the grid.
    #[error(
        "window {window_unix_ms} is not a multiple of the step of {step_ms} ms; use {floor_ms}"
    )]
    OffGrid { window_unix_ms: u64, step_ms: u64, floor_ms: u64 },
}

impl Step {
    /// One minute: the default.
    pub const MINUTE: Self = Self(60_000);
    /// One hour: the length of a stored block.
    pub const HOUR: Self = Self(HOUR_MS);

    /// A step of `step_ms` milliseconds.
    ///
    /// # Errors
    /// [`StepError::Uneven`] when it cuts neither an hour nor a day evenly.
    pub fn from_ms(step_ms: u64) -> Result<Self, StepError> {
        let divides_hour = step_ms >= 1_000 && HOUR_MS.is_multiple_of(step_ms);
        let divides_day = step_ms >= HOUR_MS
            && step_ms.is_multiple_of(HOUR_MS)
            && (24 * HOUR_MS).is_multiple_of(step_ms);
        if divides_hour || divides_day {
            Ok(Self(step_ms))
        } else {
            Err(StepError::Uneven { step_ms })
        }
    }

    /// A step that a source may record at: 1 s to 10 min.
    ///
    /// # Errors
    /// As [`Step::from_ms`], and [`StepError::TooLongToRecord`] above 10 minutes.
    pub fn recordable_from_ms(step_ms: u64) -> Result<Self, StepError> {
        let step = Self::from_ms(step_ms)?;
        if step_ms > 600_000 { Err(StepError::TooLongToRecord { step_ms }) } else { Ok(step) }
    }

    /// Its length in milliseconds.
    #[inline]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// How many windows of this step an hour holds (0 for steps above an hour).
    pub const fn columns_per_hour(self) -> usize {
        (HOUR_MS / self.0) as usize
    }

    /// The start of the window that holds `unix_ms`.
    pub const fn floor(self, unix_ms: u64) -> u64 {
        unix_ms - unix_ms % self.0
    }

    /// The first window start at or after `unix_ms` (saturating at the last multiple).
    pub const fn ceil(self, unix_ms: u64) -> u64 {
        match unix_ms % self.0 {
            0 => unix_ms,
            rest => match unix_ms.checked_add(self.0 - rest) {
                Some(up) => up,
                None => unix_ms - rest,
            },
        }
    }

    /// The window that a sample drained at `flush_unix_ms` belongs to: the one that ends nearest
    /// to it (contract section 1).
    pub const fn window_ending_near(self, flush_unix_ms: u64) -> Window {
        let end = self.floor(flush_unix_ms.saturating_add(self.0 / 2));
        Window { start_ms: end.saturating_sub(self.0), step: self }
    }

    /// The step an answer over `[from_ms, to_ms)` uses when none is asked for: the finest of the
    /// recorded one and the fixed ladder that keeps columns at or below
    /// [`AUTO_STEP_MAX_COLUMNS`]. Only multiples of the recorded step qualify.
    pub fn auto(recorded: Self, from_ms: u64, to_ms: u64) -> Self {
        let fits = |step: u64| {
            let span = Self(step).ceil(to_ms).saturating_sub(Self(step).floor(from_ms));
            span / step <= AUTO_STEP_MAX_COLUMNS
        };
        if fits(recorded.0) {
            return recorded;
        }
        AUTO_STEPS_MS
            .into_iter()
            .filter(|&ms| ms > recorded.0 && ms.is_multiple_of(recorded.0))
            .find(|&ms| fits(ms))
            .map_or(Self(24 * HOUR_MS), Self)
    }
}

/// `[start_ms, start_ms + step)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Start, Unix milliseconds, a multiple of the step.
    pub start_ms: u64,
    /// Its length.
    pub step: Step,
}

impl Window {
    /// The window that starts at `start_ms`.
    ///
    /// # Errors
    /// [`StepError::OffGrid`] when the start is not a multiple of the step.
    pub fn new(start_ms: u64, step: Step) -> Result<Self, StepError> {
        let floor_ms = step.floor(start_ms);
        if floor_ms == start_ms {
            Ok(Self { start_ms, step })
        } else {
            Err(StepError::OffGrid { window_unix_ms: start_ms, step_ms: step.ms(), floor_ms })
        }
    }

    /// Its end (exclusive), Unix milliseconds.
    pub const fn end_ms(self) -> u64 {
        self.start_ms.saturating_add(self.step.ms())
    }

    /// The Unix hour that holds it.
    pub const fn hour(self) -> u64 {
        crate::unix_hour(self.start_ms)
    }

    /// Its place within its hour, from 0. Recorded steps only.
    pub const fn index_in_hour(self) -> usize {
        ((self.start_ms % HOUR_MS) / self.step.ms()) as usize
    }
}

#[cfg(test)]
#[path = "step_test.rs"]
mod step_test;
