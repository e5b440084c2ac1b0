//! A tile of an answer: some of its rows in some of its columns, added up from what their sources
//! recorded there.
//!
//! ```text
//! tag below the rows    a source in a lane: one row counts it, in full and all the time (the rule)
//! other tags            a source apart, shown by several rows, or not in full, or not alive all the time
//! ```
//!
//! Where one roll-up after the other is added to all rows, sums lie by column until the end, so that those
//! in work are near each other; else they are added to where they belong.
//! Invariants: Q1, Q2; a tile writes to its own cells alone, and what it tells besides adds up to the same
//! in any order.
//! Proof: `matrix_test.rs`, with tiles of all sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use keyviz_codec::rollup::Summary;
use keyviz_lineage::{Flags, GroupId};
use keyviz_store::{NOBODY, StoreError};

use crate::ColumnTotals;
use crate::cells::entry;
use crate::reading::{Asked, Place, Plain, Sink, take_each};
use crate::shown::{Source, Take};
use crate::sums::{Layout, Peaks};

/// What a cell has besides its sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Whether anything was counted that may not be in the sums.
    pub(crate) traffic: bool,
    /// Whether some of it cannot be read.
    pub(crate) unread: bool,
}

/// What few rows have: a list is empty, or as long as the tile is wide.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) inherited: Vec<u64>,
    pub(crate) flags: Vec<Flags>,
    pub(crate) marks: Vec<Mark>,
}

/// What is to be read for some rows.
pub(crate) struct Feed {
    pub(crate) rows: Range<u32>,
    pub(crate) asked: Asked,
    /// The sources that are not in a lane, by their place among those shown.
    pub(crate) apart: Vec<u32>,
}

/// The cells of one row.
#[derive(Default)]
pub(crate) struct Line<'a> {
    pub(crate) counted: &'a mut [u64],
    /// Empty, or as long.
    pub(crate) maxima: &'a mut [u64],
}

/// What a tile tells besides the sums of its cells.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) rows: Range<u32>,
    pub(crate) columns: Range<usize>,
    /// By row.
    pub(crate) rare: Vec<Rare>,
    /// By column.
    pub(crate) totals: Vec<ColumnTotals>,
    /// Groups that recorded in a cell in which their lineage did not live, by row and column of the answer.
    pub(crate) strays: BTreeMap<(u32, usize), BTreeSet<GroupId>>,
    pub(crate) warnings: BTreeSet<String>,
}

pub(crate) struct Tile<'a> {
    layout: &'a Layout<'a>,
    pub(crate) feed: &'a Feed,
    lines: Vec<Line<'a>>,
    /// Of roll-ups: sum and maximum, by column, then row.
    by_column: Vec<(u64, u64)>,
    /// Where a column is several recorded windows: their sums, by row.
    units: Vec<u64>,
    /// What is counted apart, by column; empty where nothing is.
    counted_apart: Vec<u128>,
    told: Told,
}

impl<'a> Tile<'a> {
    pub(crate) fn new(
        layout: &'a Layout<'a>,
        feed: &'a Feed,
        columns: Range<usize>,
        lines: Vec<Line<'a>>,
    ) -> Self {
        let told = Told { rows: feed.rows.clone(), columns, ..Told::default() };
        let (by_column, units, counted_apart) = (Vec::new(), Vec::new(), Vec::new());
        Self { layout, feed, lines, by_column, units, counted_apart, told }
    }

    /// Makes room: few tiles are in work at a time.
    pub(crate) fn begin(&mut self) {
        let (rows, width) = (self.lines.len(), self.told.columns.len());
        self.told.rare.resize(rows, Rare::default());
        self.told.totals.resize(width, ColumnTotals::default());
        match self.layout.peaks {
            Peaks::Cells => {}
            Peaks::Rollups => self.by_column = vec![(0, 0); rows * width],
            Peaks::Units => self.units = vec![0; rows * self.layout.span.units()],
        }
    }

    pub(crate) fn columns(&self) -> Range<usize> {
        self.told.columns.clone()
    }

    /// All of its feed has been read.
    pub(crate) fn end(mut self) -> Told {
        match self.layout.peaks {
            Peaks::Cells => {}
            Peaks::Rollups => self.turn(),
            Peaks::Units => {
                let per_column = self.layout.span.units_per_column();
                let units = self.units.chunks(self.layout.span.units());
                for (line, units) in self.lines.iter_mut().zip(units) {
                    for (max, windows) in line.maxima.iter_mut().zip(units.chunks(per_column)) {
                        *max = windows.iter().copied().max().unwrap_or(0);
                    }
                }
            }
        }
        self.add_up();
        self.told
    }

