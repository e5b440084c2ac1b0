//! Chunks: runs of counters, numbered for the whole process, with one page of cells for each thread
//! that touched them.
//!
//! ```text
//! Space (the process)   numbers chunks, keeps those that no sampler uses
//! └ Chunk 7             64 routes or sub-ranges of one sampler
//!   ├ Page of thread A  one cell a route, written by A only; and what was taken of each
//!   └ Page of thread B
//! ```
//! Invariants: a page has one owner at a time (P1: a thread adopts only a page that nobody else can
//! reach, which `Arc::get_mut` proves, and the proof makes the last owner's counts visible); a thread
//! that ends leaves its page behind with its counts (P2), and a page leaves the chunk only when it is
//! unowned and was taken after that was known (P3); a chunk goes back to the space only when no slot
//! of it is left, so that nobody can write to it (P4).
//! Must not: know routes.
//! Proof: `chunk_test.rs`, `tests/loom.rs`.

use std::ops::Range;

use keyviz_lineage::Counts;

use crate::cell::{Cell, Taken};
use crate::sync::{Arc, Mutex, lock};

/// How many routes or sub-ranges share a chunk: 2 KiB a thread.
pub(crate) const CHUNK_CELLS: usize = if cfg!(loom) { 1 } else { 64 };

/// One thread's cells of one chunk.
pub(crate) type Page = Arc<[Cell; CHUNK_CELLS]>;

#[derive(Debug)]
struct Entry {
    page: Page,
    taken: Box<[Taken; CHUNK_CELLS]>,
}

impl Entry {
    fn is_unowned(&mut self) -> bool {
        Arc::get_mut(&mut self.page).is_some()
    }

    fn take(&mut self, cells: Range<usize>, into: &mut [Counts]) {
        let pairs = self.page[cells.clone()].iter().zip(&mut self.taken[cells]);
        for ((cell, taken), sum) in pairs.zip(into) {
            sum.add(&cell.take(taken));
        }
    }
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// From 0, for the whole process.
    pub(crate) number: u32,
    pages: Mutex<Vec<Entry>>,
}

impl Chunk {
    /// A page for the calling thread, which must not have one of this chunk.
    pub(crate) fn attach(&self) -> Page {
        let mut pages = lock(&self.pages);
        // P1, P2: what its last owner counted stays there, to be taken.
        let left = pages.iter_mut().find_map(|entry| {
            let is_unowned = entry.is_unowned();
            is_unowned.then(|| Arc::clone(&entry.page))
        });
        left.unwrap_or_else(|| {
            let page = Arc::new(std::array::from_fn(|_| Cell::new()));
            let taken = Box::new([Taken::default(); CHUNK_CELLS]);
            pages.push(Entry { page: Arc::clone(&page), taken });
            page
        })
    }

    /// Adds to `into` what was counted in `cells` since they were last taken.
    pub(crate) fn take(&self, cells: Range<usize>, into: &mut [Counts]) {
        for entry in lock(&self.pages).iter_mut() {
            entry.take(cells.clone(), into);
        }
    }

    /// As [`Chunk::take`] of all cells; pages that threads left behind are let go.
    pub(crate) fn take_all(&self, into: &mut [Counts]) {
        lock(&self.pages).retain_mut(|entry| {
            // P3: in this order.
            let is_unowned = entry.is_unowned();
            entry.take(0..CHUNK_CELLS, into);
            !is_unowned
        });
    }

    /// How many bytes its pages take.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.pages).len() * CHUNK_CELLS * (size_of::<Cell>() + size_of::<Taken>())
    }
}

/// Numbers the chunks of the process.
#[derive(Debug)]
pub(crate) struct Space(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    next: u32,
    free: Vec<Arc<Chunk>>,
}

impl Space {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Numbers::default())))
    }

    /// A chunk, for as long as the lease lives.
    pub(crate) fn lease(space: &Arc<Self>) -> Lease {
        let mut numbers = lock(&space.0);
        let chunk = numbers.free.pop().unwrap_or_else(|| {
            let number = numbers.next;
            numbers.next += 1;
            Arc::new(Chunk { number, pages: Mutex::new(Vec::new()) })
        });
        Lease { chunk, space: Arc::clone(space) }
    }
}

/// The right to a chunk's cells.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) chunk: Arc<Chunk>,
    space: Arc<Space>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // P4: what nobody took is forgotten here, so that the next lease begins at zero.
        self.chunk.take_all(&mut [Counts::default(); CHUNK_CELLS]);
        lock(&self.space.0).free.push(Arc::clone(&self.chunk));
    }
}

#[cfg(test)]
#[path = "chunk_test.rs"]
mod chunk_test;
