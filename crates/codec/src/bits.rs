//! Bits, lowest first: numbers of a fixed width, and numbers as the zeros before a one.
//!
//! Responsible for: writing them, and reading them 64 at a time. A position is a bit's number within a
//! slice; bit `n` is bit `n % 8` of byte `n / 8`.
//! Must not: read behind the slice (bits there are 0), or know what the numbers mean.
//! Proof: `bits_test.rs` against a model that goes bit by bit.

/// Appends bits.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    held_bits: u32,
}

impl BitWriter {
    /// The lowest `width` bits of `value`, which has no others.
    pub(crate) fn put(&mut self, value: u64, width: u32) {
        debug_assert!(width == 64 || value >> width == 0);
        self.held |= value << self.held_bits;
        let total = self.held_bits + width;
        if total < 64 {
            self.held_bits = total;
            return;
        }
        self.bytes.extend_from_slice(&self.held.to_le_bytes());
        self.held = if self.held_bits == 0 { 0 } else { value >> (64 - self.held_bits) };
        self.held_bits = total - 64;
    }

    /// That many zeros (at most 63) and a one.
    pub(crate) fn gap(&mut self, zeros: u32) {
        self.put(1 << zeros, zeros + 1);
    }

    /// Everything, the last byte filled up with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let rest = self.held_bits.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.held.to_le_bytes()[..rest]);
        self.bytes
    }
}

/// The 64 bits from byte `at` on.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last_word(bytes, at),
    }
}

#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let mut chunk = [0; 8];
    let rest = bytes.get(at..).unwrap_or_default();
    let rest = &rest[..rest.len().min(8)];
    chunk[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(chunk)
}

/// Fills `gaps` with how many zeros precede each of the next ones, and returns the position behind the
/// last of them; `None` when there are not so many.
pub(crate) fn read_gaps(bytes: &[u8], start: usize, gaps: &mut [u64]) -> Option<usize> {
    let (mut base, mut next) = (start & !7, start);
    let mut ones = word(bytes, start / 8) & (u64::MAX << (start % 8));
    let mut rest = gaps;
    loop {
        let here = (ones.count_ones() as usize).min(rest.len());
        let (now, later) = rest.split_at_mut(here);
        for gap in now {
            let at = base + ones.trailing_zeros() as usize;
            *gap = (at - next) as u64;
            next = at + 1;
            ones &= ones - 1;
        }
        rest = later;
        if rest.is_empty() {
            return Some(next);
        }
        base += 64;
        if base >= bytes.len() * 8 {
            return None;
        }
        ones = word(bytes, base / 8);
    }
}

/// The position behind the `count`-th one from `start` on; `None` when there are not so many.
pub(crate) fn skip_gaps(bytes: &[u8], start: usize, mut count: usize) -> Option<usize> {
    if count == 0 {
        return Some(start);
    }
    let mut base = start & !7;
    let mut ones = word(bytes, start / 8) & (u64::MAX << (start % 8));
    loop {
        let here = ones.count_ones() as usize;
        if here >= count {
            (1..count).for_each(|_| ones &= ones - 1);
            return Some(base + ones.trailing_zeros() as usize + 1);
        }
        count -= here;
        base += 64;
        if base >= bytes.len() * 8 {
            return None;
        }
        ones = word(bytes, base / 8);
    }
}

/// Makes every number of `numbers` from itself and the next `width` (at most 63) bits.
#[inline]
pub(crate) fn with_bits(
    bytes: &[u8],
    start: usize,
    width: u32,
    numbers: &mut [u64],
    make: impl Fn(u64, u64) -> u64,
) {
    let mask = (1u64 << width) - 1;
    if width == 0 {
        numbers.iter_mut().for_each(|number| *number = make(*number, 0));
    } else if width <= 57 {
        let mut at = start;
        for number in numbers {
            *number = make(*number, word(bytes, at / 8) >> (at % 8) & mask);
            at += width as usize;
        }
    } else {
        let mut at = start;
        for number in numbers {
            let above = u128::from(word(bytes, at / 8 + 8)) << 64;
            let both = (above | u128::from(word(bytes, at / 8))) >> (at % 8);
            *number = make(*number, both as u64 & mask);
            at += width as usize;
        }
    }
}

/// Whether the bits from `start` to the end of its byte are 0.
pub(crate) fn is_filled_up(bytes: &[u8], start: usize) -> bool {
    start.is_multiple_of(8) || bytes.get(start / 8).is_some_and(|byte| byte >> (start % 8) == 0)
}

#[cfg(test)]
#[path = "bits_test.rs"]
mod bits_test;
