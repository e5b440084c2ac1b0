//! The counters of one route: where each thread's cells are, and what is counted beside them.
//!
//! Invariants: an operation is counted once, in the calling thread's cell of its (sub-)range or, where
//! it is of [`LARGE_BYTES`] or more or the thread is ending, aside under a lock, where sums saturate.
//! Must not: know the sampler.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use keyviz_lineage::{Counts, GroupId, KeyRange, RouteId};

use crate::Op;
use crate::cell::LARGE_BYTES;
use crate::chunk::{Lease, SHARED_CELLS};
use crate::handle::Spot;
use crate::local::Pages;
use crate::sub_range::SubRanges;
use crate::sync::{Arc, AtomicU32, Mutex, Ordering, lock};

#[derive(Debug)]
pub(crate) struct Slot {
    /// The first of its cells in its chunk.
    first: usize,
    /// Its cell among all that its sampler shares out, where it is not cut.
    cell: usize,
    /// More than one: a cell each, from `first`.
    subs: Option<Box<SubRanges>>,
    lease: Arc<Lease>,
    pub(crate) route: RouteId,
    pub(crate) group: GroupId,
    pub(crate) range: KeyRange,
    /// Whether there is anything aside: 1 from before it is there.
    has_aside: AtomicU32,
    /// By sub-range.
    aside: Mutex<Vec<(u16, Counts)>>,
}

impl Slot {
    pub(crate) fn new(
        route: RouteId,
        group: GroupId,
        subs: SubRanges,
        lease: Arc<Lease>,
        cell: usize,
    ) -> Self {
        Self {
            first: cell % SHARED_CELLS,
            cell,
            range: subs.range().clone(),
            subs: (subs.count() > 1).then(|| Box::new(subs)),
            lease,
            route,
            group,
            has_aside: AtomicU32::new(0),
            aside: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn is(&self, route: RouteId, group: GroupId, subs: &SubRanges) -> bool {
        let has_these_subs = match self.sub_ranges() {
            Some(own) => own == subs,
            None => subs.count() == 1,
        };
        self.route == route && self.group == group && self.range == *subs.range() && has_these_subs
    }

    /// How it is cut, if it is.
    pub(crate) fn sub_ranges(&self) -> Option<&SubRanges> {
        self.subs.as_deref()
    }

    /// Its cell among all that its sampler shares out, where it is not cut.
    pub(crate) fn cell(&self) -> usize {
        self.cell
    }

    /// Where an operation on it is counted.
    pub(crate) fn spot(&self) -> Spot {
        let chunk = self.lease.chunk.number;
        if self.subs.is_some() || !Pages::has_place_for(chunk) {
            return Spot::SLOW;
        }
        // A shared chunk has 64 cells.
        Spot { chunk, cell: self.first as u32 }
    }

    /// Counts one operation on the calling thread's pages, or aside where it has none any more.
    pub(crate) fn observe(&self, pages: Option<&Pages>, key: &[u8], op: Op, bytes: u64) {
        let index = self.subs.as_ref().map_or(0, |subs| subs.index_of(key));
        let chunk = &self.lease.chunk;
        let has_cell = bytes < LARGE_BYTES && Pages::has_place_for(chunk.number);
        if let Some(pages) = pages.filter(|_| has_cell) {
            let cell = self.first + usize::from(index);
            let cell = pages.cell(chunk.number, cell).or_else(|| pages.touch(chunk, cell));
            if let Some(cell) = cell {
                return cell.add(op, bytes);
            }
        }
        self.observe_aside(index, op, bytes);
    }

    #[cold]
    fn observe_aside(&self, index: u16, op: Op, bytes: u64) {
        let one = match op {
            Op::Read => Counts { reads: 1, read_bytes: bytes, ..Counts::default() },
            Op::Write => Counts { writes: 1, write_bytes: bytes, ..Counts::default() },
        };
        let mut aside = lock(&self.aside);
        self.has_aside.store(1, Ordering::Relaxed);
        match aside.iter_mut().find(|(other, _)| *other == index) {
            Some((_, counts)) => {
                counts.add(&one);
            }
            None => aside.push((index, one)),
        }
    }

    /// Adds to `into` (one entry a sub-range) what was counted aside, and takes it.
    pub(crate) fn take_aside(&self, into: &mut [Counts]) {
        if self.has_aside.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut aside = lock(&self.aside);
        self.has_aside.store(0, Ordering::Relaxed);
        for (index, counts) in aside.drain(..) {
            into[usize::from(index)].add(&counts);
        }
    }

    /// What was counted since the last take, by sub-range.
    pub(crate) fn take(&self) -> Vec<Counts> {
        let count = self.subs.as_ref().map_or(1, |subs| usize::from(subs.count()));
        let mut counts = vec![Counts::default(); count];
        self.lease.chunk.take(self.first..self.first + count, &mut counts);
        self.take_aside(&mut counts);
        counts
    }

    /// The chunk that its cells are in.
    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }
}
