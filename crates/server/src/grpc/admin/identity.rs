//! In which group a range was when, and in which term.
//!
//! A row is a range as of now; before it was split off or moved, its keys were in the groups of what it
//! came from.
//! Proof: `identity_test.rs`.

use std::collections::{BTreeMap, HashSet, VecDeque};

use keyviz_lineage::{GroupId, LineageGraph, LineageId};
use keyviz_replica::GroupState;

/// Ancestors that are looked at; older ones are not known.
const MAX_ANCESTORS: usize = 256;

pub(super) struct Identity<'a> {
    graph: &'a LineageGraph,
    groups: BTreeMap<GroupId, &'a GroupState>,
}

/// From when to when a lineage was in a group.
struct Stay {
    group: GroupId,
    from_ms: u64,
    to_ms: u64,
}

impl<'a> Identity<'a> {
    pub(super) fn new(graph: &'a LineageGraph, groups: &'a [GroupState]) -> Self {
        Self { graph, groups: groups.iter().map(|group| (group.group, group)).collect() }
    }

    /// The group and the term of each column; 0 where it is not known.
    pub(super) fn of(
        &self,
        lineage: LineageId,
        columns_ms: &[u64],
        step_ms: u64,
    ) -> (Vec<u64>, Vec<u64>) {
        let stays = self.stays(lineage);
        let of_column = |&from_ms: &u64| {
            let to_ms = from_ms.saturating_add(step_ms);
            let here = stays.iter().filter(|stay| stay.from_ms < to_ms && stay.to_ms > from_ms);
            let last = here.max_by_key(|stay| (stay.to_ms.min(to_ms), stay.from_ms));
            let group = last.map_or(0, |stay| stay.group);
            let state = self.groups.get(&group);
            (group, state.map_or(0, |state| state.term_at(to_ms - 1)))
        };
        columns_ms.iter().map(of_column).unzip()
    }

    fn stays(&self, lineage: LineageId) -> Vec<Stay> {
        let (mut stays, mut seen) = (Vec::new(), HashSet::from([lineage]));
        let mut open = VecDeque::from([lineage]);
        while let Some(id) = open.pop_front() {
            let Some(record) = self.graph.get(id) else { continue };
            stays.push(Stay {
                group: record.group,
                from_ms: record.valid_from.unix_ms(),
                to_ms: record.valid_to.map_or(u64::MAX, |end| end.unix_ms()),
            });
            for parent in &record.parents {
                if self.graph.get(parent.id).is_none() {
                    // Pruned; its child remembers enough.
                    stays.push(Stay {
                        group: parent.group,
                        from_ms: parent.valid_from.unix_ms(),
                        to_ms: record.valid_from.unix_ms(),
                    });
                } else if seen.len() < MAX_ANCESTORS && seen.insert(parent.id) {
                    open.push_back(parent.id);
                }
            }
        }
        stays
    }
}

#[cfg(test)]
#[path = "identity_test.rs"]
pub(super) mod identity_test;
