//! Column records of versions 1 and 2: LEB128 varints throughout. They are read for the sake of a WAL
//! that an older keyviz wrote, and written to tell whether an entry that is sent again is the one that
//! such a keyviz took (its digest is one of these bytes).
//!
//! ```text
//! version: u8 | node: length, UTF-8 | boot: 16 | sequence
//! window ms | step ms | covered from - window, zigzag | covered to - window, zigzag | unattributed
//! n groups | groups | n rows
//! n bounds | for each: shared bytes | suffix: length, bytes       distinct keys, ascending
//! then one array each, n rows long:
//!   start bound (0 = unbounded, else 1 + index) | end bound | route | group | term | flags
//!   reads | writes | read bytes | write bytes
//! ```
//!
//! That is version 1. A column with virtual buckets is version 2, and goes on (the bounds above are
//! those of rows and buckets) with `n buckets`, at least 1, and what `column_record::buckets` says.
//! Proof: `old_test.rs`.

use keyviz_lineage::{Column, Row, Series, SourceId, Step, Window};

use super::bounds::Bounds;
use super::buckets::{self, Cells, take_array};
use super::{WHAT, invalid, put_origin, take_origin};
use crate::CodecError;
use crate::varint::{Reader, Writer};

pub(super) const PLAIN: u8 = 1;
pub(super) const WITH_BUCKETS: u8 = 2;

/// What an older keyviz wrote of this entry.
pub(super) fn encode(source: &SourceId, sequence: u64, column: &Column) -> Vec<u8> {
    let mut out = Writer::default();
    let version = if column.buckets.is_empty() { PLAIN } else { WITH_BUCKETS };
    put_origin(&mut out, version, source, sequence);
    let window_ms = column.window.start_ms;
    out.uint(window_ms);
    out.uint(column.window.step.ms());
    out.int(column.covered_from_ms.wrapping_sub(window_ms) as i64);
    out.int(column.covered_to_ms.wrapping_sub(window_ms) as i64);
    out.uint(column.unattributed);
    out.uint(column.groups.len() as u64);
    column.groups.iter().for_each(|&group| out.uint(group));
    let rows = &column.rows;
    out.uint(rows.len() as u64);
    let bounds = put_bounds(&mut out, column);
    let index = |key: &[u8]| bounds.binary_search(&key).map_or(0, |at| at as u64 + 1);
    rows.iter().for_each(|row| out.uint(index(row.range.start())));
    rows.iter().for_each(|row| out.uint(index(row.range.end())));
    rows.iter().for_each(|row| out.uint(row.route));
    rows.iter().for_each(|row| out.uint(row.group));
    rows.iter().for_each(|row| out.uint(row.term));
    rows.iter().for_each(|row| out.uint(u64::from(row.flags.0)));
    for series in Series::ALL {
        rows.iter().for_each(|row| out.uint(row.counts.get(series)));
    }
    if !column.buckets.is_empty() {
        out.uint(column.buckets.len() as u64);
        let ranges = column.buckets.iter().map(|bucket| &bucket.range);
        let indexes = ranges.map(|range| (index(range.start()), index(range.end())));
        buckets::put(&mut out, &column.buckets, &indexes.collect::<Vec<_>>());
    }
    out.bytes
}

fn put_bounds<'a>(out: &mut Writer, column: &'a Column) -> Vec<&'a [u8]> {
    let rows = column.rows.iter().map(|row| &row.range);
    let ranges = rows.chain(column.buckets.iter().map(|bucket| &bucket.range));
    let keys = ranges.flat_map(|range| [range.start(), range.end()]);
    let mut bounds: Vec<&[u8]> = keys.filter(|key| !key.is_empty()).collect();
    bounds.sort_unstable();
    bounds.dedup();
    out.uint(bounds.len() as u64);
    let mut previous: &[u8] = &[];
    for &key in &bounds {
        let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        out.uint(shared as u64);
        out.prefixed(&key[shared..]);
        previous = key;
    }
    bounds
}

/// Source, sequence and column. Whether the column is well-formed is left to the caller.
pub(super) fn decode(payload: &[u8]) -> Result<(SourceId, u64, Column), CodecError> {
    let mut input = Reader::new(payload, WHAT);
    let (version, source, sequence) = take_origin(&mut input, WITH_BUCKETS)?;
    let window_ms = input.uint()?;
    let step = Step::recordable_from_ms(input.uint()?)
        .map_err(|_| input.invalid("a step that cuts no hour"))?;
    let window =
        Window::new(window_ms, step).map_err(|_| input.invalid("a window off its grid"))?;
    let covered_from_ms = window_ms.wrapping_add(input.int()? as u64);
    let covered_to_ms = window_ms.wrapping_add(input.int()? as u64);
    let unattributed = input.uint()?;
    let group_count = input.count()?;
    let groups = (0..group_count).map(|_| input.uint()).collect::<Result<Vec<_>, _>>()?;
    let count = input.count()?;
    let mut bounds = take_bounds(&mut input)?;
    let rows = take_rows(&mut input, count, &mut bounds)?;
    let buckets = if version == WITH_BUCKETS {
        let count = input.count()?;
        if count == 0 {
            return Err(invalid("no buckets where there are some"));
        }
        buckets::take(&mut input, count, &mut bounds)?
    } else {
        Vec::new()
    };
    input.end()?;
    let column =
        Column { window, covered_from_ms, covered_to_ms, unattributed, groups, rows, buckets };
    Ok((source, sequence, column))
}

fn take_bounds(input: &mut Reader<'_>) -> Result<Bounds, CodecError> {
    let count = input.count()?;
    let mut bounds = Bounds::with_capacity(count);
    for _ in 0..count {
        let shared = input.uint()?;
        bounds.push(shared, input.prefixed()?)?;
    }
    Ok(bounds)
}

fn take_rows(
    input: &mut Reader<'_>,
    count: usize,
    bounds: &mut Bounds,
) -> Result<Vec<Row>, CodecError> {
    let mut array = || take_array(input, count);
    let (starts, ends) = (array()?, array()?);
    let (routes, groups, terms) = (array()?, array()?, array()?);
    let cells = Cells::take(input, count)?;
    let row = |at: usize| {
        let range = bounds.range(starts[at], ends[at])?;
        let (counts, flags) = cells.get(at)?;
        Ok(Row { route: routes[at], group: groups[at], term: terms[at], range, counts, flags })
    };
    (0..count).map(row).collect()
}

#[cfg(test)]
#[path = "old_test.rs"]
mod old_test;
