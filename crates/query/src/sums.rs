//! Adds what the sources recorded into the rows that show them, and into the totals of the columns: tile
//! by tile (see `tile.rs`), on several threads where there is much to read.
//!
//! A row's largest window: from the finest columns it is exact, the largest sum of what its sources
//! recorded in one window; from roll-ups it is the largest window of one source, a lower bound
//! (contract section 6).
//! A wide question is cut by its columns where it is read hour by hour from roll-ups, which hold all rows
//! side by side; by its rows where it is read lineage by lineage. How it is cut does not depend on the machine.
//! Invariants: Q1, Q2.
//! Proof: `matrix_test.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use keyviz_codec::rollup::Tier;
use keyviz_lineage::GroupId;

use crate::cast::Cast;
use crate::cells::RowCells;
use crate::reading::{Asked, Limits, Reading};
use crate::shown::{Shown, Take};
use crate::span::Span;
use crate::tile::{Feed, Line, Mark, Rare, Tile, Told};
use crate::{ColumnTotals, parallel};

/// Where the largest window of a cell comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peaks {
    /// Each window is a whole cell.
    Cells,
    /// Each window is a roll-up that says its own.
    Rollups,
    /// From sums by recorded window.
    Units,
}

/// What all tiles of an answer have in common.
pub(crate) struct Layout<'a> {
    pub(crate) cast: &'a Cast<'a>,
    pub(crate) span: &'a Span,
    pub(crate) shown: &'a Shown,
    /// For each source, the units in any part of which it was alive.
    pub(crate) alive: Vec<Range<usize>>,
    pub(crate) peaks: Peaks,
}

/// The cells of all rows.
pub(crate) struct Sums {
    /// Without their states.
    pub(crate) rows: Vec<RowCells>,
    /// By row; empty where a row has none.
    pub(crate) marks: Vec<Vec<Mark>>,
    /// By column.
    pub(crate) totals: Vec<ColumnTotals>,
    /// Groups that recorded in a cell in which their lineage did not live, by row and column.
    pub(crate) strays: BTreeMap<(u32, usize), BTreeSet<GroupId>>,
    pub(crate) warnings: BTreeSet<String>,
}

impl Sums {
    /// Reads what `rows` rows show.
    pub(crate) fn read(
        reading: &Reading<'_>,
        tier: Option<Tier>,
        shown: &Shown,
        rows: usize,
    ) -> Self {
        let (span, limits) = (reading.span, &reading.limits);
        let layout = Layout::new(reading.cast, span, shown, tier.is_some());
        let width = span.columns();
        let is_wide = reading.is_wide(shown.sources.len(), span.hours());
        let mut sums = Self {
            rows: (0..rows).map(|_| layout.row()).collect(),
            marks: vec![Vec::new(); rows],
            totals: Vec::new(),
            strays: BTreeMap::new(),
            warnings: BTreeSet::new(),
        };
        let feeds: Vec<Feed> = layout
            .cut_rows(rows, limits, is_wide)
            .into_iter()
            .map(|cut| layout.feed(cut))
            .collect();
        let columns = match layout.peaks {
            Peaks::Rollups if is_wide => span.cut(limits.parts),
            _ => span.cut(1),
        };
        let tiles = tiles(&layout, &feeds, &columns, &mut sums.rows);
        let threads = if is_wide { limits.threads } else { 1 };
        let told = parallel::each(threads, tiles, |mut tile: Tile<'_>| {
            let hours = span.hours_of(&tile.columns());
            tile.begin();
            reading.each(hours, tier, &tile.feed.asked, &mut tile);
            tile.end()
        });
        told.into_iter().for_each(|told| sums.take(told, width));
        sums
    }

    fn take(&mut self, told: Told, width: usize) {
        let Told { rows, columns, rare, totals, strays, warnings } = told;
        for (row, rare) in rows.zip(rare) {
            let (cells, marks) = (&mut self.rows[row as usize], &mut self.marks[row as usize]);
            let Rare { inherited, flags, marks: more } = rare;
            put(&mut cells.inherited, inherited, &columns, width);
            put(&mut cells.flags, flags, &columns, width);
            put(marks, more, &columns, width);
        }
        if self.totals.is_empty() && columns.len() == width {
            self.totals = totals;
        } else {
            self.totals.resize(width, ColumnTotals::default());
            for (held, more) in self.totals[columns].iter_mut().zip(totals) {
                held.recorded = held.recorded.saturating_add(more.recorded);
                held.counted = held.counted.saturating_add(more.counted);
                held.inherited = held.inherited.saturating_add(more.inherited);
            }
        }
        // A row and a column are in one tile.
        self.strays.extend(strays);
        self.warnings.extend(warnings);
    }
}

