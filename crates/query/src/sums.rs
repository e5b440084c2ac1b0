//! Adds what the sources recorded into the rows that show them, and into the totals of the columns.
//!
//! A row's largest window: from the finest columns it is exact, the largest sum of what its sources
//! recorded in one window; from roll-ups it is the largest window of one source, a lower bound
//! (contract section 6).
//! Invariants: Q1, Q2.
//! Proof: `matrix_test.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use keyviz_codec::rollup::Summary;
use keyviz_lineage::{Flags, GroupId};
use keyviz_store::{NOBODY, StoreError};

use crate::cast::Cast;
use crate::reading::{Place, Plain, Sink, take_each};
use crate::shown::{Shown, Take};
use crate::span::Span;
use crate::{ColumnTotals, MatrixCell};

/// No lane.
const NO_LANE: u32 = u32::MAX;

/// What a cell has besides its sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Whether anything was counted that may not be in the sums.
    pub(crate) traffic: bool,
    /// Whether some of it cannot be read.
    pub(crate) unread: bool,
}

/// What each source recorded over the whole span.
pub(crate) struct SourceTotals(pub(crate) Vec<u128>);

impl SourceTotals {
    /// What each row counts of it, where nothing is shared.
    pub(crate) fn by_row(&self, shown: &Shown, rows: usize) -> Vec<u128> {
        let mut totals = vec![0; rows];
        for (source, sum) in shown.sources.iter().zip(&self.0) {
            for (row, take) in &shown.takes[source.takes.clone()] {
                if matches!(take, Take::Counted) {
                    totals[*row as usize] += sum;
                }
            }
        }
        totals
    }
}

impl Sink for SourceTotals {
    const MAXIMA: bool = false;

    #[inline]
    fn take(&mut self, source: usize, _: Place, recorded: Summary) {
        self.0[source] += u128::from(recorded.sum);
    }

    fn take_plain(&mut self, source: usize, _: usize, _: usize, cells: &Plain<'_>) {
        self.0[source] += cells.values.iter().map(|&value| u128::from(value)).sum::<u128>();
    }

    fn unread(&mut self, _: usize, _: Range<usize>, _: &StoreError) {}
}

/// What each row counts over the whole span, where shares are cut window by window.
pub(crate) struct RowTotals<'a> {
    pub(crate) shown: &'a Shown,
    /// By row.
    pub(crate) totals: Vec<u128>,
}

impl Sink for RowTotals<'_> {
    const MAXIMA: bool = false;

    fn take(&mut self, source: usize, _: Place, recorded: Summary) {
        for (row, take) in &self.shown.takes[self.shown.sources[source].takes.clone()] {
            let counted = match take {
                Take::Counted => recorded.sum,
                Take::Inherited => 0,
                Take::Apportioned(share) => share.of(recorded.sum),
            };
            self.totals[*row as usize] += u128::from(counted);
        }
    }

    fn unread(&mut self, _: usize, _: Range<usize>, _: &StoreError) {}
}

/// Which sources had traffic, or may have had.
pub(crate) struct Busy(pub(crate) Vec<bool>);

impl Sink for Busy {
    const MAXIMA: bool = false;

    fn take(&mut self, source: usize, _: Place, _: Summary) {
        self.0[source] = true;
    }

    fn unread(&mut self, source: usize, _: Range<usize>, _: &StoreError) {
        self.0[source] = true;
    }
}

/// The cells of all rows.
pub(crate) struct Sums<'a> {
    cast: &'a Cast<'a>,
    span: &'a Span,
    shown: &'a Shown,
    /// For each source, the units in any part of which it was alive.
    alive: Vec<Range<usize>>,
    /// By row and column.
    pub(crate) cells: Vec<Vec<MatrixCell>>,
    /// Row by row, `columns` each.
    pub(crate) marks: Vec<Mark>,
    /// While rows are in work, without what is counted in lanes.
    pub(crate) totals: Vec<ColumnTotals>,
    /// What the rows in work count outside the lanes, by column.
    counted_apart: Vec<u128>,
    /// Groups that recorded in a cell in which their lineage did not live, by its place in `marks`.
    pub(crate) strays: BTreeMap<usize, BTreeSet<GroupId>>,
    pub(crate) warnings: BTreeSet<String>,
    peaks: Peaks,
    /// The rows in work.
    rows: Range<u32>,
    /// The sources in work, by their place in `shown`.
    tags: Vec<u32>,
    /// For each of them, the one row that counts it, in full and all the time; else [`NO_LANE`].
    lanes: Vec<u32>,
    columns: usize,
    units: usize,
    /// Sources that are in `totals` from rows before.
    summed: Vec<bool>,
}

/// Where the largest window of a cell comes from.
enum Peaks {
    /// Each window is a whole cell.
    Cells,
    /// Each window is a roll-up that says its own.
    Rollups,
    /// Sums by unit, for the rows in work.
    Units(Vec<u64>),
}

