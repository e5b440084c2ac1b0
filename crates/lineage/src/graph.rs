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
mod prune;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

pub use error::GraphError;
pub use walk::Links;

use crate::plan::Planner;
use crate::record::{Cause, LineageRecord};
use crate::transition::{Change, Transition};
use crate::{GroupId, KeyRange, LineageId, RouteId, Window};
use arena::{Arena, ShardedMap};
use closed_index::{Boxed, ClosedIndex};

/// Where a record stands in one graph and its copies. Not an identity: another start numbers anew.
pub type Slot = u32;

/// What applying a transition means: records to store as they are given here, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// New and changed records. Empty: the transition is already in the graph.
    pub records: Vec<LineageRecord>,
}

/// An edge between a parent and a child, as seen from either: where the other one is, and how the
/// two ranges lie.
#[derive(Clone, Copy, Debug)]
struct Edge {
    slot: Slot,
    /// The other one's range covers this one's.
    covers: bool,
}

#[derive(Clone, Debug)]
struct Node {
    /// `None` once it was removed.
    record: Option<Arc<LineageRecord>>,
    parents: SmallVec<[Edge; 2]>,
    children: SmallVec<[Edge; 2]>,
    /// What may have been recorded of it lies in here: `[from_ms, to_ms)`.
    extent: (u64, u64),
    /// The latest end of an extent among itself and its ancestors.
    past_until_ms: u64,
    /// The earliest start of an extent among itself and its descendants.
    future_from_ms: u64,
}

type LiveRanges = BTreeMap<Arc<[u8]>, Slot>;

/// Every lineage record that a node knows.
#[derive(Clone, Debug, Default)]
pub struct LineageGraph {
    nodes: Arena<Node>,
    by_id: ShardedMap<LineageId, Slot>,
    by_route: ShardedMap<(GroupId, RouteId), SmallVec<[Slot; 2]>>,
    live: BTreeMap<GroupId, Arc<LiveRanges>>,
    closed: ClosedIndex,
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
}

impl LineageGraph {
    /// A graph of stored records.
    pub fn from_records(records: impl IntoIterator<Item = LineageRecord>) -> Self {
        let nothing_recorded = (u64::MAX, 0);
        Self::load(records.into_iter().map(|r| (Arc::new(r), nothing_recorded)).collect())
    }

