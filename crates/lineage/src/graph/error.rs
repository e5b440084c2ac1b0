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
    /// Two live ranges of one group would overlap.
    #[error(
        "{change}: route {route} {range} would overlap live route {other_route} {other_range} (lineage {other}) in group {group}"
    )]
    Overlap {
        change: &'static str,
        group: GroupId,
        route: RouteId,
        range: KeyRange,
        other: LineageId,
        other_route: RouteId,
        other_range: KeyRange,
    },
    /// A route number that is live already.
    #[error("{change}: route {route} is live already in group {group} (lineage {lineage})")]
    RouteInUse { change: &'static str, group: GroupId, route: RouteId, lineage: LineageId },
    /// The shape of the change is wrong.
    #[error("{change} in group {group}: {reason}")]
    Shape { change: &'static str, group: GroupId, reason: &'static str },
}
