//! Which routes are counted, in key order, and where their cells are.
//!
//! Invariants: `tracked` is in (start, route, end) order, live routes and removed ones together (G1);
//! a removed route stays until its grace is over and nobody can reach its slot (G2), which is known
//! *before* the take that is its last (S2); a cell is given to a new route only after that (G3).
//! Must not: be locked on the hot path.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use keyviz_lineage::{Counts, Flags, GroupId, KeyRange, RouteId, Step};

use crate::budget::{Budget, Heat};
use crate::chunk::{CHUNK_CELLS, Lease, Space};
use crate::hot::Feed;
use crate::rate::{Adaptive, class_after};
use crate::slot::{Slot, SlotCell};
use crate::sub_range::SubRanges;
use crate::sync::Arc;
use crate::table::Table;

/// A route that is counted, or that was until a moment ago.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) slot: Arc<Slot>,
    /// When it was removed, Unix milliseconds.
    pub(crate) removed_ms: Option<u64>,
    pub(crate) heat: Heat,
    /// What was taken under earlier terms, and is in no column yet.
    cut: Vec<(u64, Vec<Counts>, Flags)>,
    /// What is inexact about this window.
    flags: Flags,
    /// How alike the sizes of its operations were when it was last sampled.
    likeness: Option<f64>,
    led: Led,
}

/// Under which terms a route had writes in the last window that was taken.
#[derive(Debug, Default)]
struct Led {
    /// The last one; 0: none.
    last: u64,
    /// Those that were cut.
    cut: Vec<u64>,
}

/// What one route counted under one term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// 0: this node did not lead.
    pub(crate) term: u64,
    /// By sub-range.
    pub(crate) counts: &'a [Counts],
    pub(crate) flags: Flags,
}

impl Tracked {
    fn order(&self) -> (&[u8], RouteId, &[u8]) {
        (self.slot.range.start(), self.slot.route, self.slot.range.end())
    }
}

impl Part<'_> {
    /// Whether this node led any of its writes.
    pub(crate) fn is_led(&self) -> bool {
        self.term != 0 && self.counts.iter().any(|part| part.writes > 0)
    }
}

impl Tracked {
    /// The terms under which it had writes in the last window that was taken.
    pub(crate) fn led(&self) -> impl Iterator<Item = u64> {
        let last = Some(self.led.last).filter(|&term| term != 0);
        self.led.cut.iter().copied().chain(last)
    }

    /// Adds what was counted aside, or one in N, to the `counts` of all cells, and takes notice of how
    /// much it was in this window.
    fn weigh(&mut self, window: u64, counts: &mut [Counts]) {
        let slot = &self.slot;
        slot.take_aside(|index, aside| {
            counts[slot.cells[index].at].add(&aside);
        });
        if slot.sampling.is_some() {
            let mut sum = counts[slot.cells[0].at];
            let (inexact, alike) = slot.estimate(&mut sum, |cell| counts[cell.at]);
            self.flags = inexact;
            self.likeness = alike.or(self.likeness);
            counts[slot.cells[0].at] = sum;
        }
        let mut operations = 0_u64;
        let mut add = |part: &Counts| {
            operations = operations.saturating_add(part.reads).saturating_add(part.writes);
        };
        slot.cells.iter().for_each(|cell| add(&counts[cell.at]));
        self.cut.iter().flat_map(|(_, parts, _)| parts).for_each(&mut add);
        self.heat.pass(window, operations);
    }
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Registry {
    space: Arc<Space>,
    /// Live routes by number. Published by the sampler.
    pub(crate) table: Arc<Table>,
    pub(crate) tracked: Vec<Tracked>,
    /// The chunks that routes share.
    shared: Vec<Arc<Lease>>,
    /// Cells of `shared`, counted through all of it, that no route has; the next one last.
    free: Vec<usize>,
    budget: Budget,
    adaptive: Option<Adaptive>,
    feed: Option<Arc<Feed>>,
    /// Of the next slot.
    next_serial: u64,
    /// How many times everything was taken.
    windows: u64,
}

impl Registry {
    pub(crate) fn new(space: Arc<Space>, tracked_routes: usize) -> Self {
        Self {
            space,
            table: Arc::new(Table::new()),
            tracked: Vec::new(),
            shared: Vec::new(),
            free: Vec::new(),
            budget: Budget::new(tracked_routes),
            adaptive: None,
            feed: None,
            next_serial: 0,
            windows: 0,
        }
    }

