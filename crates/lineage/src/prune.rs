//! Taking records out of the graph again, once nothing that is kept needs them.
//!
//! A record that goes ends the walk: its children keep their pointers to it (enough to draw it), and
//! [`LineageGraph::children`] goes on listing them, as after a restart that loads only them.
//! Must not: decide what may go; the owner of the retention does.
//! Proof: `prune_test.rs`.

use std::collections::hash_map::Entry;

use crate::{LineageGraph, LineageId, LineageRecord};

impl LineageGraph {
    /// Forgets a record. Returns it, or `None` if it is not there.
    pub fn remove(&mut self, id: LineageId) -> Option<LineageRecord> {
        let record = self.records.remove(&id)?;
        let slot = (record.group, Box::from(record.range.start()));
        if self.live.get(&slot) == Some(&id) {
            self.live.remove(&slot);
        }
        forget(self.by_route.entry((record.group, record.route)), id);
        for parent in &record.parents {
            forget(self.children.entry(parent.id), id);
        }
        Some(record)
    }
}

/// Takes `id` out of a list, and the list away with its last one.
fn forget<K>(list: Entry<'_, K, Vec<LineageId>>, id: LineageId) {
    if let Entry::Occupied(mut list) = list {
        list.get_mut().retain(|held| *held != id);
        if list.get().is_empty() {
            list.remove();
        }
    }
}

#[cfg(test)]
#[path = "prune_test.rs"]
mod prune_test;
