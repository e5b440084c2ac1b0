//! A column as the WAL holds it, column-major. (The WAL frames and checksums it; there is no
//! envelope.) A skip mark is the first line alone, as version 1. Integers are LEB128 varints, an array
//! is one of [`crate::packed`].
//!
//! ```text
//! version: u8 = 3 | node: length, UTF-8 | boot: 16 | sequence
//! window ms | step ms | covered from - window, zigzag | covered to - window, zigzag | unattributed
//! groups: how many, the first, then gaps - 1
//! n rows
//! places: length | bounds, then arrays, one number a row:
//!   start bound (0 = unbounded, else 1 + index) | end bound (n bounds + 1 = unbounded) - start bound
//!   route | group
//! cells, arrays, one number a row:
//!   term | flags | reads (packed) | writes | read bytes | write bytes
//! n buckets | with some: bounds | the rest as `column_record::buckets` says
//!
//! bounds: n bounds | arrays: bytes of the suffix (packed), bytes shared with the key before | suffixes
//! ```
//!
//! Keys are in the order in which the rows meet them. Starts, routes and nothing else are written as
//! differences. Columns of one source mostly have the same places, byte for byte, and so the same rows:
//! whoever has placed one need not decode the others' ([`ColumnRecord::places`]).
//!
//! Versions 1 and 2 are in `column_record::old`; those bytes can still be read.
//! Proof: `column_record_test.rs`.

use std::borrow::Cow;

use keyviz_lineage::{Bucket, Column, Counts, Flags, GroupId, Row, SourceId, Step, Window};
use uuid::Uuid;

use crate::CodecError;
use crate::packed::{self, Array, Cursor, Kind};
use crate::varint::{Reader, Writer};
use bounds::{BoundTable, Bounds};

mod bounds;
mod buckets;
mod old;

const VERSION: u8 = 3;
const WHAT: &str = "column record";
/// What a row takes in a record, about.
const ROW_BYTES: usize = 20;

/// The payload of a column's WAL record.
pub fn encode(source: &SourceId, sequence: u64, column: &Column) -> Vec<u8> {
    let rows = &column.rows;
    let mut out = Writer { bytes: Vec::with_capacity(256 + rows.len() * ROW_BYTES) };
    put_origin(&mut out, VERSION, source, sequence);
    let window_ms = column.window.start_ms;
    out.uint(window_ms);
    out.uint(column.window.step.ms());
    out.int(column.covered_from_ms.wrapping_sub(window_ms) as i64);
    out.int(column.covered_to_ms.wrapping_sub(window_ms) as i64);
    out.uint(column.unattributed);
    out.ascending(column.groups.iter());
    out.uint(rows.len() as u64);
    out.prefixed(&places(rows));
    let numbers = &mut Vec::with_capacity(rows.len());
    put_of(rows, |row| row.term, Kind::Plain, numbers, &mut out);
    put_of(rows, |row| u64::from(row.flags.0), Kind::Plain, numbers, &mut out);
    put_of(rows, |row| row.counts.reads, Kind::Dense, numbers, &mut out);
    put_of(rows, |row| row.counts.writes, Kind::Plain, numbers, &mut out);
    put_of(rows, |row| row.counts.read_bytes, Kind::Plain, numbers, &mut out);
    put_of(rows, |row| row.counts.write_bytes, Kind::Plain, numbers, &mut out);
    put_buckets(&mut out, &column.buckets);
    out.bytes
}

/// One number of each row; `numbers` is room to work in.
fn put_of(
    rows: &[Row],
    number: impl Fn(&Row) -> u64,
    kind: Kind,
    numbers: &mut Vec<u64>,
    out: &mut Writer,
) {
    numbers.clear();
    numbers.extend(rows.iter().map(number));
    packed::put(numbers, kind, out);
}

