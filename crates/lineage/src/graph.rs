//! The lineage graph: every record this node knows, and the one rule by which a transition changes
//! it (contract sections 2 and 4).
//!
//! Owns: the records by id, the live ones by `(group, start)`, all of them by `(group, route)`, and
//! the edges from parent to child.
//! Invariants: within a group live ranges do not overlap (L1); a closed side's `valid_to` is the new
//! side's `valid_from` (L2); applying a transition twice, or the same event under another proposal
//! id, changes nothing (L3); [`LineageGraph::plan`] is a pure function of graph and transition (L4).
//! The rule itself is in `plan.rs`. Must not: do I/O. The owner plans, stores what the plan says, then installs it.
//! Proof: `graph_test.rs`.

use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

use crate::plan::Planner;
use crate::record::{Cause, LineageRecord};
use crate::transition::{Change, Transition};
use crate::{GroupId, KeyRange, LineageId, RouteId, Window};

/// Why a transition was refused. Nothing was changed.
#[allow(missing_docs)] // the messages name the fields
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GraphError {
    /// A parent that this group does not know.
    #[error(
        "{change}: group {group} has no live route {route}; create it first, or send the transition that made it"
    )]
    UnknownRoute { change: &'static str, group: GroupId, route: RouteId },
    /// A parent that changed after the catalogue version on which this was decided.
    #[error(
        "{change}: route {route} of group {group} (lineage {lineage}) changed at catalogue version \
         {changed_at}, after version {decided_at} on which this was decided; reload the catalogue and decide again"
    )]
    Stale {
        change: &'static str,
        group: GroupId,
        route: RouteId,
        lineage: LineageId,
        changed_at: u64,
        decided_at: u64,
    },
    /// A parent that closed after the catalogue version on which this was decided.
    #[error(
        "{change}: route {route} of group {group} (lineage {lineage}) closed at {closed_ms}, after version \
         {decided_at} on which this was decided; reload the catalogue and decide again"
    )]
    Closed {
        change: &'static str,
        group: GroupId,
        route: RouteId,
        lineage: LineageId,
        closed_ms: u64,
        decided_at: u64,
    },
    /// A parent that cannot be one.
    #[error("{change} in group {group}: lineage {lineage} cannot come from {parent}: {reason}")]
    Parent {
        change: &'static str,
        group: GroupId,
        lineage: LineageId,
        parent: LineageId,
        reason: &'static str,
    },
    /// One command's HLC and proposal id under two contents.
    #[error(
        "{change} in group {group}: lineage {lineage} for {range} is known already, for {known}; draw a proposal id for each command"
    )]
    IdTaken {
        change: &'static str,
        group: GroupId,
        lineage: LineageId,
        range: KeyRange,
        known: KeyRange,
    },
    /// Older than everything that is kept, and of nothing that still lives.
    #[error(
        "{change} in group {group} of {decided_ms} lies before {swept_ms}, up to which closed lineages were removed (the retention)"
    )]
    Expired { change: &'static str, group: GroupId, decided_ms: u64, swept_ms: u64 },
    /// Two live ranges of one group would overlap.
    #[error(
        "{change}: route {route} {range} (lineage {lineage}) would overlap live route {other_route} {other_range} (lineage {other}) in group {group}"
    )]
    Overlap {
        change: &'static str,
        group: GroupId,
        route: RouteId,
        range: KeyRange,
        lineage: LineageId,
        other: LineageId,
        other_route: RouteId,
        other_range: Box<KeyRange>,
    },
    /// A route number that is live already.
    #[error("{change}: route {route} is live already in group {group} (lineage {lineage})")]
    RouteInUse { change: &'static str, group: GroupId, route: RouteId, lineage: LineageId },
    /// The shape of the change is wrong.
    #[error("{change} in group {group}: {reason}")]
    Shape { change: &'static str, group: GroupId, reason: &'static str },
}

/// What applying a transition means: records to store as they are given here, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// New and changed records. Empty: the transition is already in the graph.
    pub records: Vec<LineageRecord>,
}

/// Every lineage record that a node knows.
#[derive(Clone, Debug, Default)]
pub struct LineageGraph {
    pub(crate) records: HashMap<LineageId, LineageRecord>,
    pub(crate) live: BTreeMap<(GroupId, Box<[u8]>), LineageId>,
    pub(crate) by_route: HashMap<(GroupId, RouteId), Vec<LineageId>>,
    pub(crate) children: HashMap<LineageId, Vec<LineageId>>,
}

impl LineageGraph {
    /// A graph of stored records.
    pub fn from_records(records: impl IntoIterator<Item = LineageRecord>) -> Self {
        let mut graph = Self::default();
        for record in records {
            graph.install(record);
        }
        graph
    }

    /// The record called `id`.
    pub fn get(&self, id: LineageId) -> Option<&LineageRecord> {
        self.records.get(&id)
    }

    /// Every record, in no order.
    pub fn records(&self) -> impl Iterator<Item = &LineageRecord> {
        self.records.values()
    }

    /// How many records there are, and how many of them live.
    pub fn len(&self) -> (usize, usize) {
        (self.records.len(), self.live.len())
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The direct children of `id`.
    pub fn children(&self, id: LineageId) -> &[LineageId] {
        self.children.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The live record of a route.
    pub fn live_route(&self, group: GroupId, route: RouteId) -> Option<&LineageRecord> {
        self.of_route(group, route).find(|record| record.is_live())
    }

    /// Every record that ever had this route number in this group.
    pub fn of_route(&self, group: GroupId, route: RouteId) -> impl Iterator<Item = &LineageRecord> {
        let ids = self.by_route.get(&(group, route)).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.records.get(id))
    }

    /// The live records of a group whose ranges overlap `range`, in key order.
    pub fn live_overlapping<'a>(
        &'a self,
        group: GroupId,
        range: &'a KeyRange,
    ) -> impl Iterator<Item = &'a LineageRecord> {
        let at_start = (group, Box::from(range.start()));
        let before =
            self.live.range(..=at_start.clone()).next_back().filter(|((g, _), _)| *g == group);
        let after = self
            .live
            .range((std::ops::Bound::Excluded(at_start), std::ops::Bound::Unbounded))
            .take_while(move |((g, _), _)| *g == group);
        before
            .into_iter()
            .chain(after)
            .filter_map(|(_, id)| self.records.get(id))
            .skip_while(|record| !record.range.overlaps(range))
            .take_while(|record| record.range.overlaps(range))
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
        let id = record.id;
        let route = (record.group, record.route);
        let slot = (record.group, Box::from(record.range.start()));
        if record.is_live() {
            debug_assert!(
                self.live_overlapping(record.group, &record.range).all(|other| other.id == id),
                "L1: live ranges of one group do not overlap"
            );
            self.live.insert(slot, id);
        } else if self.live.get(&slot) == Some(&id) {
            self.live.remove(&slot);
        }
        if !self.records.contains_key(&id) {
            self.by_route.entry(route).or_default().push(id);
            for parent in &record.parents {
                self.children.entry(parent.id).or_default().push(id);
            }
        }
        self.records.insert(id, record);
    }

    /// Installs every record of a plan: closed ones first, so that L1 holds at each step.
    pub fn install_plan(&mut self, plan: Plan) {
        let (live, closed): (Vec<_>, Vec<_>) =
            plan.records.into_iter().partition(LineageRecord::is_live);
        for record in closed.into_iter().chain(live) {
            self.install(record);
        }
    }
}

#[cfg(test)]
#[path = "graph_test.rs"]
mod graph_test;
