//! Whether a block of a file that fails its checksum can be read all the same: RocksDB trusts the lengths
//! in a block whose checksum it does not look at, and a length that is off ends the process.
//!
//! ```text
//! entries: bytes shared with the key before | bytes of its own | bytes of the value (varints) | key | value
//! restarts: where an entry begins that shares nothing, u32 little-endian each | how many, u32
//! ```
//!
//! Must not: say anything of what keys and values hold.
//! Proof: `unrecorded_test.rs`, with bits flipped all over a file.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// RocksDB's own part of a key: sequence and kind.
const KEY_TRAILER_BYTES: usize = 8;

/// Whether the block that a read error names is a sound one of keys and values.
pub(super) fn is_sound(error: &rocksdb::Error) -> bool {
    named_block(error.as_ref()).is_some_and(|block| entries_fit(&block).is_some())
}

/// The bytes of the block that RocksDB names: `... in <file> offset <n> size <n>, block_type = Data`.
fn named_block(message: &str) -> Option<Vec<u8>> {
    let (before, place) = message.split_once(" offset ")?;
    let (_, file) = before.rsplit_once(" in ")?;
    let (offset, rest) = place.split_once(" size ")?;
    let digits = rest.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (size, kind) = rest.split_at(digits);
    if kind.contains("block_type") && !kind.contains("block_type = Data") {
        return None;
    }
    let file = File::open(file.trim()).ok()?;
    let size: usize = size.parse().ok()?;
    if size as u64 > file.metadata().ok()?.len() {
        return None;
    }
    let mut block = vec![0; size];
    file.read_exact_at(&mut block, offset.trim().parse().ok()?).ok()?;
    Some(block)
}

fn entries_fit(block: &[u8]) -> Option<()> {
    let (body, count) = block.split_last_chunk::<4>()?;
    // The highest bit would say that a table of hashes follows, which keyviz does not write.
    let restarts = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let start = body.len().checked_sub(restarts.checked_mul(4)?)?;
    let (entries, restarts) = body.split_at(start);
    let mut restarts = restarts.as_chunks::<4>().0.iter().map(|at| u32::from_le_bytes(*at));
    let (mut rest, mut key_length) = (entries, 0usize);
    let mut restart = Some(restarts.next()?);
    while !rest.is_empty() {
        let at = entries.len() - rest.len();
        let shared = take_length(&mut rest)?;
        let (own, value) = (take_length(&mut rest)?, take_length(&mut rest)?);
        if restart == Some(at as u32) {
            restart = restarts.next();
            key_length = 0;
        }
        if shared > key_length {
            return None;
        }
        key_length = shared + own;
        rest = rest.get(own.checked_add(value)?..)?;
        if key_length < KEY_TRAILER_BYTES {
            return None;
        }
    }
    restart.is_none().then_some(())
}

/// A varint of at most 32 bits.
fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0u64;
    for shift in (0..35).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        length |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return u32::try_from(length).ok().map(|length| length as usize);
        }
    }
    None
}