/// Which rows they are.
fn places(rows: &[Row]) -> Vec<u8> {
    let mut table = BoundTable::with_capacity(rows.len() + 1);
    let (mut starts, mut ends) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let (start, end) = table.index(&row.range);
        starts.push(start);
        ends.push(end);
    }
    let mut out = Writer { bytes: Vec::with_capacity(rows.len() * 8) };
    table.put(&mut out);
    let unbounded = table.len() as u64 + 1;
    for (end, start) in ends.iter_mut().zip(&starts) {
        *end = if *end == 0 { unbounded } else { *end }.wrapping_sub(*start);
    }
    packed::put(&starts, Kind::Ordered, &mut out);
    packed::put(&ends, Kind::Plain, &mut out);
    starts.clear();
    starts.extend(rows.iter().map(|row| row.route));
    packed::put(&starts, Kind::Ordered, &mut out);
    starts.clear();
    starts.extend(rows.iter().map(|row| row.group));
    packed::put(&starts, Kind::Plain, &mut out);
    out.bytes
}

fn put_buckets(out: &mut Writer, held: &[Bucket]) {
    out.uint(held.len() as u64);
    if held.is_empty() {
        return;
    }
    let mut table = BoundTable::with_capacity(held.len() + 1);
    let indexes: Vec<(u64, u64)> = held.iter().map(|bucket| table.index(&bucket.range)).collect();
    table.put(out);
    buckets::put(out, held, &indexes);
}

/// The bytes that an older keyviz wrote of this entry: what it told a repetition by.
pub fn encode_as_before(source: &SourceId, sequence: u64, column: &Column) -> Vec<u8> {
    old::encode(source, sequence, column)
}

/// The payload of a mark that a sequence was consumed without a column: version, source, sequence.
pub fn encode_skip(source: &SourceId, sequence: u64) -> Vec<u8> {
    let mut out = Writer::default();
    put_origin(&mut out, old::PLAIN, source, sequence);
    out.bytes
}

/// Source and sequence of a skip mark.
///
/// # Errors
/// See [`CodecError`].
pub fn decode_skip(payload: &[u8]) -> Result<(SourceId, u64), CodecError> {
    let mut input = Reader::new(payload, WHAT);
    let (_, source, sequence) = take_origin(&mut input, old::PLAIN)?;
    input.end()?;
    Ok((source, sequence))
}

fn put_origin(out: &mut Writer, version: u8, source: &SourceId, sequence: u64) {
    out.raw(&[version]);
    out.prefixed(source.node.as_bytes());
    out.raw(source.boot.as_bytes());
    out.uint(sequence);
}

fn take_origin(input: &mut Reader<'_>, known: u8) -> Result<(u8, SourceId, u64), CodecError> {
    let [found] = input.array()?;
    if found == 0 || found > known {
        return Err(CodecError::Version { what: WHAT, found, known });
    }
    let source =
        SourceId { node: input.text()?.to_owned(), boot: Uuid::from_bytes(input.array()?) };
    Ok((found, source, input.uint()?))
}

fn invalid(field: &'static str) -> CodecError {
    CodecError::Invalid { what: WHAT, field }
}

/// Source, sequence and column from a WAL record's payload, whichever version it has.
///
/// # Errors
/// See [`CodecError`]; also when the column violates its own invariants.
pub fn decode(payload: &[u8]) -> Result<(SourceId, u64, Column), CodecError> {
    if let [old::PLAIN | old::WITH_BUCKETS, ..] = payload {
        let (source, sequence, column) = old::decode(payload)?;
        check(&column)?;
        return Ok((source, sequence, column));
    }
    let record = ColumnRecord::parse(payload)?;
    let column = record.column()?;
    Ok((record.source, record.sequence, column))
}

fn check(column: &Column) -> Result<(), CodecError> {
    column.validate().map_err(|_| invalid("a malformed column"))
}

/// A record as this version writes it: the same bytes, or those of an older version written anew.
///
/// # Errors
/// As [`decode`], for an older version.
pub fn of_this_version(payload: &[u8]) -> Result<Cow<'_, [u8]>, CodecError> {
    match payload {
        [old::PLAIN | old::WITH_BUCKETS, ..] => decode(payload)
            .map(|(source, sequence, column)| encode(&source, sequence, &column).into()),
        _ => Ok(payload.into()),
    }
}

