//! One contributor's cells in a block of version 3: which windows, flags, and four columns that are
//! read one by one.
//!
//! ```text
//! shape:     form of the windows in bits 0..1 | 2: flags | 3: some count is 2^64 - 1 |
//!            4: every cell has reads | 5: every cell has writes                           byte
//! windows:   as [`crate::presence`], so many places as the hour has windows
//! flags:     as [`crate::presence`], only with bit 2
//! heads:     reads | writes | mean read, read bytes | mean write, write bytes    as [`crate::column`]
//! bits:      of the same four columns, one behind the other; the last byte is filled up with zeros
//! ```
//!
//! With a mean (a varint) of 0, bytes are a plain column. Otherwise they are a signed one of what is
//! left of them without count x mean, and only of cells with a count: the others have no bytes.
//! Invariants: bits 3 to 5 say what is so (C1), which only a decoder of everything checks.
//! Proof: `block_test.rs`, `series_reader_test.rs`.

use keyviz_lineage::{Counts, Flags, Series};

use super::CellEntry;
use crate::CodecError;
use crate::bits::{self, BitWriter};
use crate::column::{self, Column, Fold, Kind, Plan, Room};
use crate::presence;
use crate::varint::{Reader, Writer};

const FLAGGED: u8 = 1 << 2;
const TOPPED: u8 = 1 << 3;
/// Every cell has reads; one bit up, writes.
const COUNTED: u8 = 1 << 4;
const KNOWN: u8 = presence::FORM_MASK | FLAGGED | TOPPED | COUNTED | COUNTED << 1;

/// The columns of one contributor.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// One value a cell, by [`Series::ALL`].
    pub(super) by_series: [Vec<u64>; 4],
    /// Room to read in.
    gaps: Vec<u8>,
}

/// Room to encode in.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    values: [Vec<u64>; 4],
    residuals: [Vec<u64>; 2],
    taken: Vec<u16>,
    room: Room,
    windows: Writer,
    bits: BitWriter,
}

impl Encoder {
    pub(super) fn write(
        &mut self,
        cells: &[CellEntry],
        places: usize,
        fold: Fold,
        out: &mut Writer,
    ) {
        for values in &mut self.values {
            values.clear();
            values.resize(cells.len(), 0);
        }
        let [reads, writes, read_bytes, write_bytes] = &mut self.values;
        let counts = reads.iter_mut().zip(writes).zip(read_bytes.iter_mut().zip(write_bytes));
        for (((reads, writes), sizes), CellEntry { counts, .. }) in counts.zip(cells) {
            (*reads, *writes) = (counts.reads, counts.writes);
            (*sizes.0, *sizes.1) = (counts.read_bytes, counts.write_bytes);
        }
        self.taken.clear();
        self.taken.extend(cells.iter().map(|entry| entry.index));
        self.windows.bytes.clear();
        let mut shape = presence::write(&self.taken, places, &mut self.windows);
        shape |= self.truths();
        if cells.iter().any(|entry| !entry.flags.is_none()) {
            shape |= FLAGGED;
            presence::write_flags(cells.iter().map(|entry| entry.flags), &mut self.windows);
        }
        out.raw(&[shape]);
        out.raw(&self.windows.bytes);
        for values in &self.values[..2] {
            let plan = column::plan(values, Kind::Plain, fold, &mut self.room);
            plan.write_head(values, out);
            plan.write_bits(values, &mut self.bits);
        }
        for side in 0..2 {
            let (mean, plan) = self.plan_bytes(side, fold);
            let numbers = if mean == 0 { &self.values[2 + side] } else { &self.residuals[side] };
            out.uint(mean);
            plan.write_head(numbers, out);
            plan.write_bits(numbers, &mut self.bits);
        }
        self.bits.finish_into(&mut out.bytes);
    }

