//! Which rows of a column can be stored, and under which lineage.
//!
//! A row belongs to the lineage of its group, route, bounds and time ([`LineageGraph::resolve`]). One
//! that no lineage matches is backfilled from the bounds it carries; where those contradict what is
//! known, the row is refused by name and the rest of the column is stored (contract section 4).
//! Virtual buckets have no route, so none of this is for them: they are stored as they come (see
//! `memory.rs`).

use keyviz_lineage::{
    Change, Column, Hlc, LineageGraph, LineageId, LineageRecord, ProposalId, RouteId, RouteSpec,
    Row, Transition,
};

use crate::memory::Placed;

/// What became of a column's rows.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    pub(crate) placed: Vec<Placed>,
    pub(crate) unknown: Vec<Row>,
    pub(crate) refused: Vec<(RouteId, String)>,
    /// Lineages of placed rows that the graph does not expect in this window.
    pub(crate) strays: Vec<LineageId>,
}

/// Sorts rows into placed, unknown and refused. `trusted` rows were accepted before (a replay): the
/// lineage may have closed since, which is no reason to lose them.
pub(crate) fn place(graph: &LineageGraph, column: &Column, trusted: bool) -> Admitted {
    let mut admitted = Admitted::default();
    for row in &column.rows {
        match graph.resolve(row.group, row.route, &row.range, column.window) {
            Some(record) if !trusted && closed_too_long(record, column) => {
                let closed_ms = record.valid_to.map_or(0, Hlc::unix_ms);
                let reason = format!(
                    "route {} of group {} closed at {closed_ms} (lineage {}), long before window {}; report traffic under the route that owns the keys now",
                    row.route, row.group, record.id, column.window.start_ms
                );
                admitted.refused.push((row.route, reason));
            }
            Some(record) => {
                let window = column.window;
                if !LineageGraph::expects(record, window.start_ms, window.end_ms()) {
                    admitted.strays.push(record.id);
                }
                admitted.placed.push((record.id, row.clone()));
            }
            None => admitted.unknown.push(row.clone()),
        }
    }
    admitted
}

/// The longest time after its close for which counts of a route are taken: two of the longest steps
/// that can be recorded.
pub(crate) const MAX_GRACE_MS: u64 = 2 * 600_000;

/// Late counts of a closed route (still in flight, or from a follower that had not heard) are taken
/// for max(2 steps, 5 s) after its close.
fn closed_too_long(record: &LineageRecord, column: &Column) -> bool {
    let grace_ms = (2 * column.window.step.ms()).clamp(5_000, MAX_GRACE_MS);
    record
        .valid_to
        .is_some_and(|end| column.window.start_ms > end.unix_ms().saturating_add(grace_ms))
}

/// The command that backfills an unknown row's route.
pub(crate) fn backfill(row: &Row, hlc: Hlc, proposal: ProposalId) -> Transition {
    let route = RouteSpec { route: row.route, range: row.range.clone() };
    Transition {
        group: row.group,
        proposal,
        hlc,
        catalogue_version: 0,
        change: Change::Backfill { route },
    }
}
