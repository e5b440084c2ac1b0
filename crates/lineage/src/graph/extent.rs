//! When something may have been recorded of a lineage: its life, and a little around it.
//!
//! A walk along the edges stops where no lineage behind can have recorded anything in the asked-for
//! span, so the bounds kept here must never be too narrow:
//! - a column is taken for a closed lineage until max(2 steps, 5 s) after its close, and its window
//!   begins up to a step before the birth; a step is at most ten minutes;
//! - one that was backfilled owned its keys before keyviz met it;
//! - what is recorded outside of that all the same (a host that imports old columns under a route
//!   that it created today) is told to [`LineageGraph::note_recorded`].
//!
//! The bounds are whole hours, as stored blocks are: so a start that only knows which hours have
//! blocks can tell what is outside.

use super::{LineageGraph, Node, Slot};
use crate::record::{Cause, LineageRecord};
use crate::{HOUR_MS, Hlc, LineageId, unix_hour};

/// The longest step of a window that a node records.
const LONGEST_STEP_MS: u64 = 600_000;
/// Around a life: a window that begins a step before the birth; two steps of grace after the close,
/// and the window that begins there.
const BEFORE_MS: u64 = LONGEST_STEP_MS;
const AFTER_MS: u64 = 3 * LONGEST_STEP_MS;

/// The whole hours around a life.
const fn around(from_ms: u64, end_ms: u64) -> (u64, u64) {
    let first_hour = unix_hour(from_ms.saturating_sub(BEFORE_MS));
    let last_hour = unix_hour(end_ms.saturating_add(AFTER_MS));
    (first_hour * HOUR_MS, (last_hour + 1).saturating_mul(HOUR_MS))
}

impl LineageGraph {
    /// From when a lineage owned its keys, Unix milliseconds. One that was backfilled owned them
    /// before keyviz met it, back to the end of the one it continues (contract section 4).
    pub fn owned_from_ms(&self, record: &LineageRecord) -> u64 {
        let born_ms = record.valid_from.unix_ms();
        if record.cause != Cause::Backfill {
            return born_ms;
        }
        let parents = record.parents.iter().filter_map(|parent| self.get(parent.id));
        let ends = parents.map(|parent| parent.valid_to.map_or(born_ms, Hlc::unix_ms));
        ends.max().unwrap_or(0).min(born_ms)
    }

    /// Whether a window of a lineage lies where the graph expects it. If not, the graph must be told
    /// ([`Self::note_recorded`]).
    pub fn expects(record: &LineageRecord, from_ms: u64, to_ms: u64) -> bool {
        let end_ms = record.valid_to.map_or(u64::MAX, Hlc::unix_ms);
        let (first_ms, last_ms) = around(record.valid_from.unix_ms(), end_ms);
        from_ms >= first_ms && to_ms <= last_ms
    }

    /// Whether something may have been recorded of a slot, or of an ancestor, at `from_ms` or later.
    pub(super) fn has_past(&self, slot: Slot, from_ms: u64) -> bool {
        self.nodes.get(slot as usize).is_some_and(|node| node.past_until_ms > from_ms)
    }

    /// Whether something may have been recorded of a slot, or of a descendant, before `to_ms`.
    pub(super) fn has_future(&self, slot: Slot, to_ms: u64) -> bool {
        self.nodes.get(slot as usize).is_some_and(|node| node.future_from_ms < to_ms)
    }

    /// Whether something may have been recorded of a slot in `[from_ms, to_ms)`.
    pub fn may_hold(&self, slot: Slot, from_ms: u64, to_ms: u64) -> bool {
        let node = self.nodes.get(slot as usize);
        node.is_some_and(|node| node.extent.0 < to_ms && from_ms < node.extent.1)
    }

    /// Whether the graph would look for something recorded of `id` in `[from_ms, to_ms)`.
    pub fn knows_of(&self, id: LineageId, from_ms: u64, to_ms: u64) -> bool {
        let node = self.slot(id).and_then(|slot| self.nodes.get(slot as usize));
        node.is_none_or(|node| node.extent.0 <= from_ms && to_ms <= node.extent.1)
    }

