//! What a transition changes in the graph, without changing it: checks, births, closes.
//!
//! Pure (L4 of [`crate::graph`]), and a function of the records of the transition's *own group*: a
//! replica may hold other groups or not, and must come to the same plan. So a move's parent, which
//! lives in another group, is taken as the command describes it.
//!
//! What comes again is recognised in `repeat.rs` (L3). No lineage descends from itself: a new id is
//! never one that is known, and along every edge the birth grows.
//! Proof: `graph_test.rs`.

use crate::graph::{GraphError, LineageGraph, Plan};
use crate::record::{Cause, LineageRecord, ParentRef};
use crate::transition::{Change, RouteSpec, Transition};
use crate::{GroupId, Hlc, KeyRange, LineageId, RouteId, id};

/// The last moment at which something may happen: behind it there are ticks left for the ids of its
/// siblings and for the ends of what it opens, so that none of them are the same.
const LAST_HLC: Hlc = Hlc(u64::MAX - (1 << 32));

/// One `plan` call: the graph as it is and the transition that wants to change it.
pub(crate) struct Planner<'a> {
    pub(crate) graph: &'a LineageGraph,
    pub(crate) transition: &'a Transition,
}

impl Planner<'_> {
    fn name(&self) -> &'static str {
        self.transition.change.name()
    }

    fn shape_error(&self, reason: &'static str) -> GraphError {
        GraphError::Shape { change: self.name(), group: self.transition.group, reason }
    }

    pub(crate) fn check_shape(&self) -> Result<(), GraphError> {
        if self.transition.group == 0 {
            return Err(self.shape_error("group 0 is reserved; group ids are non-zero"));
        }
        let latest = match &self.transition.change {
            Change::MoveIn { from, .. } => from.valid_from.max(self.transition.hlc),
            _ => self.transition.hlc,
        };
        if latest > LAST_HLC {
            return Err(self.shape_error(
                "its HLC is at the end of what 64 bits can name; check the clock that it came from",
            ));
        }
        if self.transition.catalogue_version == u64::MAX {
            return Err(self.shape_error("the catalogue version has no successor"));
        }
        let opened: &[RouteSpec] = match &self.transition.change {
            Change::Create { routes } => routes,
            Change::Split { children, .. } => children,
            Change::Merge { survivor, .. } => std::slice::from_ref(survivor),
            Change::MoveIn { route, .. } | Change::Backfill { route } => {
                std::slice::from_ref(route)
            }
            Change::MoveOut { to_group: 0, .. } | Change::MoveOut { to_route: 0, .. } => {
                return Err(self.shape_error("a move needs a non-zero target group and route"));
            }
            Change::MoveOut { .. } | Change::Drop { .. } | Change::Leader { .. } => return Ok(()),
        };
        if opened.is_empty() {
            return Err(self.shape_error("no route is named"));
        }
        if opened.iter().any(|spec| spec.route == 0) {
            return Err(self.shape_error("route 0 is reserved; route ids are non-zero"));
        }
        match &self.transition.change {
            Change::Split { children, .. } if children.len() < 2 => {
                Err(self.shape_error("a split opens two or more routes"))
            }
            Change::Merge { parents, .. } if parents.len() < 2 => {
                Err(self.shape_error("a merge closes two or more routes"))
            }
            _ => Ok(()),
        }
    }

    /// Routes that open, from nothing or from live parents that close.
    pub(crate) fn birth(
        &self,
        opened: &[RouteSpec],
        parents: &[RouteId],
        cause: Cause,
    ) -> Result<Plan, GraphError> {
        let mut specs: Vec<&RouteSpec> = opened.iter().collect();
        specs.sort_by(|a, b| a.range.start().cmp(b.range.start()));
        if self.is_same_command(&specs) || self.is_same_birth(&specs, parents, cause) {
            return Ok(Plan::default());
        }
        let mut closing = Vec::new();
        for &route in parents {
            closing.push(self.live_parent(route)?);
        }
        closing.sort_by(|a, b| a.range.start().cmp(b.range.start()));
        self.check_ranges(&specs, &closing, cause)?;
        let from = self.valid_from(&closing);
        let mut records = Vec::new();
        for parent in &closing {
            records.push(LineageRecord { valid_to: Some(from), ..(*parent).clone() });
        }
        let parents: Vec<ParentRef> = closing.iter().map(|parent| parent.as_parent()).collect();
        for (ordinal, spec) in specs.iter().enumerate() {
            self.check_free(spec, ordinal as u64, &closing)?;
            records.push(self.record(spec, ordinal as u64, from, parents.clone(), cause)?);
        }
        Ok(Plan { records })
    }

    fn check_ranges(
        &self,
        specs: &[&RouteSpec],
        closing: &[&LineageRecord],
        cause: Cause,
    ) -> Result<(), GraphError> {
        if specs.windows(2).any(|pair| pair[0].range.overlaps(&pair[1].range)) {
            return Err(self.shape_error("the routes that it opens overlap each other"));
        }
        let mut numbers: Vec<RouteId> = specs.iter().map(|spec| spec.route).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(self.shape_error("it opens one route number twice"));
        }
        match cause {
            Cause::Split if !specs.iter().all(|spec| closing[0].range.covers(&spec.range)) => {
                Err(self.shape_error("a child of a split lies outside its parent's range"))
            }
            Cause::Merge
                if closing.windows(2).any(|pair| !pair[0].range.touches(&pair[1].range)) =>
            {
                Err(self
                    .shape_error("the routes to merge are not adjacent (or one is named twice)"))
            }
            Cause::Merge => {
                let union = closing
                    .iter()
                    .skip(1)
                    .fold(closing[0].range.clone(), |hull, r| hull.hull(&r.range));
                if specs[0].range == union {
                    Ok(())
                } else {
                    Err(self.shape_error(
                        "the survivor of a merge covers exactly the union of its parents",
                    ))
                }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn close(
        &self,
        route: RouteId,
        successor: Option<(GroupId, RouteId)>,
    ) -> Result<Plan, GraphError> {
        if self.is_same_close(route, successor) {
            return Ok(Plan::default());
        }
        let parent = self.live_parent(route)?;
        let valid_to = Some(self.valid_from(&[parent]));
        Ok(Plan { records: vec![LineageRecord { valid_to, successor, ..parent.clone() }] })
    }

    pub(crate) fn move_in(&self, spec: &RouteSpec, from: &ParentRef) -> Result<Plan, GraphError> {
        let (t, lineage) = (self.transition, self.new_id(0));
        if self.is_same_command(&[spec]) || self.is_same_move(from) {
            return Ok(Plan::default());
        }
        let reason = if from.group == t.group
            || self.graph.get(from.id).is_some_and(|held| held.group == t.group)
        {
            Some("that is a lineage of this very group; a move comes from another one")
        } else if from.group == 0 || from.range != spec.range {
            Some("a moved range keeps its keys, and its old group is not 0")
        } else if from.id == lineage {
            Some("it would be its own parent")
        } else if t.hlc <= from.valid_from {
            Some("that began later")
        } else {
            None
        };
        if let Some(reason) = reason {
            let (change, group, parent) = (self.name(), t.group, from.id);
            return Err(GraphError::Parent { change, group, lineage, parent, reason });
        }
        self.check_free(spec, 0, &[])?;
        Ok(Plan { records: vec![self.record(spec, 0, t.hlc, vec![from.clone()], Cause::Move)?] })
    }

    /// A live route without a record: its parent is the retained record that overlaps it best, of
    /// those that were born before this was decided. What came later it cannot continue: it may even
    /// descend from it, where this comes again after its record was lost.
    pub(crate) fn backfill(&self, spec: &RouteSpec) -> Result<Plan, GraphError> {
        let (group, hlc) = (self.transition.group, self.transition.hlc);
        if self.is_same_command(&[spec]) || self.has_record(spec) {
            return Ok(Plan::default());
        }
        self.check_free(spec, 0, &[])?;
        let best = self
            .graph
            .records()
            .filter(|record| {
                record.group == group
                    && !record.is_live()
                    && record.valid_from < hlc
                    && record.cause != Cause::Recovered
                    && record.range.overlaps(&spec.range)
            })
            .max_by_key(|record| {
                (overlap_rank(&record.range, &spec.range), record.valid_from, record.id)
            });
        let parents: Vec<ParentRef> = best.into_iter().map(LineageRecord::as_parent).collect();
        Ok(Plan { records: vec![self.record(spec, 0, hlc, parents, Cause::Backfill)?] })
    }

    fn live_parent(&self, route: RouteId) -> Result<&LineageRecord, GraphError> {
        let parent = self
            .graph
            .live_route(self.transition.group, route)
            .filter(|live| !self.is_before_life(live))
            .ok_or_else(|| self.gone(route))?;
        let decided_at = self.transition.catalogue_version;
        if decided_at != 0 && parent.version > decided_at {
            return Err(GraphError::Stale {
                change: self.name(),
                group: self.transition.group,
                route,
                lineage: parent.id,
                changed_at: parent.version,
                decided_at,
            });
        }
        Ok(parent)
    }

    /// Why a route is no parent: it closed since this was decided, or never was.
    fn gone(&self, route: RouteId) -> GraphError {
        let (group, change) = (self.transition.group, self.name());
        let closed = self.graph.of_route(group, route).filter(|record| !record.is_live());
        let last = closed.max_by_key(|record| (record.valid_to, record.id));
        match (last, self.transition.catalogue_version) {
            (None, _) | (_, 0) => GraphError::UnknownRoute { change, group, route },
            (Some(held), decided_at) => GraphError::Closed {
                change,
                group,
                route,
                lineage: held.id,
                closed_ms: held.valid_to.map_or(0, Hlc::unix_ms),
                decided_at,
            },
        }
    }

    /// A new route may touch nothing that lives, but what closes with it.
    fn check_free(
        &self,
        spec: &RouteSpec,
        ordinal: u64,
        closing: &[&LineageRecord],
    ) -> Result<(), GraphError> {
        let (group, change) = (self.transition.group, self.name());
        let closes = |id: LineageId| closing.iter().any(|parent| parent.id == id);
        if let Some(held) = self.graph.live_route(group, spec.route).filter(|held| !closes(held.id))
        {
            return Err(GraphError::RouteInUse {
                change,
                group,
                route: spec.route,
                lineage: held.id,
            });
        }
        match self.graph.live_overlapping(group, &spec.range).find(|held| !closes(held.id)) {
            None => Ok(()),
            Some(held) => Err(GraphError::Overlap {
                change,
                group,
                route: spec.route,
                range: spec.range.clone(),
                lineage: self.new_id(ordinal),
                other: held.id,
                other_route: held.route,
                other_range: Box::new(held.range.clone()),
            }),
        }
    }

    /// L2 with clocks that disagree: never before a parent's own birth.
    pub(crate) fn valid_from(&self, closing: &[&LineageRecord]) -> Hlc {
        closing.iter().map(|parent| parent.valid_from.plus(1)).fold(self.transition.hlc, Hlc::max)
    }

    fn record(
        &self,
        spec: &RouteSpec,
        ordinal: u64,
        valid_from: Hlc,
        parents: Vec<ParentRef>,
        cause: Cause,
    ) -> Result<LineageRecord, GraphError> {
        let (t, id) = (self.transition, self.new_id(ordinal));
        if let Some(known) = self.known_range(id) {
            let (range, known) = (spec.range.clone(), known.clone());
            let (change, group) = (self.name(), t.group);
            return Err(GraphError::IdTaken { change, group, lineage: id, range, known });
        }
        Ok(LineageRecord {
            id,
            range: spec.range.clone(),
            route: spec.route,
            group: t.group,
            valid_from,
            valid_to: None,
            parents,
            successor: None,
            proposal: t.proposal,
            cause,
            version: self.version_after(),
        })
    }

    /// The id of the `ordinal`-th lineage that this creates.
    pub(crate) fn new_id(&self, ordinal: u64) -> LineageId {
        let t = self.transition;
        id::derive(t.hlc, t.group, &t.proposal, ordinal)
    }

    /// The catalogue's version once this has happened; 0 = unknown.
    pub(crate) fn version_after(&self) -> u64 {
        match self.transition.catalogue_version {
            0 => 0,
            decided_at => decided_at.saturating_add(1),
        }
    }
}

impl GraphError {
    /// Whether it was decided on a catalogue that has changed since: to be decided again.
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. } | Self::Closed { .. })
    }
}

/// How well two overlapping ranges fit, without measuring keys: the same, one inside the other, or
/// merely overlapping.
fn overlap_rank(held: &KeyRange, wanted: &KeyRange) -> u8 {
    match (held == wanted, held.covers(wanted), wanted.covers(held)) {
        (true, ..) => 3,
        (_, true, _) => 2,
        (_, _, true) => 1,
        _ => 0,
    }
}
