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
//! blocks can tell what is outside, and they are small.

use super::{LineageGraph, Slot};
use crate::record::LineageRecord;
use crate::{HOUR_MS, Hlc, LineageId, unix_hour};

/// A Unix hour.
type Hour = u32;
/// After all hours: the end of what is still live.
const NEVER: Hour = Hour::MAX;

/// Whole hours `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    from: Hour,
    until: Hour,
}

impl Hours {
    /// No hour at all.
    pub(super) const NONE: Self = Self { from: NEVER, until: 0 };

    /// The hours that `[from_ms, to_ms)` has a part in. What is live is so at any time, however late.
    pub(super) fn around(from_ms: u64, to_ms: u64) -> Self {
        let hour = |ms: u64| Hour::try_from(unix_hour(ms)).unwrap_or(NEVER);
        let until = hour(to_ms).saturating_add(Hour::from(!to_ms.is_multiple_of(HOUR_MS)));
        Self { from: hour(from_ms).min(NEVER - 1), until }
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    fn hull(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), until: self.until.max(other.until) }
    }

    /// The same in Unix milliseconds.
    pub(super) fn ms(self) -> (u64, u64) {
        let until_ms = if self.until == NEVER { u64::MAX } else { u64::from(self.until) * HOUR_MS };
        (u64::from(self.from) * HOUR_MS, until_ms)
    }
}

/// What was recorded when, of a lineage and of those behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// What may have been recorded of it lies in here.
    pub(super) own: Hours,
    /// The latest end among itself and its ancestors.
    past_until: Hour,
    /// The earliest start among itself and its descendants.
    future_from: Hour,
}

impl Extent {
    /// Nothing recorded anywhere.
    pub(super) const NONE: Self = Self { own: Hours::NONE, past_until: 0, future_from: NEVER };

    /// Whether itself or an ancestor may have recorded something in `asked` or later.
    pub(super) const fn has_past(&self, asked: Hours) -> bool {
        self.past_until > asked.from
    }