    /// What is counted in a lane is all that was recorded of its source.
    fn add_up(&mut self) {
        let totals = &mut self.told.totals;
        if self.counted_apart.is_empty() {
            let mut counted = vec![0u64; totals.len()];
            for line in &self.lines {
                for (sum, &value) in counted.iter_mut().zip(&*line.counted) {
                    *sum = sum.saturating_add(value);
                }
            }
            for (total, counted) in totals.iter_mut().zip(counted) {
                (total.recorded, total.counted) = (total.recorded.saturating_add(counted), counted);
            }
            return;
        }
        let mut counted = vec![0u128; totals.len()];
        for line in &self.lines {
            for (sum, &value) in counted.iter_mut().zip(&*line.counted) {
                *sum += u128::from(value);
            }
        }
        for ((total, counted), apart) in totals.iter_mut().zip(counted).zip(&self.counted_apart) {
            let top = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
            total.recorded = total.recorded.saturating_add(top(counted.saturating_sub(*apart)));
            total.counted = top(counted);
        }
    }

    /// What lies by column goes to its rows, a few of them at a time.
    fn turn(&mut self) {
        const AT_A_TIME: usize = 16;
        let rows = self.lines.len();
        for (nth, lines) in self.lines.chunks_mut(AT_A_TIME).enumerate() {
            let first = nth * AT_A_TIME;
            for (column, sums) in self.by_column.chunks(rows).enumerate() {
                for (line, &(sum, max)) in lines.iter_mut().zip(&sums[first..]) {
                    (line.counted[column], line.maxima[column]) = (sum, max);
                }
            }
        }
    }

    /// The source behind a tag that is not in a lane.
    fn apart(&self, tag: u32) -> (usize, &'a Source) {
        let at = self.feed.apart[tag as usize - self.lines.len()] as usize;
        (at, &self.layout.shown.sources[at])
    }

    /// Adds to a cell: what it counts, and what it shows of one window.
    #[inline]
    fn add(&mut self, row: usize, place: Place, counted: u64, (shown, max): (u64, u64)) {
        let column = place.column - self.told.columns.start;
        match self.layout.peaks {
            Peaks::Rollups => {
                let (sum, top) = &mut self.by_column[column * self.lines.len() + row];
                (*sum, *top) = (sum.saturating_add(counted), max.max(*top));
            }
            Peaks::Cells => {
                let held = &mut self.lines[row].counted[column];
                *held = held.saturating_add(counted);
            }
            Peaks::Units => {
                let held = &mut self.lines[row].counted[column];
                *held = held.saturating_add(counted);
                let unit = &mut self.units[row * self.layout.span.units() + place.unit];
                *unit = unit.saturating_add(shown);
            }
        }
    }

    fn rare(&mut self, row: usize) -> (&mut Rare, usize) {
        (&mut self.told.rare[row], self.told.columns.len())
    }

    fn flag(&mut self, row: usize, column: usize, flags: Flags) {
        if !flags.is_none() {
            let column = column - self.told.columns.start;
            let (rare, width) = self.rare(row);
            let held = entry(&mut rare.flags, width, column);
            *held = held.or(flags);
        }
    }

    /// [`Sink::take`] of a source that is not in a lane.
    fn take_apart(&mut self, tag: u32, place: Place, recorded: Summary) {
        let (at, source) = self.apart(tag);
        let layout = self.layout;
        let takes = &layout.shown.takes[source.takes.clone()];
        let is_alive = layout.alive[at].contains(&place.unit);
        let column = place.column - self.told.columns.start;
        // Several tiles may show it: the first row's tile tells the totals of it.
        let is_told_here = takes.first().is_some_and(|(row, _)| self.feed.rows.contains(row));
        if is_told_here {
            let elsewhere = source.elsewhere.as_ref().map_or(0, |share| share.of(recorded.sum));
            let total = &mut self.told.totals[column];
            total.recorded = total.recorded.saturating_add(recorded.sum - elsewhere);
            let is_inherited = takes.iter().any(|(_, take)| matches!(take, Take::Inherited));
            if is_inherited && source.is_ownerless {
                total.inherited = total.inherited.saturating_add(recorded.sum);
            }
        }
        for (row, take) in takes.iter().filter(|(row, _)| self.feed.rows.contains(row)) {
            let at = (row - self.feed.rows.start) as usize;
            let (rare, width) = self.rare(at);
            if recorded.sum > 0 {
                entry(&mut rare.marks, width, column).traffic = true;
            }
            let (counted, shown, flag) = match take {
                Take::Counted => (recorded.sum, (recorded.sum, recorded.max), Flags::NONE),
                Take::Inherited => {
                    let inherited = entry(&mut rare.inherited, width, column);
                    *inherited = inherited.saturating_add(recorded.sum);
                    (0, (recorded.sum, recorded.max), Flags::INHERITED)
                }
                Take::Apportioned(share) => {
                    let sum = share.of(recorded.sum);
                    (sum, (sum, share.of(recorded.max)), Flags::APPORTIONED)
                }
            };
            *entry(&mut self.counted_apart, width, column) += u128::from(counted);
            self.add(at, place, counted, shown);
            self.flag(at, place.column, recorded.flags.or(flag));
            if !is_alive {
                let groups = layout.cast.groups_of(source.slot);
                self.told.strays.entry((*row, place.column)).or_default().extend(groups);
            }
        }
    }
}