    /// C1.
    fn truths(&self) -> u8 {
        let mut shape = 0;
        // To the end, which is faster than to stop early.
        let has = |values: &[u64], wanted: u64| {
            values.iter().fold(false, |found, &value| found | (value == wanted))
        };
        if self.values.iter().any(|values| has(values, u64::MAX)) {
            shape |= TOPPED;
        }
        for side in 0..2 {
            if !has(&self.values[side], 0) {
                shape |= COUNTED << side;
            }
        }
        shape
    }

    /// A plain column of bytes, or one of what a mean size leaves of them: whichever spreads less.
    fn plan_bytes(&mut self, side: usize, fold: Fold) -> (u64, Plan) {
        let (counts, sizes) = (&self.values[side], &self.values[2 + side]);
        let residuals = &mut self.residuals[side];
        if let Some(mean) = mean_size(counts, sizes) {
            residuals.clear();
            let both = counts.iter().zip(sizes).filter(|&(&count, _)| count > 0);
            residuals.extend(both.map(|(&n, &size)| size.wrapping_sub(n.wrapping_mul(mean))));
            if spread(residuals, 0) <= spread(sizes, mean_of(sizes)) {
                return (mean, column::plan(residuals, Kind::Signed, fold, &mut self.room));
            }
        }
        (0, column::plan(sizes, Kind::Plain, fold, &mut self.room))
    }
}

/// The sum of what lies between the numbers and their middle.
fn spread(numbers: &[u64], middle: u64) -> u64 {
    let apart = numbers.iter().map(|number| (number.wrapping_sub(middle) as i64).unsigned_abs());
    apart.fold(0, u64::saturating_add)
}

fn mean_of(numbers: &[u64]) -> u64 {
    sum(numbers).checked_div(numbers.len() as u64).unwrap_or(0)
}

fn sum(numbers: &[u64]) -> u64 {
    // 3,600 numbers below 2^52 have a sum.
    if numbers.iter().fold(0, |all, number| all | number) >> 52 == 0 {
        numbers.iter().sum()
    } else {
        numbers.iter().fold(0, |sum, &number| sum.saturating_add(number))
    }
}

/// `None` where there is none, or where a cell has bytes without a count.
fn mean_size(counts: &[u64], sizes: &[u64]) -> Option<u64> {
    let stray = counts.iter().zip(sizes).filter(|&(&count, &size)| count == 0 && size > 0);
    if stray.count() > 0 {
        return None;
    }
    let (count, size) = (sum(counts), sum(sizes));
    let mean = size.saturating_add(count / 2).checked_div(count)?;
    (mean > 0).then_some(mean)
}

/// One contributor's cells as they are stored: heads are parsed, bits are not.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    shape: u8,
    count: usize,
    columns: [Column<'a>; 4],
    means: [u64; 2],
    bits: &'a [u8],
}

impl<'a> Cells<'a> {
    /// Parses what stands before the bits; fills `windows`, and `flags` if there are any.
    #[inline(always)]
    pub(super) fn parse(
        input: &mut Reader<'a>,
        places: usize,
        windows: &mut Vec<u16>,
        flags: &mut Vec<Flags>,
    ) -> Result<Self, CodecError> {
        windows.clear();
        flags.clear();
        let [shape] = input.array()?;
        if shape & !KNOWN != 0 {
            return Err(input.invalid("an unknown shape"));
        }
        presence::read(shape, places, input, windows)?;
        if shape & FLAGGED != 0 {
            presence::read_flags(windows.len(), input, flags)?;
            if flags.iter().all(|flags| flags.is_none()) {
                return Err(input.invalid("flags that say nothing"));
            }
        }
        let (reads, writes) =
            (Column::parse(input, Kind::Plain)?, Column::parse(input, Kind::Plain)?);
        let (read_mean, read_bytes) = parse_bytes(input)?;
        let (write_mean, write_bytes) = parse_bytes(input)?;
        Ok(Self {
            shape,
            count: windows.len(),
            columns: [reads, writes, read_bytes, write_bytes],
            means: [read_mean, write_mean],
            bits: input.rest(),
        })
    }

    /// Whether a count of some series is at its top.
    pub(super) fn is_topped(&self) -> bool {
        self.shape & TOPPED != 0
    }

