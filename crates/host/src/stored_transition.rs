//! Transitions as JSON: what is kept in the database and what the ledger prints.
//!
//! Owns the field names of both. Keys are hex, a proposal is 32 hex digits, an HLC its decimal.
//! Invariant: `restore(of(t)) == t` for every transition that this host makes.
//! Proof: `records_test.rs`.

use keyviz_lineage::{Change, GroupId, Hlc, KeyRange, ProposalId, RouteId, RouteSpec, Transition};
use serde::{Deserialize, Serialize};

/// A route that opens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredRoute {
    pub(crate) route: RouteId,
    pub(crate) start: String,
    pub(crate) end: String,
}

/// A transition as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredTransition {
    group: GroupId,
    proposal: String,
    hlc: u64,
    catalogue_version: u64,
    change: StoredChange,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredChange {
    Create {
        opens: Vec<StoredRoute>,
    },
    Split {
        closes: RouteId,
        opens: Vec<StoredRoute>,
    },
    Merge {
        closes: Vec<RouteId>,
        opens: StoredRoute,
    },
    MoveOut {
        closes: RouteId,
        to_group: GroupId,
        to_route: RouteId,
    },
    /// Kept for completeness: a leader change is sent anew at each start, not again.
    Leader {
        node: String,
        term: u64,
    },
    /// A change that this host never makes.
    Unsupported {
        name: String,
    },
}

impl StoredRoute {
    pub(crate) fn of(spec: &RouteSpec) -> Self {
        let (start, end) = (hex::encode(spec.range.start()), hex::encode(spec.range.end()));
        Self { route: spec.route, start, end }
    }

    fn restore(&self) -> Result<RouteSpec, String> {
        Ok(RouteSpec { route: self.route, range: key_range(&self.start, &self.end)? })
    }
}

impl StoredTransition {
    pub(crate) fn of(transition: &Transition) -> Self {
        let all = |specs: &[RouteSpec]| specs.iter().map(StoredRoute::of).collect();
        let change = match &transition.change {
            Change::Create { routes } => StoredChange::Create { opens: all(routes) },
            Change::Split { parent, children } => {
                StoredChange::Split { closes: *parent, opens: all(children) }
            }
            Change::Merge { parents, survivor } => {
                StoredChange::Merge { closes: parents.clone(), opens: StoredRoute::of(survivor) }
            }
            Change::MoveOut { route, to_group, to_route } => {
                StoredChange::MoveOut { closes: *route, to_group: *to_group, to_route: *to_route }
            }
            Change::Leader { node, term } => {
                StoredChange::Leader { node: node.clone(), term: *term }
            }
            other @ (Change::MoveIn { .. } | Change::Drop { .. } | Change::Backfill { .. }) => {
                StoredChange::Unsupported { name: other.name().to_owned() }
            }
        };
        Self {
            group: transition.group,
            proposal: hex::encode(transition.proposal),
            hlc: transition.hlc.0,
            catalogue_version: transition.catalogue_version,
            change,
        }
    }

    /// The transition itself, or why it cannot be read.
    pub(crate) fn restore(&self) -> Result<Transition, String> {
        let all = |specs: &[StoredRoute]| -> Result<Vec<RouteSpec>, String> {
            specs.iter().map(StoredRoute::restore).collect()
        };
        let change = match &self.change {
            StoredChange::Create { opens } => Change::Create { routes: all(opens)? },
            StoredChange::Split { closes, opens } => {
                Change::Split { parent: *closes, children: all(opens)? }
            }
            StoredChange::Merge { closes, opens } => {
                Change::Merge { parents: closes.clone(), survivor: opens.restore()? }
            }
            StoredChange::MoveOut { closes, to_group, to_route } => {
                Change::MoveOut { route: *closes, to_group: *to_group, to_route: *to_route }
            }
            StoredChange::Leader { node, term } => {
                Change::Leader { node: node.clone(), term: *term }
            }
            StoredChange::Unsupported { name } => return Err(format!("a stored {name} change")),
        };
        let mut proposal = ProposalId::default();
        hex::decode_to_slice(&self.proposal, &mut proposal).map_err(|error| error.to_string())?;
        let (group, hlc, catalogue_version) = (self.group, Hlc(self.hlc), self.catalogue_version);
        Ok(Transition { group, proposal, hlc, catalogue_version, change })
    }
}

fn key_range(start: &str, end: &str) -> Result<KeyRange, String> {
    let start = hex::decode(start).map_err(|error| error.to_string())?;
    let end = hex::decode(end).map_err(|error| error.to_string())?;
    KeyRange::new(start, end).map_err(|error| error.to_string())
}
