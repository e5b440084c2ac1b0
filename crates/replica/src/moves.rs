//! The far side of a move: a range that closed in one group, naming its successor, opens in the other.
//!
//! The command is made of the closed record alone, so whoever completes a move, however often, derives
//! the same lineage.

use keyviz_lineage::{Change, GroupId, LineageRecord, RouteId, RouteSpec, Transition};

use crate::command::Command;
use crate::ingest::Ingest;

impl Ingest {
    /// Opens what has moved and is not open yet: the route that moves now, or every one (at a start).
    /// Groups that others lead are left to them.
    pub(crate) fn complete_moves(
        &mut self,
        moved: Option<(GroupId, RouteId)>,
    ) -> Result<(), String> {
        let graph = self.shared.machine.graph();
        let closed: Vec<&LineageRecord> = match moved {
            Some((group, route)) => graph.of_route(group, route).collect(),
            None => graph.records().collect(),
        };
        let mut due: Vec<Transition> = Vec::new();
        for record in closed {
            let (Some((group, route)), Some(closed)) = (record.successor, record.valid_to) else {
                continue;
            };
            if graph.children(record.id).is_empty() && self.shared.log.leads(group) {
                let route = RouteSpec { route, range: record.range.clone() };
                due.push(Transition {
                    group,
                    proposal: record.id.into_bytes(),
                    hlc: closed.plus(1),
                    catalogue_version: 0,
                    change: Change::MoveIn { route, from: record.as_parent() },
                });
            }
        }
        drop(graph);
        // A range that moved on twice opens in the order in which it did.
        due.sort_by_key(|transition| (transition.hlc, transition.proposal));
        for transition in due {
            let (group, lineage) = (transition.group, transition.proposal);
            let applied = self.propose(group, Command::Transitions(vec![transition]))?;
            if let Some(Err(error)) = applied.transitions.first() {
                let lineage = uuid::Uuid::from_bytes(lineage);
                tracing::error!(%lineage, group, %error, "a moved range cannot open in its new group");
            }
        }
        Ok(())
    }
}
