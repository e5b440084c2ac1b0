//! Variable-length integers: seven bits a byte, the lowest first, the top bit says that more follow.
//!
//! Must not: know what it codes.
//! Proof: `history_test.rs`.

/// Appends `n`: one byte below 128, ten at most.
pub(crate) fn put(into: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        into.push(n as u8 | 0x80);
        n >>= 7;
    }
    into.push(n as u8);
}

/// Takes a number off the front. What was not written by [`put`] reads as some number.
pub(crate) fn get(from: &mut &[u8]) -> u64 {
    let (mut n, mut shift) = (0, 0);
    while let Some((&byte, rest)) = from.split_first() {
        *from = rest;
        n |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    n
}

/// A difference modulo 2^64 as a number that is small when the difference is, up or down.
pub(crate) const fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(n: u64) -> u64 {
    (n >> 1) ^ (n & 1).wrapping_neg()
}
