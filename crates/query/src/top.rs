//! Which ranges had the most traffic, and which changed the most: a rule over answers of
//! [`crate::matrix()`], so that it holds for answers that several nodes gave, too.
//!
//! Both windows are asked with [`Continuity::Apportion`](crate::Continuity::Apportion), as of one
//! instant: then each shows the same ranges, whatever they were split from or merged of, and each
//! recorded operation is counted in exactly one of them.
//! Invariants: what the rows count adds up to what was recorded, so no share is counted twice; a
//! window that nobody recorded is neither zero traffic nor a change; equals come in key order.
//! Must not: read anything.
//! Proof: `top_test.rs`, against a slow and obvious model, and over random histories.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use keyviz_lineage::{Flags, KeyRange, LineageId, Series, Step};

use crate::{CellState, Continuity, Matrix, MatrixRequest, MatrixRow, RowSet};

/// Columns of the answers that are ranked: enough for a peak to be found, few enough for all ranges.
const COLUMNS: u64 = 180;
/// The steps that they may have.
const STEPS_MS: [u64; 20] = [
    1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 14_400_000, 21_600_000, 43_200_000,
    86_400_000,
];

/// The question to the matrix about one window. `at_ms` is the instant whose ranges are ranked.
pub fn request(
    series: Series,
    (from_ms, to_ms): (u64, u64),
    range: KeyRange,
    at_ms: u64,
) -> MatrixRequest {
    let fits = |step_ms: &u64| to_ms.saturating_sub(from_ms) / step_ms <= COLUMNS;
    let step_ms = STEPS_MS.into_iter().find(fits).unwrap_or(STEPS_MS[STEPS_MS.len() - 1]);
    MatrixRequest {
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        range,
        rows: None,
        step: Step::from_ms(step_ms).ok(),
        row_set: RowSet::AsOf(at_ms),
        continuity: Continuity::Apportion,
        ..MatrixRequest::new(series)
    }
}

/// What an answer says of its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Unix milliseconds.
    pub from_ms: u64,
    /// Unix milliseconds, exclusive.
    pub to_ms: u64,
    /// Length of the columns that were added up; the window is rounded outwards to it.
    pub step_ms: u64,
    /// Length of the recorded windows.
    pub recorded_step_ms: u64,
    /// Everything that was recorded of the ranges in it.
    pub total: u64,
    /// Operations on routes that their node did not know, not part of `total`.
    pub unattributed: u64,
    /// Where no range has anything recorded: `[from, to)`, Unix milliseconds.
    pub gaps_ms: Vec<(u64, u64)>,
}

/// What a range had in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// What it counts.
    pub total: u64,
    /// How much of that lies in cells with a share of a wider range: at most so much is apportioned.
    pub apportioned: u64,
    /// Its part of everything that was recorded, 0 to 1.
    pub share: f64,
    /// Time for which it is known what it had.
    pub recorded_ms: u64,
    /// Time of which nothing is recorded, or not yet.
    pub missing_ms: u64,
    /// Time of which some is recorded; part of `recorded_ms`.
    pub partial_ms: u64,
    /// Why it is not exact.
    pub flags: Flags,
}

impl Traffic {
    /// Per second of the time for which it is known.
    pub fn rate(&self) -> Option<f64> {
        (self.recorded_ms > 0).then(|| self.total as f64 * 1_000.0 / self.recorded_ms as f64)
    }
}

/// A range's largest recorded window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Where it lies: from here, Unix milliseconds,
    pub from_ms: u64,
    /// in so much time.
    pub within_ms: u64,
    /// How much it holds.
    pub value: u64,
    /// Whether the true peak may be larger.
    pub is_lower_bound: bool,
}

/// One range.
#[derive(Clone, Debug, PartialEq)]
pub struct TopRow {
    /// As in the matrix, without its cells.
    pub row: MatrixRow,
    /// What it had.
    pub now: Traffic,
    /// Its largest window; `None` without traffic.
    pub peak: Option<Peak>,
    /// What it had, or what it came from had, in the window that it is compared with.
    pub before: Option<Traffic>,
}

