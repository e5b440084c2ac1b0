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
    /// Values and their widths (at most 63 bits; a value has no others), which are at most `most_bits`
    /// together.
    #[inline(always)]
    pub(crate) fn put_all(&mut self, most_bits: usize, parts: impl Iterator<Item = (u64, u32)>) {
        let mut at = self.bytes.len();
        self.bytes.resize(at + most_bits / 8 + 16, 0);
        let (mut held, mut held_bits) = (self.held, self.held_bits);
        for (value, width) in parts {
            debug_assert!(width < 64 && value >> width == 0);
            held |= value << held_bits;
            let total = held_bits + width;
            held_bits = total;
            if total >= 64 {
                self.bytes[at..at + 8].copy_from_slice(&held.to_le_bytes());
                at += 8;
                held_bits = total - 64;
                held = value >> (width - held_bits);
            }
        }
        self.bytes.truncate(at);
        (self.held, self.held_bits) = (held, held_bits);
    }

    /// Appends everything to `out`, the last byte filled up with zeros, and is empty again.
    pub(crate) fn finish_into(&mut self, out: &mut Vec<u8>) {
        let rest = self.held_bits.div_ceil(8) as usize;
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(&self.held.to_le_bytes()[..rest]);
        self.bytes.clear();
        (self.held, self.held_bits) = (0, 0);
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

/// What a byte of gaps holds.
#[derive(Clone, Copy)]
struct Ones {
    /// The zeros before its first one, between that and the next, and so on, a byte each.
    gaps: u64,
    count: u8,
    /// The zeros behind the last one.
    after: u8,
}

const fn ones_of(byte: u8) -> Ones {
    let (mut gaps, mut count, mut zeros, mut bit) = (0, 0, 0, 0);
    while bit < 8 {
        if byte >> bit & 1 == 1 {
            gaps |= (zeros as u64) << (8 * count);
            (count, zeros) = (count + 1, 0);
        } else {
            zeros += 1;
        }
        bit += 1;
    }
    Ones { gaps, count, after: zeros }
}

static ONES: [Ones; 256] = {
    let mut table = [Ones { gaps: 0, count: 0, after: 0 }; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = ones_of(byte as u8);
        byte += 1;
    }
    table
};

/// Room for gaps behind the last one.
const SPARE: usize = 8;
/// The longest gap that is told from longer ones.
const LONGEST: u64 = 240;

/// Fills the first `count` of `gaps` with how many zeros (240 and more may be less) precede each of the
/// next ones, and returns the position behind the last of them; `None` when there are not so many.
///
/// A byte at a time: what stands in it is looked up, written whole, and overwritten by the next.
pub(crate) fn read_gaps(
    bytes: &[u8],
    start: usize,
    count: usize,
    gaps: &mut Vec<u8>,
) -> Option<usize> {
    if gaps.len() < count + SPARE {
        gaps.resize(count + SPARE, 0);
    }
    if count == 0 {
        return Some(start);
    }
    let (mut done, mut before, mut mask) =
        (0, (start as u64 % 8).wrapping_neg(), 0xFF << (start % 8));
    for (at, byte) in bytes.iter().enumerate().skip(start / 8) {
        let byte = byte & mask as u8;
        let ones = ONES[usize::from(byte)];
        let found = ones.gaps.wrapping_add(before);
        gaps.get_mut(done..done + SPARE)?.copy_from_slice(&found.to_le_bytes());
        before = if byte == 0 { before.wrapping_add(8) } else { u64::from(ones.after) };
        if before > LONGEST && before < 1 << 32 {
            before = LONGEST;
        }
        mask = 0xFF;
        done += usize::from(ones.count);
        if done >= count {
            // The last of them, counted from the other end of the byte.
            let mut last = byte;
            (0..done - count).for_each(|_| last ^= 0x80 >> last.leading_zeros());
            return Some(at * 8 + 8 - last.leading_zeros() as usize);
        }
    }
    None
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

/// Makes numbers of their upper parts and the next `width` (at most 63) bits each.
pub(crate) fn append_bits(
    bytes: &[u8],
    start: usize,
    width: u32,
    uppers: &[u8],
    numbers: &mut [u64],
) {
    // The shifts of a width that is known when this is compiled are constants.
    macro_rules! by_width {
        ($($known:literal)*) => {
            match width {
                $($known => append_eights::<$known>(bytes, start, uppers, numbers),)*
                _ => append_one_by_one(bytes, start, width, uppers, numbers),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// Eight numbers take `WIDTH` bytes.
fn append_eights<const WIDTH: usize>(
    bytes: &[u8],
    start: usize,
    uppers: &[u8],
    numbers: &mut [u64],
) {
    let shift = start % 8;
    let mut rest = bytes.get(start / 8..).unwrap_or_default();
    let mut done = 0;
    let (eights, _) = numbers.as_chunks_mut::<8>();
    for (eight, uppers) in eights.iter_mut().zip(uppers.as_chunks::<8>().0) {
        // The last of them begins in byte 7 x WIDTH / 8, and 8 bytes are read at once.
        let Some(here) = rest.get(..7 * WIDTH / 8 + 8) else { break };
        for at in 0..8 {
            let mut word = [0; 8];
            word.copy_from_slice(&here[at * WIDTH / 8..at * WIDTH / 8 + 8]);
            let low = u64::from_le_bytes(word) >> shift >> (at * WIDTH % 8);
            eight[at] = u64::from(uppers[at]) << WIDTH | low & ((1 << WIDTH) - 1);
        }
        rest = &rest[WIDTH..];
        done += 8;
    }
    let start = start + done * WIDTH;
    append_one_by_one(bytes, start, WIDTH as u32, &uppers[done..], &mut numbers[done..]);
}

fn append_one_by_one(bytes: &[u8], start: usize, width: u32, uppers: &[u8], numbers: &mut [u64]) {
    read_one_by_one(bytes, start, width, numbers);
    for (number, &upper) in numbers.iter_mut().zip(uppers) {
        *number |= u64::from(upper) << width;
    }
}

/// Fills `numbers` with the first `width` (at most 63) bits each.
pub(crate) fn read_bits(bytes: &[u8], width: u32, numbers: &mut [u64]) {
    macro_rules! by_width {
        ($($known:literal)*) => {
            match width {
                $($known => read_eights::<$known>(bytes, numbers),)*
                _ => read_one_by_one(bytes, 0, width, numbers),
            }
        };
    }
    by_width!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

fn read_eights<const WIDTH: usize>(bytes: &[u8], numbers: &mut [u64]) {
    let (mut rest, mut done) = (bytes, 0);
    for eight in numbers.as_chunks_mut::<8>().0 {
        let Some(here) = rest.get(..7 * WIDTH / 8 + 8) else { break };
        for (at, number) in eight.iter_mut().enumerate() {
            let mut word = [0; 8];
            word.copy_from_slice(&here[at * WIDTH / 8..at * WIDTH / 8 + 8]);
            *number = u64::from_le_bytes(word) >> (at * WIDTH % 8) & ((1 << WIDTH) - 1);
        }
        rest = &rest[WIDTH..];
        done += 8;
    }
    read_one_by_one(bytes, done * WIDTH, WIDTH as u32, &mut numbers[done..]);
}

fn read_one_by_one(bytes: &[u8], start: usize, width: u32, numbers: &mut [u64]) {
    for (at, number) in (0..numbers.len()).map(|at| start + at * width as usize).zip(numbers) {
        *number = bits_at(bytes, at, width);
    }
}

/// The `width` (at most 63) bits from `at` on.
fn bits_at(bytes: &[u8], at: usize, width: u32) -> u64 {
    let mut low = word(bytes, at / 8) >> (at % 8);
    if width > 57 {
        // It may reach into a ninth byte.
        low |= word(bytes, at / 8 + 8) << 1 << (63 - at % 8);
    }
    low & ((1 << width) - 1)
}

/// Whether the bits from `start` to the end of its byte are 0.
pub(crate) fn is_filled_up(bytes: &[u8], start: usize) -> bool {
    start.is_multiple_of(8) || bytes.get(start / 8).is_some_and(|byte| byte >> (start % 8) == 0)
}

#[cfg(test)]
#[path = "bits_test.rs"]
mod bits_test;
