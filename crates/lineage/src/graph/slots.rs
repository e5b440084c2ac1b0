//! What is kept by slot: apart by what reads it, so that a walk along the edges, which touches every
//! lineage of a long history, reads little memory, and that in order.

use std::sync::Arc;

use smallvec::SmallVec;

use super::arena::Arena;
use super::extent::Extent;
use super::key_order::{KeyNo, LAST, Rank};
use super::{Life, Slot};
use crate::LineageRecord;

/// Slots of parents or children.
pub(super) type Edges = SmallVec<[Slot; 4]>;

/// Where a lineage lies: keys x time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Its start and end as the order of all keys ranks them now: so that ranges are compared without
    /// their keys.
    pub(super) ranks: (Rank, Rank),
    pub(super) extent: Extent,
}

impl Spot {
    /// Where what was removed lies.
    pub(super) const NOWHERE: Self = Self { ranks: (LAST, 0), extent: Extent::NONE };

    /// Whether its keys lie between two ranks, at least in part. Never, once it was removed.
    pub(super) const fn overlaps(&self, (above, below): (Rank, Rank)) -> bool {
        self.ranks.0 < below && self.ranks.1 > above
    }
}

/// Every slot. All parts are equally long.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// `None` once it was removed.
    pub(super) records: Arena<Option<Arc<LineageRecord>>>,
    pub(super) spots: Arena<Spot>,
    pub(super) parents: Arena<Edges>,
    pub(super) children: Arena<Edges>,
    pub(super) lives: Arena<Life>,
    /// Start and end in the order of all keys.
    pub(super) keys: Arena<(KeyNo, KeyNo)>,
}

impl Slots {
    pub(super) const fn len(&self) -> usize {
        self.records.len()
    }

    /// A lineage without children of which nothing is known to be recorded. Returns its slot.
    pub(super) fn push(
        &mut self,
        record: Arc<LineageRecord>,
        parents: Edges,
        keys: (KeyNo, KeyNo),
        ranks: (Rank, Rank),
    ) -> Slot {
        self.lives.push(Life::of(&record));
        self.records.push(Some(record));
        self.spots.push(Spot { ranks, extent: Extent::NONE });
        self.parents.push(parents);
        self.children.push(Edges::new());
        self.keys.push(keys) as Slot
    }
}
