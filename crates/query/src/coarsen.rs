//! Fitting rows into the budget: the least active adjacent pair is joined first, ties by key order,
//! so that hot rows stay alone. Nothing is cut off.
//!
//! A heap of adjacent pairs with lazy invalidation: O(rows log rows).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::rows::Draft;

/// `(counted sum, left, right, version of the left, version of the right)`
type Pair = (u128, usize, usize, u32, u32);

/// Joins adjacent drafts until at most `budget` are left. `totals` are their counted sums.
pub(crate) fn coarsen(drafts: Vec<Draft>, totals: &[u128], budget: usize) -> Vec<Draft> {
    let count = drafts.len();
    if count <= budget || budget == 0 {
        return drafts;
    }
    let mut totals = totals.to_vec();
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut next: Vec<usize> = (1..=count).collect();
    let mut previous: Vec<usize> = (0..count).map(|at| at.wrapping_sub(1)).collect();
    let mut version = vec![0u32; count];
    let mut heap: BinaryHeap<Reverse<Pair>> = BinaryHeap::new();
    for at in 0..count - 1 {
        heap.push(Reverse((totals[at] + totals[at + 1], at, at + 1, 0, 0)));
    }
    let mut left = count;
    while left > budget {
        let Some(Reverse((_, a, b, version_a, version_b))) = heap.pop() else { break };
        if version[a] != version_a || version[b] != version_b {
            continue;
        }
        let Some(joined) = drafts[b].take() else { continue };
        if let Some(draft) = &mut drafts[a] {
            draft.members.extend(joined.members);
            draft.sources.extend(joined.sources);
            draft.closed &= joined.closed;
        }
        totals[a] += totals[b];
        version[a] += 1;
        version[b] += 1;
        next[a] = next[b];
        if next[a] < count {
            previous[next[a]] = a;
            let after = next[a];
            heap.push(Reverse((totals[a] + totals[after], a, after, version[a], version[after])));
        }
        if previous[a] < count {
            let before = previous[a];
            heap.push(Reverse((
                totals[before] + totals[a],
                before,
                a,
                version[before],
                version[a],
            )));
        }
        left -= 1;
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
        let joined = coarsen(drafts(6), &totals, 3);
        let members: Vec<&[u32]> = joined.iter().map(|draft| draft.members.as_slice()).collect();
        assert_eq!(members, [&[0, 1, 2][..], &[3], &[4, 5]]);
        assert_eq!(coarsen(drafts(6), &totals, 6).len(), 6);
        assert_eq!(coarsen(drafts(6), &totals, 1).len(), 1);
    }

    #[test]
    fn ties_go_by_key_order() {
        let joined = coarsen(drafts(4), &[1; 4], 3);
        assert_eq!(joined.iter().map(|draft| draft.members.len()).collect::<Vec<_>>(), [2, 1, 1]);
    }
}
