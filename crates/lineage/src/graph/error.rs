//! Why a transition is refused.

use thiserror::Error;

use crate::{GroupId, KeyRange, LineageId, RouteId};

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
