//! The lineage graph: every record this node knows, and the one rule by which a transition changes
//! it (contract sections 2 and 4).
//!
//! Owns: the records, each in a [`Slot`]; the live ones by `(group, start)`, the closed ones by time
//! and keys (`closed_index.rs`), all of them by id and by `(group, route)`; and the edges between
//! parent and child.
//! Invariants: within a group live ranges do not overlap (L1); a closed side's `valid_to` is the new
//! side's `valid_from` (L2); applying a transition twice, or the same event under another proposal
//! id, changes nothing (L3); [`LineageGraph::plan`] is a pure function of graph and transition (L4);
//! a parent's slot is lower than its children's (L5).
//! A copy is cheap: it shares everything until one side is written (`arena.rs`).
//! The rule itself is in `plan.rs`. Must not: do I/O. The owner plans, stores what the plan says, then installs it.
//! Proof: `graph_test.rs`, `graph/walk_test.rs`.

mod arena;
mod closed_index;
mod error;
mod extent;
mod key_order;
mod life;
mod prune;
mod slot_set;
mod slots;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

pub use error::GraphError;
pub use life::Life;
pub use slot_set::SlotSet;
pub use walk::Links;

use crate::plan::Planner;
use crate::record::{Cause, LineageRecord};
use crate::transition::{Change, Transition};
use crate::{GroupId, KeyRange, LineageId, RouteId, Window};
use arena::ShardedMap;
use closed_index::{Boxed, ClosedIndex};
use extent::Hours;
use key_order::{KeyNo, KeyOrder, Rank};
use slots::{Edges, Slots};

/// Where a record stands in one graph and its copies. Not an identity: another start numbers anew.
pub type Slot = u32;

/// What applying a transition means: records to store as they are given here, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// New and changed records. Empty: the transition is already in the graph.
    pub records: Vec<LineageRecord>,
}

type LiveRanges = BTreeMap<Arc<[u8]>, Slot>;

/// Every lineage record that a node knows.
#[derive(Clone, Debug, Default)]
pub struct LineageGraph {
    slots: Slots,
    by_id: ShardedMap<LineageId, Slot>,
    by_route: ShardedMap<(GroupId, RouteId), SmallVec<[Slot; 2]>>,
    live: BTreeMap<GroupId, Arc<LiveRanges>>,
    closed: ClosedIndex,
    order: KeyOrder,
    /// Closed and recorded far outside of their lives, or alive again: searched one by one.
    strays: BTreeSet<Slot>,
    /// Those whose own record was lost ([`Cause::Recovered`]): no edge leads to them.
    recovered: BTreeSet<Slot>,
    /// Children whose parent is not here, by the parent.
    orphans: ShardedMap<LineageId, SmallVec<[Slot; 2]>>,
    /// Records by group.
    groups: BTreeMap<GroupId, usize>,
    removed: usize,
    /// Closed boxes are not indexed one by one: the whole index follows.
    loading: bool,
    /// A record came that has children here without an edge to it.
    misses_edges: bool,
}

impl LineageGraph {
    /// A graph of stored records.
    pub fn from_records(records: impl IntoIterator<Item = LineageRecord>) -> Self {
        Self::load(records.into_iter().map(|r| (Arc::new(r), Hours::NONE)).collect())
    }

    /// A graph of records, each with what is known of its extent.
    fn load(mut records: Vec<(Arc<LineageRecord>, Hours)>) -> Self {
        // A parent is born before its children (L5).
        records.sort_unstable_by_key(|(record, _)| (record.valid_from, record.id));
        let bounds = records.iter().flat_map(|(record, _)| {
            let (start, end) = record.range.shared();
            [Arc::clone(start), Arc::clone(end)]
        });
        let order = KeyOrder::of(bounds.collect());
        let mut graph = Self { loading: true, order, ..Self::default() };
        for (record, recorded) in records {
            let slot = graph.take_over(&record);
            graph.widen(slot, recorded);
        }
        graph.loading = false;
        let slots = 0..graph.slots();
        let boxes = slots.filter_map(|slot| graph.boxed(slot)).collect();
        graph.closed = ClosedIndex::bulk(boxes, &graph.order);
        graph
    }

    /// The record called `id`.
    pub fn get(&self, id: LineageId) -> Option<&LineageRecord> {
        self.record(self.slot(id)?)
    }

