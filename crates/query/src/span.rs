//! The time axis of an answer: from, to, step (contract sections 1 and 8).

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use keyviz_lineage::{HOUR_MS, Step, unix_hour};

use crate::{MatrixRequest, QueryError};

/// The most columns of an answer.
pub const MAX_COLUMNS: u64 = 20_160;

/// The most recorded windows that an answer goes through (90 days of seconds).
const MAX_UNITS: u64 = 8_000_000;

/// From where to where, cut how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    /// Length of a column.
    pub(crate) step: Step,
    /// Length of the recorded windows: the least common multiple where a span holds several steps.
    pub(crate) unit: Step,
}

impl Span {
    pub(crate) fn columns(&self) -> usize {
        ((self.to_ms - self.from_ms) / self.step.ms()) as usize
    }

    pub(crate) fn units(&self) -> usize {
        ((self.to_ms - self.from_ms) / self.unit.ms()) as usize
    }

    pub(crate) fn units_per_column(&self) -> usize {
        (self.step.ms() / self.unit.ms()) as usize
    }

    pub(crate) fn column_ms(&self, column: usize) -> u64 {
        self.from_ms + column as u64 * self.step.ms()
    }

    /// The unit that holds `unix_ms`, if it is in the span.
    pub(crate) fn unit_of(&self, unix_ms: u64) -> Option<usize> {
        (self.from_ms..self.to_ms)
            .contains(&unix_ms)
            .then(|| ((unix_ms - self.from_ms) / self.unit.ms()) as usize)
    }

    /// The units that share an instant with `[from_ms, to_ms)`.
    pub(crate) fn units_within(&self, from_ms: u64, to_ms: u64) -> Range<usize> {
        let (from_ms, to_ms) = (from_ms.max(self.from_ms), to_ms.min(self.to_ms));
        if from_ms >= to_ms {
            return 0..0;
        }
        let first = (from_ms - self.from_ms) / self.unit.ms();
        first as usize..(to_ms - self.from_ms).div_ceil(self.unit.ms()) as usize
    }

    pub(crate) fn hours(&self) -> RangeInclusive<u64> {
        unix_hour(self.from_ms)..=unix_hour(self.to_ms - 1)
    }

    /// The hours of some columns (at least one).
    pub(crate) fn hours_of(&self, columns: &Range<usize>) -> RangeInclusive<u64> {
        unix_hour(self.column_ms(columns.start))..=unix_hour(self.column_ms(columns.end) - 1)
    }

    /// Stretches of columns, at most so many, that share no hour.
    pub(crate) fn cut(&self, parts: usize) -> Vec<Range<usize>> {
        let columns = self.columns();
        let starts = (1..parts).map(|part| {
            let start_ms = self.column_ms(columns * part / parts).next_multiple_of(HOUR_MS);
            ((start_ms - self.from_ms) / self.step.ms()) as usize
        });
        let mut starts: Vec<usize> = starts.map(|start| start.min(columns)).collect();
        starts.insert(0, 0);
        starts.push(columns);
        starts.windows(2).filter(|pair| pair[0] < pair[1]).map(|pair| pair[0]..pair[1]).collect()
    }
}

/// When sources were expected to record: from the first one's first column to the last one's leaving.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) from_ms: Option<u64>,
    /// `None` while a source is still expected (or none ever was).
    pub(crate) left_ms: Option<u64>,
}

impl Expected {
    /// Over the spans of every member.
    pub(crate) fn over(spans: impl IntoIterator<Item = (u64, Option<u64>)>) -> Self {
        let spans: Vec<_> = spans.into_iter().collect();
        let left: Option<Vec<u64>> = spans.iter().map(|&(_, left)| left).collect();
        Self {
            from_ms: spans.iter().map(|&(from, _)| from).min(),
            left_ms: left.and_then(|left| left.into_iter().max()),
        }
    }
}

/// How far back a history reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) now_ms: u64,
    /// Of the finest columns.
    pub(crate) oldest_ms: u64,
    /// Of the hourly roll-ups.
    pub(crate) oldest_rollup_ms: u64,
}

impl Reach {
    /// Whether the answer is made of whole hours: asked for, or because nothing finer is retained.
    fn is_by_the_hour(&self, asked: Option<Step>, from_ms: u64) -> bool {
        match asked {
            Some(step) => step.ms().is_multiple_of(HOUR_MS),
            None => from_ms < self.oldest_ms,
        }
    }

    /// The finest step that is chosen for an answer from `from_ms` on.
    pub(crate) fn finest(&self, unit: Step, from_ms: u64) -> Step {
        if self.is_by_the_hour(None, from_ms) { unit.max(Step::HOUR) } else { unit }
    }
}

