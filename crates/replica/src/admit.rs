//! Which rows of a column can be stored, and under which lineage.
//!
//! A row belongs to the lineage of its group, route, bounds and time ([`LineageGraph::resolve`]). One
//! that no lineage matches is backfilled from the bounds it carries; where those contradict what is
//! known, the row is refused by name and the rest of the column is stored (contract section 4).
//! Virtual buckets have no route, so none of this is for them: they are stored as they come (see
//! `memory.rs`).

use keyviz_lineage::{
    Change, Column, GroupId, Hlc, LineageGraph, LineageId, LineageRecord, ProposalId, Resolved,
    RouteId, RouteSpec, Row, Transition, Window,
};

/// What became of a column's rows.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// The lineage of each row; `None` where it is unknown, refused or left out.
    pub(crate) lineages: Vec<Option<LineageId>>,
    /// Rows that no lineage matches.
    pub(crate) unknown: Vec<usize>,
    pub(crate) refused: Vec<(RouteId, String)>,
    /// Lineages of placed rows that the graph does not expect in this window.
    pub(crate) strays: Vec<LineageId>,
    /// When the same rows would be placed in the same way, and the graph knows of all of it.
    pub(crate) holds: Holds,
}

/// By which graph and in which windows rows are placed as they were. Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holds {
    revision: u64,
    /// A window ends after the first, and not after the second.
    ends_ms: (u64, u64),
    /// It lies where the graph would look for it.
    within_ms: (u64, u64),
    /// The first close of one of their lineages.
    closed_ms: u64,
}

impl Holds {
    /// For no window.
    pub(crate) const NEVER: Self =
        Self { revision: 0, ends_ms: (u64::MAX, 0), within_ms: (u64::MAX, 0), closed_ms: 0 };

    pub(crate) fn for_window(&self, graph: &LineageGraph, window: Window, trusted: bool) -> bool {
        let (from_ms, to_ms) = (window.start_ms, window.end_ms());
        self.revision == graph.revision()
            && (self.ends_ms.0 < to_ms && to_ms <= self.ends_ms.1)
            && (self.within_ms.0 <= from_ms && to_ms <= self.within_ms.1)
            && (trusted || from_ms <= last_taken_ms(self.closed_ms, window))
    }

    fn take(&mut self, resolved: &Resolved<'_>) {
        let (after, until) = resolved.ends_ms;
        self.ends_ms = (self.ends_ms.0.max(after), self.ends_ms.1.min(until));
        let (from, to) = resolved.known_ms;
        self.within_ms = (self.within_ms.0.max(from), self.within_ms.1.min(to));
        let closed_ms = resolved.record.valid_to.map_or(u64::MAX, Hlc::unix_ms);
        self.closed_ms = self.closed_ms.min(closed_ms);
    }
}

/// Sorts rows into placed, unknown and refused; those of groups that are `left_out` are not looked at.
/// `trusted` rows were accepted before (a replay): the lineage may have closed since, which is no
/// reason to lose them.
pub(crate) fn place(
    graph: &LineageGraph,
    column: &Column,
    trusted: bool,
    left_out: &[GroupId],
) -> Admitted {
    let (revision, all) = (graph.revision(), (0, u64::MAX));
    let holds = Holds { revision, ends_ms: all, within_ms: all, closed_ms: u64::MAX };
    let lineages = vec![None; column.rows.len()];
    let (unknown, refused, strays) = (Vec::new(), Vec::new(), Vec::new());
    let mut admitted = Admitted { lineages, unknown, refused, strays, holds };
    let window = column.window;
    for (at, row) in column.rows.iter().enumerate() {
        if left_out.contains(&row.group) {
            continue;
        }
        match graph.resolve_within(row.group, row.route, &row.range, window) {
            Some(Resolved { record, .. }) if !trusted && closed_too_long(record, window) => {
                let closed_ms = record.valid_to.map_or(0, Hlc::unix_ms);
                let reason = format!(
                    "route {} of group {} closed at {closed_ms} (lineage {}), long before window {}; report traffic under the route that owns the keys now",
                    row.route, row.group, record.id, window.start_ms
                );
                admitted.refused.push((row.route, reason));
            }
            Some(resolved) => {
                if !LineageGraph::expects(resolved.record, window.start_ms, window.end_ms()) {
                    admitted.strays.push(resolved.record.id);
                }
                admitted.holds.take(&resolved);
                admitted.lineages[at] = Some(resolved.record.id);
            }
            None => admitted.unknown.push(at),
        }
    }
    admitted
}

/// The longest time after its close for which counts of a route are taken: two of the longest steps
/// that can be recorded.
pub(crate) const MAX_GRACE_MS: u64 = 2 * 600_000;

/// The last start of a window in which counts of a route are taken that closed then.
fn last_taken_ms(closed_ms: u64, window: Window) -> u64 {
    closed_ms.saturating_add((2 * window.step.ms()).clamp(5_000, MAX_GRACE_MS))
}

/// Late counts of a closed route (still in flight, or from a follower that had not heard) are taken
/// for max(2 steps, 5 s) after its close.
fn closed_too_long(record: &LineageRecord, window: Window) -> bool {
    record.valid_to.is_some_and(|end| window.start_ms > last_taken_ms(end.unix_ms(), window))
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
