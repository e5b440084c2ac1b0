//! What comes again (L3 of [`crate::graph`]): the same command, or the same event under another
//! proposal id, because a new leader retries what the old one had started.
//!
//! The natural key of an event is (parents, cause, catalogue version, start, end): the first that is
//! applied wins. With a known version, equal keys are enough. With version 0 (unknown) a parent that
//! has closed by just this event tells; where route numbers are used again, the HLC says which life
//! of the route is meant. Backfills and moves have no version of their own: a backfill repeats when
//! its route has a record of that time, a move when its parent has been continued here.
//! Pure. Must look at records of the transition's own group only (see [`crate::plan`]).
//! Proof: `graph_test.rs`, `repeat_test.rs`.

use crate::plan::Planner;
use crate::record::{Cause, LineageRecord, ParentRef};
use crate::transition::RouteSpec;
use crate::{GroupId, KeyRange, LineageId, RouteId};

impl Planner<'_> {
    /// The same command: an id that it derives is known over the same keys, and none over others.
    /// One is enough: of several that were born together, some may have been removed since.
    pub(crate) fn is_same_command(&self, specs: &[&RouteSpec]) -> bool {
        let known = (0..).zip(specs).filter_map(|(ordinal, spec)| {
            self.known_range(self.new_id(ordinal)).map(|known| *known == spec.range)
        });
        known.reduce(|all, same| all && same).unwrap_or(false)
    }

    /// The same event: what it opens was born of the same parents, for the same cause, at the same
    /// version of the catalogue.
    pub(crate) fn is_same_birth(
        &self,
        specs: &[&RouteSpec],
        parents: &[RouteId],
        cause: Cause,
    ) -> bool {
        let group = self.transition.group;
        let is_same = |held: &LineageRecord, spec: &RouteSpec| {
            held.cause == cause
                && held.range == spec.range
                && held.version == self.version_after()
                && self.has_parents(held, parents)
        };
        let Some(&first) = parents.first() else {
            return specs.iter().all(|spec| {
                let mut held = self.graph.of_route(group, spec.route);
                held.any(|held| {
                    is_same(held, spec) && (held.version != 0 || self.is_before_end(held))
                })
            });
        };
        let is_past = |route: &RouteId| {
            self.graph.live_route(group, *route).is_none_or(|live| self.is_before_life(live))
        };
        (self.version_after() != 0 || parents.iter().all(is_past))
            && specs.iter().all(|spec| {
                let parents = self.graph.of_route(group, first);
                parents
                    .flat_map(|parent| self.children_here(parent))
                    .any(|held| is_same(held, spec))
            })
    }

    /// The same end: the route has closed in this very way, just when this would have closed it, or
    /// what lives under its number now (if anything does) was born later.
    pub(crate) fn is_same_close(
        &self,
        route: RouteId,
        successor: Option<(GroupId, RouteId)>,
    ) -> bool {
        let group = self.transition.group;
        let went_on = |held: &LineageRecord| {
            self.children_here(held).any(|child| matches!(child.cause, Cause::Split | Cause::Merge))
        };
        let ended_so =
            |held: &LineageRecord| !held.is_live() && held.successor == successor && !went_on(held);
        let ended_then = |held: &LineageRecord| held.valid_to == Some(self.valid_from(&[held]));
        let is_past = self.graph.live_route(group, route).is_none_or(|live| self.is_later(live));
        let mut held = self.graph.of_route(group, route);
        held.any(|held| ended_so(held) && (is_past || ended_then(held)))
    }

    /// The parent was continued in this group already.
    pub(crate) fn is_same_move(&self, from: &ParentRef) -> bool {
        let group = self.transition.group;
        let children = self.graph.children(from.id).into_iter();
        let mut children = children.filter_map(|id| self.graph.get(id));
        children.any(|held| held.group == group && held.cause == Cause::Move)
    }

    /// The route had a record with these bounds when this was decided, so there is nothing to fill.
    pub(crate) fn has_record(&self, spec: &RouteSpec) -> bool {
        self.graph
            .of_route(self.transition.group, spec.route)
            .any(|held| held.range == spec.range && self.is_before_end(held))
    }

    /// Whether this speaks of an earlier life of a route that has closed and come again.
    pub(crate) fn is_before_life(&self, live: &LineageRecord) -> bool {
        self.is_later(live)
            && self.graph.of_route(live.group, live.route).any(|held| !held.is_live())
    }

    /// Whether a route was born after this was decided: by the catalogue's version where both have
    /// one, else by the HLC.
    fn is_later(&self, live: &LineageRecord) -> bool {
        match (self.transition.catalogue_version, live.version) {
            (0, _) | (_, 0) => live.valid_from >= self.transition.hlc,
            (decided_at, born_at) => born_at > decided_at,
        }
    }

    fn is_before_end(&self, held: &LineageRecord) -> bool {
        held.valid_to.is_none_or(|end| self.transition.hlc < end)
    }

    fn has_parents(&self, held: &LineageRecord, routes: &[RouteId]) -> bool {
        let is_one = |parent: &ParentRef| {
            self.graph.get(parent.id).is_none_or(|parent| routes.contains(&parent.route))
        };
        held.parents.len() == routes.len() && held.parents.iter().all(is_one)
    }

    fn children_here(&self, parent: &LineageRecord) -> impl Iterator<Item = &LineageRecord> {
        let children = self.graph.children(parent.id).into_iter();
        let group = parent.group;
        children.filter_map(|id| self.graph.get(id)).filter(move |child| child.group == group)
    }

    /// The keys of a lineage of this group that is known: held, or removed before its children.
    pub(crate) fn known_range(&self, id: LineageId) -> Option<&KeyRange> {
        if let Some(held) = self.graph.get(id) {
            return Some(&held.range);
        }
        let children = self.graph.children(id).into_iter();
        let children = children.filter_map(|child| self.graph.get(child));
        children
            .filter(|child| child.group == self.transition.group)
            .flat_map(|child| &child.parents)
            .find(|parent| parent.id == id)
            .map(|parent| &parent.range)
    }
}

#[cfg(test)]
#[path = "repeat_test.rs"]
mod repeat_test;