    /// Whether itself or a descendant may have recorded something in `asked` or before.
    pub(super) const fn has_future(&self, asked: Hours) -> bool {
        self.future_from < asked.until
    }
}

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
    /// Whether a window of a lineage lies where the graph expects it. If not, the graph must be told
    /// ([`Self::note_recorded`]).
    pub fn expects(record: &LineageRecord, from_ms: u64, to_ms: u64) -> bool {
        let end_ms = record.valid_to.map_or(u64::MAX, Hlc::unix_ms);
        let (first_ms, last_ms) = around(record.valid_from.unix_ms(), end_ms);
        from_ms >= first_ms && to_ms <= last_ms
    }

    /// Whether something may have been recorded of a slot in `[from_ms, to_ms)`.
    pub fn may_hold(&self, slot: Slot, from_ms: u64, to_ms: u64) -> bool {
        let asked = Hours::around(from_ms, to_ms);
        self.slots.spots.get(slot as usize).is_some_and(|spot| spot.extent.own.meets(asked))
    }

    /// Whether the graph would look for something recorded of `id` in `[from_ms, to_ms)`.
    pub fn knows_of(&self, id: LineageId, from_ms: u64, to_ms: u64) -> bool {
        let spot = self.slot(id).and_then(|slot| self.slots.spots.get(slot as usize));
        spot.is_none_or(|spot| {
            let (first_ms, last_ms) = spot.extent.own.ms();
            first_ms <= from_ms && to_ms <= last_ms
        })
    }

    /// Lineages of which something was recorded where their records alone would not have it looked for,
    /// each with the stretch that it was, Unix milliseconds: what another graph of the same records has
    /// to be told ([`Self::note_recorded`]).
    pub fn recorded_outside(&self) -> Vec<(LineageId, (u64, u64))> {
        let strays = (0..self.slots()).filter_map(|slot| {
            let record = self.record(slot)?;
            let life = self.life(slot);
            let (from_ms, to_ms) = around(life.owned_from_ms, life.end_ms);
            let (own, of_life) =
                (self.slots.spots.get(slot as usize)?.extent.own, Hours::around(from_ms, to_ms));
            (own != of_life && own != Hours::NONE).then(|| (record.id, own.ms()))
        });
        strays.collect()
    }

    /// Something was recorded of a lineage in `[from_ms, to_ms)`, whatever its life says. Returns
    /// whether that was news.
    pub fn note_recorded(&mut self, id: LineageId, from_ms: u64, to_ms: u64) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        if !self.widen(slot, Hours::around(from_ms, to_ms)) {
            return false;
        }
        if self.record(slot).is_some_and(|record| !record.is_live()) {
            self.strays.insert(slot);
        }
        true
    }

    /// After a birth, a close or the loss of a parent: what the records say of its life and extent.
    pub(super) fn settle(&mut self, slot: Slot) {
        self.settle_life(slot);
        let Some(record) = self.record(slot) else { return };
        let life = self.life(slot);
        let (from_ms, to_ms) = around(life.owned_from_ms, life.end_ms);
        let (hours, is_live) = (Hours::around(from_ms, to_ms), record.is_live());
        let held = self.slots.spots.get(slot as usize).map(|spot| spot.extent.own);
        let was_open = held.is_none_or(|held| held.until == NEVER);
        if !is_live && was_open {
            // It closes now, and nothing may have come later than the clock allows.
            self.narrow(slot, hours.until);
        }
        let news = self.widen(slot, hours);
        if is_live || self.loading {
            return;
        }
        if was_open || held == Some(Hours::NONE) {
            if let Some(boxed) = self.boxed(slot) {
                self.closed.insert(boxed, &self.order);
            }
        } else if news {
            // Its box is too small by now.
            self.strays.insert(slot);
        }
    }

    /// The latest end among the ancestors of a slot.
    fn inherited(&self, slot: Slot) -> Hour {
        let parents = self.parents_of(slot).filter_map(|at| self.slots.spots.get(at as usize));
        parents.map(|spot| spot.extent.past_until).max().unwrap_or(0)
    }

    fn narrow(&mut self, slot: Slot, until: Hour) {
        let inherited = self.inherited(slot);
        if let Some(spot) = self.slots.spots.get_mut(slot as usize) {
            spot.extent.own.until = until;
            spot.extent.past_until = until.max(inherited);
        }
    }

    /// Widens an extent, and what ancestors and descendants know of it. Returns whether that was news.
    pub(super) fn widen(&mut self, slot: Slot, hours: Hours) -> bool {
        let inherited = self.inherited(slot);
        let Some(spot) = self.slots.spots.get_mut(slot as usize) else { return false };
        let extent = &mut spot.extent;
        let held = extent.own;
        extent.own = held.hull(hours);
        let news = extent.own != held;
        let past = extent.past_until.max(extent.own.until).max(inherited);
        let future = extent.future_from.min(extent.own.from);
        self.spread_past(slot, past);
        self.spread_future(slot, future);
        news
    }

    /// Tells a slot and all its descendants how late an end there is, where that is news.
    fn spread_past(&mut self, slot: Slot, until: Hour) {
        let mut open = vec![slot];
        while let Some(at) = open.pop() {
            let Some(spot) = self.slots.spots.get_mut(at as usize) else { continue };
            if until > spot.extent.past_until {
                spot.extent.past_until = until;
                open.extend(self.slots.children.get(at as usize).into_iter().flatten());
            }
        }
    }

    /// Tells a slot and all its ancestors how early a start there is, where that is news.
    fn spread_future(&mut self, slot: Slot, from: Hour) {
        let mut open = vec![slot];
        while let Some(at) = open.pop() {
            let Some(spot) = self.slots.spots.get_mut(at as usize) else { continue };
            if from < spot.extent.future_from {
                spot.extent.future_from = from;
                open.extend(self.slots.parents.get(at as usize).into_iter().flatten());
            }
        }
    }
}
