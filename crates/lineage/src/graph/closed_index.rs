//! Which closed lineages overlap a stretch of time and a range of keys.
//!
//! Owns: for each closed lineage one box, time x keys, in a few immutable R-trees whose sizes grow
//! by doubling (the logarithmic method): a new box goes into a short list, a full list is bulk-loaded
//! into a tree together with every tree that is not larger. So an insert costs O(log n) amortised, a
//! copy of the index shares every tree, and a search costs what it finds.
//! Keys become numbers by their place among the bounds in the same tree (which outlives the ranks of
//! [`KeyOrder`]), so that only the asked-for bounds are compared as keys, O(log n) times a search.
//! A box may be larger than the lineage (see `extent` in [`super`]); the caller looks at the lineage.

use std::sync::Arc;

use rstar::{AABB, RTree, RTreeObject};

use super::Slot;
use super::key_order::{KeyNo, KeyOrder, LAST, Rank};
use crate::KeyRange;

/// Boxes that are searched one by one.
const SHORT: usize = 64;

/// A closed lineage, as the index sees it.
#[derive(Clone, Debug)]
pub(super) struct Boxed {
    pub(super) slot: Slot,
    pub(super) range: KeyRange,
    /// Its bounds in the order of all keys.
    pub(super) keys: (KeyNo, KeyNo),
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

impl Boxed {
    fn meets(&self, range: &KeyRange, from_ms: u64, to_ms: u64) -> bool {
        self.from_ms < to_ms && from_ms < self.to_ms && self.range.overlaps(range)
    }
}

/// A box whose keys are ranks. Both sides inclusive: `[gap, time]`.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    low: [i64; 2],
    high: [i64; 2],
    slot: Slot,
}

impl RTreeObject for Leaf {
    type Envelope = AABB<[i64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners(self.low, self.high)
    }
}

#[derive(Debug)]
struct Tree {
    boxes: Vec<Boxed>,
    /// Every start and end in it but +inf, ascending. Gap `i` lies behind bound `i`.
    bounds: Vec<Arc<[u8]>>,
    tree: RTree<Leaf>,
}

/// Times are far below this; so are their sums, which bulk-loading takes.
const MAX_TIME: u64 = 1 << 50;

fn time(ms: u64) -> i64 {
    ms.min(MAX_TIME) as i64
}

impl Tree {
    fn new(boxes: Vec<Boxed>, order: &KeyOrder) -> Self {
        let mut places: Vec<(Rank, KeyNo)> = Vec::with_capacity(boxes.len() * 2 + 1);
        for held in &boxes {
            let (start, end) = order.ranks(held.keys);
            places.push((start, held.keys.0));
            if end != LAST {
                places.push((end, held.keys.1));
            }
        }
        places.sort_unstable();
        places.dedup();
        let place = |rank: Rank| places.partition_point(|&(held, _)| held < rank) as i64;
        let leaves = boxes.iter().map(|held| {
            let (start, end) = order.ranks(held.keys);
            // Gap `i` lies behind bound `i`; the last one of a range lies before its end.
            let (low, high) = (place(start), place(end) - 1);
            let (from, to) = (time(held.from_ms), time(held.to_ms.saturating_sub(1)));
            Leaf { low: [low, from], high: [high, to.max(from)], slot: held.slot }
        });
        let tree = RTree::bulk_load(leaves.collect());
        let bound = |&(_, number): &(Rank, KeyNo)| order.bytes(number).cloned().unwrap_or_default();
        let bounds = places.iter().map(bound).collect();
        Self { boxes, bounds, tree }
    }

    fn search(&self, range: &KeyRange, from_ms: u64, to_ms: u64, found: &mut Vec<Slot>) {
        let Some((low, high)) = gaps(&self.bounds, range) else { return };
        let (from, to) = (time(from_ms), time(to_ms.saturating_sub(1)));
        let envelope = AABB::from_corners([low, from], [high, to.max(from)]);
        found.extend(self.tree.locate_in_envelope_intersecting(&envelope).map(|leaf| leaf.slot));
    }
}

/// The first and the last gap between `bounds` that `range` has a part in.
fn gaps(bounds: &[Arc<[u8]>], range: &KeyRange) -> Option<(i64, i64)> {
    let low = bounds.partition_point(|bound| **bound <= *range.start()).saturating_sub(1);
    let high = match range.bounded_end() {
        Some(end) => bounds.partition_point(|bound| **bound < *end).checked_sub(1)?,
        None => bounds.len().checked_sub(1)?,
    };
    Some((low as i64, high.max(low) as i64))
}

/// Every closed lineage of a graph, by time and keys.
#[derive(Clone, Debug, Default)]
pub(super) struct ClosedIndex {
    /// Not in a tree yet.
    short: Vec<Boxed>,
    /// Largest first.
    trees: Vec<Arc<Tree>>,
}

impl ClosedIndex {
    pub(super) fn bulk(boxes: Vec<Boxed>, order: &KeyOrder) -> Self {
        let tree = |boxes: Vec<Boxed>| Arc::new(Tree::new(boxes, order));
        let trees = if boxes.is_empty() { Vec::new() } else { vec![tree(boxes)] };
        Self { short: Vec::new(), trees }
    }

    pub(super) fn insert(&mut self, held: Boxed, order: &KeyOrder) {
        self.short.push(held);
        if self.short.len() < SHORT {
            return;
        }
        let mut boxes = std::mem::take(&mut self.short);
        while let Some(tree) = self.trees.pop_if(|tree| tree.boxes.len() <= boxes.len()) {
            boxes.extend(tree.boxes.iter().cloned());
        }
        self.trees.push(Arc::new(Tree::new(boxes, order)));
    }

    /// Appends every closed lineage whose box meets the question.
    pub(super) fn search(&self, range: &KeyRange, from_ms: u64, to_ms: u64, found: &mut Vec<Slot>) {
        if from_ms >= to_ms {
            return;
        }
        for tree in &self.trees {
            tree.search(range, from_ms, to_ms, found);
        }
        let short = self.short.iter().filter(|held| held.meets(range, from_ms, to_ms));
        found.extend(short.map(|held| held.slot));
    }
}

#[cfg(test)]
#[path = "closed_index_test.rs"]
mod closed_index_test;