    /// Where the record called `id` stands.
    pub fn slot(&self, id: LineageId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// The record in a slot; `None` if it was removed.
    #[inline]
    pub fn record(&self, slot: Slot) -> Option<&LineageRecord> {
        self.slots.records.get(slot as usize)?.as_deref()
    }

    /// Every slot is below this.
    pub const fn slots(&self) -> Slot {
        self.slots.len() as Slot
    }

    /// Every record, in no order.
    pub fn records(&self) -> impl Iterator<Item = &LineageRecord> {
        self.slots.records.iter().filter_map(Option::as_deref)
    }

    /// How many records there are, and how many of them live.
    pub fn len(&self) -> (usize, usize) {
        (self.by_id.len(), self.live.values().map(|live| live.len()).sum())
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.by_id.len() == 0
    }

    /// The groups that have records.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.groups.keys().copied()
    }

    /// The slots of lineages whose own record was lost: no edge leads to them.
    pub fn recovered(&self) -> impl Iterator<Item = Slot> {
        self.recovered.iter().copied()
    }

    /// The direct parents of a slot that are still known.
    pub fn parents_of(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let parents = self.slots.parents.get(slot as usize).into_iter().flatten();
        parents.copied().filter(|&at| self.is_known(at))
    }

    /// The direct children of a slot that are still known.
    pub fn children_of(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let children = self.slots.children.get(slot as usize).into_iter().flatten();
        children.copied().filter(|&at| self.is_known(at))
    }

    /// The direct children of `id`, also where `id` itself is not here (any more).
    pub fn children(&self, id: LineageId) -> Vec<LineageId> {
        let edges = self.slot(id).into_iter().flat_map(|slot| self.children_of(slot));
        let orphans = self.orphans.get(&id).into_iter().flatten().copied();
        edges.chain(orphans).filter_map(|slot| Some(self.record(slot)?.id)).collect()
    }

    fn is_known(&self, slot: Slot) -> bool {
        self.slots.records.get(slot as usize).is_some_and(Option::is_some)
    }

    /// The live record of a route.
    pub fn live_route(&self, group: GroupId, route: RouteId) -> Option<&LineageRecord> {
        self.of_route(group, route).find(|record| record.is_live())
    }

    /// Every record that ever had this route number in this group.
    pub fn of_route(&self, group: GroupId, route: RouteId) -> impl Iterator<Item = &LineageRecord> {
        let slots = self.by_route.get(&(group, route)).map_or(&[][..], SmallVec::as_slice);
        slots.iter().filter_map(|&slot| self.record(slot))
    }

