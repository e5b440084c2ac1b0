//! The hybrid logical clock (contract section 1).
//!
//! Layout of [`Hlc`], most significant first: 48 bits Unix milliseconds, 16 bits logical counter.
//! Invariants: issued values only grow, also when the wall clock jumps back and over a restart (the
//! owner persists [`HlcClock::last`] with a margin and starts from it).

use std::fmt;

use thiserror::Error;

/// The greatest Unix milliseconds that 48 bits hold (the year 10889).
const MAX_UNIX_MS: u64 = (1 << 48) - 1;
/// How far ahead of the wall an observed value may be, in milliseconds.
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1_000;

/// A moment: Unix milliseconds in the high 48 bits, a logical counter in the low 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(pub u64);

impl Hlc {
    /// From its parts; `unix_ms` is cut to 48 bits.
    pub const fn new(unix_ms: u64, logical: u16) -> Self {
        Self(unix_ms << 16 | logical as u64)
    }

    /// Unix milliseconds.
    pub const fn unix_ms(self) -> u64 {
        self.0 >> 16
    }

    /// The logical counter.
    pub const fn logical(self) -> u16 {
        self.0 as u16
    }

    /// The value `ticks` later; the logical part carries into the milliseconds.
    pub const fn plus(self, ticks: u64) -> Self {
        Self(self.0.saturating_add(ticks))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.unix_ms(), self.logical())
    }
}

/// Why a foreign clock value was not taken over.
#[allow(missing_docs)] // the messages name the fields
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HlcError {
    /// Following it would drag this clock into the future.
    #[error(
        "HLC {observed} is {ahead_ms} ms ahead of this node's wall clock (limit 300,000 ms); check \
         the sender's clock"
    )]
    TooFarAhead { observed: Hlc, ahead_ms: u64 },
}

/// Issues [`Hlc`] values. Pure: the wall time is an argument.
#[derive(Clone, Debug, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// A clock that issues values after `last`.
    pub const fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// The greatest value issued or observed.
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// The next value for wall time `wall_ms`.
    pub fn next(&mut self, wall_ms: u64) -> Hlc {
        self.reserve(wall_ms, 1)
    }

    /// Reserves `ticks` consecutive values and returns the first.
    pub fn reserve(&mut self, wall_ms: u64, ticks: u64) -> Hlc {
        // Cut to 48 bits, a clock gone mad would issue small values again.
        let wall_ms = wall_ms.min(MAX_UNIX_MS);
        let first =
            if wall_ms > self.last.unix_ms() { Hlc::new(wall_ms, 0) } else { self.last.plus(1) };
        self.last = first.plus(ticks.saturating_sub(1));
        first
    }

    /// Takes over a value seen elsewhere (compare-and-max).
    ///
    /// # Errors
    /// [`HlcError::TooFarAhead`] when it is more than five minutes ahead of `wall_ms`; the clock is
    /// unchanged.
    pub fn observe(&mut self, wall_ms: u64, other: Hlc) -> Result<(), HlcError> {
        let ahead_ms = other.unix_ms().saturating_sub(wall_ms);
        if ahead_ms > MAX_AHEAD_MS {
            return Err(HlcError::TooFarAhead { observed: other, ahead_ms });
        }
        self.last = self.last.max(other);
        Ok(())
    }
}

#[cfg(test)]
#[path = "hlc_test.rs"]
mod hlc_test;
