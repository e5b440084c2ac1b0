//! A pin: what one group keeps beyond the retention (contract section 6). The value under
//! `meta|pin|<id>`, inside [`crate::envelope`], version 1, LEB128 varints.
//!
//! ```text
//! created hlc | first hour | first hour of the finest columns - that | last hour - first hour
//! range: start: length, bytes | end: length, bytes | note: length, UTF-8 | bytes kept
//! n lineages | for each, by id:
//!   id: 16 | n runs | for each run of hours: gap | length - 1
//! ```
//!
//! A gap counts the hours left out since the run before, at least 1; the first one's since the first
//! hour of the finest columns, 0 or more. Lineages without a run are kept by their record alone (the
//! ancestors). Virtual buckets stand among the lineages.
//!
//! Invariant: a value has one form, so replicas that pin the same hold the same bytes.
//! Proof: `pin_test.rs`, and the fuzz target `marks`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use keyviz_lineage::{Hlc, KeyRange, LineageId};
use uuid::Uuid;

use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

const VERSION: u8 = 1;
const WHAT: &str = "pin";

/// The longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 1_024;

/// What one group keeps for one pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// When it was asked for.
    pub created: Hlc,
    /// The first Unix hour of which anything is kept.
    pub first_hour: u64,
    /// The first one of which the finest columns are kept; at least `first_hour`.
    pub first_fine_hour: u64,
    /// The last one; at least `first_hour`.
    pub last_hour: u64,
    /// Whose columns are kept.
    pub range: KeyRange,
    /// Why, in the words of whoever asked.
    pub note: String,
    /// Bytes of the values that it kept when it was applied.
    pub bytes: u64,
    /// The hours of each lineage, in runs: ascending, apart, within the fine hours.
    pub lineages: BTreeMap<LineageId, Vec<RangeInclusive<u64>>>,
}

impl Pin {
    /// The hours of which hourly roll-ups, coverage, indexes and events are kept.
    pub fn hours(&self) -> RangeInclusive<u64> {
        self.first_hour..=self.last_hour
    }

    /// The hours of which five-minute roll-ups are kept; empty where the finest columns had gone.
    pub fn fine_hours(&self) -> RangeInclusive<u64> {
        self.first_fine_hour..=self.last_hour
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.uint(self.created.0);
        out.uint(self.first_hour);
        out.uint(self.first_fine_hour - self.first_hour);
        out.uint(self.last_hour - self.first_hour);
        out.range(&self.range);
        out.prefixed(self.note.as_bytes());
        out.uint(self.bytes);
        out.uint(self.lineages.len() as u64);
        for (id, runs) in &self.lineages {
            out.raw(id.as_bytes());
            out.uint(runs.len() as u64);
            let mut next = self.first_fine_hour;
            for run in runs {
                out.uint(run.start() - next);
                out.uint(run.end() - run.start());
                next = run.end() + 1;
            }
        }
        envelope::seal(VERSION, &out.bytes)
    }

    /// A pin from its stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut input = Reader::new(envelope::open(WHAT, VERSION, value)?, WHAT);
        let (created, first_hour) = (Hlc(input.uint()?), input.uint()?);
        let first_fine_hour = hour(&mut input, first_hour)?;
        let last_hour = hour(&mut input, first_hour)?;
        let range = input.range()?;
        let note = input.text()?.to_owned();
        let bytes = input.uint()?;
        let mut lineages = BTreeMap::new();
        for _ in 0..input.count()? {
            let id = Uuid::from_bytes(input.array()?);
            if lineages.last_key_value().is_some_and(|(&last, _)| last >= id) {
                return Err(input.invalid("lineages out of order"));
            }
            lineages.insert(id, runs(&mut input, first_fine_hour, last_hour)?);
        }
        input.end()?;
        Ok(Self { created, first_hour, first_fine_hour, last_hour, range, note, bytes, lineages })
    }
}

/// An hour that is so much after another.
fn hour(input: &mut Reader<'_>, from: u64) -> Result<u64, CodecError> {
    let after = input.uint()?;
    // One more must still be a number.
    from.checked_add(after)
        .filter(|&hour| hour < u64::MAX)
        .ok_or_else(|| input.invalid("an hour beyond all"))
}

fn runs(
    input: &mut Reader<'_>,
    first_hour: u64,
    last_hour: u64,
) -> Result<Vec<RangeInclusive<u64>>, CodecError> {
    let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
    let mut next = first_hour;
    for _ in 0..input.count()? {
        let start = hour(input, next)?;
        let end = hour(input, start)?;
        if end > last_hour || (start == next && !runs.is_empty()) {
            return Err(input.invalid("hours out of place"));
        }
        runs.push(start..=end);
        next = end + 1;
    }
    Ok(runs)
}

#[cfg(test)]
#[path = "pin_test.rs"]
mod pin_test;
