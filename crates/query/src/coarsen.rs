//! Fitting rows into the budget: the least active adjacent pair is joined first, ties by key order,
//! so that hot rows stay alone. Nothing is cut off.
//!
//! Pairs are sorted once. What a row counts only grows, and so does what a pair counts: one that has grown
//! is found out when its turn comes, and waits in a heap for its next one. So a pair is in one place at a
//! time, and most of them are never touched again: O(rows log rows).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Add;

use crate::rows::Draft;

/// Joins adjacent drafts until at most `budget` are left. `totals` are their counted sums.
pub(crate) fn coarsen(drafts: Vec<Draft>, totals: &[u128], budget: usize) -> Vec<Draft> {
    if drafts.len() <= budget || budget == 0 {
        return drafts;
    }
    // Nearly always they are small, and small sums are sorted quickly.
    let are_joined = match u64::try_from(totals.iter().sum::<u128>()) {
        Ok(_) => joined(totals.iter().map(|&total| total as u64).collect(), budget),
        Err(_) => joined(totals.to_vec(), budget),
    };
    let mut rows: Vec<Draft> = Vec::with_capacity(budget);
    for (draft, is_joined) in drafts.into_iter().zip(are_joined) {
        match rows.last_mut().filter(|_| is_joined) {
            Some(row) => {
                row.members.extend(draft.members);
                row.sources.extend(draft.sources);
                row.closed &= draft.closed;
            }
            None => rows.push(draft),
        }
    }
    for row in &mut rows {
        row.sources.sort_unstable();
        row.sources.dedup();
    }
    rows
}

/// Which rows are joined to the one before.
fn joined<Sum>(mut totals: Vec<Sum>, budget: usize) -> Vec<bool>
where
    Sum: Copy + Ord + Add<Output = Sum>,
{
    let count = totals.len();
    let mut next: Vec<u32> = (1..=count as u32).collect();
    let mut is_joined = vec![false; count];
    // A pair goes by its left row.
    let pairs = totals.windows(2).zip(0u32..).map(|(pair, left)| (pair[0] + pair[1], left));
    let mut pairs: Vec<(Sum, u32)> = pairs.collect();
    pairs.sort_unstable();
    let mut pairs = pairs.into_iter().peekable();
    let mut grown: BinaryHeap<Reverse<(Sum, u32)>> = BinaryHeap::new();
    let mut left = count;
    while left > budget {
        let is_grown = match (pairs.peek(), grown.peek()) {
            (Some(pair), Some(Reverse(grown))) => grown < pair,
            (pair, _) => pair.is_none(),
        };
        let pair = if is_grown { grown.pop().map(|Reverse(pair)| pair) } else { pairs.next() };
        let Some((sum, a)) = pair else { break };
        let (at, b) = (a as usize, next[a as usize] as usize);
        if is_joined[at] || b == count {
            continue;
        }
        let now = totals[at] + totals[b];
        if now != sum {
            grown.push(Reverse((now, a)));
            continue;
        }
        (totals[at], next[at], is_joined[b]) = (sum, next[b], true);
        left -= 1;
        if let Some(&behind) = totals.get(next[at] as usize) {
            grown.push(Reverse((sum + behind, a)));
        }
    }
    is_joined
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;

    fn drafts(count: u8) -> Vec<Draft> {
        (0..count)
            .map(|n| {
                let id = u32::from(n);
                Draft { members: smallvec![id], sources: smallvec![id], closed: false }
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

    proptest! {
        #[test]
        fn it_joins_what_looking_at_all_pairs_each_time_joins(
            totals in prop::collection::vec(prop_oneof![Just(0), 0..4u128, 0..1_000u128], 1..40),
            budget in 1..40usize,
        ) {
            let mut rows: Vec<(u128, Vec<u32>)> =
                totals.iter().zip(0..).map(|(&total, id)| (total, vec![id])).collect();
            while rows.len() > budget {
                let pairs = 0..rows.len() - 1;
                let at = pairs.min_by_key(|&at| (rows[at].0 + rows[at + 1].0, at)).unwrap();
                let (total, members) = rows.remove(at + 1);
                rows[at].0 += total;
                rows[at].1.extend(members);
            }
            let wanted: Vec<Vec<u32>> = rows.into_iter().map(|(_, members)| members).collect();
            for scale in [1, u128::from(u64::MAX)] {
                let totals: Vec<u128> = totals.iter().map(|total| total * scale).collect();
                let joined = coarsen(drafts(totals.len() as u8), &totals, budget);
                let members: Vec<Vec<u32>> =
                    joined.iter().map(|draft| draft.members.to_vec()).collect();
                prop_assert_eq!(&members, &wanted);
            }
        }
    }

    #[test]
    fn ties_go_by_key_order() {
        let joined = coarsen(drafts(4), &[1; 4], 3);
        assert_eq!(joined.iter().map(|draft| draft.members.len()).collect::<Vec<_>>(), [2, 1, 1]);
    }
}