/// A record of this version whose arrays are not decoded yet. They add up; what they say is only looked
/// at by [`ColumnRecord::column`].
#[derive(Clone, Debug)]
pub struct ColumnRecord<'a> {
    /// Whose it is.
    pub source: SourceId,
    /// Under which number it came.
    pub sequence: u64,
    /// Its window.
    pub window: Window,
    /// Start of the interval that was covered, Unix milliseconds.
    pub covered_from_ms: u64,
    /// End of the interval that was covered, Unix milliseconds.
    pub covered_to_ms: u64,
    /// Operations on routes that the source did not know.
    pub unattributed: u64,
    /// The groups that it answers for.
    pub groups: Vec<GroupId>,
    rows: usize,
    places: &'a [u8],
    cells: &'a [u8],
    buckets: usize,
    tail: Reader<'a>,
}

impl<'a> ColumnRecord<'a> {
    /// Reads the head and looks where the arrays are.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, CodecError> {
        let mut input = Reader::new(payload, WHAT);
        let (version, source, sequence) = take_origin(&mut input, VERSION)?;
        if version != VERSION {
            return Err(CodecError::Version { what: WHAT, found: version, known: VERSION });
        }
        let window_ms = input.uint()?;
        let step = Step::recordable_from_ms(input.uint()?)
            .map_err(|_| input.invalid("a step that cuts no hour"))?;
        let window =
            Window::new(window_ms, step).map_err(|_| input.invalid("a window off its grid"))?;
        let covered_from_ms = window_ms.wrapping_add(input.int()? as u64);
        let covered_to_ms = window_ms.wrapping_add(input.int()? as u64);
        let unattributed = input.uint()?;
        let groups = input.ascending(usize::MAX)?;
        let rows = input.count()?;
        let places = input.prefixed()?;
        let before = input.rest();
        Cells::take(&mut input, rows)?;
        let cells = &before[..before.len() - input.rest().len()];
        let buckets = input.count()?;
        if buckets == 0 {
            input.end()?;
        }
        Ok(Self {
            source,
            sequence,
            window,
            covered_from_ms,
            covered_to_ms,
            unattributed,
            groups,
            rows,
            places,
            cells,
            buckets,
            tail: input,
        })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes that say which rows they are. Records with equal ones have the same rows in the same
    /// order: route, group and bounds.
    pub fn places(&self) -> &'a [u8] {
        self.places
    }

    /// The bytes that say what was counted in them, for [`Cells::parse`].
    pub fn cells(&self) -> &'a [u8] {
        self.cells
    }

    /// All but the rows, checked.
    ///
    /// # Errors
    /// See [`CodecError`]; also when the column violates its own invariants.
    pub fn without_rows(&self) -> Result<Column, CodecError> {
        let column = self.with(Vec::new())?;
        check(&column)?;
        Ok(column)
    }

    fn buckets(&self) -> Result<Vec<Bucket>, CodecError> {
        if self.buckets == 0 {
            return Ok(Vec::new());
        }
        let mut input = self.tail.clone();
        let mut bounds = Bounds::take(&mut input)?;
        let buckets = buckets::take(&mut input, self.buckets, &mut bounds)?;
        input.end()?;
        Ok(buckets)
    }

    /// All of it, checked.
    ///
    /// # Errors
    /// See [`CodecError`]; also when the column violates its own invariants.
    pub fn column(&self) -> Result<Column, CodecError> {
        let column = self.with(self.take_rows()?)?;
        check(&column)?;
        Ok(column)
    }

    fn with(&self, rows: Vec<Row>) -> Result<Column, CodecError> {
        let &Self { window, covered_from_ms, covered_to_ms, unattributed, .. } = self;
        let (groups, buckets) = (self.groups.clone(), self.buckets()?);
        Ok(Column { window, covered_from_ms, covered_to_ms, unattributed, groups, rows, buckets })
    }

    fn take_rows(&self) -> Result<Vec<Row>, CodecError> {
        let mut input = Reader::new(self.places, WHAT);
        let mut bounds = Bounds::take(&mut input)?;
        let unbounded = bounds.len() as u64 + 1;
        let mut array = || Ok(Array::take(&mut input, self.rows)?.read());
        let (starts, ends) = (array()?, array()?);
        let (routes, groups) = (array()?, array()?);
        input.end()?;
        let mut cells = CellTile::default();
        Cells::parse(self.cells, self.rows)?.reader().read(self.rows, &mut cells);
        let row = |at: usize| {
            let end = match starts[at].wrapping_add(ends[at]) {
                0 => return Err(invalid("a range that ends nowhere")),
                end if end == unbounded => 0,
                end => end,
            };
            let range = bounds.range(starts[at], end)?;
            let (counts, flags) = cells.cell(at);
            let (route, group, term) = (routes[at], groups[at], cells.term(at));
            Ok(Row { route, group, term, range, counts, flags })
        };
        (0..self.rows).map(row).collect()
    }
}

