//! Which of so many places are taken, and flags of what is in them: a byte or two in the common case.
//!
//! ```text
//! form 0  all of them
//! form 1  a bit each, lowest first, the last byte filled up with zeros
//! form 2  how many | for each: gap                      gaps: places left out since the last one
//! form 3  how many runs | for each: gap | length - 1    gap at least 1 but for the first run
//!
//! flags   runs of equal flags: flags | length           length 0 = all that are left, always the last
//! ```
//!
//! All integers are varints. The form itself stands in a byte of the owner's.
//! Invariants: the shortest form is taken, the first of equals (P1); what is read ascends and lies within
//! the places (P2).
//! Proof: `presence_test.rs`.

use keyviz_lineage::Flags;

use crate::CodecError;
use crate::varint::{self, Reader, Writer};

/// The bits of an owner's byte that hold the form.
pub(crate) const FORM_MASK: u8 = 3;
const ALL: u8 = 0;
const BITMAP: u8 = 1;
const GAPS: u8 = 2;

/// Writes ascending `taken` of `places`, and returns the form.
pub(crate) fn write(taken: &[u16], places: usize, out: &mut Writer) -> u8 {
    if taken.len() == places {
        return ALL;
    }
    let lone = taken.iter().scan(0, |next, &at| {
        let gap = at - *next;
        *next = at + 1;
        Some(gap)
    });
    let gaps_bytes = varint::bytes(taken.len() as u64)
        + lone.clone().map(|gap| varint::bytes(u64::from(gap))).sum::<usize>();
    let (mut count, mut runs_bytes) = (0, 0);
    for (gap, more) in runs(taken) {
        count += 1;
        runs_bytes += varint::bytes(u64::from(gap)) + varint::bytes(u64::from(more));
    }
    runs_bytes += varint::bytes(count);
    let bitmap = places.div_ceil(8);
    if bitmap <= gaps_bytes.min(runs_bytes) {
        let first = out.bytes.len();
        out.bytes.resize(first + bitmap, 0);
        let bits = &mut out.bytes[first..];
        taken.iter().for_each(|&at| bits[usize::from(at / 8)] |= 1 << (at % 8));
        BITMAP
    } else if gaps_bytes <= runs_bytes {
        out.uint(taken.len() as u64);
        lone.for_each(|gap| out.uint(u64::from(gap)));
        GAPS
    } else {
        out.uint(count);
        for (gap, more) in runs(taken) {
            out.uint(u64::from(gap));
            out.uint(u64::from(more));
        }
        FORM_MASK
    }
}

/// The runs of `taken`: places left out before each, and its length - 1.
fn runs(taken: &[u16]) -> impl Iterator<Item = (u16, u16)> {
    let mut end = 0;
    taken.chunk_by(|a, b| a + 1 == *b).map(move |run| {
        let gap = run[0] - end;
        end = run[0] + run.len() as u16;
        (gap, run.len() as u16 - 1)
    })
}

/// Appends to `taken` what [`write()`] wrote.
pub(crate) fn read(
    form: u8,
    places: usize,
    input: &mut Reader<'_>,
    taken: &mut Vec<u16>,
) -> Result<(), CodecError> {
    match form & FORM_MASK {
        ALL => taken.extend(0..places as u16),
        BITMAP => {
            let bits = input.raw(places.div_ceil(8))?;
            for (base, &byte) in (0u16..).step_by(8).zip(bits) {
                let mut left = byte;
                while left != 0 {
                    let at = base + left.trailing_zeros() as u16;
                    if usize::from(at) >= places {
                        return Err(input.invalid("a place that is not there"));
                    }
                    taken.push(at);
                    left &= left - 1;
                }
            }
        }
        GAPS => {
            let mut next = 0;
            for _ in 0..input.count()? {
                let at = place(next, places, input)?;
                taken.push(at);
                next = at + 1;
            }
        }
        _ => {
            let mut next = 0;
            for run in 0..input.count()? {
                let first = place(next, places, input)?;
                if run > 0 && first == next {
                    return Err(input.invalid("two runs that are one"));
                }
                let last = place(first, places, input)?;
                taken.extend(first..=last);
                next = last + 1;
            }
        }
    }
    Ok(())
}

fn place(next: u16, places: usize, input: &mut Reader<'_>) -> Result<u16, CodecError> {
    let at = input.uint()?.checked_add(u64::from(next)).filter(|&at| at < places as u64);
    at.map(|at| at as u16).ok_or_else(|| input.invalid("a place that is not there"))
}

/// Writes flags, of which there is at least one.
pub(crate) fn write_flags(flags: impl Iterator<Item = Flags>, out: &mut Writer) {
    let mut runs: Vec<(Flags, u64)> = Vec::new();
    for flags in flags {
        match runs.last_mut() {
            Some((last, length)) if *last == flags => *length += 1,
            _ => runs.push((flags, 1)),
        }
    }
    let last = runs.len().saturating_sub(1);
    for (at, (flags, length)) in runs.into_iter().enumerate() {
        out.uint(u64::from(flags.0));
        out.uint(if at == last { 0 } else { length });
    }
}

/// Appends `count` flags to `flags`.
pub(crate) fn read_flags(
    count: usize,
    input: &mut Reader<'_>,
    flags: &mut Vec<Flags>,
) -> Result<(), CodecError> {
    let mut left = count;
    while left > 0 {
        let bits = u16::try_from(input.uint()?).map_err(|_| input.invalid("unknown flags"))?;
        let length = match input.uint()? {
            0 => left,
            length if length < left as u64 => length as usize,
            _ => return Err(input.invalid("flags of cells that are not there")),
        };
        flags.extend(std::iter::repeat_n(Flags(bits), length));
        left -= length;
    }
    Ok(())
}

#[cfg(test)]
#[path = "presence_test.rs"]
mod presence_test;
