//! Which lineage each row of a column belongs to, remembered from one column of a source to the next.
//!
//! A source tells the same rows every minute. So where a record says byte for byte what the one before
//! said of its rows, nothing of them is decoded, looked up or allocated again.
//!
//! Owns: the last placement of each node, within a budget of bytes.
//! Invariant: a placement is used again only for the same rows, of groups that the record lists, by a
//! graph with the same records, in windows for which the graph would say the same.
//! Must not: decide where a row belongs (`admit.rs` and `rehome.rs` do).
//! Proof: `placement_test.rs`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use keyviz_codec::column_record::ColumnRecord;
use keyviz_lineage::{
    Column, GroupId, HOUR_MS, KeyRange, LineageGraph, LineageId, SourceId, Window, id,
};

use crate::admit::{Admitted, Holds};

/// The rows of a column with their lineages.
#[derive(Debug)]
pub(crate) struct Placement {
    /// What a record says of its rows.
    places: Box<[u8]>,
    /// The node, for all that is made of its columns.
    pub(crate) node: Arc<str>,
    /// One a row; nil where it belongs nowhere, and then in no run.
    pub(crate) lineages: Vec<LineageId>,
    /// Rows of one group that follow each other.
    pub(crate) runs: Vec<(GroupId, Range<usize>)>,
    /// The keys of lineages that only blocks will tell.
    pub(crate) unrecorded: HashMap<LineageId, KeyRange>,
    holds: Holds,
    /// The groups whose rows were not looked at.
    left_out: Vec<GroupId>,
}

impl Placement {
    /// Of a record's column, `admitted` row by row.
    pub(crate) fn new(
        record: &ColumnRecord<'_>,
        column: &Column,
        admitted: &Admitted,
        left_out: Vec<GroupId>,
    ) -> Self {
        debug_assert_eq!(column.rows.len(), admitted.lineages.len());
        let (mut runs, mut unrecorded) = (Vec::<(GroupId, Range<usize>)>::new(), HashMap::new());
        let mut lineages = Vec::with_capacity(column.rows.len());
        for (at, (row, lineage)) in column.rows.iter().zip(&admitted.lineages).enumerate() {
            lineages.push(lineage.unwrap_or_default());
            let Some(lineage) = *lineage else { continue };
            if id::is_unrecorded(lineage) {
                unrecorded.insert(lineage, row.range.clone());
            }
            match runs.last_mut() {
                Some((group, run)) if *group == row.group && run.end == at => run.end = at + 1,
                _ => runs.push((row.group, at..at + 1)),
            }
        }
        let (places, node) = (record.places().into(), record.source.node.as_str().into());
        Self { places, node, lineages, runs, unrecorded, holds: admitted.holds, left_out }
    }

    /// How many rows have a lineage.
    pub(crate) fn placed(&self) -> u64 {
        self.runs.iter().map(|(_, run)| run.len() as u64).sum()
    }

    /// About how many bytes it holds.
    fn bytes(&self) -> usize {
        self.places.len() + self.lineages.len() * size_of::<LineageId>()
    }

    /// Whether the record has the same rows.
    fn is_of(&self, record: &ColumnRecord<'_>) -> bool {
        self.lineages.len() == record.rows()
            && *self.places == *record.places()
            && self.runs.iter().all(|(group, _)| record.groups.binary_search(group).is_ok())
    }
}

/// The last placement of each source.
#[derive(Debug, Default)]
pub(crate) struct Placements {
    /// And when it was used last.
    held: HashMap<SourceId, (Arc<Placement>, u64)>,
    /// The time of the last look, by the monotonic clock.
    now_ms: u64,
}

/// For how long a source may be silent: longer than any step, and than any checkpoint takes to come.
const KEPT_MS: u64 = 2 * HOUR_MS;

/// The most bytes of placements that are remembered, but for the newest.
const MAX_BYTES: usize = 64 << 20;

/// Under which circumstances rows are placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placing<'a> {
    pub(crate) graph: &'a LineageGraph,
    pub(crate) window: Window,
    /// They were accepted before.
    pub(crate) trusted: bool,
    /// Groups whose rows are not looked at.
    pub(crate) left_out: &'a [GroupId],
}

impl Placements {
    /// The placement of a record whose rows the source has told before, if it still holds.
    pub(crate) fn of(
        &mut self,
        record: &ColumnRecord<'_>,
        placing: Placing<'_>,
    ) -> Option<Arc<Placement>> {
        let (held, used_ms) = self.held.get_mut(&record.source)?;
        let Placing { graph, window, trusted, left_out } = placing;
        let holds = held.left_out == left_out && held.holds.for_window(graph, window, trusted);
        (holds && held.is_of(record)).then(|| {
            *used_ms = self.now_ms;
            Arc::clone(held)
        })
    }

    /// Whether the source has told the same rows before.
    pub(crate) fn are_known(&self, record: &ColumnRecord<'_>) -> bool {
        self.held.get(&record.source).is_some_and(|(held, _)| held.is_of(record))
    }

    /// Remembers a placement: one a node, as a node that was started again goes on under another boot.
    pub(crate) fn keep(&mut self, source: &SourceId, placement: Arc<Placement>) {
        self.held.retain(|held, _| held.node != source.node);
        let mut bytes: usize = self.held.values().map(|(held, _)| held.bytes()).sum();
        bytes += placement.bytes();
        while bytes > MAX_BYTES {
            let oldest = self.held.iter().min_by_key(|(_, (_, used_ms))| *used_ms);
            let Some(oldest) = oldest.map(|(held, _)| held.clone()) else { break };
            bytes -= self.held.remove(&oldest).map_or(0, |(held, _)| held.bytes());
        }
        self.held.insert(source.clone(), (placement, self.now_ms));
    }

    /// Forgets those of sources that were silent for long.
    pub(crate) fn forget_unused(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.held.retain(|_, (_, used_ms)| used_ms.saturating_add(KEPT_MS) > now_ms);
    }
}

#[cfg(test)]
#[path = "placement_test.rs"]
mod placement_test;
