//! The keys of a column record, and the ranges between them.
//!
//! A byte here can stand for many in memory, so what keys and ranges unfold to is counted before they
//! are made.
//! Proof: `column_record_test.rs`.

use std::sync::Arc;

use keyviz_lineage::KeyRange;
use keyviz_lineage::column::{MAX_COLUMN_KEY_BYTES, MAX_KEY_BYTES};

use super::invalid;
use crate::CodecError;
use crate::packed::{self, Array, Kind};
use crate::varint::{Reader, Writer};

/// The keys of ranges in the order in which they are met.
///
/// Ranges mostly follow each other: one begins where the one before ends, or is the same again. So only
/// those two keys are compared; a key that is met again later is written again.
#[derive(Debug)]
pub(super) struct BoundTable<'a> {
    keys: Vec<&'a Arc<[u8]>>,
    /// The bounds of the range before.
    last: (u64, u64),
}

impl<'a> BoundTable<'a> {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { keys: Vec::with_capacity(count), last: (0, 0) }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The bounds of the next range: 0 = unbounded, else 1 + index.
    pub(super) fn index(&mut self, range: &'a KeyRange) -> (u64, u64) {
        let (start, end) = range.shared();
        self.last = (self.index_of(start), self.index_of(end));
        self.last
    }

    fn index_of(&mut self, key: &'a Arc<[u8]>) -> u64 {
        if key.is_empty() {
            return 0;
        }
        for at in [self.last.1, self.last.0] {
            // Of shared keys only the pointers are compared.
            if at > 0 && self.keys.get(at as usize - 1).is_some_and(|&held| held == key) {
                return at;
            }
        }
        self.keys.push(key);
        self.keys.len() as u64
    }

    /// Writes the keys.
    pub(super) fn put(&self, out: &mut Writer) {
        let (mut lengths, mut shared) = (Vec::new(), Vec::new());
        let mut suffixes = Vec::with_capacity(self.keys.len() * 8);
        let mut previous: &[u8] = &[];
        for key in &self.keys {
            let common = common_prefix(previous, key);
            shared.push(common as u64);
            lengths.push((key.len() - common) as u64);
            suffixes.extend_from_slice(&key[common..]);
            previous = key;
        }
        out.uint(self.keys.len() as u64);
        packed::put(&lengths, Kind::Dense, out);
        packed::put(&shared, Kind::Plain, out);
        out.raw(&suffixes);
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words, _) = a.as_chunks::<8>();
    let mut at = 0;
    for (a, b) in words.iter().zip(b.as_chunks::<8>().0) {
        let apart = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if apart != 0 {
            return at + apart.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

/// Keys, and what the ranges between them may still take.
#[derive(Debug)]
pub(super) struct Bounds {
    keys: Vec<Arc<[u8]>>,
    /// What more keys, then what more ranges may take.
    room: (usize, usize),
}

impl Bounds {
    pub(super) fn with_capacity(count: usize) -> Self {
        let room = (MAX_COLUMN_KEY_BYTES, MAX_COLUMN_KEY_BYTES);
        Self { keys: Vec::with_capacity(count), room }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Reads what [`BoundTable::put`] wrote.
    pub(super) fn take(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = input.count()?;
        let lengths = Array::take_dense(input, count)?.read();
        let shared = Array::take(input, count)?.read();
        let mut bounds = Self::with_capacity(count);
        for (length, shared) in lengths.into_iter().zip(shared) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            bounds.push(shared, input.raw(length)?)?;
        }
        Ok(bounds)
    }

    /// Adds a key that begins with so many bytes of the one before.
    pub(super) fn push(&mut self, shared: u64, suffix: &[u8]) -> Result<(), CodecError> {
        let shared = usize::try_from(shared).unwrap_or(usize::MAX);
        let previous = self.keys.last().map_or(&[][..], |key| key);
        let prefix =
            previous.get(..shared).ok_or_else(|| invalid("a bound that shares too much"))?;
        if prefix.len() + suffix.len() > MAX_KEY_BYTES {
            return Err(invalid("a bound of more than 65,536 bytes"));
        }
        spend(&mut self.room.0, prefix.len() + suffix.len())?;
        let key = prefix.iter().chain(suffix).copied().collect();
        self.keys.push(key);
        Ok(())
    }

    /// The range between two bounds: 0 = unbounded, else 1 + index.
    pub(super) fn range(&mut self, start: u64, end: u64) -> Result<KeyRange, CodecError> {
        let unbounded: Arc<[u8]> = Arc::default();
        let bound = |index: u64| match index {
            0 => Ok(&unbounded),
            n => usize::try_from(n - 1)
                .ok()
                .and_then(|at| self.keys.get(at))
                .ok_or_else(|| invalid("a bound index behind the last")),
        };
        let (start, end) = (bound(start)?, bound(end)?);
        spend(&mut self.room.1, start.len() + end.len())?;
        let (start, end) = (Arc::clone(start), Arc::clone(end));
        KeyRange::new(start, end).map_err(|_| invalid("an inverted range"))
    }
}

fn spend(room: &mut usize, bytes: usize) -> Result<(), CodecError> {
    let left = room.checked_sub(bytes);
    *room = left.ok_or_else(|| invalid("keys of more than 64 MiB together"))?;
    Ok(())
}