    /// Of whose routes operations may be sampled, or keys looked at.
    pub(crate) fn with(mut self, adaptive: Option<Adaptive>, feed: Option<Arc<Feed>>) -> Self {
        (self.adaptive, self.feed) = (adaptive, feed);
        self
    }

    /// The slot that counts this route from now on: the one it had, within the grace.
    pub(crate) fn register(
        &mut self,
        route: RouteId,
        group: GroupId,
        subs: SubRanges,
        now_ms: u64,
    ) -> Arc<Slot> {
        let at = self.first_at(subs.range(), route);
        let old = self.tracked[at..]
            .iter_mut()
            .take_while(|old| old.slot.route == route && old.slot.range == *subs.range())
            .find(|old| old.slot.is(route, group, &subs));
        let again = old.map(|old| {
            old.removed_ms = None;
            Arc::clone(&old.slot)
        });
        if let (Some(live), Some(again)) = (self.table.slot(route), &again)
            && Arc::ptr_eq(live, again)
        {
            return Arc::clone(live);
        }
        self.retire(route, now_ms);
        let slot = again.unwrap_or_else(|| self.add(route, group, subs));
        self.table = Arc::new(self.table.with(route, Some(Arc::clone(&slot))));
        slot
    }

    fn add(&mut self, route: RouteId, group: GroupId, subs: SubRanges) -> Arc<Slot> {
        let at = self.first_at(subs.range(), route);
        let cells = (0..subs.count()).map(|_| self.new_cell());
        let slot = Slot::new(route, group, subs, cells.collect());
        let slot = Arc::new(slot.with(self.adaptive, self.next_serial, self.feed.clone()));
        self.next_serial += 1;
        self.tracked.insert(
            at,
            Tracked {
                slot: Arc::clone(&slot),
                removed_ms: None,
                heat: Heat::default(),
                cut: Vec::new(),
                flags: Flags::NONE,
                likeness: None,
                led: Led::default(),
            },
        );
        slot
    }

    fn new_cell(&mut self) -> SlotCell {
        let at = self.free.pop().unwrap_or_else(|| self.add_chunk());
        SlotCell::new(Arc::clone(&self.shared[at / CHUNK_CELLS]), at)
    }

    /// Returns its first cell; the others are free.
    fn add_chunk(&mut self) -> usize {
        let first = self.shared.len() * CHUNK_CELLS;
        self.shared.push(Arc::new(Space::lease(&self.space)));
        // The lowest first, so that routes registered in key order lie in key order.
        self.free.extend((first + 1..first + CHUNK_CELLS).rev());
        first
    }

    /// Marks a route as removed. Returns whether it was live.
    pub(crate) fn remove(&mut self, route: RouteId, now_ms: u64) -> bool {
        let was_live = self.retire(route, now_ms);
        if was_live {
            self.table = Arc::new(self.table.with(route, None));
        }
        was_live
    }

    fn retire(&mut self, route: RouteId, now_ms: u64) -> bool {
        let Some(slot) = self.table.slot(route).map(Arc::clone) else { return false };
        let at = self.first_at(&slot.range, route);
        let tracked = self.tracked[at..].iter_mut().find(|one| Arc::ptr_eq(&one.slot, &slot));
        if let Some(tracked) = tracked {
            tracked.removed_ms = Some(now_ms);
            tracked.heat.bucket = 0; // what is left of it is its own
        }
        true
    }

    /// Where a route stands in `tracked`, or would.
    fn first_at(&self, range: &KeyRange, route: RouteId) -> usize {
        let key = (range.start(), route, range.end());
        self.tracked.partition_point(|one| one.order() < key)
    }

    /// Takes what was counted on the routes of `group`, to be reported under `term`.
    pub(crate) fn cut(&mut self, group: GroupId, term: u64) {
        for tracked in self.tracked.iter_mut().filter(|tracked| tracked.slot.group == group) {
            let (counts, flags) = tracked.slot.take();
            if counts.iter().any(|part| !part.is_idle()) {
                tracked.cut.push((term, counts, flags));
            }
        }
    }

