//! A column as the WAL holds it, column-major. (The WAL frames and checksums it; there is no
//! envelope.) A skip mark is the first line alone. Integers are LEB128 varints.
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
//! those of rows and buckets):
//!
//! ```text
//! n buckets, at least 1 | one array each, n buckets long:
//!   start bound | end bound | home group | member count | members: how many, the first, then gaps - 1
//!   n parts
//! then one array each, as long as all the parts together:
//!   group | term | flags | reads | writes | read bytes | write bytes
//! ```

use keyviz_lineage::column::{MAX_COLUMN_KEY_BYTES, MAX_KEY_BYTES};
use keyviz_lineage::{
    Bucket, BucketPart, Column, Counts, Flags, KeyRange, MAX_LISTED_MEMBERS, Row, Series, SourceId,
    Step, Window,
};
use uuid::Uuid;

use crate::CodecError;
use crate::varint::{Reader, Writer};

const PLAIN: u8 = 1;
const WITH_BUCKETS: u8 = 2;
const WHAT: &str = "column record";

/// The payload of a column's WAL record.
pub fn encode(source: &SourceId, sequence: u64, column: &Column) -> Vec<u8> {
    let mut out = Writer::default();
    let buckets = &column.buckets;
    put_origin(&mut out, if buckets.is_empty() { PLAIN } else { WITH_BUCKETS }, source, sequence);
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
    if !buckets.is_empty() {
        put_buckets(&mut out, buckets, index);
    }
    out.bytes
}

fn put_buckets(out: &mut Writer, buckets: &[Bucket], index: impl Fn(&[u8]) -> u64) {
    out.uint(buckets.len() as u64);
    buckets.iter().for_each(|bucket| out.uint(index(bucket.range.start())));
    buckets.iter().for_each(|bucket| out.uint(index(bucket.range.end())));
    buckets.iter().for_each(|bucket| out.uint(bucket.group));
    buckets.iter().for_each(|bucket| out.uint(bucket.member_count));
    buckets.iter().for_each(|bucket| out.ascending(bucket.members.iter()));
    buckets.iter().for_each(|bucket| out.uint(bucket.parts.len() as u64));
    let parts = || buckets.iter().flat_map(|bucket| &bucket.parts);
    parts().for_each(|part| out.uint(part.group));
    parts().for_each(|part| out.uint(part.term));
    parts().for_each(|part| out.uint(u64::from(part.flags.0)));
    for series in Series::ALL {
        parts().for_each(|part| out.uint(part.counts.get(series)));
    }
}

/// The payload of a mark that a sequence was consumed without a column: version, source, sequence.
pub fn encode_skip(source: &SourceId, sequence: u64) -> Vec<u8> {
    let mut out = Writer::default();
    put_origin(&mut out, PLAIN, source, sequence);
    out.bytes
}

