//! Deterministic lineage ids: UUIDv7 from a command's HLC, group and proposal id
//! (contract section 3).
//!
//! | bits | content |
//! |---|---|
//! | 48 | HLC milliseconds |
//! | 4 | version 7 |
//! | 12 | HLC logical bits 15..4 |
//! | 2 | variant 0b10 |
//! | 4 | HLC logical bits 3..0 |
//! | 58 | top 58 bits of BLAKE2b-256(group id as 8 bytes big-endian, then the 16 proposal bytes) |
//!
//! A command that creates n lineages reserves n HLC ticks; the i-th (children in key order) uses
//! `hlc + i`, so siblings differ.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use uuid::Uuid;

use crate::{GroupId, Hlc, KeyRange, RouteId};

/// The identity of one range from its birth to its end.
pub type LineageId = Uuid;
/// Drawn once per command, before it is enqueued, so that a re-proposal derives the same ids.
pub type ProposalId = [u8; 16];

/// The id of the `ordinal`-th lineage that the command `(hlc, group, proposal)` creates.
pub fn derive(hlc: Hlc, group: GroupId, proposal: &ProposalId, ordinal: u64) -> LineageId {
    let tick = hlc.plus(ordinal);
    let mut hasher = Blake2b::<U32>::new();
    hasher.update(group.to_be_bytes());
    hasher.update(proposal);
    let digest = hasher.finalize();
    let mut top = [0u8; 8];
    top.copy_from_slice(&digest[..8]);
    let tail = u64::from_be_bytes(top) >> 6;
    let logical = u128::from(tick.logical());
    let bits = u128::from(tick.unix_ms()) << 80
        | 7 << 76
        | (logical >> 4) << 64
        | 0b10 << 62
        | (logical & 0xF) << 58
        | u128::from(tail);
    Uuid::from_u128(bits)
}

/// A UUIDv8 from BLAKE2b-256 of `bytes`: the id of something that is named by its content alone.
pub fn digest_id(bytes: &[u8]) -> Uuid {
    let digest = Blake2b::<U32>::digest(bytes);
    let mut top = [0u8; 16];
    top.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(top).into_uuid()
}

/// The id of whatever stands for a range by its bounds alone (a virtual bucket, a coarse row): UUIDv8
/// from BLAKE2b-256 of the length-prefixed start and end (contract section 5).
pub fn virtual_id(range: &KeyRange) -> Uuid {
    let mut bytes = Vec::with_capacity(16 + range.start().len() + range.end().len());
    for key in [range.start(), range.end()] {
        bytes.extend_from_slice(&(key.len() as u64).to_be_bytes());
        bytes.extend_from_slice(key);
    }
    digest_id(&bytes)
}

/// Whether an id is one of [`virtual_id`] rather than a lineage's.
pub fn is_virtual(id: LineageId) -> bool {
    id.get_version_num() == 8
}

/// The id of a route whose record is lost where none may be drawn: the same on every node, as if born
/// at the beginning of time.
pub fn unrecorded_id(group: GroupId, route: RouteId, range: &KeyRange) -> LineageId {
    let mut proposal = [0; 16];
    let keys = virtual_id(range);
    for (byte, (key, route)) in
        proposal.iter_mut().zip(keys.as_bytes().iter().zip(u128::from(route).to_be_bytes()))
    {
        *byte = key ^ route;
    }
    derive(Hlc::default(), group, &proposal, 0)
}

/// Whether an id is one of [`unrecorded_id`]: no record will ever tell its keys.
pub fn is_unrecorded(id: LineageId) -> bool {
    !is_virtual(id) && tick_of(id) == Hlc::default()
}

/// The HLC tick that an id was derived from (the inverse of the time part of [`derive`]).
pub fn tick_of(id: LineageId) -> Hlc {
    let bits = id.as_u128();
    let logical = (bits >> 64 & 0xFFF) << 4 | bits >> 58 & 0xF;
    Hlc::new((bits >> 80) as u64, logical as u16)
}

#[cfg(test)]
#[path = "id_test.rs"]
mod id_test;