/// Puts a part that few rows have into its place.
fn put<T: Clone + Default>(list: &mut Vec<T>, part: Vec<T>, columns: &Range<usize>, width: usize) {
    if part.is_empty() {
        return;
    }
    if part.len() == width {
        *list = part;
        return;
    }
    list.resize(width, T::default());
    list[columns.clone()].clone_from_slice(&part);
}

/// A tile for each feed and stretch of columns: all rows of one feed, or all columns of one stretch.
fn tiles<'a>(
    layout: &'a Layout<'a>,
    feeds: &'a [Feed],
    columns: &[Range<usize>],
    rows: &'a mut [RowCells],
) -> Vec<Tile<'a>> {
    let mut rows =
        rows.iter_mut().map(|row| Line { counted: &mut row.counted, maxima: &mut row.maxima });
    let mut tiles = Vec::new();
    for feed in feeds {
        let mut left: Vec<Line<'a>> = rows.by_ref().take(feed.rows.len()).collect();
        for columns in columns {
            let lines = left.iter_mut().map(|line| line.split(columns.len())).collect();
            tiles.push(Tile::new(layout, feed, columns.clone(), lines));
        }
    }
    tiles
}

impl<'a> Line<'a> {
    /// Its first columns; the others are left.
    fn split(&mut self, columns: usize) -> Line<'a> {
        let split = |line: &mut &'a mut [u64]| {
            let columns = columns.min(line.len());
            let (first, left) = std::mem::take(line).split_at_mut(columns);
            *line = left;
            first
        };
        Line { counted: split(&mut self.counted), maxima: split(&mut self.maxima) }
    }
}

impl<'a> Layout<'a> {
    /// `from_rollups`: windows come with their own maxima.
    fn new(cast: &'a Cast<'a>, span: &'a Span, shown: &'a Shown, from_rollups: bool) -> Self {
        let alive = shown.sources.iter().map(|source| cast.alive(source.slot, span)).collect();
        let peaks = match span.units_per_column() {
            _ if from_rollups => Peaks::Rollups,
            1 => Peaks::Cells,
            _ => Peaks::Units,
        };
        Self { cast, span, shown, alive, peaks }
    }

    /// A row without anything.
    fn row(&self) -> RowCells {
        let width = self.span.columns();
        let maxima = vec![0; if self.peaks == Peaks::Cells { 0 } else { width }];
        RowCells { counted: vec![0; width], maxima, ..RowCells::default() }
    }

    /// Stretches of rows that are read one by one: of about as many sources each, and never more than
    /// there is room for.
    fn cut_rows(&self, rows: usize, limits: &Limits, is_wide: bool) -> Vec<Range<u32>> {
        let most_rows = match self.peaks {
            Peaks::Units => {
                (limits.scratch_units / limits.threads.max(1) / self.span.units()).max(1)
            }
            Peaks::Cells | Peaks::Rollups => usize::MAX,
        };
        let most_sources = match self.peaks {
            Peaks::Cells | Peaks::Units if is_wide => self.shown.takes.len().div_ceil(limits.parts),
            _ => usize::MAX,
        };
        let mut sources = vec![0usize; rows];
        self.shown.takes.iter().for_each(|(row, _)| sources[*row as usize] += 1);
        let (mut cuts, mut first, mut held) = (Vec::new(), 0, 0);
        for (row, count) in sources.into_iter().enumerate() {
            if row > first && (row - first >= most_rows || held + count > most_sources) {
                cuts.push(first as u32..row as u32);
                (first, held) = (row, 0);
            }
            held += count;
        }
        cuts.push(first as u32..rows as u32);
        cuts
    }

    /// What is read for some rows, and under which tags.
    fn feed(&self, rows: Range<u32>) -> Feed {
        let (mut tagged, mut apart) = (Vec::new(), Vec::new());
        let lanes = rows.len() as u32;
        for (at, source) in self.shown.sources.iter().enumerate() {
            let takes = &self.shown.takes[source.takes.clone()];
            if !takes.iter().any(|(row, _)| rows.contains(row)) {
                continue;
            }
            let is_plain = source.elsewhere.is_none() && self.alive[at] == (0..self.span.units());
            let tag = match takes {
                [(row, Take::Counted)] if is_plain => row - rows.start,
                _ => {
                    apart.push(at as u32);
                    lanes + apart.len() as u32 - 1
                }
            };
            tagged.push((source.slot, tag));
        }
        Feed { rows, asked: Asked::of(self.cast, tagged), apart }
    }
}