impl<'a> Sums<'a> {
    /// `from_rollups`: windows come with their own maxima.
    pub(crate) fn new(
        cast: &'a Cast<'a>,
        span: &'a Span,
        shown: &'a Shown,
        rows: usize,
        from_rollups: bool,
    ) -> Self {
        let columns = span.columns();
        Self {
            cast,
            span,
            shown,
            alive: shown.sources.iter().map(|source| cast.alive(source.slot, span)).collect(),
            cells: (0..rows).map(|_| vec![MatrixCell::default(); columns]).collect(),
            marks: vec![Mark::default(); rows * columns],
            totals: vec![ColumnTotals::default(); columns],
            counted_apart: Vec::new(),
            strays: BTreeMap::new(),
            warnings: BTreeSet::new(),
            peaks: match span.units_per_column() {
                _ if from_rollups => Peaks::Rollups,
                1 => Peaks::Cells,
                _ => Peaks::Units(Vec::new()),
            },
            rows: 0..0,
            tags: Vec::new(),
            lanes: Vec::new(),
            columns,
            units: span.units(),
            summed: vec![false; shown.sources.len()],
        }
    }

    /// How many rows may be in work at a time, for `units` sums.
    pub(crate) fn rows_at_a_time(&self, units: usize) -> u32 {
        match self.peaks {
            Peaks::Units(_) => (units / self.span.units()).max(1) as u32,
            Peaks::Cells | Peaks::Rollups => u32::MAX,
        }
    }

    /// Begins with some rows. Returns the sources to be read for them, as slots.
    pub(crate) fn begin(&mut self, rows: Range<u32>) -> Vec<u32> {
        let shown = self.shown;
        self.counted_apart.clear();
        self.counted_apart.resize(self.columns, 0);
        let is_shown = |tag: &u32| {
            let takes = &shown.takes[shown.sources[*tag as usize].takes.clone()];
            takes.iter().any(|(row, _)| rows.contains(row))
        };
        self.tags = (0..shown.sources.len() as u32).filter(is_shown).collect();
        if let Peaks::Units(units) = &mut self.peaks {
            units.clear();
            units.resize(rows.len() * self.span.units(), 0);
        }
        self.rows = rows;
        self.lanes = self.tags.iter().map(|&tag| self.lane(tag as usize)).collect();
        self.tags.iter().map(|&tag| shown.sources[tag as usize].slot).collect()
    }

    fn lane(&self, tag: usize) -> u32 {
        let source = &self.shown.sources[tag];
        let is_plain =
            source.elsewhere.is_none() && !self.summed[tag] && self.alive[tag] == (0..self.units);
        match &self.shown.takes[source.takes.clone()] {
            [(row, Take::Counted)] if is_plain => *row,
            _ => NO_LANE,
        }
    }

    /// All that was asked for by [`Sums::begin`] has been read.
    pub(crate) fn end(&mut self) {
        for &tag in &self.tags {
            self.summed[tag as usize] = true;
        }
        let per_column = self.span.units_per_column();
        let mut counted = vec![0u128; self.columns];
        let rows = &mut self.cells[self.rows.start as usize..self.rows.end as usize];
        for (at, row) in rows.iter_mut().enumerate() {
            match &self.peaks {
                Peaks::Rollups => {}
                Peaks::Cells => {
                    for cell in row.iter_mut() {
                        cell.max = cell.counted.saturating_add(cell.inherited);
                    }
                }
                Peaks::Units(units) => {
                    let windows = units[at * self.units..].chunks(per_column);
                    for (cell, windows) in row.iter_mut().zip(windows) {
                        cell.max = windows.iter().copied().max().unwrap_or(0);
                    }
                }
            }
            for (counted, cell) in counted.iter_mut().zip(row) {
                *counted += u128::from(cell.counted);
            }
        }
        // What is counted in a lane is all that was recorded of its source.
        for ((total, counted), apart) in
            self.totals.iter_mut().zip(counted).zip(&self.counted_apart)
        {
            let top = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
            total.recorded = total.recorded.saturating_add(top(counted.saturating_sub(*apart)));
            total.counted = total.counted.saturating_add(top(counted));
        }
    }
}

