//! One column of numbers that is read fast: every number in the same few bits, and what does not fit in
//! them apart (a patched frame of reference). What roll-ups are made of: a tenth larger than as
//! `codec::column`, and quick to read, because nobody has to look for where a number ends.
//!
//! ```text
//! head:  width w (0 to 63) in bits 0..5 | 6: exceptions | 7: none of these, see below        byte
//! base:  of plain numbers only: the smallest                                                varint
//! with bit 6: how many exceptions, less one | their places, ascending                       bytes
//!   then u >> w of each, at least 1                                                         varints
//! bits:  n x (w bits): u & (2^w - 1), the last byte filled up with zeros
//! ```
//!
//! Equal numbers are a head with bit 7 alone: min(the number, 127) in bits 0..6, with 127 the rest
//! follows (varint); of signed ones zigzag.
//!
//! A plain number is base + u, a signed one zigzag^-1(u); modulo 2^64, so that every u64 has a code.
//! Invariants: what is written comes back (P1); at most [`MOST`] numbers, because a place is a byte (P2).
//! Must not: know what the numbers count, or how many there are (the owner says).
//! Proof: `patched_test.rs`.

use crate::CodecError;
use crate::bits::{self, BitWriter};
use crate::column::{Kind, unzigzag, zigzag};
use crate::varint::{Reader, Writer, varint_bits};

/// The most numbers of a column.
pub(crate) const MOST: usize = 256;
const WIDTH_MASK: u8 = 63;
const PATCHED: u8 = 1 << 6;
const SAME: u8 = 1 << 7;
/// The head of equal numbers that are not in it.
const SAME_LONG: u64 = 127;
const MAX_WIDTH: u32 = 63;

/// Room to write in.
#[derive(Debug, Default)]
pub(crate) struct Room {
    us: Vec<u64>,
    bits: BitWriter,
}

/// Writes up to [`MOST`] numbers.
pub(crate) fn write(numbers: &[u64], kind: Kind, room: &mut Room, out: &mut Writer) {
    debug_assert!(numbers.len() <= MOST, "P2");
    let first = numbers.first().copied().unwrap_or_default();
    if numbers.iter().all(|&number| number == first) {
        let said = if kind == Kind::Signed { zigzag(first) } else { first };
        out.raw(&[SAME | said.min(SAME_LONG) as u8]);
        return said.checked_sub(SAME_LONG).into_iter().for_each(|rest| out.uint(rest));
    }
    let base = numbers.iter().copied().min().unwrap_or_default();
    let us = &mut room.us;
    us.clear();
    match kind {
        Kind::Plain => us.extend(numbers.iter().map(|number| number - base)),
        Kind::Signed => us.extend(numbers.iter().map(|&number| zigzag(number))),
    }
    let width = best_width(us);
    let exceptions = (0u8..=u8::MAX).zip(us.iter()).filter(|&(_, u)| u >> width > 0);
    let count = exceptions.clone().count();
    out.raw(&[width as u8 | if count > 0 { PATCHED } else { 0 }]);
    if kind == Kind::Plain {
        out.uint(base);
    }
    if count > 0 {
        out.raw(&[(count - 1) as u8]);
        exceptions.clone().for_each(|(place, _)| out.raw(&[place]));
        exceptions.for_each(|(_, u)| out.uint(u >> width));
    }
    let mask = (1u64 << width) - 1;
    room.bits.put_all(us.len() * width as usize, us.iter().map(|u| (u & mask, width)));
    room.bits.finish_into(&mut out.bytes);
}

/// The width that takes the fewest bits, from how many numbers have how many.
fn best_width(us: &[u64]) -> u32 {
    let mut of_length = [0u64; 65];
    us.iter().for_each(|u| of_length[64 - u.leading_zeros() as usize] += 1);
    let longest = of_length.iter().rposition(|&count| count > 0).unwrap_or_default() as u32;
    let cost = |width: u32| {
        let apart = (width + 1..=longest).map(|length| {
            of_length[length as usize] * (8 + varint_bits(1 << (length - width - 1)))
        });
        us.len() as u64 * u64::from(width) + apart.sum::<u64>()
    };
    (0..=longest.min(MAX_WIDTH)).rev().min_by_key(|&width| cost(width)).unwrap_or_default()
}

/// Takes a column off the front of the input and fills `numbers`.
///
/// # Errors
/// [`CodecError::Truncated`] and [`CodecError::Invalid`].
pub(crate) fn read(
    input: &mut Reader<'_>,
    kind: Kind,
    numbers: &mut [u64],
) -> Result<(), CodecError> {
    let [head] = input.array()?;
    if head & SAME != 0 {
        let said = u64::from(head & !SAME);
        let rest = if said == SAME_LONG { input.uint()? } else { 0 };
        let said = said.checked_add(rest);
        let said = said.ok_or_else(|| input.invalid("a number beyond 64 bits"))?;
        numbers.fill(if kind == Kind::Signed { unzigzag(said) } else { said });
        return Ok(());
    }
    let base = if kind == Kind::Plain { input.uint()? } else { 0 };
    let (places, mut apart) = if head & PATCHED != 0 {
        let [more] = input.array()?;
        let (places, apart) = (input.raw(usize::from(more) + 1)?, Reader::clone(input));
        input.skip_uints(places.len())?;
        (places, apart)
    } else {
        (&[][..], Reader::clone(input))
    };
    let width = u32::from(head & WIDTH_MASK);
    let end = numbers.len() * width as usize;
    let bytes = input.raw(end.div_ceil(8))?;
    if !bits::is_filled_up(bytes, end) {
        return Err(input.invalid("a column that is not filled up"));
    }
    bits::read_bits(bytes, width, numbers);
    let mut next = 0;
    for &place in places {
        let (place, u) = (usize::from(place), apart.uint()?);
        let Some(number) = numbers.get_mut(place).filter(|_| place >= next) else {
            return Err(input.invalid("an exception that is out of place"));
        };
        if u == 0 || u > u64::MAX >> width {
            return Err(input.invalid("an exception that does not fit"));
        }
        *number |= u << width;
        next = place + 1;
    }
    match kind {
        Kind::Plain => numbers.iter_mut().for_each(|u| *u = base.wrapping_add(*u)),
        Kind::Signed => numbers.iter_mut().for_each(|u| *u = unzigzag(*u)),
    }
    Ok(())
}

#[cfg(test)]
#[path = "patched_test.rs"]
mod patched_test;
