//! The virtual buckets at the end of a column record. LEB128 varints.
//!
//! ```text
//! one array each, n buckets long:
//!   start bound (0 = unbounded, else 1 + index) | end bound | home group | member count
//!   members: how many, the first, then gaps - 1 | n parts
//! then one array each, as long as all the parts together:
//!   group | term | flags | reads | writes | read bytes | write bytes
//! ```
//!
//! Proof: `column_record_test.rs`.

use keyviz_lineage::{Bucket, BucketPart, Counts, Flags, MAX_LISTED_MEMBERS, Series};

use super::bounds::Bounds;
use super::invalid;
use crate::CodecError;
use crate::varint::{Reader, Writer};

/// `bounds` are those of each bucket.
pub(super) fn put(out: &mut Writer, buckets: &[Bucket], bounds: &[(u64, u64)]) {
    bounds.iter().for_each(|bounds| out.uint(bounds.0));
    bounds.iter().for_each(|bounds| out.uint(bounds.1));
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

pub(super) fn take_array(input: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, CodecError> {
    (0..count).map(|_| input.uint()).collect()
}

/// Flags and counts, one array each.
pub(super) struct Cells {
    flags: Vec<u64>,
    series: [Vec<u64>; 4],
}

impl Cells {
    pub(super) fn take(input: &mut Reader<'_>, count: usize) -> Result<Self, CodecError> {
        let mut array = || take_array(input, count);
        Ok(Self { flags: array()?, series: [array()?, array()?, array()?, array()?] })
    }

    pub(super) fn get(&self, at: usize) -> Result<(Counts, Flags), CodecError> {
        let mut counts = Counts::default();
        for (which, values) in Series::ALL.into_iter().zip(&self.series) {
            *counts.get_mut(which) = values[at];
        }
        let flags = u16::try_from(self.flags[at]).map_err(|_| invalid("unknown flags"))?;
        Ok((counts, Flags(flags)))
    }
}

/// So many of them.
pub(super) fn take(
    input: &mut Reader<'_>,
    count: usize,
    bounds: &mut Bounds,
) -> Result<Vec<Bucket>, CodecError> {
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
