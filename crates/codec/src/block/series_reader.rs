//! Reads one series of stored blocks, as fast as their bytes allow: no maps, no allocation a cell or
//! (once the buffers have grown) a block, and only the columns that the series needs.
//!
//! One contributor, which is the rule, has its column decoded straight into the answer. Several are
//! decoded whole and merged by the rule of [`crate::cell`], window by window in arrays of an hour.
//! Invariant: what is read equals [`Block::cells`](super::Block::cells) of the decoded block (S1).
//! What may be damaged in the other series goes unseen here, but for the checksum.
//! Must not: keep anything of one block for the next.
//! Proof: `series_reader_test.rs`.

use std::ops::Range;

use keyviz_lineage::{Flags, GroupId, Series, Step};

use super::cells::Values;
use super::value::{self, Open};
use super::{Block, HourBlocks, old, open_with};
use crate::cell::{add, merge};
use crate::envelope::Checksum;
use crate::{Cell, CodecError};

/// One step's cells of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesColumn<'a> {
    /// The length of a window.
    pub step: Step,
    /// The windows that have a cell, by their place in the hour, ascending.
    pub windows: &'a [u16],
    /// The merged value of each.
    pub values: &'a [u64],
    /// The merged flags of each, or nothing where no cell has any.
    pub flags: &'a [Flags],
}

impl SeriesColumn<'_> {
    /// Its cells: window, value, flags.
    pub fn cells(&self) -> impl Iterator<Item = (u16, u64, Flags)> {
        let flags = self.flags.iter().copied().chain(std::iter::repeat(Flags::NONE));
        let cells = self.windows.iter().zip(self.values).zip(flags);
        cells.map(|((&window, &value), flags)| (window, value, flags))
    }
}

/// Room for one step's cells of one series.
#[derive(Clone, Debug, Default)]
pub struct SeriesCells {
    windows: Vec<u16>,
    values: Vec<u64>,
    flags: Vec<Flags>,
}

impl SeriesCells {
    /// One series of a block: what [`SeriesReader`] reads of it once it is stored.
    pub fn of<'a>(&'a mut self, block: &Block, series: Series) -> SeriesColumn<'a> {
        self.windows.clear();
        self.values.clear();
        self.flags.clear();
        let mut take = |window: u16, cell: Cell| {
            self.windows.push(window);
            self.values.push(cell.counts.get(series));
            self.flags.push(cell.flags);
        };
        let mut contributors = block.contributors();
        match (contributors.next(), contributors.next()) {
            // The rule, and no map is needed for it.
            (Some((who, cells)), None) => {
                cells.iter().for_each(|entry| take(entry.index, merge(&[(who, entry)])));
            }
            _ => block.cells().into_iter().for_each(|(window, cell)| take(window, cell)),
        }
        let Self { windows, values, flags } = self;
        SeriesColumn { step: block.step(), windows, values, flags }
    }
}

/// Where one step's cells are.
#[derive(Clone, Debug)]
struct Span {
    step: Step,
    cells: Range<usize>,
    flags: Range<usize>,
}

/// Reads one series of one block after the other.
#[derive(Debug, Default)]
pub struct SeriesReader {
    spans: Vec<Span>,
    windows: Vec<u16>,
    values: Vec<u64>,
    flags: Vec<Flags>,
    /// One contributor's cells.
    part: PartCells,
    merger: Merger,
}

#[derive(Debug, Default)]
struct PartCells {
    windows: Vec<u16>,
    flags: Vec<Flags>,
    values: Values,
}

