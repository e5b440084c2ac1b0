//! Which lineage records go, and when (contract section 4).
//!
//! A closed lineage goes once nothing retained needs it: its last hour lies before what any tier
//! holds, no block of it is retained (late columns of a closed lineage), none waits in memory for the
//! store, no pin covers it, and what it came from has gone before it. That last rule keeps the graph
//! a suffix of history: whoever is held still finds all that became of it, so a move is not completed
//! twice and a repeated drop is not taken for a new one.
//!
//! Once an hour the checkpoint thread looks ([`order`]), unless garbage collection is frozen, and the
//! ingest thread decides ([`Ingest::sweep`]), because it is the one that gives rows to lineages: while
//! it does, none is underway. What it names goes as a command of the group's log.
//! Must not: remove blocks (they go by their hour, by compaction).
//! Proof: `sweep_test.rs`.

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::Sender;

use keyviz_lineage::{GroupId, Hlc, LineageGraph, LineageId, LineageRecord, unix_hour};
use keyviz_store::{StoreError, View};

use crate::admit::MAX_GRACE_MS;
use crate::command::{Command, Sweep};
use crate::counters::Counters;
use crate::ingest::{Ingest, Job};
use crate::recorder::Shared;

/// Records that one command removes at most.
const MAX_SWEPT: usize = 10_000;

/// Has the ingest thread remove what may go at wall time `now_ms`.
pub(crate) fn order(shared: &Shared, jobs: &Sender<Job>, now_ms: u64) {
    let before_hour = shared.store.retention().first_hour_of_any_tier_at(now_ms);
    // In this order: what has closed in the graph is in the view.
    let graph = shared.machine.graph();
    let view = shared.store.view(now_ms);
    match removable(&graph, &view, before_hour) {
        Ok(found) => {
            for (group, sweep) in found {
                if shared.log.leads(group) {
                    // The ingest thread outlives this one.
                    let _ = jobs.send(Job::Sweep { group, sweep });
                }
            }
        }
        Err(error) => tracing::warn!(%error, "lineage records are not swept this hour"),
    }
}

/// What may go by what is stored, group by group: the closed lineages whose last hour lies before
/// `before_hour`, without those that have blocks since then, and without what came of these. `view` is
/// no older than `graph`.
///
/// # Errors
/// A read failure of the store.
pub fn removable(
    graph: &LineageGraph,
    view: &View<'_>,
    before_hour: u64,
) -> Result<Vec<(GroupId, Sweep)>, StoreError> {
    let mut found = Vec::new();
    for (group, due) in due(graph, before_hour) {
        let with_blocks = view.lineages_with_blocks(group, due.iter().copied(), before_hour)?;
        let is_kept = |record: &LineageRecord| {
            with_blocks.contains(&record.id) || view.pins().keeps_lineage(group, record.id)
        };
        let going = parents_first(graph, &due, is_kept);
        let persisted_to = view.applied(group)?.wal_sequence;
        for lineages in going.chunks(MAX_SWEPT).map(<[LineageId]>::to_vec) {
            found.push((group, Sweep { before_hour, persisted_to, lineages }));
        }
    }
    Ok(found)
}

/// The closed lineages of each group whose last hour lies before `before_hour`, oldest first.
pub(crate) fn due(graph: &LineageGraph, before_hour: u64) -> BTreeMap<GroupId, Vec<LineageId>> {
    let mut due: BTreeMap<GroupId, Vec<(Hlc, LineageId)>> = BTreeMap::new();
    for record in graph.records() {
        if last_hour(record).is_some_and(|hour| hour < before_hour) {
            due.entry(record.group).or_default().push((record.valid_from, record.id));
        }
    }
    let sorted = |mut records: Vec<(Hlc, LineageId)>| {
        records.sort_unstable();
        records.into_iter().map(|(_, id)| id).collect()
    };
    due.into_iter().map(|(group, records)| (group, sorted(records))).collect()
}

/// The last hour that a column of this lineage can still be for; `None` while it lives.
fn last_hour(record: &LineageRecord) -> Option<u64> {
    record.valid_to.map(|end| unix_hour(end.unix_ms().saturating_add(MAX_GRACE_MS)))
}

/// Of `due` (oldest first), those that are not kept and do not come from one that is.
pub(crate) fn parents_first(
    graph: &LineageGraph,
    due: &[LineageId],
    is_kept: impl Fn(&LineageRecord) -> bool,
) -> Vec<LineageId> {
    let mut going = HashSet::new();
    let mut in_order = Vec::new();
    for record in due.iter().filter_map(|&id| graph.get(id)) {
        let stays = |parent: LineageId| !going.contains(&parent) && graph.get(parent).is_some();
        if !is_kept(record) && !record.parents.iter().any(|parent| stays(parent.id)) {
            going.insert(record.id);
            in_order.push(record.id);
        }
    }
    in_order
}

impl Ingest {
    /// Removes what was looked for, but what memory names: it will be in the store soon.
    pub(crate) fn sweep(&mut self, group: GroupId, mut sweep: Sweep) {
        self.finish();
        if !self.limbo.is_empty() {
            // Rows of a commit that failed are in neither place. The next hour will do.
            return;
        }
        let memory = self.shared.memory_snapshot();
        let deltas = memory.get(&group).map_or(&[][..], |held| &held.deltas);
        let named: HashSet<LineageId> =
            deltas.iter().flat_map(|delta| delta.blocks.keys()).map(|(id, _)| *id).collect();
        drop(memory);
        let graph = self.shared.machine.graph();
        let is_named = |record: &LineageRecord| named.contains(&record.id);
        sweep.lineages = parents_first(&graph, &sweep.lineages, is_named);
        // The graph is changed in place where nobody else holds it.
        drop(graph);
        if sweep.lineages.is_empty() {
            return;
        }
        match self.propose(group, Command::SweepLineage(sweep)) {
            Ok(outcome) => Counters::add(&self.shared.counters.swept_lineages, outcome.swept),
            Err(reason) => tracing::warn!(group, reason, "lineage records are not swept this hour"),
        }
    }
}

#[cfg(test)]
#[path = "sweep_test.rs"]
mod sweep_test;
