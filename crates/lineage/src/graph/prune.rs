//! Taking records out of the graph again, once nothing that is kept needs them.
//!
//! A record that goes ends the walk: its children keep their pointers to it (enough to draw it), and
//! [`LineageGraph::children`] goes on listing them, as after a restart that loads only them. Its slot
//! stays empty until a quarter of all slots is; then the graph is numbered anew.
//! Must not: decide what may go; the owner of the retention does.
//! Proof: `prune_test.rs`.

use std::sync::Arc;

use super::slots::{Edges, Spot};
use super::{LineageGraph, Slot};
use crate::{LineageId, LineageRecord};

/// Empty slots that are not worth a new numbering.
const FEW: usize = 1_024;

impl LineageGraph {
    /// Forgets a record. Returns it, or `None` if it is not there.
    pub fn remove(&mut self, id: LineageId) -> Option<LineageRecord> {
        let slot = self.slot(id)?;
        let record = self.slots.records.get_mut(slot as usize)?.take()?;
        self.revision += 1;
        if let Some(spot) = self.slots.spots.get_mut(slot as usize) {
            *spot = Spot::NOWHERE;
        }
        let children = self.slots.children.get(slot as usize).cloned().unwrap_or_default();
        self.leave_children(id, children);
        self.by_id.shard_mut(&id).remove(&id);
        let route = (record.group, record.route);
        if let Some(slots) = self.by_route.shard_mut(&route).get_mut(&route) {
            slots.retain(|&mut at| at != slot);
            if slots.is_empty() {
                self.by_route.shard_mut(&route).remove(&route);
            }
        }
        let (start, _) = record.range.shared();
        if let Some(live) = self.live.get_mut(&record.group)
            && live.get(start) == Some(&slot)
        {
            Arc::make_mut(live).remove(start);
        }
        for parent in &record.parents {
            self.forget_orphan(parent.id, slot);
        }
        if let Some(count) = self.groups.get_mut(&record.group) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&record.group);
            }
        }
        self.strays.remove(&slot);
        self.recovered.remove(&slot);
        // A backfilled child owned its keys since its parent's end, of which nothing is known now.
        self.settle_backfilled(id);
        self.removed += 1;
        if self.removed > FEW && self.removed > self.slots.len() / 4 {
            self.renumber();
        }
        Some(Arc::unwrap_or_clone(record))
    }

    /// The children of one that goes are found by its id all the same.
    fn leave_children(&mut self, id: LineageId, mut children: Edges) {
        children.retain(|&mut child| self.record(child).is_some());
        if !children.is_empty() {
            self.orphans.shard_mut(&id).entry(id).or_default().extend(children);
        }
    }

    fn forget_orphan(&mut self, parent: LineageId, slot: Slot) {
        let shard = self.orphans.shard_mut(&parent);
        if let Some(orphans) = shard.get_mut(&parent) {
            orphans.retain(|&mut at| at != slot);
            if orphans.is_empty() {
                shard.remove(&parent);
            }
        }
    }
}

#[cfg(test)]
#[path = "prune_test.rs"]
mod prune_test;