impl Sink for Tile<'_> {
    const MAXIMA: bool = true;

    #[inline]
    fn take(&mut self, tag: u32, place: Place, recorded: Summary) {
        let row = tag as usize;
        if row >= self.lines.len() {
            return self.take_apart(tag, place, recorded);
        }
        self.add(row, place, recorded.sum, (recorded.sum, recorded.max));
        self.flag(row, place.column, recorded.flags);
    }

    fn take_slots(&mut self, tags: &[u32], place: Place, sums: &[u64], maxima: &[u64]) {
        let rows = self.lines.len();
        let first = (place.column - self.told.columns.start) * rows;
        let Some(column) = self.by_column.get_mut(first..first + rows) else { return };
        let mut others = false;
        for ((&tag, &sum), &max) in tags.iter().zip(sums).zip(maxima) {
            match column.get_mut(tag as usize) {
                Some((held, top)) => (*held, *top) = (held.saturating_add(sum), max.max(*top)),
                None => others |= tag != NOBODY,
            }
        }
        if others {
            let is_apart = |tag: u32| tag != NOBODY && tag as usize >= rows;
            for ((&tag, &sum), &max) in tags.iter().zip(sums).zip(maxima) {
                if is_apart(tag) && sum > 0 {
                    self.take_apart(tag, place, Summary { sum, max, flags: Flags::NONE });
                }
            }
        }
    }

    #[inline]
    fn take_plain(&mut self, tag: u32, first: usize, per_column: usize, cells: &Plain<'_>) {
        let is_by_cell = self.layout.peaks == Peaks::Cells;
        let Some(line) = self.lines.get_mut(tag as usize).filter(|_| is_by_cell) else {
            return take_each(self, tag, first, per_column, cells);
        };
        // A unit is a column.
        let Some(row) = line.counted.get_mut(first - self.told.columns.start..) else { return };
        if let Some(run) = cells.run() {
            for (held, &value) in row.iter_mut().skip(run).zip(cells.values) {
                *held = held.saturating_add(value);
            }
            return;
        }
        for (&window, &value) in cells.windows.iter().zip(cells.values) {
            if let Some(held) = row.get_mut(usize::from(window)) {
                *held = held.saturating_add(value);
            }
        }
    }

    /// What cannot be read is unknown where its lineage was alive, not idle (Q3).
    fn unread(&mut self, tag: u32, units: Range<usize>, error: &StoreError) {
        self.told.warnings.insert(error.to_string());
        let (first, layout) = (self.feed.rows.start, self.layout);
        let lane = [first + tag];
        let (alive, rows): (_, Vec<u32>) = if (tag as usize) < self.lines.len() {
            (0..layout.span.units(), lane.to_vec())
        } else {
            let (at, source) = self.apart(tag);
            let takes = layout.shown.takes[source.takes.clone()].iter().map(|(row, _)| *row);
            (layout.alive[at].clone(), takes.filter(|row| self.feed.rows.contains(row)).collect())
        };
        let units = alive.start.max(units.start)..alive.end.min(units.end);
        if units.is_empty() {
            return;
        }
        let (per_column, here) = (layout.span.units_per_column(), self.columns());
        let from = (units.start / per_column).max(here.start);
        let to = units.end.div_ceil(per_column).min(here.end);
        for row in rows {
            for column in from..to {
                let (rare, width) = self.rare((row - first) as usize);
                entry(&mut rare.marks, width, column - here.start).unread = true;
            }
        }
    }
}