    /// Takes every count, and hands to `row`, in key order, each route with what it counted, by
    /// sub-range, under an earlier term or the one that `term_of` its group. Removed routes whose grace
    /// of `grace_ms` is over and that nobody can reach are let go.
    pub(crate) fn take(
        &mut self,
        now_ms: u64,
        grace_ms: u64,
        step: Step,
        mut term_of: impl FnMut(GroupId) -> u64,
        mut row: impl FnMut(&Tracked, Part<'_>),
    ) {
        // S2: which ones are unreachable, then their last take.
        let mut done = Vec::new();
        for (at, tracked) in self.tracked.iter_mut().enumerate() {
            let is_over = |removed_ms: u64| now_ms >= removed_ms.saturating_add(grace_ms);
            if tracked.removed_ms.is_some_and(is_over) && Arc::get_mut(&mut tracked.slot).is_some()
            {
                done.push(at);
            }
        }
        let mut counts = vec![Counts::default(); self.shared.len() * CHUNK_CELLS];
        for (lease, counts) in self.shared.iter().zip(counts.chunks_mut(CHUNK_CELLS)) {
            lease.chunk.take_all(counts);
        }
        self.windows += 1;
        let is_planned = self.budget.is_needed(self.tracked.len());
        if is_planned {
            self.tracked.iter_mut().for_each(|tracked| tracked.weigh(self.windows, &mut counts));
            self.plan();
        }
        let mut parts = Vec::new();
        for tracked in &mut self.tracked {
            if !is_planned {
                tracked.weigh(self.windows, &mut counts);
            }
            tracked.led.cut.clear();
            for (term, counts, flags) in std::mem::take(&mut tracked.cut) {
                let part = Part { term, counts: &counts, flags };
                row(tracked, part);
                if part.is_led() {
                    tracked.led.cut.push(term);
                }
            }
            let counts = if let [cell] = &*tracked.slot.cells {
                &counts[cell.at..=cell.at]
            } else {
                parts.clear();
                parts.extend(tracked.slot.cells.iter().map(|cell| counts[cell.at]));
                &parts[..]
            };
            let part = Part { term: term_of(tracked.slot.group), counts, flags: tracked.flags };
            row(tracked, part);
            tracked.led.last = if part.is_led() { part.term } else { 0 };
        }
        self.adapt(&counts, step);
        self.let_go(&done);
    }

    /// Decides which routes are reported together.
    fn plan(&mut self) {
        let live = self.tracked.iter_mut().filter(|tracked| tracked.removed_ms.is_none());
        let mut live: Vec<_> =
            live.map(|tracked| (&tracked.slot.range, &mut tracked.heat)).collect();
        self.budget.plan(self.windows, &mut live);
    }

    /// Decides how many operations of each route that may be sampled are counted in the next window.
    fn adapt(&mut self, counts: &[Counts], step: Step) {
        if self.adaptive.is_none() {
            return;
        }
        let routes = self.tracked.iter().map(|one| (Arc::clone(&one.slot), one.likeness));
        for (slot, likeness) in routes.collect::<Vec<_>>() {
            if let Some(sampling) = &slot.sampling {
                let sum = &counts[slot.cells[0].at];
                let class = class_after(sum, likeness, step, sampling.adaptive);
                sampling.set_class(class, || [self.new_cell(), self.new_cell()]);
            }
        }
    }

    /// Forgets the routes at `done` (ascending places in `tracked`).
    fn let_go(&mut self, done: &[usize]) {
        let (mut at, mut done) = (0, done.iter().copied().peekable());
        let free = &mut self.free;
        self.tracked.retain(|tracked| {
            let is_done = done.next_if_eq(&at).is_some();
            if is_done {
                free.extend(tracked.slot.cells.iter().map(|cell| cell.at)); // G3
                let sampled = tracked.slot.sampling.iter().flat_map(|sampling| sampling.cells());
                free.extend(sampled.flatten().flatten().map(|cell| cell.at));
            }
            at += 1;
            !is_done
        });
    }

    /// How many bytes the counters of all threads take.
    pub(crate) fn counter_bytes(&self) -> usize {
        self.shared.iter().map(|lease| lease.chunk.bytes()).sum()
    }
}
