//! A column as the WAL holds it, column-major; version 1 of the record payload. (The WAL frames and
//! checksums it; there is no envelope.) A skip mark is the first line alone. Integers are LEB128 varints.
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

use keyviz_lineage::{Column, Counts, Flags, KeyRange, Row, Series, SourceId, Step, Window};
use uuid::Uuid;

use crate::CodecError;
use crate::varint::{Reader, Writer};

const VERSION: u8 = 1;
const WHAT: &str = "column record";

/// The payload of a column's WAL record.
pub fn encode(source: &SourceId, sequence: u64, column: &Column) -> Vec<u8> {
    let mut out = Writer::default();
    put_origin(&mut out, source, sequence);
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
    let bounds = put_bounds(&mut out, rows);
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
    out.bytes
}

/// The payload of a mark that a sequence was consumed without a column: version, source, sequence.
pub fn encode_skip(source: &SourceId, sequence: u64) -> Vec<u8> {
    let mut out = Writer::default();
    put_origin(&mut out, source, sequence);
    out.bytes
}

/// Source and sequence of a skip mark.
///
/// # Errors
/// See [`CodecError`].
pub fn decode_skip(payload: &[u8]) -> Result<(SourceId, u64), CodecError> {
    let mut input = Reader::new(payload, WHAT);
    let origin = take_origin(&mut input)?;
    input.end()?;
    Ok(origin)
}

fn put_origin(out: &mut Writer, source: &SourceId, sequence: u64) {
    out.raw(&[VERSION]);
    out.prefixed(source.node.as_bytes());
    out.raw(source.boot.as_bytes());
    out.uint(sequence);
}

fn take_origin(input: &mut Reader<'_>) -> Result<(SourceId, u64), CodecError> {
    let [found] = input.array()?;
    if found == 0 || found > VERSION {
        return Err(CodecError::Version { what: WHAT, found, known: VERSION });
    }
    let source =
        SourceId { node: input.text()?.to_owned(), boot: Uuid::from_bytes(input.array()?) };
    Ok((source, input.uint()?))
}

fn put_bounds<'a>(out: &mut Writer, rows: &'a [Row]) -> Vec<&'a [u8]> {
    let keys = rows.iter().flat_map(|row| [row.range.start(), row.range.end()]);
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

/// Source, sequence and column from a WAL record's payload.
///
/// # Errors
/// See [`CodecError`]; also when the column violates its own invariants.
pub fn decode(payload: &[u8]) -> Result<(SourceId, u64, Column), CodecError> {
    let mut input = Reader::new(payload, WHAT);
    let (source, sequence) = take_origin(&mut input)?;
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
    let bounds = take_bounds(&mut input)?;
    let rows = take_rows(&mut input, count, &bounds)?;
    input.end()?;
    let column = Column { window, covered_from_ms, covered_to_ms, unattributed, groups, rows };
    column
        .validate()
        .map_err(|_| CodecError::Invalid { what: WHAT, field: "a malformed column" })?;
    Ok((source, sequence, column))
}

fn take_bounds(input: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, CodecError> {
    let count = input.count()?;
    let mut bounds: Vec<Vec<u8>> = Vec::with_capacity(count);
    for _ in 0..count {
        let shared = usize::try_from(input.uint()?).unwrap_or(usize::MAX);
        let previous = bounds.last().map_or(&[][..], Vec::as_slice);
        let prefix =
            previous.get(..shared).ok_or_else(|| input.invalid("a bound that shares too much"))?;
        let key = [prefix, input.prefixed()?].concat();
        bounds.push(key);
    }
    Ok(bounds)
}

fn take_rows(
    input: &mut Reader<'_>,
    count: usize,
    bounds: &[Vec<u8>],
) -> Result<Vec<Row>, CodecError> {
    let mut array = || (0..count).map(|_| input.uint()).collect::<Result<Vec<u64>, _>>();
    let (starts, ends) = (array()?, array()?);
    let (routes, groups, terms, flags) = (array()?, array()?, array()?, array()?);
    let series = [array()?, array()?, array()?, array()?];
    let bound = |index: u64| match index {
        0 => Ok(&[][..]),
        n => usize::try_from(n - 1)
            .ok()
            .and_then(|at| bounds.get(at))
            .map(Vec::as_slice)
            .ok_or(CodecError::Invalid { what: WHAT, field: "a bound index behind the last" }),
    };
    let mut rows = Vec::with_capacity(count);
    for at in 0..count {
        let range = KeyRange::new(bound(starts[at])?, bound(ends[at])?)
            .map_err(|_| CodecError::Invalid { what: WHAT, field: "an inverted range" })?;
        let mut counts = Counts::default();
        for (which, values) in Series::ALL.into_iter().zip(&series) {
            *counts.get_mut(which) = values[at];
        }
        let flags = u16::try_from(flags[at])
            .map_err(|_| CodecError::Invalid { what: WHAT, field: "unknown flags" })?;
        let (route, group, term) = (routes[at], groups[at], terms[at]);
        rows.push(Row { route, group, term, range, counts, flags: Flags(flags) });
    }
    Ok(rows)
}

#[cfg(test)]
#[path = "column_record_test.rs"]
mod column_record_test;
