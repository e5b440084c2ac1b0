//! Every cell of keyviz's answers against the ledger, both ways.
//!
//! What must hold for each window from the ledger's first to its last, in each series:
//! - each row holds exactly what the ledger holds of that route, 0 where it holds nothing;
//! - the rows are exactly the ranges that the ledger opened, none joined, none inheriting;
//! - a window that the ledger covers whole is measured or idle, one that it covers in part is
//!   partial (or still pending), one that it does not hold is missing; a row is nonexistent only
//!   where its range was not alive;
//! - the column's totals are the ledger's sums.
//!
//! Must not: trust an answer's shape, or do I/O.
//! Proof: `compare_test.rs`.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_api::wire::history::{GetMatrixResponse, MatrixRow};
use keyviz_lineage::{KeyRange, Series};

use super::ledger::{Ledger, RowKey, Sums};
use crate::node::rfc3339;

/// How many differences are put into words.
const SHOWN: usize = 8;

const MEASURED: u8 = 0;
const IDLE: u8 = 1;
const MISSING: u8 = 2;
const PARTIAL: u8 = 3;
const PENDING: u8 = 4;
const NONEXISTENT: u8 = 5;

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Values compared that are not zero in the ledger.
    pub(super) cells: u64,
    /// Values that differ.
    pub(super) lost: u64,
    /// Everything else that is not as it must be.
    pub(super) wrong: u64,
    /// The first of both, in words.
    pub(super) shown: Vec<String>,
}

impl Outcome {
    /// Whether all is as it must be.
    pub(super) fn is_good(&self) -> bool {
        self.lost == 0 && self.wrong == 0
    }

    fn lost(&mut self, words: impl FnOnce() -> String) {
        self.lost += 1;
        self.show(words);
    }

    fn wrong(&mut self, words: impl FnOnce() -> String) {
        self.wrong += 1;
        self.show(words);
    }

    fn show(&mut self, words: impl FnOnce() -> String) {
        if self.shown.len() < SHOWN {
            self.shown.push(words());
        }
    }
}

/// Compares one answer: `series` of the windows in `[from_ms, to_ms)`.
pub(super) fn compare(
    ledger: &Ledger,
    series: Series,
    (from_ms, to_ms): (u64, u64),
    answer: &GetMatrixResponse,
    outcome: &mut Outcome,
) {
    let columns: Vec<u64> = (from_ms..to_ms).step_by(ledger.step_ms.max(1) as usize).collect();
    let place = Series::ALL.iter().position(|one| *one == series).unwrap_or(0);
    let name = series_name(series);
    if !answer.column_unix_ms.iter().map(|&ms| ms as u64).eq(columns.iter().copied()) {
        return outcome.wrong(|| {
            let (got, step_ms) = (answer.column_unix_ms.len(), answer.step_ms);
            format!(
                "{name}: asked for {} columns of {} ms, got {got} of {step_ms} ms",
                columns.len(),
                ledger.step_ms
            )
        });
    }
    for warning in &answer.warnings {
        outcome.wrong(|| format!("{name}: keyviz warns: {warning}"));
    }
    let rows = rows_by_key(ledger, name, answer, outcome);
    let mut check = Check { ledger, name, place, outcome };
    for (column, &window_ms) in columns.iter().enumerate() {
        let none = Sums::default();
        let window = ledger.windows.get(&window_ms).unwrap_or(&none);
        check.values(window_ms, window, &rows, column);
        for (key, row) in &rows {
            check.state(window_ms, window, key, row, column);
        }
        check.totals(window_ms, window, answer, column);
    }
}

/// The answer's rows that can be compared; the others are wrong.
fn rows_by_key<'a>(
    ledger: &Ledger,
    name: &str,
    answer: &'a GetMatrixResponse,
    outcome: &mut Outcome,
) -> BTreeMap<RowKey, &'a MatrixRow> {
    let mut rows = BTreeMap::new();
    for row in &answer.rows {
        let width = answer.column_unix_ms.len();
        let label = || format!("{name}: row {}", row.bucket_id);
        let (&[route], &[group], false) =
            (&row.route_ids[..], &row.raft_group_ids[..], row.aggregate)
        else {
            outcome.wrong(|| format!("{} stands for several routes", label()));
            continue;
        };
        if row.values.len() != width || row.states.len() != width {
            outcome.wrong(|| format!("{} is not as long as its answer", label()));
            continue;
        }
        if row.inherited.iter().any(|&value| value > 0) {
            outcome.wrong(|| format!("{} inherits", label()));
        }
        let Ok(range) = KeyRange::new(&row.start[..], &row.end[..]) else {
            outcome.wrong(|| format!("{} has inverted bounds", label()));
            continue;
        };
        let key = RowKey { range, route, group };
        if !ledger.opened.contains(&key) {
            outcome.wrong(|| format!("{} {} was never opened", label(), key.range));
        }
        if rows.insert(key, row).is_some() {
            outcome.wrong(|| format!("{} is there twice", label()));
        }
    }
    rows
}