impl SeriesReader {
    /// Reads one series of a stored block, of any version: one column a step, finest first.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn read<'a>(
        &'a mut self,
        value: &[u8],
        series: Series,
    ) -> Result<impl ExactSizeIterator<Item = SeriesColumn<'a>> + Clone + use<'a>, CodecError> {
        self.read_with(value, series, Checksum::Compute)
    }

    /// [`SeriesReader::read`] of a value whose checksum may be known to be right.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn read_with<'a>(
        &'a mut self,
        value: &[u8],
        series: Series,
        checksum: Checksum,
    ) -> Result<impl ExactSizeIterator<Item = SeriesColumn<'a>> + Clone + use<'a>, CodecError> {
        let (version, input) = open_with(value, checksum)?;
        self.spans.clear();
        if version == value::VERSION {
            let open = Open::new(input)?;
            if open.is_one() { self.read_one(open, series)? } else { self.read_all(open, series)? }
        } else {
            self.read_old(&old::decode(version, &mut { input })?, series);
        }
        Ok(self.spans.iter().map(|span| SeriesColumn {
            step: span.step,
            windows: &self.windows[span.cells.clone()],
            values: &self.values[span.cells.clone()],
            flags: &self.flags[span.flags.clone()],
        }))
    }

    /// One step of one contributor: only what the series needs.
    fn read_one(&mut self, mut open: Open<'_>, series: Series) -> Result<(), CodecError> {
        let Some((step, _)) = open.next_step()? else { return Ok(()) };
        let cells = open.next_part(true, &mut self.windows, &mut self.flags)?.cells;
        let values = &mut self.part.values;
        if cells.is_topped() {
            // A count at its top flags its cell in every series.
            open.pass(&cells, values)?;
            self.flags.resize(self.windows.len(), Flags::NONE);
            for column in &values.by_series {
                let topped = self.flags.iter_mut().zip(column).filter(|(_, v)| **v == u64::MAX);
                topped.for_each(|(flags, _)| *flags = flags.or(Flags::SATURATED));
            }
        } else {
            cells.read_one(series, values).ok_or_else(|| open.spoiled())?;
        }
        std::mem::swap(&mut self.values, &mut values.by_series[series as usize]);
        let (cells, flags) = (0..self.windows.len(), 0..self.flags.len());
        self.spans.push(Span { step, cells, flags });
        Ok(())
    }

    fn clear(&mut self) {
        self.windows.clear();
        self.values.clear();
        self.flags.clear();
    }

    fn read_all(&mut self, mut open: Open<'_>, series: Series) -> Result<(), CodecError> {
        self.clear();
        while let Some((step, count)) = open.next_step()? {
            self.merger.begin(step.columns_per_hour());
            for at in 0..count {
                let part = &mut self.part;
                let found = open.next_part(at == 0, &mut part.windows, &mut part.flags)?;
                open.pass(&found.cells, &mut part.values)?;
                self.merger.add((found.group, found.term), part);
            }
            self.merger.merge();
            let cells = self.merger.cells().map(|(window, cell)| (window, *cell));
            let (first, first_flag) = (self.windows.len(), self.flags.len());
            for (window, cell) in cells {
                self.windows.push(window);
                self.values.push(cell.counts.get(series));
                self.flags.push(cell.flags);
            }
            self.close(step, first, first_flag);
        }
        open.end()
    }

    fn read_old(&mut self, hour: &HourBlocks, series: Series) {
        self.clear();
        for block in hour.blocks() {
            let (first, first_flag) = (self.windows.len(), self.flags.len());
            for (window, cell) in block.cells() {
                self.windows.push(window);
                self.values.push(cell.counts.get(series));
                self.flags.push(cell.flags);
            }
            self.close(block.step(), first, first_flag);
        }
    }

    /// Ends a step's cells. Flags that are all none go.
    fn close(&mut self, step: Step, first: usize, first_flag: usize) {
        if self.flags[first_flag..].iter().all(|flags| flags.is_none()) {
            self.flags.truncate(first_flag);
        }
        let (cells, flags) = (first..self.windows.len(), first_flag..self.flags.len());
        self.spans.push(Span { step, cells, flags });
    }
}

/// Merges the cells of several contributors, which it holds side by side until all are there.
#[derive(Debug, Default)]
struct Merger {
    cells: Vec<(bool, Cell)>,
    /// Whose writes, and where they are below.
    writers: Vec<((GroupId, u64), Range<usize>)>,
    windows: Vec<u16>,
    writes: [Vec<u64>; 2],
    /// The largest that nodes reported of one (group, term); 0 = none yet.
    largest: Vec<u64>,
}

impl Merger {
    fn begin(&mut self, places: usize) {
        self.cells.clear();
        self.cells.resize(places, (false, Cell::default()));
        self.largest.clear();
        self.largest.resize(places, 0);
        self.writers.clear();
        self.windows.clear();
        self.writes.iter_mut().for_each(Vec::clear);
    }

    /// Adds reads and flags at once, and puts the writes aside.
    fn add(&mut self, writer: (GroupId, u64), part: &PartCells) {
        let [reads, writes, read_bytes, write_bytes] = &part.values.by_series;
        for (at, &window) in part.windows.iter().enumerate() {
            let (is_there, cell) = &mut self.cells[usize::from(window)];
            *is_there = true;
            cell.flags = cell.flags.or(part.flags.get(at).copied().unwrap_or_default());
            add(cell, Series::Reads, reads[at]);
            add(cell, Series::ReadBytes, read_bytes[at]);
        }
        let first = self.windows.len();
        self.windows.extend_from_slice(&part.windows);
        self.writes[0].extend_from_slice(writes);
        self.writes[1].extend_from_slice(write_bytes);
        self.writers.push((writer, first..self.windows.len()));
    }

    /// Adds the writes, one value a (group, term).
    fn merge(&mut self) {
        self.writers.sort_by_key(|(writer, _)| *writer);
        for same in self.writers.chunk_by(|a, b| a.0 == b.0) {
            let writes = [Series::Writes, Series::WriteBytes].into_iter().zip(&self.writes);
            for (series, values) in writes {
                let found = |(_, cells): &(_, Range<usize>)| {
                    let windows = &self.windows[cells.clone()];
                    windows.iter().map(|&at| usize::from(at)).zip(&values[cells.clone()])
                };
                if let [only] = same {
                    found(only).for_each(|(at, &value)| add(&mut self.cells[at].1, series, value));
                    continue;
                }
                for (at, &value) in same.iter().flat_map(found).filter(|(_, value)| **value > 0) {
                    let (largest, cell) = (&mut self.largest[at], &mut self.cells[at].1);
                    if *largest != 0 && *largest != value {
                        cell.flags = cell.flags.or(Flags::CONFLICT);
                    }
                    *largest = value.max(*largest);
                }
                for (at, _) in same.iter().flat_map(found) {
                    add(&mut self.cells[at].1, series, std::mem::take(&mut self.largest[at]));
                }
            }
        }
    }

    fn cells(&self) -> impl Iterator<Item = (u16, &Cell)> {
        let places = (0u16..).zip(&self.cells);
        places.filter(|(_, (is_there, _))| *is_there).map(|(window, (_, cell))| (window, cell))
    }
}

#[cfg(test)]
#[path = "series_reader_test.rs"]
mod series_reader_test;
