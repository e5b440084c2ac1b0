//! When a lineage owned its keys, in whole milliseconds as every answer shows it.
//!
//! Invariant: what is kept by slot is what the records say; a backfilled lineage's life depends on its
//! parents' ends, so it is settled again when one of them comes, closes or goes.

use super::{LineageGraph, Slot};
use crate::record::{Cause, LineageRecord};
use crate::{Hlc, LineageId};

/// When a lineage owned its keys, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// From when. One that was backfilled owned its keys before it was born, back to the end of the
    /// one that it continues (contract section 4).
    pub owned_from_ms: u64,
    /// When keyviz met it.
    pub born_ms: u64,
    /// Until when; `u64::MAX` while it is live.
    pub end_ms: u64,
}

impl Life {
    /// What a record says by itself: for all but backfilled ones, everything.
    pub fn of(record: &LineageRecord) -> Self {
        let born_ms = record.valid_from.unix_ms();
        let end_ms = record.valid_to.map_or(u64::MAX, Hlc::unix_ms);
        Self { owned_from_ms: born_ms, born_ms, end_ms }
    }

    /// Whether it owned its keys at the end of `at_ms`.
    pub const fn owns_at(&self, at_ms: u64) -> bool {
        self.owned_from_ms <= at_ms && at_ms < self.end_ms
    }

    /// The part of `[from_ms, to_ms)` in which it owned its keys, if any. One that was born and
    /// closed within a millisecond is alive in that millisecond.
    pub fn part(&self, from_ms: u64, to_ms: u64) -> Option<(u64, u64)> {
        let end_ms = self.end_ms.max(self.born_ms + 1);
        let part = (self.owned_from_ms.max(from_ms), end_ms.min(to_ms));
        (part.0 < part.1).then_some(part)
    }
}

impl LineageGraph {
    /// When the lineage in a slot owned its keys.
    #[inline]
    pub fn life(&self, slot: Slot) -> Life {
        self.slots.lives.get(slot as usize).copied().unwrap_or_default()
    }

    /// What the records say of a life now.
    pub(super) fn settle_life(&mut self, slot: Slot) {
        let Some(record) = self.record(slot) else { return };
        let mut life = Life::of(record);
        if record.cause == Cause::Backfill {
            let parents = record.parents.iter().filter_map(|parent| self.get(parent.id));
            let ends = parents.map(|parent| parent.valid_to.map_or(life.born_ms, Hlc::unix_ms));
            life.owned_from_ms = ends.max().unwrap_or(0).min(life.born_ms);
        }
        if let Some(held) = self.slots.lives.get_mut(slot as usize) {
            *held = life;
        }
    }

    /// Settles the children whose life begins where that of `id` ends; also those that have no edge
    /// to it.
    pub(super) fn settle_backfilled(&mut self, id: LineageId) {
        for child in self.children(id) {
            let is_backfilled = self.get(child).is_some_and(|child| child.cause == Cause::Backfill);
            if let Some(slot) = self.slot(child).filter(|_| is_backfilled) {
                self.settle(slot);
            }
        }
    }
}
