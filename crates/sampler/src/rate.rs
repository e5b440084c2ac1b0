//! Adaptive sampling: counting one operation in N of a route whose counting would cost too much
//! (contract section 9). Off unless [`crate::Settings::adaptive`] is set.
//!
//! Each operation is accepted by itself with probability 1/N, N = 2^class, and counts N times. A window
//! with `a` accepted operations of sizes `s` estimates the count as `N a` and the bytes as `N sum(s)`;
//! their relative standard errors are `sqrt((1 - 1/N) / a)` and
//! `sqrt((1 - 1/N) sum(s^2)) / sum(s)`. A series is within +-5 % at 95 % when 1.96 times its error is at
//! most 0.05, that is with at least 1,537 accepted operations of like size.
//! Invariants: a class only rises when the last window's modelled cost was above the threshold, and not
//! further than leaves every busy series [`TARGET`] accepted operations, or as many more as their sizes
//! differ (A1); what misses the bound is
//! *soft* (A2); operations of different classes within one window are kept apart, so that a change of
//! class biases nothing (A3).
//! Must not: draw its own seeds, or read a clock.
//! Proof: `rate_test.rs`.

use keyviz_lineage::{Counts, Flags, Series, Step};

/// What observing a route that may be sampled costs, nanoseconds: the figure that the model uses.
/// `keyviz-bench observe-cost` fails where it is off by more than a fifth.
pub const COST_PER_OBSERVE_NS: u64 = 6;
/// N is at most 2 to the power of this.
pub(crate) const MAX_CLASS: usize = 10;
/// Accepted operations that keep the relative error of a count within 5 % at 95 %: (1.96 / 0.05)^2.
const ENOUGH: f64 = 1_537.0;
/// How many the controller leaves a series, so that traffic may fall by as much before it is soft.
const TARGET: u64 = 4 * 1_537;
/// Squares are summed of sizes in units of this many bytes, rounded up.
const SQUARE_UNIT_BYTES: u64 = 16;

/// When to sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// What counting one route may cost, nanoseconds a second of all threads together.
    pub max_cost_ns_per_second: u64,
    /// Where the choice of operations begins. The caller draws it.
    pub seed: u64,
}

/// What was accepted in one class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accepted {
    pub(crate) counts: Counts,
    /// Sums of squared sizes, in the fields of the bytes.
    pub(crate) squares: Counts,
}

/// The square that an operation of so many bytes adds.
pub(crate) const fn square(bytes: u64) -> u64 {
    let units = bytes.div_ceil(SQUARE_UNIT_BYTES);
    units * units
}

/// What a window's exact part and what was accepted by class (1 first) estimate, and its flags.
pub(crate) fn estimate(exact: Counts, classes: &[Accepted]) -> (Counts, Flags) {
    let (mut sum, mut flags) = (exact, Flags::NONE);
    for (class, accepted) in (1_u32..).zip(classes) {
        if accepted.counts.is_idle() {
            continue;
        }
        flags = flags.or(Flags::SAMPLED);
        let mut scaled = Counts::default();
        for series in Series::ALL {
            *scaled.get_mut(series) = accepted.counts.get(series).saturating_mul(1 << class);
        }
        sum.add(&scaled);
    }
    let is_soft = |series: Series| is_soft(series, &sum, classes);
    if flags.has(Flags::SAMPLED) && Series::ALL.into_iter().any(is_soft) {
        flags = flags.or(Flags::SOFT);
    }
    (sum, flags)
}

/// Whether a series misses the bound: its variance, over the classes, against its square.
fn is_soft(series: Series, sum: &Counts, classes: &[Accepted]) -> bool {
    let mut variance = 0.0;
    for (class, Accepted { counts, squares }) in (1_i32..).zip(classes) {
        let n = 2_f64.powi(class);
        let squared = match series {
            Series::Reads | Series::Writes => counts.get(series) as f64,
            Series::ReadBytes | Series::WriteBytes => {
                let unit = SQUARE_UNIT_BYTES as f64;
                squares.get(series) as f64 * unit * unit
            }
        };
        // N^2 a, not N (N - 1) a: the contract asks for 1,537 whatever N is.
        variance += n * n * squared;
    }
    let value = sum.get(series) as f64;
    variance * ENOUGH > value * value
}

/// How alike the accepted sizes were: the part of them that, all of one size, would tell as much about
/// the bytes, of the kind of operation where it is less. `None`: nothing was accepted.
pub(crate) fn likeness(classes: &[Accepted]) -> Option<f64> {
    let of = |count: Series, bytes: Series| {
        let (mut operations, mut sum, mut squared) = (0.0, 0.0, 0.0);
        for (class, Accepted { counts, squares }) in (1_i32..).zip(classes) {
            let n = 2_f64.powi(class);
            operations += n * counts.get(count) as f64;
            sum += n * counts.get(bytes) as f64;
            squared += n * squares.get(bytes) as f64;
        }
        let unit = SQUARE_UNIT_BYTES as f64;
        let likeness = sum * sum / (operations * squared * unit * unit);
        likeness.is_finite().then_some(likeness.min(1.0))
    };
    let kinds = [of(Series::Reads, Series::ReadBytes), of(Series::Writes, Series::WriteBytes)];
    kinds.into_iter().flatten().reduce(f64::min)
}

/// The class of the next window, after one of `step` that counted about this. `likeness` is the last
/// known; while none is, one in two is the most.
pub(crate) fn class_after(
    counts: &Counts,
    likeness: Option<f64>,
    step: Step,
    adaptive: Adaptive,
) -> usize {
    let operations = counts.reads.saturating_add(counts.writes);
    let cost = u128::from(operations) * u128::from(COST_PER_OBSERVE_NS);
    let most = u128::from(adaptive.max_cost_ns_per_second) * u128::from(step.ms()) / 1_000;
    // The rarer of the two kinds, if there are both.
    let busy = [counts.reads, counts.writes].into_iter().filter(|&count| count > 0);
    let rarest = (busy.min().unwrap_or(0) as f64 * likeness.unwrap_or(1.0)) as u64;
    let highest = if likeness.is_some() { MAX_CLASS } else { 1 };
    (0..highest) // A1
        .find(|&class| cost >> class <= most || rarest >> (class + 1) < TARGET)
        .unwrap_or(highest)
}

#[cfg(test)]
#[path = "rate_test.rs"]
mod rate_test;