/// The asked-for times before the step is known: `(from, to)`. What is left open is where recording
/// of the finest columns began, and now, or where it ended if every source has left.
pub(crate) fn bounds(
    request: &MatrixRequest,
    reach: Reach,
    expected: Expected,
) -> Result<(u64, u64), QueryError> {
    let Reach { now_ms, oldest_ms, oldest_rollup_ms } = reach;
    let ended_ms = expected.left_ms.filter(|&left| request.from_ms.unwrap_or(oldest_ms) < left);
    let to_ms = request.to_ms.or(ended_ms).unwrap_or(now_ms);
    let from_ms = request.from_ms.unwrap_or_else(|| {
        let first = expected.from_ms.unwrap_or_else(|| to_ms.saturating_sub(HOUR_MS));
        first.max(oldest_ms).min(to_ms.saturating_sub(1))
    });
    if from_ms >= to_ms {
        return Err(QueryError::EmptySpan { from_ms, to_ms });
    }
    let by_the_hour = reach.is_by_the_hour(request.step, from_ms);
    let (tier, oldest_ms) = match by_the_hour {
        true => ("hourly roll-ups", oldest_rollup_ms),
        false => ("the finest columns", oldest_ms),
    };
    // The retention ends at an hour, so the oldest hour may be there in part: one hour of grace.
    let (span_ms, retention_ms) = (to_ms - from_ms, now_ms.saturating_sub(oldest_ms));
    if span_ms > retention_ms.saturating_add(HOUR_MS) {
        return Err(QueryError::SpanTooLong { span_ms, tier, retention_ms });
    }
    Ok((from_ms, to_ms))
}

/// Rounds the times to the step, choosing the step if none is asked for. A step that the recorded
/// windows do not fit into is made coarser until they do; the answer says which one was used.
pub(crate) fn cut(
    (from_ms, to_ms): (u64, u64),
    asked: Option<Step>,
    recorded: &BTreeSet<Step>,
    reach: Reach,
) -> Result<Span, QueryError> {
    let unit = recorded.iter().copied().reduce(least_common_multiple).unwrap_or(Step::MINUTE);
    let step = match asked {
        None => Step::auto(reach.finest(unit, from_ms), from_ms, to_ms),
        Some(asked) => fitting(asked, unit),
    };
    let (from_ms, to_ms) = (step.floor(from_ms), step.ceil(to_ms));
    let units = (to_ms - from_ms) / unit.ms();
    if units > MAX_UNITS {
        return Err(QueryError::TooManyWindows {
            windows: units,
            unit_ms: unit.ms(),
            limit: MAX_UNITS,
        });
    }
    let columns = (to_ms - from_ms) / step.ms();
    if columns > MAX_COLUMNS {
        return Err(QueryError::TooManyColumns { columns, step_ms: step.ms(), limit: MAX_COLUMNS });
    }
    Ok(Span { from_ms, to_ms, step, unit })
}

/// The finest step that is at least `asked` and a multiple of `unit`.
fn fitting(asked: Step, unit: Step) -> Step {
    (1..=24 * HOUR_MS / unit.ms())
        .map(|times| times * unit.ms())
        .filter(|&ms| ms >= asked.ms())
        .find_map(|ms| Step::from_ms(ms).ok())
        .unwrap_or(asked)
}

fn least_common_multiple(a: Step, b: Step) -> Step {
    let (mut x, mut y) = (a.ms(), b.ms());
    while y != 0 {
        (x, y) = (y, x % y);
    }
    // Divisors of an hour have a least common multiple that divides it too.
    Step::from_ms(a.ms() / x * b.ms()).unwrap_or(Step::HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_recorded_steps_meet_in_their_least_common_multiple() {
        let steps = |list: &[u64]| {
            list.iter().map(|&ms| Step::from_ms(ms).unwrap()).collect::<BTreeSet<_>>()
        };
        let cut_to = |asked: Option<u64>, recorded: &[u64]| {
            let asked = asked.map(|ms| Step::from_ms(ms).unwrap());
            let reach = Reach { now_ms: 61_000, oldest_ms: 0, oldest_rollup_ms: 0 };
            cut((3_000, 61_000), asked, &steps(recorded), reach).unwrap()
        };
        assert_eq!(cut_to(None, &[4_000, 10_000]).step.ms(), 20_000);
        assert_eq!(cut_to(Some(1_000), &[10_000]).step.ms(), 10_000, "finer than recorded");
        assert_eq!(cut_to(Some(15_000), &[10_000]).step.ms(), 20_000, "not a multiple");
        let span = cut_to(Some(20_000), &[10_000]);
        assert_eq!(
            (span.from_ms, span.to_ms, span.columns(), span.units_per_column()),
            (0, 80_000, 4, 2)
        );
    }
}