impl Sink for Sums<'_> {
    const MAXIMA: bool = true;

    #[inline]
    fn take(&mut self, source: usize, place: Place, recorded: Summary) {
        let row = self.lanes[source];
        if row == NO_LANE {
            return self.take_apart(source, place, recorded);
        }
        let cell = &mut self.cells[row as usize][place.column];
        cell.counted = cell.counted.saturating_add(recorded.sum);
        cell.flags = cell.flags.or(recorded.flags);
        match &mut self.peaks {
            Peaks::Cells => {}
            Peaks::Rollups => cell.max = cell.max.max(recorded.max),
            Peaks::Units(units) => {
                let row = (row - self.rows.start) as usize;
                let held = &mut units[row * self.units + place.unit];
                *held = held.saturating_add(recorded.sum);
            }
        }
    }

    /// Sources of one row lie side by side: they are added up before its cell is touched.
    fn take_slots(&mut self, tags: &[u32], place: Place, sums: &[u64], maxima: &[u64]) {
        let is_by_row = matches!(self.peaks, Peaks::Rollups);
        let mut open = (NO_LANE, 0u64, 0u64);
        for ((&tag, &sum), &max) in tags.iter().zip(sums).zip(maxima) {
            if tag == NOBODY || sum == 0 {
                continue;
            }
            let row = self.lanes[tag as usize];
            if row == NO_LANE || !is_by_row {
                self.take(tag as usize, place, Summary { sum, max, flags: Flags::NONE });
            } else if row == open.0 {
                open = (row, open.1.saturating_add(sum), open.2.max(max));
            } else {
                self.add_to_lane(std::mem::replace(&mut open, (row, sum, max)), place.column);
            }
        }
        self.add_to_lane(open, place.column);
    }

    #[inline]
    fn take_plain(&mut self, source: usize, first: usize, per_column: usize, cells: &Plain<'_>) {
        let row = self.lanes[source];
        if row == NO_LANE || !matches!(self.peaks, Peaks::Cells) {
            return take_each(self, source, first, per_column, cells);
        }
        // A unit is a column.
        let row = &mut self.cells[row as usize][first..];
        for (&window, &value) in cells.windows.iter().zip(cells.values) {
            if let Some(cell) = row.get_mut(usize::from(window)) {
                cell.counted = cell.counted.saturating_add(value);
            }
        }
    }

    /// What cannot be read is unknown where its lineage was alive, not idle (Q3).
    fn unread(&mut self, source: usize, units: Range<usize>, error: &StoreError) {
        let tag = self.tags[source] as usize;
        self.warnings.insert(error.to_string());
        let alive = &self.alive[tag];
        let units = alive.start.max(units.start)..alive.end.min(units.end);
        if units.is_empty() {
            return;
        }
        let per_column = self.span.units_per_column();
        let columns = units.start / per_column..units.end.div_ceil(per_column);
        for (row, _) in &self.shown.takes[self.shown.sources[tag].takes.clone()] {
            if self.rows.contains(row) {
                let first = *row as usize * self.columns;
                let marks = &mut self.marks[first + columns.start..first + columns.end];
                marks.iter_mut().for_each(|mark| mark.unread = true);
            }
        }
    }
}

impl Sums<'_> {
    #[inline]
    fn add_to_lane(&mut self, (row, sum, max): (u32, u64, u64), column: usize) {
        if row != NO_LANE {
            let cell = &mut self.cells[row as usize][column];
            cell.counted = cell.counted.saturating_add(sum);
            cell.max = cell.max.max(max);
        }
    }

    /// [`Sink::take`] of a source that several rows show, or not in full, or that did not live all the
    /// time.
    fn take_apart(&mut self, source: usize, place: Place, recorded: Summary) {
        let tag = self.tags[source] as usize;
        let source = &self.shown.sources[tag];
        let is_new = !self.summed[tag];
        let is_alive = self.alive[tag].contains(&place.unit);
        let total = &mut self.totals[place.column];
        let counted_apart = &mut self.counted_apart[place.column];
        if is_new {
            let elsewhere = source.elsewhere.as_ref().map_or(0, |share| share.of(recorded.sum));
            total.recorded = total.recorded.saturating_add(recorded.sum - elsewhere);
        }
        let mut is_inherited = false;
        for (row, take) in &self.shown.takes[source.takes.clone()] {
            if !self.rows.contains(row) {
                continue;
            }
            let at = *row as usize * self.columns + place.column;
            let cell = &mut self.cells[*row as usize][place.column];
            self.marks[at].traffic |= recorded.sum > 0;
            cell.flags = cell.flags.or(recorded.flags);
            let (sum, max) = match take {
                Take::Counted => {
                    cell.counted = cell.counted.saturating_add(recorded.sum);
                    *counted_apart += u128::from(recorded.sum);
                    (recorded.sum, recorded.max)
                }
                Take::Inherited => {
                    cell.flags = cell.flags.or(Flags::INHERITED);
                    cell.inherited = cell.inherited.saturating_add(recorded.sum);
                    is_inherited = true;
                    (recorded.sum, recorded.max)
                }
                Take::Apportioned(share) => {
                    let sum = share.of(recorded.sum);
                    cell.flags = cell.flags.or(Flags::APPORTIONED);
                    cell.counted = cell.counted.saturating_add(sum);
                    *counted_apart += u128::from(sum);
                    (sum, share.of(recorded.max))
                }
            };
            match &mut self.peaks {
                Peaks::Cells => {}
                Peaks::Rollups => cell.max = cell.max.max(max),
                Peaks::Units(units) => {
                    let row = (*row - self.rows.start) as usize;
                    let held = &mut units[row * self.units + place.unit];
                    *held = held.saturating_add(sum);
                }
            }
            if !is_alive {
                let groups = self.cast.groups_of(source.slot);
                self.strays.entry(at).or_default().extend(groups);
            }
        }
        if is_new && is_inherited && source.is_ownerless {
            total.inherited = total.inherited.saturating_add(recorded.sum);
        }
    }
}
