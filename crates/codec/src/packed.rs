//! Arrays of numbers that are read many at a time: what a column record is made of.
//!
//! ```text
//! form: u8
//!   0  all are the same     the value: varint
//!   1  equal steps          the first: varint | the step: varint, zigzag
//!   2  packed               2 bits a number: 1, 2, 3 or 8 bytes | the numbers
//!   3  packed differences   zigzag of what each is more than the one before (the first: than 0)
//! ```
//!
//! The lengths of four numbers share a byte, the first in its lowest bits; what the last byte has too
//! many is 0. Numbers are little-endian, sums modulo 2^64. How many there are, the owner says; of none
//! nothing is written.
//! Invariants: what is written comes back; an array of [`Kind::Dense`] takes more bytes than it has
//! numbers, so that how many there are can be believed before room is made for them.
//! Must not: know what the numbers mean.
//! Proof: `packed_test.rs`.

use crate::CodecError;
use crate::column::{unzigzag, zigzag};
use crate::varint::{Reader, Writer};

const SAME: u8 = 0;
const STEPS: u8 = 1;
const PACKED: u8 = 2;
const DIFFERENCES: u8 = 3;

/// By its two bits: bytes of a number, and what of eight bytes is its own.
const LENGTHS: [usize; 4] = [1, 2, 3, 8];
const MASKS: [u64; 4] = [0xFF, 0xFFFF, 0xFF_FFFF, u64::MAX];
/// Most that four numbers take.
const QUAD_BYTES: usize = 32;
/// By the byte of four lengths: where the second to the fourth number begin, and where they end.
const OFFSETS: [[u8; 4]; 256] = offsets();

const fn offsets() -> [[u8; 4]; 256] {
    let mut table = [[0; 4]; 256];
    let mut control = 0;
    while control < 256 {
        let (mut place, mut end) = (0, 0);
        while place < 4 {
            end += LENGTHS[control >> (2 * place) & 3] as u8;
            table[control][place] = end;
            place += 1;
        }
        control += 1;
    }
    table
}

/// Which forms an array may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Numbers by themselves.
    Plain,
    /// Each is close to the one before.
    Ordered,
    /// Packed, whatever they are.
    Dense,
}

/// Writes an array.
pub(crate) fn put(values: &[u64], kind: Kind, out: &mut Writer) {
    let Some(&first) = values.first() else { return };
    if kind != Kind::Dense && values.iter().all(|&value| value == first) {
        out.raw(&[SAME]);
        return out.uint(first);
    }
    if kind != Kind::Ordered {
        out.raw(&[PACKED]);
        return pack(values, 0, |value, _| value, &mut out.bytes);
    }
    let step = values.get(1).map_or(0, |second| second.wrapping_sub(first));
    if values.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
        out.raw(&[STEPS]);
        out.uint(first);
        return out.uint(zigzag(step));
    }
    out.raw(&[DIFFERENCES]);
    pack(values, 0, |value, before| zigzag(value.wrapping_sub(before)), &mut out.bytes);
}

fn code_of(number: u64) -> u8 {
    u8::from(number > MASKS[0]) + u8::from(number > MASKS[1]) + u8::from(number > MASKS[2])
}

/// Packs what `number` makes of each value and the one before.
#[inline(always)]
fn pack(values: &[u64], mut before: u64, number: impl Fn(u64, u64) -> u64, out: &mut Vec<u8>) {
    let start = out.len();
    let controls_end = values.len().div_ceil(4);
    out.resize(start + controls_end + values.len() * 8, 0);
    let (controls, data) = out[start..].split_at_mut(controls_end);
    let mut at = 0;
    for (control, quad) in controls.iter_mut().zip(values.chunks(4)) {
        for (place, &value) in quad.iter().enumerate() {
            let number = number(value, before);
            before = value;
            let code = code_of(number);
            *control |= code << (2 * place);
            // What is too much is overwritten by the next, or cut off.
            data[at..at + 8].copy_from_slice(&number.to_le_bytes());
            at += LENGTHS[usize::from(code)];
        }
    }
    out.truncate(start + controls_end + at);
}

/// An array as it is stored; its bounds are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<'a> {
    form: Form<'a>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Same(u64),
    Steps { first: u64, step: u64 },
    Packed { controls: &'a [u8], data: &'a [u8], is_difference: bool },
}

impl<'a> Array<'a> {
    /// Takes an array of so many numbers off the front.
    pub(crate) fn take(input: &mut Reader<'a>, count: usize) -> Result<Self, CodecError> {
        if count == 0 {
            return Ok(Self { form: Form::Same(0), count });
        }
        let form = match input.array()? {
            [SAME] => Form::Same(input.uint()?),
            [STEPS] => Form::Steps { first: input.uint()?, step: unzigzag(input.uint()?) },
            [form @ (PACKED | DIFFERENCES)] => {
                let controls = input.raw(count.div_ceil(4))?;
                let spare = controls.len() * 4 - count;
                if controls.last().is_some_and(|&last| u16::from(last) >> (8 - 2 * spare) != 0) {
                    return Err(input.invalid("lengths of numbers that are not there"));
                }
                let data = input.raw(data_bytes(controls, count))?;
                Form::Packed { controls, data, is_difference: form == DIFFERENCES }
            }
            _ => return Err(input.invalid("an unknown form of an array")),
        };
        Ok(Self { form, count })
    }

