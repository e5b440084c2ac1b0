//! Which lineage has which number: what the slots of the roll-ups stand for.
//!
//! A group numbers its lineages and virtual buckets from 0, in the order in which it first stored cells
//! of them; a number is never used again. Value under `numbers|<chunk>`, inside [`crate::envelope`],
//! version 1: the ids of numbers `256 x chunk` and up, 16 bytes each. Only the last chunk of a group has
//! fewer than 256.
//! Proof: `numbers_test.rs`, and the fuzz target of the same name.

use keyviz_lineage::LineageId;

use crate::rollup::SLOTS;
use crate::{CodecError, envelope};

const VERSION: u8 = 1;
const WHAT: &str = "chunk of lineage numbers";
const ID_BYTES: usize = 16;

/// The stored value of a chunk: 1 to [`SLOTS`] ids.
pub fn encode(ids: &[LineageId]) -> Vec<u8> {
    debug_assert!((1..=SLOTS).contains(&ids.len()));
    let payload: Vec<u8> = ids.iter().flat_map(|id| id.as_bytes()).copied().collect();
    envelope::seal(VERSION, &payload)
}

/// From a stored value.
///
/// # Errors
/// See [`CodecError`].
pub fn decode(value: &[u8]) -> Result<Vec<LineageId>, CodecError> {
    let payload = envelope::open(WHAT, VERSION, value)?;
    let (ids, rest) = payload.as_chunks::<ID_BYTES>();
    if ids.is_empty() || ids.len() > SLOTS || !rest.is_empty() {
        return Err(CodecError::Invalid { what: WHAT, field: "no whole number of ids" });
    }
    Ok(ids.iter().map(|id| LineageId::from_bytes(*id)).collect())
}

#[cfg(test)]
#[path = "numbers_test.rs"]
mod numbers_test;