impl TopRow {
    /// By how many times its rate changed; `None` where either is unknown, infinite where it had none.
    pub fn factor(&self) -> Option<f64> {
        let (now, before) = (self.now.rate()?, self.before?.rate()?);
        match (now > 0.0, before > 0.0) {
            (false, false) => Some(1.0),
            _ => Some(now / before),
        }
    }

    /// By how much its rate changed, per second.
    pub fn difference(&self) -> Option<f64> {
        Some(self.now.rate()? - self.before?.rate()?)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// Which series.
    pub series: Series,
    /// The window.
    pub now: Window,
    /// The one that it is compared with.
    pub before: Option<Window>,
    /// The largest (of two windows: the most changed) first.
    pub rows: Vec<TopRow>,
    /// Ranges that had traffic and are not among the rows.
    pub left_out: u64,
    /// What could not be read. Not empty: the answer is partial.
    pub warnings: Vec<String>,
}

/// The ranges with the most traffic in `now`; compared with `before`, those that changed the most.
pub fn top(now: &Matrix, before: Option<&Matrix>, limit: usize) -> Top {
    let (window, past_window) = (window(now), before.map(self::window));
    let mut past: HashMap<Name, Traffic> = HashMap::new();
    let mut gone = Vec::new();
    if let (Some(before), Some(past_window)) = (before, &past_window) {
        let present: std::collections::HashSet<Name> = now.rows.iter().map(name).collect();
        for row in &before.rows {
            past.insert(name(row), traffic(row, past_window));
            if !present.contains(&name(row)) {
                gone.push(without_cells(row));
            }
        }
    }
    let mut warnings = now.warnings.clone();
    warnings.extend(before.iter().flat_map(|before| before.warnings.iter().cloned()));
    warnings.sort_unstable();
    warnings.dedup();
    // A range that has no row in a window had no traffic there, as far as anybody recorded.
    let silent = |window: &Window| {
        let missing_ms = window.gaps_ms.iter().map(|(from, to)| to - from).sum();
        let recorded_ms = (window.to_ms - window.from_ms).saturating_sub(missing_ms);
        Traffic { recorded_ms, missing_ms, ..Traffic::default() }
    };
    let compared = |row: &MatrixRow| {
        let window = past_window.as_ref()?;
        Some(past.get(&name(row)).copied().unwrap_or_else(|| silent(window)))
    };
    let mut rows: Vec<TopRow> = Vec::with_capacity(now.rows.len() + gone.len());
    for row in &now.rows {
        let (had, before) = (traffic(row, &window), compared(row));
        if had.total > 0 || before.is_some_and(|before| before.total > 0) {
            rows.push(TopRow { row: without_cells(row), now: had, peak: peak(row, now), before });
        }
    }
    for row in gone {
        let before = compared(&row);
        if before.is_some_and(|before| before.total > 0) {
            rows.push(TopRow { row, now: silent(&window), peak: None, before });
        }
    }
    rows.sort_by(|a, b| order(a, b));
    let left_out = rows.len().saturating_sub(limit) as u64;
    rows.truncate(limit);
    Top { series: now.series, now: window, before: past_window, rows, left_out, warnings }
}

/// The same range in two answers.
type Name = (KeyRange, Option<LineageId>, String);

fn name(row: &MatrixRow) -> Name {
    (row.range.clone(), row.lineage, row.bucket_id.clone())
}

/// The most changed first, those of which no change is known last; then by traffic, then by key.
fn order(a: &TopRow, b: &TopRow) -> Ordering {
    let change = |row: &TopRow| row.difference().map_or(-1.0, f64::abs);
    let key =
        |row: &TopRow| (Reverse(row.now.total), row.row.range.start().to_vec(), name(&row.row));
    change(b).total_cmp(&change(a)).then_with(|| key(a).cmp(&key(b)))
}

fn without_cells(row: &MatrixRow) -> MatrixRow {
    let MatrixRow { cells: _, bucket_id, range, routes, groups, .. } = row;
    MatrixRow {
        bucket_id: bucket_id.clone(),
        range: range.clone(),
        routes: routes.clone(),
        groups: groups.clone(),
        cells: crate::RowCells::default(),
        ..*row
    }
}

fn window(matrix: &Matrix) -> Window {
    let sum = |of: &dyn Fn(&crate::ColumnTotals) -> u64| {
        matrix.totals.iter().map(of).fold(0, u64::saturating_add)
    };
    let from_ms = matrix.columns_ms.first().copied().unwrap_or(0);
    let to_ms = matrix.columns_ms.last().map_or(0, |ms| ms + matrix.step_ms);
    let mut gaps_ms: Vec<(u64, u64)> = Vec::new();
    for (column, &start_ms) in matrix.columns_ms.iter().enumerate() {
        let states = || matrix.rows.iter().map(|row| row.cells.states()[column]);
        let mut of_living = states().filter(|&state| state != CellState::Nonexistent).peekable();
        if of_living.peek().is_none() || !of_living.all(|state| state == CellState::Missing) {
            continue;
        }
        match gaps_ms.last_mut().filter(|(_, end_ms)| *end_ms == start_ms) {
            Some((_, end_ms)) => *end_ms += matrix.step_ms,
            None => gaps_ms.push((start_ms, start_ms + matrix.step_ms)),
        }
    }
    Window {
        from_ms,
        to_ms,
        step_ms: matrix.step_ms,
        recorded_step_ms: matrix.recorded_step_ms,
        total: sum(&|total| total.recorded),
        unattributed: sum(&|total| total.unattributed),
        gaps_ms,
    }
}

fn traffic(row: &MatrixRow, window: &Window) -> Traffic {
    let mut traffic = Traffic { flags: row.cells.flags(), ..Traffic::default() };
    for cell in row.cells.iter() {
        traffic.total = traffic.total.saturating_add(cell.counted);
        if cell.flags.has(Flags::APPORTIONED) {
            traffic.apportioned = traffic.apportioned.saturating_add(cell.counted);
        }
        let is_out = cell.state == CellState::Pending && cell.counted == 0;
        match cell.state {
            CellState::Missing => traffic.missing_ms += window.step_ms,
            CellState::Pending if is_out => traffic.missing_ms += window.step_ms,
            _ => traffic.recorded_ms += window.step_ms,
        }
        if matches!(cell.state, CellState::Partial) || (cell.state == CellState::Pending && !is_out)
        {
            traffic.partial_ms += window.step_ms;
        }
    }
    if window.total > 0 {
        traffic.share = traffic.total as f64 / window.total as f64;
    }
    traffic
}

/// The first of its largest windows.
fn peak(row: &MatrixRow, matrix: &Matrix) -> Option<Peak> {
    let cells = row.cells.iter().zip(&matrix.columns_ms);
    let (cell, &from_ms) = cells.max_by_key(|(cell, start_ms)| (cell.max, Reverse(**start_ms)))?;
    (cell.max > 0).then_some(Peak {
        from_ms,
        within_ms: matrix.step_ms,
        value: cell.max,
        is_lower_bound: matrix.tier.is_some(),
    })
}

/// The question that finds a peak's own window in the time that it is known to lie in; `None` where
/// it is known already.
pub fn peak_request(top: &Top, row: &TopRow, at_ms: u64) -> Option<MatrixRequest> {
    let peak = row.peak.filter(|peak| peak.within_ms > top.now.recorded_step_ms)?;
    let span = (peak.from_ms, peak.from_ms.saturating_add(peak.within_ms));
    let step = Step::from_ms(top.now.recorded_step_ms).ok()?;
    let asked = request(top.series, span, row.row.range.clone(), at_ms);
    Some(MatrixRequest { step: Some(step), ..asked })
}

/// Puts in what that question found.
pub fn place_peak(row: &mut TopRow, found: &Matrix) {
    let whose = name(&row.row);
    let finer = found.rows.iter().find(|row| name(row) == whose).and_then(|row| peak(row, found));
    // From roll-ups, the largest of one source; a coarser tier may still know more than a finer one
    // that has been dropped.
    let held = row.peak.map_or(0, |peak| peak.value);
    if let Some(finer) = finer.filter(|finer| finer.value >= held) {
        row.peak = Some(finer);
    }
}

#[cfg(test)]
#[path = "top_test.rs"]
mod top_test;
