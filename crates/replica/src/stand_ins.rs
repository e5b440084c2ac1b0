//! Stand-ins for lineages whose record is lost: at start, what has blocks but no record is given one
//! in memory, from the keys that its blocks say (see `bounds.rs`), so that queries link it by overlap
//! and nothing that was counted is out of sight (contract section 4).
//!
//! A stand-in has no route, no parents and an end, so no column and no transition finds it, and no
//! edge leads to it: other replicas do not have it, and a record must not depend on it. It is never
//! stored: the next start makes it again from what is retained by then.
//! Proof: `stand_ins_test.rs`.

use keyviz_lineage::{Cause, GroupId, HOUR_MS, Hlc, LineageGraph, LineageRecord};
use keyviz_store::{StoreError, Unrecorded, View};

use crate::counters::Counters;

/// Gives `graph` a stand-in for each lineage of the groups that has blocks but no record.
pub(crate) fn add(
    view: &View<'_>,
    groups: impl IntoIterator<Item = GroupId>,
    graph: &mut LineageGraph,
    counters: &Counters,
) -> Result<(), StoreError> {
    for group in groups {
        for found in view.unrecorded(group, &|id| graph.get(id).is_some())? {
            let Unrecorded { lineage, first_hour, last_hour, .. } = found;
            match stand_in(group, found) {
                Some(record) => {
                    tracing::warn!(group, %lineage, first_hour, last_hour, range = %record.range, "a lineage has lost its record; it is shown by the keys that its blocks say");
                    Counters::add(&counters.recovered_lineages, 1);
                    graph.install(record);
                }
                None => {
                    tracing::error!(group, %lineage, first_hour, last_hour, "a lineage has lost its record and no block says its keys: its hours cannot be shown; restore its record from a backup, they expire with the retention");
                    Counters::add(&counters.lost_lineages, 1);
                }
            }
        }
    }
    Ok(())
}

fn stand_in(group: GroupId, found: Unrecorded) -> Option<LineageRecord> {
    let at = |hour: u64| Hlc::new(hour.saturating_mul(HOUR_MS), 0);
    Some(LineageRecord {
        id: found.lineage,
        range: found.range?,
        route: 0,
        group,
        valid_from: at(found.first_hour),
        valid_to: Some(at(found.last_hour.saturating_add(1))),
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Recovered,
        version: 0,
    })
}

#[cfg(test)]
#[path = "stand_ins_test.rs"]
mod stand_ins_test;
