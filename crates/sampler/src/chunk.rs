//! Chunks: runs of counters, numbered for the whole process, with one page of cells for each thread
//! that touched them.
//!
//! ```text
//! Space (the process)   numbers chunks, keeps those that no sampler uses
//! └ Chunk 7             64 routes of one sampler, or the sub-ranges of one route
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

use std::collections::BTreeMap;
use std::ops::Range;

use keyviz_lineage::Counts;

use crate::cell::{Cell, Taken};
use crate::sync::{Arc, Mutex, SharedSlice, lock, shared_slice};

/// How many routes share a chunk: 2 KiB a thread.
pub(crate) const SHARED_CELLS: usize = if cfg!(loom) { 1 } else { 64 };

/// One thread's cells of one chunk.
pub(crate) type Page = SharedSlice<Cell>;

#[derive(Debug)]
struct Entry {
    page: Page,
    taken: Box<[Taken]>,
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
    cells: usize,
    pages: Mutex<Vec<Entry>>,
}

impl Chunk {
    /// A page for the calling thread, which must not have one of this chunk.
    pub(crate) fn attach(&self) -> Page {
        let mut pages = lock(&self.pages);
        // P1, P2: what its last owner counted stays there, to be taken.
        if let Some(left) = pages.iter_mut().find_map(|entry| {
            let is_unowned = entry.is_unowned();
            is_unowned.then(|| SharedSlice::clone(&entry.page))
        }) {
            return left;
        }
        let page = shared_slice((0..self.cells).map(|_| Cell::new()).collect());
        let taken = vec![Taken::default(); self.cells].into_boxed_slice();
        pages.push(Entry { page: Arc::clone(&page), taken });
        page
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
            entry.take(0..self.cells, into);
            !is_unowned
        });
    }

    /// How many bytes its pages take.
    pub(crate) fn bytes(&self) -> usize {
        let cell = size_of::<Cell>() + size_of::<Taken>();
        lock(&self.pages).len() * self.cells * cell
    }
}

/// Numbers the chunks of the process.
#[derive(Debug)]
pub(crate) struct Space(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    next: u32,
    /// By how many cells they have.
    free: BTreeMap<usize, Vec<Arc<Chunk>>>,
}

impl Space {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Numbers::default())))
    }

    /// A chunk of `cells` cells, for as long as the lease lives.
    pub(crate) fn lease(space: &Arc<Self>, cells: usize) -> Lease {
        let mut numbers = lock(&space.0);
        let chunk = numbers.free.get_mut(&cells).and_then(Vec::pop).unwrap_or_else(|| {
            let number = numbers.next;
            numbers.next += 1;
            Arc::new(Chunk { number, cells, pages: Mutex::new(Vec::new()) })
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
        let cells = self.chunk.cells;
        self.chunk.take_all(&mut vec![Counts::default(); cells]);
        lock(&self.space.0).free.entry(cells).or_default().push(Arc::clone(&self.chunk));
    }
}

#[cfg(test)]
#[path = "chunk_test.rs"]
mod chunk_test;