    /// Reads one series into its place in `values`; others may be read because it needs them.
    pub(super) fn read_one(&self, series: Series, values: &mut Values) -> Option<()> {
        let wanted = series as usize;
        let mut need = [false; 4];
        need[wanted] = true;
        for (side, mean) in self.means.into_iter().enumerate() {
            // Bytes are coded against counts, or what is skipped is as long as counts say.
            let is_needed = wanted == 2 + side || wanted > 2 + side && !self.is_counted(side);
            need[side] |= is_needed && mean > 0;
        }
        self.read(need, wanted, values).map(|_| ())
    }

    /// Reads all four series, and returns how many bytes their bits take.
    pub(super) fn read_all(&self, values: &mut Values) -> Option<usize> {
        let end = self.read([true; 4], 3, values)?;
        let values = &values.by_series;
        let topped = values.iter().flatten().any(|&value| value == u64::MAX);
        let counted =
            |side: usize| values[side].iter().all(|&count| count > 0) == self.is_counted(side);
        let is_so = topped == self.is_topped() && counted(0) && counted(1);
        (is_so && bits::is_filled_up(self.bits, end)).then(|| end.div_ceil(8))
    }

    fn is_counted(&self, side: usize) -> bool {
        self.shape & COUNTED << side != 0
    }

    fn read(&self, need: [bool; 4], last: usize, values: &mut Values) -> Option<usize> {
        let mut at = 0;
        for series in 0..=last {
            let (counts, rest) = values.by_series.split_at_mut(series.min(2));
            let side = series.checked_sub(2).filter(|&side| self.means[side] > 0);
            let coded = match side {
                Some(side) if !self.is_counted(side) => {
                    counts[side].iter().filter(|&&count| count > 0).count()
                }
                _ => self.count,
            };
            if !need[series] {
                at = self.columns[series].skip(self.bits, at, coded)?;
                continue;
            }
            let column = &mut rest[series - series.min(2)];
            // All of them are going to be filled.
            column.resize(coded, 0);
            at = self.columns[series].read(self.bits, at, column, &mut values.gaps)?;
            if let Some(side) = side {
                add_means(&counts[side], self.means[side], column);
            }
        }
        Some(at)
    }
}

#[inline(always)]
fn parse_bytes<'a>(input: &mut Reader<'a>) -> Result<(u64, Column<'a>), CodecError> {
    let mean = input.uint()?;
    let kind = if mean == 0 { Kind::Plain } else { Kind::Signed };
    Ok((mean, Column::parse(input, kind)?))
}

/// Makes sizes of what the mean left of them; cells without a count get 0.
fn add_means(counts: &[u64], mean: u64, sizes: &mut Vec<u64>) {
    if counts.len() == sizes.len() {
        for (size, count) in sizes.iter_mut().zip(counts) {
            *size = size.wrapping_add(count.wrapping_mul(mean));
        }
        return;
    }
    let mut coded = sizes.len();
    sizes.resize(counts.len(), 0);
    for (at, &count) in counts.iter().enumerate().rev() {
        sizes[at] = if count > 0 && coded > 0 {
            coded -= 1;
            sizes[coded].wrapping_add(count.wrapping_mul(mean))
        } else {
            0
        };
    }
}

/// Makes `cells` those of these columns.
pub(super) fn entries(
    windows: &[u16],
    flags: &[Flags],
    values: &Values,
    cells: &mut Vec<CellEntry>,
) {
    let [reads, writes, read_bytes, write_bytes] = &values.by_series;
    let columns = reads.iter().zip(writes).zip(read_bytes.iter().zip(write_bytes));
    cells.clear();
    cells.extend(windows.iter().zip(columns).map(|(&index, ((&reads, &writes), sizes))| {
        let counts = Counts { reads, writes, read_bytes: *sizes.0, write_bytes: *sizes.1 };
        CellEntry { index, counts, flags: Flags::NONE }
    }));
    cells.iter_mut().zip(flags).for_each(|(entry, &flags)| entry.flags = flags);
}
