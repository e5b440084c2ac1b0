//! Fitting rows into the budget: the least active adjacent pair is joined first, ties by key order,
//! so that hot rows stay alone. Nothing is cut off.
//!
//! A heap of adjacent pairs with lazy invalidation: O(rows log rows).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Add;

use crate::rows::Draft;

/// Joins adjacent drafts until at most `budget` are left. `totals` are their counted sums.
pub(crate) fn coarsen(drafts: Vec<Draft>, totals: &[u128], budget: usize) -> Vec<Draft> {
    if drafts.len() <= budget || budget == 0 {
        return drafts;
    }
    // Nearly always they are small, and a heap of small sums is quick.
    match u64::try_from(totals.iter().sum::<u128>()) {
        Ok(_) => join(drafts, totals.iter().map(|&total| total as u64).collect(), budget),
        Err(_) => join(drafts, totals.to_vec(), budget),
    }
}

/// `(counted sum, left, right)`; out of date where it is not the sum of the two any more, or one of them
/// is gone.
type Pair<Sum> = (Sum, u32, u32);

fn join<Sum>(drafts: Vec<Draft>, mut totals: Vec<Sum>, budget: usize) -> Vec<Draft>
where
    Sum: Copy + Ord + Default + Add<Output = Sum>,
{
    let count = drafts.len();
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut next: Vec<usize> = (1..=count).collect();
    let mut previous: Vec<usize> = (0..count).map(|at| at.wrapping_sub(1)).collect();
    let pair = |totals: &[Sum], a: usize, b: usize| {
        Reverse::<Pair<Sum>>((totals[a] + totals[b], a as u32, b as u32))
    };
    let pairs: Vec<Reverse<Pair<Sum>>> = (1..count).map(|at| pair(&totals, at - 1, at)).collect();
    let mut heap = BinaryHeap::from(pairs);
    let mut left = count;
    while left > budget {
        let Some(Reverse((sum, a, b))) = heap.pop() else { break };
        let (a, b) = (a as usize, b as usize);
        if drafts[a].is_none() || next[a] != b || totals[a] + totals[b] != sum {
            continue;
        }
        let Some(joined) = drafts[b].take() else { continue };
        if let Some(draft) = &mut drafts[a] {
            draft.members.extend(joined.members);
            draft.sources.extend(joined.sources);
            draft.closed &= joined.closed;
        }
        totals[a] = sum;
        next[a] = next[b];
        left -= 1;
        // Joined with what is idle, it is as it was, and its pairs are, too.
        if next[a] < count {
            previous[next[a]] = a;
            heap.push(pair(&totals, a, next[a]));
        }
        if previous[a] < count && totals[b] > Sum::default() {
            heap.push(pair(&totals, previous[a], a));
        }
    }
    let mut drafts: Vec<Draft> = drafts.into_iter().flatten().collect();
    for draft in &mut drafts {
        draft.sources.sort_unstable();
        draft.sources.dedup();
    }
    drafts
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn drafts(count: u8) -> Vec<Draft> {
        (0..count)
            .map(|n| {
                let id = u32::from(n);
                Draft { members: smallvec![id], sources: vec![id], closed: false }
            })
            .collect()
    }

    #[test]
    fn the_least_active_neighbours_are_joined_and_hot_rows_stay_alone() {
        let totals = [5, 1, 1, 900, 2, 2];
        for scale in [1, u128::from(u64::MAX)] {
            let joined = coarsen(drafts(6), &totals.map(|total| total * scale), 3);
            let members: Vec<&[u32]> =
                joined.iter().map(|draft| draft.members.as_slice()).collect();
            assert_eq!(members, [&[0, 1, 2][..], &[3], &[4, 5]]);
        }
        assert_eq!(coarsen(drafts(6), &totals, 6).len(), 6);
        assert_eq!(coarsen(drafts(6), &totals, 1).len(), 1);
    }

    #[test]
    fn ties_go_by_key_order() {
        let joined = coarsen(drafts(4), &[1; 4], 3);
        assert_eq!(joined.iter().map(|draft| draft.members.len()).collect::<Vec<_>>(), [2, 1, 1]);
    }
}