struct Check<'a> {
    ledger: &'a Ledger,
    name: &'static str,
    /// Of the series in [`super::ledger::Counts`].
    place: usize,
    outcome: &'a mut Outcome,
}

impl Check<'_> {
    fn values(
        &mut self,
        window_ms: u64,
        window: &Sums,
        rows: &BTreeMap<RowKey, &MatrixRow>,
        column: usize,
    ) {
        let keys: BTreeSet<&RowKey> = window.rows.keys().chain(rows.keys()).collect();
        for key in keys {
            let expected = window.rows.get(key).map_or(0, |counts| counts[self.place]);
            let stored = rows.get(key).map(|row| row.values[column]);
            self.outcome.cells += u64::from(expected > 0);
            if stored.unwrap_or(0) != expected {
                let name = self.name;
                self.outcome.lost(|| {
                    let stored = stored.map_or("no such row".to_owned(), |stored| stored.to_string());
                    format!(
                        "{name} of {} route {} at {}: the host counted {expected}, keyviz has {stored}",
                        key.range, key.route, rfc3339(window_ms)
                    )
                });
            }
        }
    }

    fn state(
        &mut self,
        window_ms: u64,
        window: &Sums,
        key: &RowKey,
        row: &MatrixRow,
        column: usize,
    ) {
        let state = row.states[column];
        let end_ms = window_ms + self.ledger.step_ms;
        let is_alive = row.valid_from_unix_ms < end_ms as i64
            && (row.valid_to_unix_ms == 0 || row.valid_to_unix_ms > window_ms as i64);
        let is_whole = window.covered_ms >= self.ledger.step_ms;
        let value = row.values[column];
        let fits = match state {
            // A moment at the very edge of a window belongs to either.
            NONEXISTENT => value == 0 && (!is_alive || row.valid_from_unix_ms + 1 >= end_ms as i64),
            MEASURED => is_whole,
            IDLE => is_whole && value == 0,
            MISSING => window.columns == 0,
            PARTIAL | PENDING => window.columns > 0 && !is_whole,
            _ => false,
        };
        if !fits {
            let name = self.name;
            self.outcome.wrong(|| {
                format!(
                    "{name} of {} route {} at {}: state {state}, but the ledger covers {} of {} ms and the range is {}",
                    key.range,
                    key.route,
                    rfc3339(window_ms),
                    window.covered_ms,
                    self.ledger.step_ms,
                    if is_alive { "alive" } else { "not alive" },
                )
            });
        }
    }

    fn totals(&mut self, window_ms: u64, window: &Sums, answer: &GetMatrixResponse, column: usize) {
        let sum: u64 = window.rows.values().map(|counts| counts[self.place]).sum();
        let expected = [sum, sum, 0, window.unattributed];
        let totals = answer.column_totals.clone().unwrap_or_default();
        let parts = [&totals.recorded, &totals.counted, &totals.inherited, &totals.unattributed];
        let stored = parts.map(|part| part.get(column).copied());
        if stored != expected.map(Some) {
            let name = self.name;
            self.outcome.wrong(|| {
                format!(
                    "{name} at {}: recorded, counted, inherited and unattributed are {stored:?}, not {expected:?}",
                    rfc3339(window_ms)
                )
            });
        }
    }
}

/// Ranges that opened and that none of the series' answers shows are wrong.
pub(super) fn require_all(
    ledger: &Ledger,
    series: Series,
    answers: &[GetMatrixResponse],
    outcome: &mut Outcome,
) {
    let seen: BTreeSet<(u64, &[u8], &[u8])> = answers
        .iter()
        .flat_map(|answer| &answer.rows)
        .flat_map(|row| row.route_ids.iter().map(|&route| (route, &row.start[..], &row.end[..])))
        .collect();
    let is_seen = |key: &&RowKey| seen.contains(&(key.route, key.range.start(), key.range.end()));
    for key in ledger.opened.iter().filter(|key| !is_seen(key)) {
        let name = series_name(series);
        outcome
            .wrong(|| format!("{name}: {} route {} opened, but has no row", key.range, key.route));
    }
}

/// A series for people.
fn series_name(series: Series) -> &'static str {
    match series {
        Series::Reads => "reads",
        Series::Writes => "writes",
        Series::ReadBytes => "bytes read",
        Series::WriteBytes => "bytes written",
    }
}

#[cfg(test)]
#[path = "compare_test.rs"]
mod compare_test;
