//! The lineages of a history as plain rectangles, keys x time, drawn from the commands alone: no graph,
//! no index, no plan. What a graph says of a history must be this list.
//!
//! Which commands were taken, and which of these were news, is the planner's to say (its own tests are
//! in `keyviz-lineage`); what they made of the keys is worked out here.

use keyviz_lineage::{
    Cause, Change, GroupId, HOUR_MS, Hlc, KeyRange, LineageId, LineageRecord, ParentRef, RouteId,
    RouteSpec, Transition, id,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Rectangles {
    pub(crate) list: Vec<LineageRecord>,
}

impl Rectangles {
    /// A command that was taken for the first time.
    pub(crate) fn take(&mut self, command: &Transition) {
        match &command.change {
            Change::Create { routes } => self.open(command, routes, &[], Cause::Create),
            Change::Split { parent, children } => {
                let from = self.close(command, &[*parent], None);
                self.open(command, children, &from, Cause::Split);
            }
            Change::Merge { parents, survivor } => {
                let from = self.close(command, parents, None);
                self.open(command, std::slice::from_ref(survivor), &from, Cause::Merge);
            }
            Change::MoveOut { route, to_group, to_route } => {
                self.close(command, &[*route], Some((*to_group, *to_route)));
            }
            Change::Drop { route } => {
                self.close(command, &[*route], None);
            }
            Change::MoveIn { route, from } => {
                self.open(
                    command,
                    std::slice::from_ref(route),
                    std::slice::from_ref(from),
                    Cause::Move,
                );
            }
            Change::Backfill { route } => {
                let parent = self.best(command, &route.range);
                self.open(command, std::slice::from_ref(route), &parent, Cause::Backfill);
            }
            Change::Leader { .. } => {}
        }
    }

    fn live(&self, group: GroupId, route: RouteId) -> usize {
        let is_it =
            |held: &LineageRecord| held.is_live() && (held.group, held.route) == (group, route);
        self.list.iter().position(is_it).unwrap()
    }

    /// All end at one moment, and none before it was born.
    fn close(
        &mut self,
        command: &Transition,
        routes: &[RouteId],
        successor: Option<(GroupId, RouteId)>,
    ) -> Vec<ParentRef> {
        let mut places: Vec<usize> =
            routes.iter().map(|&route| self.live(command.group, route)).collect();
        places.sort_by(|&a, &b| self.list[a].range.start().cmp(self.list[b].range.start()));
        let closing: Vec<ParentRef> = places.iter().map(|&at| self.list[at].as_parent()).collect();
        let end = later(command.hlc, &closing);
        for at in places {
            (self.list[at].valid_to, self.list[at].successor) = (Some(end), successor);
        }
        closing
    }

    fn open(
        &mut self,
        command: &Transition,
        routes: &[RouteSpec],
        parents: &[ParentRef],
        cause: Cause,
    ) {
        let valid_from =
            if cause == Cause::Move { command.hlc } else { later(command.hlc, parents) };
        let mut routes = routes.to_vec();
        routes.sort_by(|a, b| a.range.start().cmp(b.range.start()));
        for (nth, route) in (0..).zip(routes) {
            self.list.push(LineageRecord {
                id: id::derive(command.hlc, command.group, &command.proposal, nth),
                range: route.range,
                route: route.route,
                group: command.group,
                valid_from,
                valid_to: None,
                parents: parents.to_vec(),
                successor: None,
                proposal: command.proposal,
                cause,
                version: 0,
            });
        }
    }

    /// Whom a route without a record continues: of the group's closed lineages that began before it,
    /// one with the same keys, else one around them, else one within them, else one that shares some;
    /// the latest.
    fn best(&self, command: &Transition, range: &KeyRange) -> Vec<ParentRef> {
        let fit = |held: &LineageRecord| match &held.range {
            held if held == range => 4,
            held if held.covers(range) => 3,
            held if range.covers(held) => 2,
            held if range.overlaps(held) => 1,
            _ => 0,
        };
        let closed = self.list.iter().filter(|held| {
            held.group == command.group
                && !held.is_live()
                && held.valid_from < command.hlc
                && held.cause != Cause::Recovered
        });
        let best = closed.max_by_key(|held| (fit(held), held.valid_from, held.id));
        best.filter(|held| fit(held) > 0).map(LineageRecord::as_parent).into_iter().collect()
    }

    /// A record is lost; of the lineage only what was recorded is left, if that says when.
    pub(crate) fn lose(&mut self, lost: LineageId, recorded_hours: Option<(u64, u64)>) {
        let Some(at) = self.list.iter().position(|held| held.id == lost) else { return };
        let held = self.list.remove(at);
        if let Some((first, last)) = recorded_hours {
            self.list.push(LineageRecord {
                route: 0,
                valid_from: Hlc::new(first * HOUR_MS, 0),
                valid_to: Some(Hlc::new((last + 1) * HOUR_MS, 0)),
                parents: vec![],
                successor: None,
                cause: Cause::Recovered,
                ..held
            });
        }
    }

    /// In the order that does not depend on how they are kept.
    pub(crate) fn sorted(mut records: Vec<LineageRecord>) -> Vec<LineageRecord> {
        records.sort_by_key(|record| record.id);
        records
    }
}

/// The moment of a command, or just after the birth of the latest of `parents`.
fn later(hlc: Hlc, parents: &[ParentRef]) -> Hlc {
    parents.iter().map(|parent| parent.valid_from.plus(1)).fold(hlc, Hlc::max)
}