    /// Something was recorded of a lineage in `[from_ms, to_ms)`, whatever its life says. Returns
    /// whether that was news.
    pub fn note_recorded(&mut self, id: LineageId, from_ms: u64, to_ms: u64) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        if !self.widen(slot, from_ms, to_ms) {
            return false;
        }
        if self.record(slot).is_some_and(|record| !record.is_live()) {
            self.strays.insert(slot);
        }
        true
    }

    /// After a birth, a close or the loss of a parent: what the record itself says of its extent.
    pub(super) fn settle_extent(&mut self, slot: Slot) {
        let Some(record) = self.record(slot) else { return };
        let end_ms = record.valid_to.map_or(u64::MAX, Hlc::unix_ms);
        let (from_ms, to_ms) = around(self.owned_from_ms(record), end_ms);
        let is_live = record.is_live();
        let held = self.nodes.get(slot as usize).map(|node| node.extent);
        if !is_live && held.is_some_and(|held| held.1 == u64::MAX) {
            // It closes now, and nothing may have come later than the clock allows.
            self.narrow(slot, to_ms);
        }
        let news = self.widen(slot, from_ms, to_ms);
        if is_live || self.loading {
            return;
        }
        if held.is_none_or(|held| held.1 == u64::MAX || held.1 == 0) {
            if let Some(boxed) = self.boxed(slot) {
                self.closed.insert(boxed);
            }
        } else if news {
            // Its box is too small by now.
            self.strays.insert(slot);
        }
    }

    fn narrow(&mut self, slot: Slot, to_ms: u64) {
        let inherited = self.parents_of(slot).filter_map(|at| self.nodes.get(at as usize));
        let inherited = inherited.map(|node| node.past_until_ms).max().unwrap_or(0);
        if let Some(node) = self.nodes.get_mut(slot as usize) {
            node.extent.1 = to_ms;
            node.past_until_ms = to_ms.max(inherited);
        }
    }

    /// Widens an extent, and what ancestors and descendants know of it.
    pub(super) fn widen(&mut self, slot: Slot, from_ms: u64, to_ms: u64) -> bool {
        let inherited = self.parents_of(slot).filter_map(|at| self.nodes.get(at as usize));
        let inherited = inherited.map(|node| node.past_until_ms).max().unwrap_or(0);
        let Some(node) = self.nodes.get_mut(slot as usize) else { return false };
        let held = node.extent;
        node.extent = (held.0.min(from_ms), held.1.max(to_ms));
        let ((from_ms, to_ms), news) = (node.extent, node.extent != held);
        let past = node.past_until_ms.max(to_ms).max(inherited);
        let future = node.future_from_ms.min(from_ms);
        self.spread(slot, past, |node| &mut node.past_until_ms, |a, b| a > b, Node::down);
        self.spread(slot, future, |node| &mut node.future_from_ms, |a, b| a < b, Node::up);
        news
    }

    /// Sets a bound of `slot` and of everything behind it where that changes something.
    fn spread(
        &mut self,
        slot: Slot,
        bound: u64,
        held: impl Fn(&mut Node) -> &mut u64,
        is_wider: impl Fn(u64, u64) -> bool,
        next: impl Fn(&Node) -> Vec<Slot>,
    ) {
        let mut open = vec![slot];
        while let Some(at) = open.pop() {
            let Some(node) = self.nodes.get_mut(at as usize) else { continue };
            let slot_bound = held(node);
            if is_wider(bound, *slot_bound) {
                *slot_bound = bound;
                open.extend(next(node));
            }
        }
    }
}

impl Node {
    fn down(&self) -> Vec<Slot> {
        self.children.iter().map(|edge| edge.slot).collect()
    }

    fn up(&self) -> Vec<Slot> {
        self.parents.iter().map(|edge| edge.slot).collect()
    }
}
