//! Transitions: what a host decided about its routes (contract section 2).

use crate::{GroupId, Hlc, KeyRange, ParentRef, ProposalId, RouteId};

/// A route that a transition opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// The host's number for it.
    pub route: RouteId,
    /// The keys it owns.
    pub range: KeyRange,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Routes appear from nothing.
    Create {
        /// The new routes.
        routes: Vec<RouteSpec>,
    },
    /// One route becomes two or more in the same group.
    Split {
        /// The route that closes.
        parent: RouteId,
        /// The routes that open, inside the parent's range.
        children: Vec<RouteSpec>,
    },
    /// Two or more adjacent routes become one in the same group.
    Merge {
        /// The routes that close.
        parents: Vec<RouteId>,
        /// The route that opens over their union.
        survivor: RouteSpec,
    },
    /// A route closes here and names the group where it goes on.
    MoveOut {
        /// The route that closes.
        route: RouteId,
        /// The group it goes to.
        to_group: GroupId,
        /// Its number there.
        to_route: RouteId,
    },
    /// A route that closed in another group opens here.
    MoveIn {
        /// The route that opens.
        route: RouteSpec,
        /// What it was.
        from: ParentRef,
    },
    /// A route disappears.
    Drop {
        /// The route that closes.
        route: RouteId,
    },
    /// A live route without a record gets one.
    Backfill {
        /// The route.
        route: RouteSpec,
    },
    /// The group has a new leader or term.
    Leader {
        /// The node that leads.
        node: String,
        /// Its term.
        term: u64,
    },
}

impl Change {
    /// Its name on every surface.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Split { .. } => "split",
            Self::Merge { .. } => "merge",
            Self::MoveOut { .. } | Self::MoveIn { .. } => "move",
            Self::Drop { .. } => "drop",
            Self::Backfill { .. } => "backfill",
            Self::Leader { .. } => "leader",
        }
    }

    /// How many lineages it creates: the HLC ticks that its command reserves.
    pub fn births(&self) -> u64 {
        match self {
            Self::Create { routes } | Self::Split { children: routes, .. } => routes.len() as u64,
            Self::Merge { .. } | Self::MoveIn { .. } | Self::Backfill { .. } => 1,
            Self::MoveOut { .. } | Self::Drop { .. } | Self::Leader { .. } => 0,
        }
    }
}

/// A change as a command of one group. Everything that applying it needs is in here: replicas never
/// read a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The group it changes.
    pub group: GroupId,
    /// Drawn once, before the command is enqueued.
    pub proposal: ProposalId,
    /// Drawn by the leader of the group. The i-th new lineage uses `hlc + i`.
    pub hlc: Hlc,
    /// The host's catalogue version on which this was decided; 0 = unknown (not checked).
    pub catalogue_version: u64,
    /// What happened.
    pub change: Change,
}