/// What was counted in the rows of a record; the arrays are there, and not decoded yet.
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    terms: Array<'a>,
    flags: Array<'a>,
    series: [Array<'a>; 4],
}

impl<'a> Cells<'a> {
    /// Of so many rows.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn parse(bytes: &'a [u8], rows: usize) -> Result<Self, CodecError> {
        let mut input = Reader::new(bytes, WHAT);
        let cells = Self::take(&mut input, rows)?;
        input.end()?;
        Ok(cells)
    }

    fn take(input: &mut Reader<'a>, rows: usize) -> Result<Self, CodecError> {
        let (terms, flags) = (Array::take(input, rows)?, Array::take(input, rows)?);
        if !flags.is_short() {
            return Err(invalid("unknown flags"));
        }
        let reads = Array::take_dense(input, rows)?;
        let mut array = || Array::take(input, rows);
        Ok(Self { terms, flags, series: [reads, array()?, array()?, array()?] })
    }

    /// The term of every row, if it is one.
    pub fn one_term(&self) -> Option<u64> {
        self.terms.same()
    }

    /// From the first row on.
    pub fn reader(&self) -> CellReader<'a> {
        let Self { terms, flags, series } = self;
        let series = series.map(|series| series.cursor());
        CellReader { terms: terms.cursor(), flags: flags.cursor(), series }
    }
}

/// Decodes the cells of some rows after the other.
#[derive(Debug)]
pub struct CellReader<'a> {
    terms: Cursor<'a>,
    flags: Cursor<'a>,
    series: [Cursor<'a>; 4],
}

impl CellReader<'_> {
    /// The next so many rows; a multiple of four, but for the last ones.
    pub fn read(&mut self, rows: usize, tile: &mut CellTile) {
        let CellTile { terms, flags, series } = tile;
        let parts = [(&mut self.terms, terms), (&mut self.flags, flags)];
        for (cursor, values) in parts.into_iter().chain(self.series.iter_mut().zip(series)) {
            values.resize(rows, 0);
            cursor.fill(values);
        }
    }
}

/// The decoded cells of some rows.
#[derive(Debug, Default)]
pub struct CellTile {
    terms: Vec<u64>,
    flags: Vec<u64>,
    series: [Vec<u64>; 4],
}

impl CellTile {
    /// What was counted in one of them.
    #[inline]
    pub fn cell(&self, at: usize) -> (Counts, Flags) {
        let [reads, writes, read_bytes, write_bytes] = self.series.each_ref().map(|s| s[at]);
        // At most 16 bits: [`Cells::parse`] has looked.
        (Counts { reads, writes, read_bytes, write_bytes }, Flags(self.flags[at] as u16))
    }

    /// Its term.
    pub fn term(&self, at: usize) -> u64 {
        self.terms[at]
    }
}

#[cfg(test)]
#[path = "column_record_test.rs"]
mod column_record_test;
