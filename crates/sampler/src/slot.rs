//! The counters of one route: where each thread's cells are, and what is counted beside them.
//!
//! Invariants: an operation is counted once, in the calling thread's cell of its (sub-)range or, where
//! it is of [`LARGE_BYTES`] or more or the thread is ending, aside under a lock, where sums saturate.
//! Must not: know the sampler.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use std::sync::OnceLock;

use keyviz_lineage::{Counts, Flags, GroupId, KeyRange, RouteId};

use crate::Op;
use crate::cell::LARGE_BYTES;
use crate::chunk::{CHUNK_CELLS, Lease};
use crate::hot::Feed;
use crate::local::{Pages, Spot};
use crate::rate::{Accepted, Adaptive, MAX_CLASS, estimate, likeness, square};
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

/// What a route that may be sampled has beside its cell.
#[derive(Debug)]
pub(crate) struct Sampling {
    pub(crate) adaptive: Adaptive,
    /// One in 2^class is counted.
    class: AtomicU32,
    /// By class, from 1: where the accepted ones and their squares are counted. There before the class
    /// is used first.
    cells: [OnceLock<[SlotCell; 2]>; MAX_CLASS],
}

impl Sampling {
    pub(crate) fn new(adaptive: Adaptive) -> Self {
        Self { adaptive, class: AtomicU32::new(0), cells: Default::default() }
    }

    /// Samples by `class` from now on, in cells that `new` gives.
    pub(crate) fn set_class(&self, class: usize, new: impl FnOnce() -> [SlotCell; 2]) {
        if let Some(cells) = class.checked_sub(1).and_then(|at| self.cells.get(at)) {
            cells.get_or_init(new);
        }
        self.class.store(class as u32, Ordering::Release);
    }

    /// The cells of each class, where it was ever used.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Option<&[SlotCell; 2]>> {
        self.cells.iter().map(OnceLock::get)
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
    /// Where it may be sampled, and is not cut.
    pub(crate) sampling: Option<Box<Sampling>>,
    /// Unique in its sampler.
    serial: u64,
    /// Where keys are looked at.
    feed: Option<Arc<Feed>>,
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
            sampling: None,
            serial: 0,
            feed: None,
            cells: cells.into(),
            subs: (subs.count() > 1).then(|| Box::new(subs)),
            has_aside: AtomicU32::new(0),
            aside: Mutex::new(Vec::new()),
        }
    }

    /// That operations may be sampled (if it is not cut), and that keys are looked at.
    pub(crate) fn with(
        mut self,
        adaptive: Option<Adaptive>,
        serial: u64,
        feed: Option<Arc<Feed>>,
    ) -> Self {
        let adaptive = adaptive.filter(|_| self.cells.len() == 1);
        self.sampling = adaptive.map(|adaptive| Box::new(Sampling::new(adaptive)));
        (self.serial, self.feed) = (serial, feed);
        self
    }

    pub(crate) const fn serial(&self) -> u64 {
        self.serial
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

    /// Where an operation on it is counted, if that depends neither on the key nor on
    /// chance, and nothing else is to be done.
    pub(crate) fn spot(&self) -> Spot {
        match &*self.cells {
            [cell] if self.sampling.is_none() && self.feed.is_none() => cell.spot,
            _ => Spot::NOWHERE,
        }
    }

    /// Counts one operation on the calling thread's pages, or aside where it has none any more.
    pub(crate) fn observe(&self, pages: Option<&Pages>, key: &[u8], op: Op, bytes: u64) {
        if let (Some(feed), Some(pages)) = (&self.feed, pages) {
            feed.offer(pages, self.serial, key, op);
        }
        let index = self.subs.as_ref().map_or(0, |subs| subs.index_of(key));
        if let (Some(pages), true) = (pages, bytes < LARGE_BYTES) {
            if let Some(sampling) = &self.sampling
                && let class @ 1.. = sampling.class.load(Ordering::Acquire)
            {
                return self.observe_sampled(sampling, class, pages, op, bytes);
            }
            let SlotCell { spot, lease, .. } = &self.cells[usize::from(index)];
            if let Some(cell) = pages.cell(*spot).or_else(|| pages.touch(&lease.chunk, *spot)) {
                return cell.add(op, bytes);
            }
        }
        self.observe_aside(index, op, bytes);
    }

    fn observe_sampled(&self, sampling: &Sampling, class: u32, pages: &Pages, op: Op, bytes: u64) {
        if !pages.picks(class, sampling.adaptive.seed) {
            return;
        }
        let cells = sampling.cells.get(class as usize - 1).and_then(OnceLock::get);
        let found = cells.map(|cells| {
            cells.each_ref().map(|SlotCell { spot, lease, .. }| {
                pages.cell(*spot).or_else(|| pages.touch(&lease.chunk, *spot))
            })
        });
        if let Some([Some(counted), Some(squares)]) = found {
            counted.add(op, bytes);
            squares.add_number(op, square(bytes));
        } else {
            // There are more chunks than places: each that was picked stands for the others.
            (0..1 << class).for_each(|_| self.observe_aside(0, op, bytes));
        }
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

    /// What was counted since the last take, by sub-range, and what is inexact about it.
    pub(crate) fn take(&self) -> (Vec<Counts>, Flags) {
        let take = |SlotCell { at, lease, .. }: &SlotCell| {
            let (at, mut sum) = (at % CHUNK_CELLS, Counts::default());
            lease.chunk.take(at..at + 1, std::slice::from_mut(&mut sum));
            sum
        };
        let mut counts: Vec<Counts> = self.cells.iter().map(take).collect();
        self.take_aside(|index, aside| {
            counts[index].add(&aside);
        });
        let (flags, _) = self.estimate(&mut counts[0], take);
        (counts, flags)
    }

    /// Adds what was accepted, as `of` says by cell, to the exact part of the route's counts. Says what
    /// is inexact then, and how alike the accepted sizes were.
    pub(crate) fn estimate(
        &self,
        exact: &mut Counts,
        of: impl Fn(&SlotCell) -> Counts,
    ) -> (Flags, Option<f64>) {
        let Some(sampling) = &self.sampling else { return (Flags::NONE, None) };
        let classes = sampling.cells().map(|cells| match cells {
            Some([counted, squares]) => Accepted { counts: of(counted), squares: of(squares) },
            None => Accepted::default(),
        });
        let classes: [Accepted; MAX_CLASS] = array_of(classes);
        let (sum, flags) = estimate(*exact, &classes);
        *exact = sum;
        // One in N: that none was accepted does not say that there was none.
        let is_sampled = sampling.class.load(Ordering::Relaxed) > 0;
        if is_sampled && !flags.has(Flags::SAMPLED) {
            return (Flags::SAMPLED.or(Flags::SOFT), None);
        }
        (flags, likeness(&classes))
    }
}

fn array_of(mut classes: impl Iterator<Item = Accepted>) -> [Accepted; MAX_CLASS] {
    std::array::from_fn(|_| classes.next().unwrap_or_default())
}
