//! The counters of one route: where each thread's cells are, and what is counted beside them.
//!
//! Invariants: an operation is counted once, in the calling thread's cell of its (sub-)range or, where
//! it is of [`LARGE_BYTES`] or more or the thread is ending, aside under a lock, where sums saturate.
//! Must not: know the sampler.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use keyviz_lineage::{Counts, GroupId, KeyRange, RouteId};

use crate::Op;
use crate::cell::LARGE_BYTES;
use crate::chunk::{CHUNK_CELLS, Lease};
use crate::local::{Pages, Spot};
use crate::sub_range::SubRanges;
use crate::sync::{Arc, AtomicU32, Mutex, Ordering, lock};

/// One of a route's cells.
#[derive(Debug)]
pub(crate) struct SlotCell {
    spot: Spot,
    /// Among all cells that its sampler shares out.
    pub(crate) at: usize,
    pub(crate) lease: Arc<Lease>,
}

impl SlotCell {
    /// The cell `at`, which is in the chunk of `lease`.
    pub(crate) fn new(lease: Arc<Lease>, at: usize) -> Self {
        Self { spot: Spot::of(lease.chunk.number, at % CHUNK_CELLS), at, lease }
    }
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) route: RouteId,
    pub(crate) group: GroupId,
    pub(crate) range: KeyRange,
    /// One, or one a sub-range.
    pub(crate) cells: Box<[SlotCell]>,
    /// Where it is cut.
    subs: Option<Box<SubRanges>>,
    /// Whether there is anything aside.
    has_aside: AtomicU32,
    /// By sub-range.
    aside: Mutex<Vec<(u16, Counts)>>,
}

impl Slot {
    /// A slot with as many cells as sub-ranges.
    pub(crate) fn new(
        route: RouteId,
        group: GroupId,
        subs: SubRanges,
        cells: Vec<SlotCell>,
    ) -> Self {
        Self {
            route,
            group,
            range: subs.range().clone(),
            cells: cells.into(),
            subs: (subs.count() > 1).then(|| Box::new(subs)),
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

    /// Where an operation on it is counted, if that does not depend on the key.
    pub(crate) fn spot(&self) -> Spot {
        match &*self.cells {
            [cell] => cell.spot,
            _ => Spot::NOWHERE,
        }
    }

    /// Counts one operation on the calling thread's pages, or aside where it has none any more.
    pub(crate) fn observe(&self, pages: Option<&Pages>, key: &[u8], op: Op, bytes: u64) {
        let index = self.subs.as_ref().map_or(0, |subs| subs.index_of(key));
        if let (Some(pages), true) = (pages, bytes < LARGE_BYTES) {
            let SlotCell { spot, lease, .. } = &self.cells[usize::from(index)];
            if let Some(cell) = pages.cell(*spot).or_else(|| pages.touch(&lease.chunk, *spot)) {
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

    /// Hands over what was counted aside, by sub-range.
    pub(crate) fn take_aside(&self, mut add: impl FnMut(usize, Counts)) {
        if self.has_aside.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut aside = lock(&self.aside);
        self.has_aside.store(0, Ordering::Relaxed);
        for (index, counts) in aside.drain(..) {
            add(usize::from(index), counts);
        }
    }

    /// What was counted since the last take, by sub-range.
    pub(crate) fn take(&self) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); self.cells.len()];
        for (SlotCell { at, lease, .. }, sum) in self.cells.iter().zip(&mut counts) {
            let at = at % CHUNK_CELLS;
            lease.chunk.take(at..at + 1, std::slice::from_mut(sum));
        }
        self.take_aside(|index, aside| {
            counts[index].add(&aside);
        });
        counts
    }
}
