//! Which closed lineages overlap a stretch of time and a range of keys.
//!
//! Owns: for each closed lineage one box, time x keys, in a few immutable R-trees whose sizes grow
//! by doubling (the logarithmic method): a new box goes into a short list, a full list is bulk-loaded
//! into a tree together with every tree that is not larger. So an insert costs O(log n) amortised, a
//! copy of the index shares every tree, and a search costs what it finds.
//! Keys become numbers by their rank among the bounds in the same tree, so no key is compared more
//! than O(log n) times a search.
//! A box may be larger than the lineage (see `extent` in [`super`]); the caller looks at the lineage.

use std::sync::Arc;

use rstar::{AABB, RTree, RTreeObject};

use super::Slot;
use crate::KeyRange;

/// Boxes that are searched one by one.
const SHORT: usize = 64;

/// A closed lineage, as the index sees it.
#[derive(Clone, Debug)]
pub(super) struct Boxed {
    pub(super) slot: Slot,
    pub(super) range: KeyRange,
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
    at: u32,
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
    fn new(boxes: Vec<Boxed>) -> Self {
        let mut bounds: Vec<Arc<[u8]>> = Vec::with_capacity(boxes.len() * 2);
        for held in &boxes {
            let (start, end) = held.range.shared();
            bounds.push(Arc::clone(start));
            if !end.is_empty() {
                bounds.push(Arc::clone(end));
            }
        }
        bounds.sort_unstable();
        bounds.dedup();
        let leaves = boxes.iter().enumerate().filter_map(|(at, held)| {
            let (low, high) = gaps(&bounds, &held.range)?;
            let (from, to) = (time(held.from_ms), time(held.to_ms.saturating_sub(1)));
            Some(Leaf {
                low: [low, from],
                high: [high, to.max(from)],
                slot: held.slot,
                at: at as u32,
            })
        });
        let tree = RTree::bulk_load(leaves.collect());
        Self { boxes, bounds, tree }
    }

    fn search(
        &self,
        range: &KeyRange,
        from_ms: u64,
        to_ms: u64,
        is_open: &dyn Fn(Slot) -> bool,
        found: &mut Vec<Slot>,
    ) {
        let Some((low, high)) = gaps(&self.bounds, range) else { return };
        let (from, to) = (time(from_ms), time(to_ms.saturating_sub(1)));
        let envelope = AABB::from_corners([low, from], [high, to.max(from)]);
        for leaf in self.tree.locate_in_envelope_intersecting(&envelope) {
            let meets = || self.boxes[leaf.at as usize].meets(range, from_ms, to_ms);
            if is_open(leaf.slot) && meets() {
                found.push(leaf.slot);
            }
        }
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
    pub(super) fn bulk(boxes: Vec<Boxed>) -> Self {
        let trees = if boxes.is_empty() { Vec::new() } else { vec![Arc::new(Tree::new(boxes))] };
        Self { short: Vec::new(), trees }
    }

    pub(super) fn insert(&mut self, held: Boxed) {
        self.short.push(held);
        if self.short.len() < SHORT {
            return;
        }
        let mut boxes = std::mem::take(&mut self.short);
        while let Some(tree) = self.trees.pop_if(|tree| tree.boxes.len() <= boxes.len()) {
            boxes.extend(tree.boxes.iter().cloned());
        }
        self.trees.push(Arc::new(Tree::new(boxes)));
    }

    /// Appends every closed lineage whose box meets the question and for which `is_open` holds.
    pub(super) fn search(
        &self,
        range: &KeyRange,
        from_ms: u64,
        to_ms: u64,
        is_open: &dyn Fn(Slot) -> bool,
        found: &mut Vec<Slot>,
    ) {
        if from_ms >= to_ms {
            return;
        }
        for tree in &self.trees {
            tree.search(range, from_ms, to_ms, is_open, found);
        }
        let short = self
            .short
            .iter()
            .filter(|held| is_open(held.slot) && held.meets(range, from_ms, to_ms));
        found.extend(short.map(|held| held.slot));
    }
}

#[cfg(test)]
#[path = "closed_index_test.rs"]
mod closed_index_test;
