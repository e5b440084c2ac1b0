//! The time axis below the picture and the key labels left of it.
//!
//! Responsible for: round UTC times at their true places, the date where it changes, and one label
//! a row or every other line.
//! Invariants: a tick stands at the character that holds its moment; labels never touch; no line is
//! longer than the picture.
//! Must not: know cells, values or colours.
//! Proof: `axes_test.rs`.

use super::key_text;
use super::time_text::{clock, date, month_and_day, weekday};
use keyviz_api::wire::history::MatrixRow;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Distances between ticks, as on the page.
const STEPS_MS: [i64; 24] = [
    SECOND_MS,
    2 * SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    15 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
    30 * DAY_MS,
    90 * DAY_MS,
    365 * DAY_MS,
];

/// A span of time on so many characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeAxis {
    /// Start of the first window, Unix milliseconds.
    pub(super) from_unix_ms: i64,
    /// End of the last.
    pub(super) to_unix_ms: i64,
    /// Characters.
    pub(super) columns: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Tick {
    column: usize,
    unix_ms: i64,
}

impl TimeAxis {
    /// The rule with its ticks, the times, and the dates.
    pub(super) fn lines(self) -> [String; 3] {
        let (step_ms, ticks) = self.ticks();
        let mut rule = vec!['─'; self.columns];
        let mut times = Line::new(self.columns);
        for tick in &ticks {
            rule[tick.column] = '┬';
            let text = time_of(tick.unix_ms, step_ms);
            times.put(tick.column.saturating_sub(text.len() / 2), &text);
        }
        let mut dates = Line::new(self.columns);
        for (column, text) in self.dates(step_ms, &ticks) {
            dates.put(column, &text);
        }
        [rule.into_iter().collect(), times.text(), dates.text()]
    }

    fn ticks(self) -> (i64, Vec<Tick>) {
        let span_ms = self.to_unix_ms.saturating_sub(self.from_unix_ms);
        if span_ms <= 0 || self.columns == 0 {
            return (SECOND_MS, Vec::new());
        }
        let columns = self.columns as i128;
        let fits = |step_ms: i64| {
            let pitch = time_of(0, step_ms).len() as i128 + 4;
            i128::from(step_ms) * columns >= pitch * i128::from(span_ms)
        };
        let step_ms = STEPS_MS.into_iter().find(|&step_ms| fits(step_ms)).unwrap_or(365 * DAY_MS);
        let first = (self.from_unix_ms.div_euclid(step_ms)).saturating_mul(step_ms);
        let ticks = (0..=self.columns as i64)
            .map(|index| first.saturating_add(index.saturating_mul(step_ms)))
            .filter(|&unix_ms| unix_ms >= self.from_unix_ms && unix_ms < self.to_unix_ms)
            .map(|unix_ms| {
                let since_ms = i128::from(unix_ms) - i128::from(self.from_unix_ms);
                let column = (since_ms * columns / i128::from(span_ms)) as usize;
                Tick { column: column.min(self.columns - 1), unix_ms }
            })
            .collect();
        (step_ms, ticks)
    }

    /// The first date (or year, where ticks are days) and each that follows it.
    fn dates(self, step_ms: i64, ticks: &[Tick]) -> Vec<(usize, String)> {
        let day_of = |unix_ms: i64| {
            if step_ms >= DAY_MS {
                date(unix_ms)[..4].to_owned()
            } else {
                format!("{} {}", weekday(unix_ms), date(unix_ms))
            }
        };
        let mut day = day_of(self.from_unix_ms);
        let mut dates = vec![(0, format!("{day} UTC"))];
        for tick in ticks {
            let next = day_of(tick.unix_ms);
            if next == day {
                continue;
            }
            day = next;
            let column = tick.column.saturating_sub(2);
            let is_first_hidden = dates.len() == 1 && column <= dates[0].1.len();
            if is_first_hidden {
                dates = vec![(column, format!("{day} UTC"))];
            } else {
                dates.push((column, day.clone()));
            }
        }
        dates
    }
}

fn time_of(unix_ms: i64, step_ms: i64) -> String {
    match step_ms {
        DAY_MS.. => month_and_day(unix_ms),
        MINUTE_MS.. => clock(unix_ms)[..5].to_owned(),
        _ => clock(unix_ms)[..8].to_owned(),
    }
}

/// A line that takes texts from left to right as long as they do not touch.
struct Line {
    text: String,
    columns: usize,
}

impl Line {
    fn new(columns: usize) -> Self {
        Self { text: String::new(), columns }
    }

    /// At `column`, or further left where it would stick out; not at all where it would touch.
    fn put(&mut self, column: usize, text: &str) {
        let column = column.min(self.columns.saturating_sub(text.len()));
        let used = self.text.len();
        let is_free = used == 0 || column > used;
        if is_free && column + text.len() <= self.columns {
            self.text.push_str(&" ".repeat(column - used));
            self.text.push_str(text);
        }
    }

    fn text(self) -> String {
        self.text
    }
}

/// The first key of a row; `-inf` when it has none. A `†` says that the row is closed.
pub(crate) fn row_label(row: &MatrixRow, columns: usize) -> String {
    let sign = if row.closed { "†" } else { "" };
    let room = columns.saturating_sub(key_text::width(sign));
    format!("{sign}{}", start_label(row, room))
}

/// The first key of a row.
pub(crate) fn start_label(row: &MatrixRow, columns: usize) -> String {
    if row.start.is_empty() { "-inf".to_owned() } else { key_text::label(&row.start, columns) }
}

/// The first key behind a row.
pub(crate) fn end_label(row: &MatrixRow, columns: usize) -> String {
    if row.end.is_empty() { "+inf".to_owned() } else { key_text::label(&row.end, columns) }
}

#[cfg(test)]
#[path = "axes_test.rs"]
mod axes_test;