    /// A graph of records, each with what is known of its extent.
    fn load(mut records: Vec<(Arc<LineageRecord>, (u64, u64))>) -> Self {
        // A parent is born before its children (L5).
        records.sort_unstable_by_key(|(record, _)| (record.valid_from, record.id));
        let mut graph = Self { loading: true, ..Self::default() };
        for (record, (from_ms, to_ms)) in records {
            let slot = graph.take_over(&record);
            graph.widen(slot, from_ms, to_ms);
        }
        graph.loading = false;
        let slots = 0..graph.nodes.len() as Slot;
        graph.closed = ClosedIndex::bulk(slots.filter_map(|slot| graph.boxed(slot)).collect());
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
    pub fn record(&self, slot: Slot) -> Option<&LineageRecord> {
        self.nodes.get(slot as usize)?.record.as_deref()
    }

    /// Every slot is below this.
    pub const fn slots(&self) -> Slot {
        self.nodes.len() as Slot
    }

    /// Every record, in no order.
    pub fn records(&self) -> impl Iterator<Item = &LineageRecord> {
        self.nodes.iter().filter_map(|node| node.record.as_deref())
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
        let parents = self.nodes.get(slot as usize).map(|node| node.parents.as_slice());
        parents.unwrap_or_default().iter().map(|edge| edge.slot).filter(|&at| self.is_known(at))
    }

    /// The direct children of a slot that are still known.
    pub fn children_of(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let children = self.nodes.get(slot as usize).map(|node| node.children.as_slice());
        children.unwrap_or_default().iter().map(|edge| edge.slot).filter(|&at| self.is_known(at))
    }

    /// The direct children of `id`, also where `id` itself is not here (any more).
    pub fn children(&self, id: LineageId) -> Vec<LineageId> {
        let edges = self.slot(id).into_iter().flat_map(|slot| self.children_of(slot));
        let orphans = self.orphans.get(&id).into_iter().flatten().copied();
        edges.chain(orphans).filter_map(|slot| Some(self.record(slot)?.id)).collect()
    }

    fn is_known(&self, slot: Slot) -> bool {
        self.record(slot).is_some()
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

    /// The records of every group that overlap `range` and of which something may have been recorded
    /// in `[from_ms, to_ms)`, each once, in no order.
    pub fn overlapping(&self, range: &KeyRange, from_ms: u64, to_ms: u64) -> Vec<Slot> {
        self.overlapping_but(range, from_ms, to_ms, &|_| false)
    }

    /// The same without those that `is_known` already, which cost next to nothing.
    pub fn overlapping_but(
        &self,
        range: &KeyRange,
        from_ms: u64,
        to_ms: u64,
        is_known: &dyn Fn(Slot) -> bool,
    ) -> Vec<Slot> {
        let mut found: Vec<Slot> =
            self.strays.iter().copied().filter(|&slot| !is_known(slot)).collect();
        let is_open = |slot: Slot| !is_known(slot) && !self.strays.contains(&slot);
        self.closed.search(range, from_ms, to_ms, &is_open, &mut found);
        for &group in self.live.keys() {
            found.extend(self.live_slots(group, range).filter(|&slot| is_open(slot)));
        }
        let is_all = *range == KeyRange::all();
        found.retain(|&slot| {
            let Some(node) = self.nodes.get(slot as usize) else { return false };
            let meets = node.extent.0 < to_ms && from_ms < node.extent.1;
            let overlaps = |record: &Arc<LineageRecord>| is_all || record.range.overlaps(range);
            meets && node.record.as_ref().is_some_and(overlaps)
        });
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
            self.install(record);
            if let Some((id, from_ms)) = late {
                self.note_recorded(id, from_ms, recorded_until_ms);
            }
        }
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
                if let Some(node) = self.nodes.get_mut(slot as usize) {
                    let held = node.record.replace(Arc::clone(record));
                    restored = held.as_ref().is_some_and(|held| held.cause == Cause::Recovered)
                        && record.cause != Cause::Recovered;
                    if is_live && held.is_some_and(|held| !held.is_live()) {
                        // Its box stays in the index; as a stray it is found once all the same.
                        self.strays.insert(slot);
                    }
                }
                slot
            }
            None => self.add(Arc::clone(record)),
        };
        let live = Arc::make_mut(self.live.entry(record.group).or_default());
        let (start, _) = record.range.shared();
        if is_live {
            live.insert(Arc::clone(start), slot);
        } else if live.get(start) == Some(&slot) {
            live.remove(start);
        }
        self.settle_extent(slot);
        if restored {
            // It has edges again.
            self.renumber();
        }
        self.slot(id).unwrap_or(slot)
    }

    /// The same graph without empty slots, with every edge that its records name.
    fn renumber(&mut self) {
        let left = self.nodes.iter().filter_map(|n| Some((n.record.clone()?, n.extent)));
        *self = Self::load(left.collect());
    }

    /// A new slot, with its edges.
    fn add(&mut self, record: Arc<LineageRecord>) -> Slot {
        let slot = self.nodes.len() as Slot;
        let is_recovered = record.cause == Cause::Recovered;
        let mut parents = SmallVec::new();
        for parent in &record.parents {
            // One that is not here (pruned) ends the walk; one whose record was lost is linked by
            // overlap instead.
            let Some(at) = self.slot(parent.id).filter(|at| !self.recovered.contains(at)) else {
                let orphans = self.orphans.shard_mut(&parent.id).entry(parent.id);
                orphans.or_default().push(slot);
                continue;
            };
            let Some(node) = self.nodes.get_mut(at as usize) else { continue };
            let Some(range) = node.record.as_ref().map(|record| record.range.clone()) else {
                continue;
            };
            node.children.push(Edge { slot, covers: record.range.covers(&range) });
            parents.push(Edge { slot: at, covers: range.covers(&record.range) });
        }
        self.by_id.shard_mut(&record.id).insert(record.id, slot);
        let route = (record.group, record.route);
        self.by_route.shard_mut(&route).entry(route).or_default().push(slot);
        *self.groups.entry(record.group).or_default() += 1;
        let (extent, record) = ((u64::MAX, 0), Some(record));
        let (past_until_ms, future_from_ms) = (0, u64::MAX);
        let node = Node {
            record,
            parents,
            children: SmallVec::new(),
            extent,
            past_until_ms,
            future_from_ms,
        };
        self.nodes.push(node);
        if is_recovered {
            self.recovered.insert(slot);
        }
        slot
    }

    fn boxed(&self, slot: Slot) -> Option<Boxed> {
        let node = self.nodes.get(slot as usize)?;
        let record = node.record.as_ref().filter(|record| !record.is_live())?;
        let (from_ms, to_ms) = node.extent;
        Some(Boxed { slot, range: record.range.clone(), from_ms, to_ms })
    }
}

#[cfg(test)]
#[path = "graph_test.rs"]
mod graph_test;
