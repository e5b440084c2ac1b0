//! One thread's counters of one route (or sub-range).
//!
//! ```text
//! cell, 32 bytes:  reads u64 | read sum u64 | writes u64 | write sum u64
//! sum:             2 x bytes + count, so that it grows by an odd number each time
//! ```
//! Invariants: one thread at a time writes a cell (C1: its page's owner), so that an add is a load
//! and a store; counters only grow, modulo 2^64 and (bytes) 2^63, and nobody resets them (C2: a reader
//! remembers what it has taken and subtracts); an operation's count and its bytes are taken together
//! (C3: the count is stored before the sum, both `Release`; a reader loads count, sum, count, all
//! `Acquire`. If the two counts are equal, the sum holds that many operations or one less, and its
//! parity says which).
//! Must not: be handed [`LARGE_BYTES`] or more at once. 2^40 operations of a window cannot wrap a sum
//! then, and no thread does that many in the longest window (10 minutes).
//! Proof: `cell_test.rs`, `tests/loom.rs`.

use keyviz_lineage::Counts;

use crate::Op;
use crate::sync::{AtomicU64, Ordering};

/// Operations of this many bytes (8 MiB) or more are counted beside the cells, where sums saturate.
pub(crate) const LARGE_BYTES: u64 = 1 << 23;
/// How many operations of one window cannot wrap a cell's sum.
const MAX_OPERATIONS: u64 = 1 << 40;

/// Operations and their bytes, as counted so far (wrapping) or since the last take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Pair {
    /// What was counted after `taken`. Bytes that may have wrapped are `u64::MAX`.
    fn since(self, taken: Self) -> Self {
        let count = self.count.wrapping_sub(taken.count);
        let bytes = self.bytes.wrapping_sub(taken.bytes) & (u64::MAX >> 1);
        Self { count, bytes: if count < MAX_OPERATIONS { bytes } else { u64::MAX } }
    }
}

/// What a reader has taken of a cell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    reads: Pair,
    writes: Pair,
}

#[derive(Debug)]
struct Counter {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Counter {
    fn new() -> Self {
        Self { count: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    #[inline(always)]
    fn add(&self, bytes: u64) {
        // C1: nobody else stores here, so load and store make an add.
        let count = self.count.load(Ordering::Relaxed);
        let sum = self.sum.load(Ordering::Relaxed);
        // C3: in this order.
        self.count.store(count.wrapping_add(1), Ordering::Release);
        self.sum.store(sum.wrapping_add(2 * bytes + 1), Ordering::Release);
    }

    fn read(&self) -> Pair {
        let mut count = self.count.load(Ordering::Acquire);
        loop {
            let sum = self.sum.load(Ordering::Acquire);
            let again = self.count.load(Ordering::Acquire);
            if count == again {
                // C3: met between the two stores, the last operation is left to the next take.
                let is_ahead = (sum ^ count) & 1;
                let count = count.wrapping_sub(is_ahead);
                return Pair { count, bytes: sum.wrapping_sub(count) >> 1 };
            }
            // The owner made progress meanwhile.
            count = again;
        }
    }
}

/// See the module's header.
#[derive(Debug)]
#[cfg_attr(not(loom), repr(align(32)))]
pub(crate) struct Cell {
    reads: Counter,
    writes: Counter,
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self { reads: Counter::new(), writes: Counter::new() }
    }

    /// Counts one operation of less than [`LARGE_BYTES`]. Only the owner calls this.
    #[inline(always)]
    pub(crate) fn add(&self, op: Op, bytes: u64) {
        debug_assert!(bytes < LARGE_BYTES, "C2: larger ones are counted beside the cells");
        match op {
            Op::Read => self.reads.add(bytes),
            Op::Write => self.writes.add(bytes),
        }
    }

    /// Adds a number of less than 2^40 as one operation's bytes. Only the owner calls this.
    #[inline]
    pub(crate) fn add_number(&self, op: Op, number: u64) {
        match op {
            Op::Read => self.reads.add(number),
            Op::Write => self.writes.add(number),
        }
    }

    /// What was counted since `taken`, and remembers it there.
    pub(crate) fn take(&self, taken: &mut Taken) -> Counts {
        let now = Taken { reads: self.reads.read(), writes: self.writes.read() };
        let before = std::mem::replace(taken, now);
        let reads = now.reads.since(before.reads);
        let writes = now.writes.since(before.writes);
        Counts {
            reads: reads.count,
            writes: writes.count,
            read_bytes: reads.bytes,
            write_bytes: writes.bytes,
        }
    }
}

#[cfg(test)]
#[path = "cell_test.rs"]
mod cell_test;
