//! What a transition changes in the graph, without changing it: checks, births, closes.
//!
//! Pure (L4 of [`crate::graph`]). Proof: `graph_test.rs`.

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
        if self.is_applied(&specs, cause) {
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
            self.check_free(spec, &closing)?;
            records.push(self.record(spec, ordinal as u64, from, parents.clone(), cause));
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
        let group = self.transition.group;
        let closed_before = self.graph.of_route(group, route).any(|record| !record.is_live());
        // A close that comes again (its answer was lost) must not hit the route's next life.
        let older_than_live = |live: &LineageRecord| live.valid_from >= self.transition.hlc;
        if closed_before && self.graph.live_route(group, route).is_none_or(older_than_live) {
            return Ok(Plan::default());
        }
        let parent = self.live_parent(route)?;
        let valid_to = Some(self.valid_from(&[parent]));
        Ok(Plan { records: vec![LineageRecord { valid_to, successor, ..parent.clone() }] })
    }

    pub(crate) fn move_in(&self, spec: &RouteSpec, from: &ParentRef) -> Result<Plan, GraphError> {
        if self.is_applied(&[spec], Cause::Move) {
            return Ok(Plan::default());
        }
        self.check_free(spec, &[])?;
        let valid_from = self.transition.hlc.max(from.valid_from.plus(1));
        let record = self.record(spec, 0, valid_from, vec![from.clone()], Cause::Move);
        Ok(Plan { records: vec![record] })
    }

    /// A live route without a record: its parent is the retained record that overlaps it best.
    pub(crate) fn backfill(&self, spec: &RouteSpec) -> Result<Plan, GraphError> {
        let group = self.transition.group;
        if self.graph.live_route(group, spec.route).is_some_and(|live| live.range == spec.range)
            || self.is_applied(&[spec], Cause::Backfill)
        {
            return Ok(Plan::default());
        }
        self.check_free(spec, &[])?;
        let best = self
            .graph
            .records()
            .filter(|record| {
                record.group == group
                    && !record.is_live()
                    && record.cause != Cause::Recovered
                    && record.range.overlaps(&spec.range)
            })
            .max_by_key(|record| {
                (overlap_rank(&record.range, &spec.range), record.valid_from, record.id)
            });
        let parents: Vec<ParentRef> = best.into_iter().map(LineageRecord::as_parent).collect();
        let from = best.map_or(self.transition.hlc, |parent| self.valid_from(&[parent]));
        Ok(Plan { records: vec![self.record(spec, 0, from, parents, Cause::Backfill)] })
    }

    /// L3: whether all that this opens is in the graph already, under the same command or as the
    /// same event of the catalogue.
    fn is_applied(&self, specs: &[&RouteSpec], cause: Cause) -> bool {
        let t = self.transition;
        specs.iter().enumerate().all(|(ordinal, spec)| {
            let derived = id::derive(t.hlc, t.group, &t.proposal, ordinal as u64);
            self.graph.get(derived).is_some_and(|held| held.range == spec.range)
                || t.catalogue_version != 0
                    && self.graph.of_route(t.group, spec.route).any(|held| {
                        held.cause == cause
                            && held.range == spec.range
                            && held.version == t.catalogue_version.saturating_add(1)
                    })
        })
    }

    fn live_parent(&self, route: RouteId) -> Result<&LineageRecord, GraphError> {
        let (group, change) = (self.transition.group, self.name());
        let parent = self.graph.live_route(group, route).ok_or(GraphError::UnknownRoute {
            change,
            group,
            route,
        })?;
        let decided_at = self.transition.catalogue_version;
        if decided_at != 0 && parent.version > decided_at {
            let (lineage, changed_at) = (parent.id, parent.version);
            return Err(GraphError::Stale {
                change,
                group,
                route,
                lineage,
                changed_at,
                decided_at,
            });
        }
        Ok(parent)
    }

    /// A new route may touch nothing that lives, but what closes with it.
    fn check_free(&self, spec: &RouteSpec, closing: &[&LineageRecord]) -> Result<(), GraphError> {
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
                other: held.id,
                other_route: held.route,
                other_range: held.range.clone(),
            }),
        }
    }

    /// L2 with clocks that disagree: never before a parent's own birth.
    fn valid_from(&self, closing: &[&LineageRecord]) -> Hlc {
        closing.iter().map(|parent| parent.valid_from.plus(1)).fold(self.transition.hlc, Hlc::max)
    }

    fn record(
        &self,
        spec: &RouteSpec,
        ordinal: u64,
        valid_from: Hlc,
        parents: Vec<ParentRef>,
        cause: Cause,
    ) -> LineageRecord {
        let t = self.transition;
        LineageRecord {
            id: id::derive(t.hlc, t.group, &t.proposal, ordinal),
            range: spec.range.clone(),
            route: spec.route,
            group: t.group,
            valid_from,
            valid_to: None,
            parents,
            successor: None,
            proposal: t.proposal,
            cause,
            version: if t.catalogue_version == 0 {
                0
            } else {
                t.catalogue_version.saturating_add(1)
            },
        }
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
