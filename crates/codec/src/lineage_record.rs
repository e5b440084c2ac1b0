//! A stored lineage record: the value under `lineage|<id>`, inside [`crate::envelope`], version 1.
//! Integers are LEB128 varints, keys length-prefixed.
//!
//! ```text
//! id: 16 | start | end | route | group | valid_from hlc | 0, or 1 + valid_to hlc
//! n parents | for each: group | id: 16 | start | end | valid_from hlc
//! 0, or 1 + successor group + successor route | proposal: 16 | cause: u8 | catalogue version
//! ```

use keyviz_lineage::{Cause, Hlc, LineageRecord, ParentRef};
use uuid::Uuid;

use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

const VERSION: u8 = 1;
const WHAT: &str = "lineage record";
/// Stored as an index into this list. What is recovered lives in memory only; it has its place here
/// so that every record has one form, and comes back as what it is.
const CAUSES: [Cause; 6] =
    [Cause::Create, Cause::Split, Cause::Merge, Cause::Move, Cause::Backfill, Cause::Recovered];

/// The stored value of a record.
pub fn encode(record: &LineageRecord) -> Vec<u8> {
    let mut out = Writer::default();
    out.raw(record.id.as_bytes());
    out.range(&record.range);
    out.uint(record.route);
    out.uint(record.group);
    out.uint(record.valid_from.0);
    match record.valid_to {
        None => out.uint(0),
        Some(end) => {
            out.uint(1);
            out.uint(end.0);
        }
    }
    out.uint(record.parents.len() as u64);
    for parent in &record.parents {
        out.uint(parent.group);
        out.raw(parent.id.as_bytes());
        out.range(&parent.range);
        out.uint(parent.valid_from.0);
    }
    match record.successor {
        None => out.uint(0),
        Some((group, route)) => {
            out.uint(1);
            out.uint(group);
            out.uint(route);
        }
    }
    out.raw(&record.proposal);
    out.uint(CAUSES.iter().position(|cause| *cause == record.cause).unwrap_or(0) as u64);
    out.uint(record.version);
    envelope::seal(VERSION, &out.bytes)
}

/// A record from its stored value.
///
/// # Errors
/// See [`CodecError`].
pub fn decode(value: &[u8]) -> Result<LineageRecord, CodecError> {
    let mut input = Reader::new(envelope::open(WHAT, VERSION, value)?, WHAT);
    let id = Uuid::from_bytes(input.array()?);
    let range = input.range()?;
    let (route, group) = (input.uint()?, input.uint()?);
    let valid_from = Hlc(input.uint()?);
    let valid_to = if take_presence(&mut input)? { Some(Hlc(input.uint()?)) } else { None };
    let mut parents = Vec::new();
    for _ in 0..input.count()? {
        parents.push(ParentRef {
            group: input.uint()?,
            id: Uuid::from_bytes(input.array()?),
            range: input.range()?,
            valid_from: Hlc(input.uint()?),
        });
    }
    let successor =
        if take_presence(&mut input)? { Some((input.uint()?, input.uint()?)) } else { None };
    let proposal = input.array()?;
    let cause = usize::try_from(input.uint()?).ok().and_then(|index| CAUSES.get(index).copied());
    let cause = cause.ok_or_else(|| input.invalid("an unknown cause"))?;
    let version = input.uint()?;
    input.end()?;
    Ok(LineageRecord {
        id,
        range,
        route,
        group,
        valid_from,
        valid_to,
        parents,
        successor,
        proposal,
        cause,
        version,
    })
}

fn take_presence(input: &mut Reader<'_>) -> Result<bool, CodecError> {
    match input.uint()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(input.invalid("a presence byte that is neither 0 nor 1")),
    }
}

#[cfg(test)]
#[path = "lineage_record_test.rs"]
mod lineage_record_test;