    /// The live records of a group whose ranges overlap `range`, in key order.
    pub fn live_overlapping<'a>(
        &'a self,
        group: GroupId,
        range: &'a KeyRange,
    ) -> impl Iterator<Item = &'a LineageRecord> {
        self.live_slots(group, range).filter_map(|slot| self.record(slot))
    }

    fn live_slots<'a>(
        &'a self,
        group: GroupId,
        range: &'a KeyRange,
    ) -> impl Iterator<Item = Slot> + 'a {
        let live = self.live.get(&group).map(Arc::as_ref);
        let (start, _) = range.shared();
        let before = live.and_then(|live| live.range(..=Arc::clone(start)).next_back());
        let behind = (Bound::Excluded(Arc::clone(start)), Bound::Unbounded);
        let after = live.into_iter().flat_map(move |live| live.range(behind.clone()));
        before
            .filter(|&(_, &slot)| self.record(slot).is_some_and(|held| held.range.overlaps(range)))
            .into_iter()
            .chain(after.take_while(|(at, _)| range.bounded_end().is_none_or(|end| ***at < *end)))
            .map(|(_, &slot)| slot)
    }

    /// Where the start of a slot's range stands among all keys of this graph: compares as keys do, and
    /// equals where they are equal. Means nothing to another graph, or after a change.
    #[inline]
    pub fn start_rank(&self, slot: Slot) -> u64 {
        self.slots.spots.get(slot as usize).map_or(0, |spot| spot.ranks.0)
    }

    /// The records of every group that overlap `range` and of which something may have been recorded
    /// in `[from_ms, to_ms)`, each once, in no order.
    pub fn overlapping(&self, range: &KeyRange, from_ms: u64, to_ms: u64) -> Vec<Slot> {
        self.overlapping_but(range, from_ms, to_ms, &SlotSet::default())
    }

    /// The same without those that are `known`. Where few are not, they are looked at one by one.
    pub fn overlapping_but(
        &self,
        range: &KeyRange,
        from_ms: u64,
        to_ms: u64,
        known: &SlotSet,
    ) -> Vec<Slot> {
        let (keys, hours) =
            (self.order.stretch(range.start(), range.end()), Hours::around(from_ms, to_ms));
        let is_asked = |slot: Slot| {
            let spot = self.slots.spots.get(slot as usize);
            spot.is_some_and(|spot| spot.extent.own.meets(hours) && spot.overlaps(keys))
        };
        if known.len() > self.slots.len() / 8 * 7 {
            return known.missing(self.slots()).filter(|&slot| is_asked(slot)).collect();
        }
        let mut found = Vec::new();
        self.closed.search(range, from_ms, to_ms, &mut found);
        for &group in self.live.keys() {
            found.extend(self.live_slots(group, range));
        }
        if !self.strays.is_empty() {
            found.retain(|slot| !self.strays.contains(slot));
            found.extend(&self.strays);
        }
        found.retain(|&slot| !known.contains(slot) && is_asked(slot));
        found
    }

    /// The lineage that a column's row belongs to: same group, route and bounds, and of several such
    /// the latest that was born before the window's end (else the earliest of all).
    pub fn resolve(
        &self,
        group: GroupId,
        route: RouteId,
        range: &KeyRange,
        window: Window,
    ) -> Option<&LineageRecord> {
        let mut best: Option<&LineageRecord> = None;
        for record in self.of_route(group, route).filter(|record| record.range == *range) {
            let started = |r: &LineageRecord| r.valid_from.unix_ms() < window.end_ms();
            best = Some(match best {
                None => record,
                Some(held) => match (started(held), started(record)) {
                    (true, true) if record.valid_from > held.valid_from => record,
                    (false, true) => record,
                    (false, false) if record.valid_from < held.valid_from => record,
                    _ => held,
                },
            });
        }
        best
    }

    /// What `transition` would change. Does not change anything itself.
    ///
    /// # Errors
    /// See [`GraphError`]: unknown or stale parents, overlaps, wrong shapes.
    pub fn plan(&self, transition: &Transition) -> Result<Plan, GraphError> {
        let planner = Planner { graph: self, transition };
        planner.check_shape()?;
        match &transition.change {
            Change::Create { routes } => planner.birth(routes, &[], Cause::Create),
            Change::Split { parent, children } => planner.birth(children, &[*parent], Cause::Split),
            Change::Merge { parents, survivor } => {
                planner.birth(std::slice::from_ref(survivor), parents, Cause::Merge)
            }
            Change::MoveOut { route, to_group, to_route } => {
                planner.close(*route, Some((*to_group, *to_route)))
            }
            Change::Drop { route } => planner.close(*route, None),
            Change::MoveIn { route, from } => planner.move_in(route, from),
            Change::Backfill { route } => planner.backfill(route),
            Change::Leader { .. } => Ok(Plan::default()),
        }
    }

    /// Takes over one record of a plan, or one that was read from the store.
    pub fn install(&mut self, record: LineageRecord) {
        self.take_over(&Arc::new(record));
        self.complete();
    }

    /// Installs every record of a plan: closed ones first, so that L1 holds at each step.
    pub fn install_plan(&mut self, plan: Plan) {
        self.install_plan_at(plan, 0);
    }

    /// The same where windows were recorded until `recorded_until_ms`: a lineage that closes long
    /// before that (its host decided so, and told late) may have been recorded until then.
    pub fn install_plan_at(&mut self, plan: Plan, recorded_until_ms: u64) {
        let (live, closed): (Vec<_>, Vec<_>) =
            plan.records.into_iter().partition(LineageRecord::is_live);
        for record in closed.into_iter().chain(live) {
            let late = (!LineageGraph::expects(&record, u64::MAX, recorded_until_ms))
                .then(|| (record.id, record.valid_from.unix_ms()));
            self.take_over(&Arc::new(record));
            if let Some((id, from_ms)) = late {
                self.note_recorded(id, from_ms, recorded_until_ms);
            }
        }
        self.complete();
    }

    fn take_over(&mut self, record: &Arc<LineageRecord>) -> Slot {
        let (id, is_live) = (record.id, record.is_live());
        debug_assert!(
            !is_live
                || self.live_overlapping(record.group, &record.range).all(|other| other.id == id),
            "L1: live ranges of one group do not overlap"
        );
        let mut restored = false;
        let slot = match self.slot(id) {
            Some(slot) => {
                if let Some(place) = self.slots.records.get_mut(slot as usize) {
                    let held = place.replace(Arc::clone(record));
                    restored = held.as_ref().is_some_and(|held| held.cause == Cause::Recovered)
                        && record.cause != Cause::Recovered;
                    if is_live && held.is_some_and(|held| !held.is_live()) {
                        // Its box stays in the index; as a stray it is found once all the same.
                        self.strays.insert(slot);
                    }
                }
                slot
            }
            None => {
                // It came after its children (a loss that was made good): they have no edge to it.
                restored = !self.loading
                    && record.cause != Cause::Recovered
                    && self.orphans.get(&id).is_some();
                self.add(Arc::clone(record))
            }
        };
        let live = Arc::make_mut(self.live.entry(record.group).or_default());
        let (start, _) = record.range.shared();
        if is_live {
            live.insert(Arc::clone(start), slot);
        } else if live.get(start) == Some(&slot) {
            live.remove(start);
        }
        self.settle(slot);
        self.settle_backfilled(id);
        self.misses_edges |= restored;
        slot
    }

    /// After a record came that has children here without an edge to it.
    fn complete(&mut self) {
        if self.misses_edges {
            self.renumber();
        }
    }

    /// The same graph without empty slots, with every edge that its records name.
    fn renumber(&mut self) {
        let spots = self.slots.spots.iter();
        let left = self.slots.records.iter().zip(spots);
        let left = left.filter_map(|(record, spot)| Some((record.clone()?, spot.extent.own)));
        *self = Self::load(left.collect());
    }

    /// A new slot, with its edges.
    fn add(&mut self, record: Arc<LineageRecord>) -> Slot {
        let slot = self.slots();
        let (keys, ranks) = self.rank(&record.range);
        let mut parents = Edges::new();
        for parent in &record.parents {
            // One that is not here (pruned) ends the walk; one whose record was lost is linked by
            // overlap instead.
            let Some(at) = self.slot(parent.id).filter(|at| !self.recovered.contains(at)) else {
                let orphans = self.orphans.shard_mut(&parent.id).entry(parent.id);
                orphans.or_default().push(slot);
                continue;
            };
            if let Some(children) = self.slots.children.get_mut(at as usize) {
                children.push(slot);
                parents.push(at);
            }
        }
        self.by_id.shard_mut(&record.id).insert(record.id, slot);
        let route = (record.group, record.route);
        self.by_route.shard_mut(&route).entry(route).or_default().push(slot);
        *self.groups.entry(record.group).or_default() += 1;
        if record.cause == Cause::Recovered {
            self.recovered.insert(slot);
        }
        self.slots.push(record, parents, keys, ranks)
    }

    /// Where a range stands in the order of all keys; its bounds become known.
    fn rank(&mut self, range: &KeyRange) -> ((KeyNo, KeyNo), (Rank, Rank)) {
        let (start, end) = range.shared();
        let (keys, moved) = self.order.number(start, end);
        if moved {
            for slot in 0..self.slots.len() {
                let keys = self.slots.keys.get(slot).filter(|_| self.is_known(slot as Slot));
                if let (Some(&keys), Some(spot)) = (keys, self.slots.spots.get_mut(slot)) {
                    spot.ranks = self.order.ranks(keys);
                }
            }
        }
        (keys, self.order.ranks(keys))
    }

    fn boxed(&self, slot: Slot) -> Option<Boxed> {
        let record = self.record(slot).filter(|record| !record.is_live())?;
        let (from_ms, to_ms) = self.slots.spots.get(slot as usize)?.extent.own.ms();
        let keys = *self.slots.keys.get(slot as usize)?;
        Some(Boxed { slot, range: record.range.clone(), keys, from_ms, to_ms })
    }
}

#[cfg(test)]
#[path = "graph_test.rs"]
mod graph_test;