/// Source and sequence of a skip mark.
///
/// # Errors
/// See [`CodecError`].
pub fn decode_skip(payload: &[u8]) -> Result<(SourceId, u64), CodecError> {
    let mut input = Reader::new(payload, WHAT);
    let (_, source, sequence) = take_origin(&mut input, PLAIN)?;
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

/// Source, sequence and column from a WAL record's payload.
///
/// # Errors
/// See [`CodecError`]; also when the column violates its own invariants.
pub fn decode(payload: &[u8]) -> Result<(SourceId, u64, Column), CodecError> {
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
    let mut bounds = Bounds::take(&mut input)?;
    let rows = take_rows(&mut input, count, &mut bounds)?;
    let buckets =
        if version == WITH_BUCKETS { take_buckets(&mut input, &mut bounds)? } else { Vec::new() };
    input.end()?;
    let column =
        Column { window, covered_from_ms, covered_to_ms, unattributed, groups, rows, buckets };
    column.validate().map_err(|_| invalid("a malformed column"))?;
    Ok((source, sequence, column))
}

/// The distinct keys, and what the ranges between them may still take: a byte here can stand for many
/// in memory, so both are counted before they are made.
struct Bounds {
    keys: Vec<Vec<u8>>,
    room: usize,
}

impl Bounds {
    fn take(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = input.count()?;
        let mut keys: Vec<Vec<u8>> = Vec::with_capacity(count);
        let mut room = MAX_COLUMN_KEY_BYTES;
        for _ in 0..count {
            let shared = usize::try_from(input.uint()?).unwrap_or(usize::MAX);
            let previous = keys.last().map_or(&[][..], Vec::as_slice);
            let prefix = previous
                .get(..shared)
                .ok_or_else(|| input.invalid("a bound that shares too much"))?;
            let suffix = input.prefixed()?;
            if prefix.len() + suffix.len() > MAX_KEY_BYTES {
                return Err(input.invalid("a bound of more than 65,536 bytes"));
            }
            spend(&mut room, prefix.len() + suffix.len())?;
            let key = [prefix, suffix].concat();
            keys.push(key);
        }
        Ok(Self { keys, room: MAX_COLUMN_KEY_BYTES })
    }

    /// The range between two bounds, given as in the layout.
    fn range(&mut self, start: u64, end: u64) -> Result<KeyRange, CodecError> {
        let bound = |index: u64| match index {
            0 => Ok(&[][..]),
            n => usize::try_from(n - 1)
                .ok()
                .and_then(|at| self.keys.get(at))
                .map(Vec::as_slice)
                .ok_or_else(|| invalid("a bound index behind the last")),
        };
        let (start, end) = (bound(start)?, bound(end)?);
        spend(&mut self.room, start.len() + end.len())?;
        KeyRange::new(start, end).map_err(|_| invalid("an inverted range"))
    }
}

fn spend(room: &mut usize, bytes: usize) -> Result<(), CodecError> {
    let left = room.checked_sub(bytes);
    *room = left.ok_or_else(|| invalid("keys of more than 64 MiB together"))?;
    Ok(())
}

fn invalid(field: &'static str) -> CodecError {
    CodecError::Invalid { what: WHAT, field }
}

fn take_array(input: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, CodecError> {
    (0..count).map(|_| input.uint()).collect()
}

/// Flags and counts, one array each.
struct Cells {
    flags: Vec<u64>,
    series: [Vec<u64>; 4],
}

impl Cells {
    fn take(input: &mut Reader<'_>, count: usize) -> Result<Self, CodecError> {
        let mut array = || take_array(input, count);
        Ok(Self { flags: array()?, series: [array()?, array()?, array()?, array()?] })
    }

    fn get(&self, at: usize) -> Result<(Counts, Flags), CodecError> {
        let mut counts = Counts::default();
        for (which, values) in Series::ALL.into_iter().zip(&self.series) {
            *counts.get_mut(which) = values[at];
        }
        let flags = u16::try_from(self.flags[at]).map_err(|_| invalid("unknown flags"))?;
        Ok((counts, Flags(flags)))
    }
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

fn take_buckets(input: &mut Reader<'_>, bounds: &mut Bounds) -> Result<Vec<Bucket>, CodecError> {
    let count = input.count()?;
    if count == 0 {
        return Err(invalid("no buckets where there are some"));
    }
    let mut array = || take_array(input, count);
    let (starts, ends, homes, totals) = (array()?, array()?, array()?, array()?);
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(input.ascending(MAX_LISTED_MEMBERS)?);
    }
    let mut parts_of = Vec::new();
    let mut all_parts = 0usize;
    for _ in 0..count {
        let parts = input.count()?;
        all_parts = all_parts.saturating_add(parts);
        parts_of.push(parts);
    }
    let (groups, terms) = (take_array(input, all_parts)?, take_array(input, all_parts)?);
    let cells = Cells::take(input, all_parts)?;
    let part = |at: usize| {
        let (counts, flags) = cells.get(at)?;
        Ok(BucketPart { group: groups[at], term: terms[at], counts, flags })
    };
    let (mut buckets, mut next_part) = (Vec::new(), 0);
    for (at, members) in members.into_iter().enumerate() {
        let parts = next_part..next_part + parts_of[at];
        next_part = parts.end;
        buckets.push(Bucket {
            group: homes[at],
            range: bounds.range(starts[at], ends[at])?,
            members,
            member_count: totals[at],
            parts: parts.map(part).collect::<Result<_, CodecError>>()?,
        });
    }
    Ok(buckets)
}

#[cfg(test)]
#[path = "column_record_test.rs"]
mod column_record_test;
