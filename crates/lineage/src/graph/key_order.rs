//! The order of every key that bounds a range of the graph, as integers.
//!
//! Owns: the keys, each under a number that stays, and for each number a rank: ranks compare as their
//! keys do. A new key gets a rank between its neighbours'; where none is left, all ranks are spread
//! anew, and the owner of copies of ranks must look them up again. Spreading costs as much as there are
//! keys, so it must be rare: a key goes close to the one that was new before it, on the side that it
//! comes from, so that keys that come in order, upwards or downwards, find room for [`NEAR`] of them.
//! Invariant: `-inf` has rank 0 and `+inf` the largest; ranks of two different keys differ (K1).
//! A copy shares everything until one side is written.
//! Proof: `key_order_test.rs`.

use std::sync::Arc;

use super::arena::Arena;

/// The number of a key in one graph and its copies.
pub(super) type KeyNo = u32;
/// Where a key stands among all.
pub(super) type Rank = u64;

/// The rank of an unbounded end.
pub(super) const LAST: Rank = Rank::MAX;
/// No number is as high: the unbounded end.
const UNBOUNDED: KeyNo = KeyNo::MAX;
/// Keys that are copied together on a write.
const PART: usize = 128;
/// So many keys in order find room between two that were there before.
const NEAR: Rank = 1 << 16;

#[derive(Clone, Debug)]
struct Key {
    bytes: Arc<[u8]>,
    rank: Rank,
}

/// Keys in order.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyOrder {
    keys: Arena<Key>,
    /// Numbers of keys, ascending by key.
    parts: Vec<Arc<Vec<KeyNo>>>,
    /// How far apart keys were put by the last spread; 0 = there was none.
    gap: Rank,
}

impl KeyOrder {
    /// All of these keys at once.
    pub(super) fn of(mut bounds: Vec<Arc<[u8]>>) -> Self {
        bounds.sort_unstable();
        bounds.dedup();
        let mut order = Self::default();
        let numbers = bounds.into_iter().filter(|bytes| !bytes.is_empty());
        let numbers: Vec<KeyNo> = numbers.map(|bytes| order.add(bytes, 0)).collect();
        order.parts = numbers.chunks(PART / 2).map(|part| Arc::new(part.to_vec())).collect();
        order.spread();
        order
    }

    /// The numbers of a range's start and end, which become known if they are not, and whether all
    /// ranks were spread for that.
    pub(super) fn number(&mut self, start: &Arc<[u8]>, end: &Arc<[u8]>) -> ((KeyNo, KeyNo), bool) {
        let (start, moved) = self.number_of(start);
        let (end, moved_again) =
            if end.is_empty() { (UNBOUNDED, false) } else { self.number_of(end) };
        ((start, end), moved || moved_again)
    }

    /// The ranks of a range by the numbers of its start and end.
    pub(super) fn ranks(&self, (start, end): (KeyNo, KeyNo)) -> (Rank, Rank) {
        let rank = |number: KeyNo| self.keys.get(number as usize).map(|key| key.rank);
        (rank(start).unwrap_or(0), rank(end).unwrap_or(LAST))
    }

    /// The bytes of a key, if it has any.
    pub(super) fn bytes(&self, number: KeyNo) -> Option<&Arc<[u8]>> {
        self.keys.get(number as usize).map(|key| &key.bytes)
    }

    /// `(above, below)`: a range of known bounds overlaps `[start, end)` exactly if its start is
    /// ranked below `below` and its end above `above`.
    pub(super) fn stretch(&self, start: &[u8], end: &[u8]) -> (Rank, Rank) {
        let above = match self.find(start) {
            Ok(number) => self.ranks((number, UNBOUNDED)).0,
            Err((part, at)) => self.before(part, at),
        };
        let below = match end {
            [] => LAST,
            _ => match self.find(end) {
                Ok(number) => self.ranks((number, UNBOUNDED)).0,
                Err((part, at)) => self.behind(part, at),
            },
        };
        (above, below)
    }

    fn number_of(&mut self, bytes: &Arc<[u8]>) -> (KeyNo, bool) {
        if bytes.is_empty() {
            // -inf: a number that no key has, below all.
            return (UNBOUNDED, false);
        }
        let (mut part, mut at) = match self.find(bytes) {
            Ok(number) => return (number, false),
            Err(place) => place,
        };
        let (before, behind) = (self.before(part, at), self.behind(part, at));
        let gap = if self.gap == 0 { LAST } else { self.gap };
        let near = ((behind - before) / 2).min((gap / NEAR).max(1));
        let newest = self.keys.len().checked_sub(1).and_then(|at| self.keys.get(at));
        let rank = match newest.map(|newest| newest.rank) {
            Some(newest) if newest == before => before + near,
            Some(newest) if newest == behind => behind - near,
            _ => before + (behind - before) / 2,
        };
        let number = self.add(Arc::clone(bytes), rank);
        if self.parts.is_empty() {
            self.parts.push(Arc::default());
        }
        if self.parts[part].len() >= PART {
            let behind = Arc::make_mut(&mut self.parts[part]).split_off(PART / 2);
            self.parts.insert(part + 1, Arc::new(behind));
            if at > PART / 2 {
                (part, at) = (part + 1, at - PART / 2);
            }
        }
        Arc::make_mut(&mut self.parts[part]).insert(at, number);
        let is_full = behind - before < 2;
        if is_full {
            self.spread();
        }
        (number, is_full)
    }

    fn add(&mut self, bytes: Arc<[u8]>, rank: Rank) -> KeyNo {
        self.keys.push(Key { bytes, rank }) as KeyNo
    }

    /// The number of a key, or its place: which part, and where in it.
    fn find(&self, bytes: &[u8]) -> Result<KeyNo, (usize, usize)> {
        let key = |number: KeyNo| self.keys.get(number as usize).map(|key| &*key.bytes);
        let first = |part: &Arc<Vec<KeyNo>>| part.first().and_then(|&number| key(number));
        let part = self.parts.partition_point(|part| first(part) <= Some(bytes)).saturating_sub(1);
        let Some(numbers) = self.parts.get(part) else { return Err((0, 0)) };
        match numbers.binary_search_by(|&number| key(number).cmp(&Some(bytes))) {
            Ok(at) => Ok(numbers[at]),
            Err(at) => Err((part, at)),
        }
    }

    /// The rank before a place that holds no key.
    fn before(&self, part: usize, at: usize) -> Rank {
        let held = match at.checked_sub(1) {
            Some(at) => self.parts.get(part).and_then(|part| part.get(at)),
            None => part.checked_sub(1).and_then(|part| self.parts[part].last()),
        };
        held.map_or(0, |&number| self.ranks((number, UNBOUNDED)).0)
    }

    /// The rank behind it.
    fn behind(&self, part: usize, at: usize) -> Rank {
        let held = self.parts.get(part).and_then(|part| part.get(at));
        let held = held.or_else(|| self.parts.get(part + 1).and_then(|part| part.first()));
        held.map_or(LAST, |&number| self.ranks((number, UNBOUNDED)).0)
    }

    /// Gives every key a new rank, all equally far apart.
    fn spread(&mut self) {
        let gap = LAST / (self.keys.len() as Rank + 1);
        self.gap = gap;
        let numbers = self.parts.iter().flat_map(|part| part.iter());
        for (at, &number) in (1..).zip(numbers) {
            if let Some(key) = self.keys.get_mut(number as usize) {
                key.rank = gap * at;
            }
        }
    }
}

#[cfg(test)]
#[path = "key_order_test.rs"]
mod key_order_test;