    /// The same, of [`Kind::Dense`].
    pub(crate) fn take_dense(input: &mut Reader<'a>, count: usize) -> Result<Self, CodecError> {
        let array = Self::take(input, count)?;
        match array.form {
            Form::Packed { is_difference: false, .. } => Ok(array),
            _ if count == 0 => Ok(array),
            _ => Err(input.invalid("an array that is not packed")),
        }
    }

    /// What all numbers are, if they are said to be the same.
    pub(crate) fn same(&self) -> Option<u64> {
        if let Form::Same(value) = self.form { Some(value) } else { None }
    }

    /// Whether every number is one of at most 16 bits by the way it is written.
    pub(crate) fn is_short(&self) -> bool {
        match self.form {
            Form::Same(value) => value <= MASKS[1],
            Form::Packed { controls, is_difference: false, .. } => {
                controls.iter().all(|control| control & 0b1010_1010 == 0)
            }
            _ => false,
        }
    }

    /// All of them.
    pub(crate) fn read(&self) -> Vec<u64> {
        let mut values = vec![0; self.count];
        self.cursor().fill(&mut values);
        values
    }

    /// From the first on.
    pub(crate) fn cursor(&self) -> Cursor<'a> {
        let Self { form, .. } = *self;
        let before =
            if let Form::Steps { first, step } = form { first.wrapping_sub(step) } else { 0 };
        Cursor { form, before }
    }
}

/// Bytes of the numbers whose lengths these are.
fn data_bytes(controls: &[u8], count: usize) -> usize {
    const LOW: u64 = 0x5555_5555_5555_5555;
    let (words, rest) = controls.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let more = words.iter().chain([&last]).map(|word| {
        let word = u64::from_le_bytes(*word);
        let (low, high) = (word & LOW, word >> 1 & LOW);
        low.count_ones() + 2 * high.count_ones() + 4 * (low & high).count_ones()
    });
    count + more.map(|more| more as usize).sum::<usize>()
}

/// Reads an array piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    form: Form<'a>,
    before: u64,
}

impl Cursor<'_> {
    /// Fills `values` with the next numbers; every piece but the last is a multiple of four long.
    #[inline]
    pub(crate) fn fill(&mut self, values: &mut [u64]) {
        match &mut self.form {
            Form::Same(value) => values.fill(*value),
            Form::Steps { step, .. } => {
                for value in values {
                    self.before = self.before.wrapping_add(*step);
                    *value = self.before;
                }
            }
            Form::Packed { controls, data, is_difference } => {
                let here;
                (here, *controls) = controls.split_at(values.len().div_ceil(4).min(controls.len()));
                *data = unpack(here, data, values);
                if *is_difference {
                    for value in values {
                        self.before = self.before.wrapping_add(unzigzag(*value));
                        *value = self.before;
                    }
                }
            }
        }
    }
}

/// Reads numbers off the front of `data` and returns what is left. [`Array::take`] has added the lengths
/// up; should they not fit all the same, what is missing is 0.
#[inline]
fn unpack<'a>(controls: &[u8], mut data: &'a [u8], values: &mut [u64]) -> &'a [u8] {
    let (quads, rest) = values.as_chunks_mut::<4>();
    let mut controls = controls.iter();
    for (quad, &control) in quads.iter_mut().zip(&mut controls) {
        let bytes;
        (*quad, bytes) = match data.first_chunk::<QUAD_BYTES>() {
            Some(ahead) => unpack_quad(control, ahead),
            None => unpack_quad(control, &padded(data)),
        };
        data = data.get(bytes..).unwrap_or_default();
    }
    if let (Some(&control), false) = (controls.next(), rest.is_empty()) {
        let (quad, bytes) = unpack_quad(control, &padded(data));
        rest.copy_from_slice(&quad[..rest.len()]);
        data = data.get(bytes..).unwrap_or_default();
    }
    data
}

fn padded(data: &[u8]) -> [u8; QUAD_BYTES] {
    let mut ahead = [0; QUAD_BYTES];
    let bytes = data.len().min(QUAD_BYTES);
    ahead[..bytes].copy_from_slice(&data[..bytes]);
    ahead
}

/// Four numbers, and how many bytes they take.
#[inline(always)]
fn unpack_quad(control: u8, ahead: &[u8; QUAD_BYTES]) -> ([u64; 4], usize) {
    let offsets = OFFSETS[usize::from(control)];
    let number = |start: u8, place: usize| {
        let mut bytes = [0; 8];
        // At most 24: where three of 8 bytes come before.
        let start = usize::from(start);
        bytes.copy_from_slice(&ahead[start..start + 8]);
        u64::from_le_bytes(bytes) & MASKS[usize::from(control >> (2 * place) & 3)]
    };
    let [second, third, fourth, end] = offsets;
    let quad = [number(0, 0), number(second, 1), number(third, 2), number(fourth, 3)];
    (quad, usize::from(end))
}

#[cfg(test)]
#[path = "packed_test.rs"]
mod packed_test;
