//! The route budget: which routes have rows of their own, and which are counted together because
//! there are too many (contract section 9).
//!
//! Every route goes on being counted by itself: only rows are saved. So its heat is always known: a
//! route in a bucket that gets hot is seen, and gets its row back.
//! Invariants: after [`Budget::plan`] there are at most `most` rows and buckets of live routes (V1; a
//! removed route that is still drained has a row of its own beside them);
//! a bucket is a run of neighbours in key order (V2); the least active neighbours go together first,
//! those that were active longest ago before others, ties by key order; across a gap in the keys only
//! when nothing else is left (V3); nothing moves while there is room, but for a look every
//! [`PLAN_WINDOWS`] windows, in which a route with a row counts [`OWN_ROW_FACTOR`]-fold (V4, so that
//! rows do not flap); buckets are dissolved once 5 % of the budget would be free without them (V5).
//! Must not: drop traffic, or know threads.
//! Proof: `budget_test.rs`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use keyviz_lineage::KeyRange;

/// How many routes have rows of their own unless the caller says otherwise.
pub const DEFAULT_TRACKED_ROUTES: usize = 10_000;
/// While there are buckets, they are planned anew after this many windows.
const PLAN_WINDOWS: u64 = 10;
const OWN_ROW_FACTOR: u64 = 4;

/// What is known of one route's traffic, and where it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heat {
    /// Operations, halved each window.
    operations: u64,
    /// The number of the window that had the last one.
    last_window: u64,
    /// The bucket that it is counted in, from 1; 0 = it has a row of its own.
    pub(crate) bucket: usize,
}

impl Heat {
    /// A window has passed, with so many operations.
    pub(crate) fn pass(&mut self, window: u64, operations: u64) {
        self.operations = (self.operations / 2).saturating_add(operations);
        if operations > 0 {
            self.last_window = window;
        }
    }

    fn weight(&self) -> u64 {
        let factor = if self.bucket == 0 { OWN_ROW_FACTOR } else { 1 };
        self.operations.saturating_mul(factor)
    }
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    /// The window of the last plan.
    planned: u64,
    buckets: usize,
}

/// A run of neighbours while it is planned. Runs are named by their first route.
#[derive(Clone, Copy, Debug)]
struct Run {
    weight: u64,
    last_window: u64,
    previous: usize,
    /// The first route behind it.
    next: usize,
    /// Counts the changes, so that a pair that was weighed before one is known to be stale.
    version: u32,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), planned: 0, buckets: 0 }
    }

    /// Whether [`Budget::plan`] has anything to say about at most `routes` routes.
    pub(crate) const fn is_needed(&self, routes: usize) -> bool {
        self.buckets > 0 || routes > self.most
    }

    /// Says of each live route (in key order) in which bucket it is from now on. `window` counts the
    /// calls.
    pub(crate) fn plan(&mut self, window: u64, live: &mut [(&KeyRange, &mut Heat)]) {
        let slack = self.most / 20;
        if self.buckets > 0 {
            self.buckets = separate(live); // V2
        }
        if live.len() <= self.most {
            if self.buckets > 0 && live.len() + slack <= self.most {
                live.iter_mut().for_each(|(_, heat)| heat.bucket = 0); // V5
                self.buckets = 0;
            }
            if self.buckets == 0 {
                return;
            }
        }
        let is_over = rows(live) > self.most;
        if !is_over && window < self.planned.saturating_add(PLAN_WINDOWS) {
            return; // V4
        }
        self.planned = window;
        // The slack is what routes may come before the next plan.
        self.buckets = coalesce(live, (self.most - slack).max(1));
    }
}

/// How many rows and buckets the live routes make.
fn rows(live: &[(&KeyRange, &mut Heat)]) -> usize {
    let (mut rows, mut last) = (0, 0);
    for (_, heat) in live {
        rows += usize::from(heat.bucket == 0 || heat.bucket != last);
        last = heat.bucket;
    }
    rows
}

/// Joins neighbours until `most` runs are left. Returns how many of them are buckets.
fn coalesce(live: &mut [(&KeyRange, &mut Heat)], most: usize) -> usize {
    let len = live.len();
    let mut runs: Vec<Run> = live
        .iter()
        .enumerate()
        .map(|(at, (_, heat))| Run {
            weight: heat.weight(),
            last_window: heat.last_window,
            previous: at.wrapping_sub(1),
            next: at + 1,
            version: 0,
        })
        .collect();
    let is_gap: Vec<bool> = live.windows(2).map(|pair| !pair[0].0.touches(pair[1].0)).collect();
    // V3
    let pair = |runs: &[Run], at: usize| {
        let (run, next) = (runs[at], runs[runs[at].next]);
        let weight = run.weight.saturating_add(next.weight);
        let last_window = run.last_window.max(next.last_window);
        let key = (is_gap[run.next - 1], weight, last_window, at);
        Reverse((key, run.version, next.version))
    };
    let mut pairs: BinaryHeap<_> = (0..len.saturating_sub(1)).map(|at| pair(&runs, at)).collect();
    let mut left = len;
    while left > most
        && let Some(Reverse(((.., at), version, next_version))) = pairs.pop()
    {
        let next = runs[at].next;
        if next >= len || runs[at].version != version || runs[next].version != next_version {
            continue; // stale: one of the two was joined with another
        }
        let joined = runs[next];
        let run = &mut runs[at];
        run.weight = run.weight.saturating_add(joined.weight);
        run.last_window = run.last_window.max(joined.last_window);
        run.next = joined.next;
        run.version += 1;
        let previous = run.previous;
        runs[next].version = u32::MAX; // no longer a run
        if joined.next < len {
            runs[joined.next].previous = at;
            pairs.push(pair(&runs, at));
        }
        if previous < len {
            pairs.push(pair(&runs, previous));
        }
        left -= 1;
    }
    let mut at = 0;
    while at < len {
        let next = runs[at].next;
        live[at..next].iter_mut().for_each(|(_, heat)| heat.bucket = at + 1);
        at = next;
    }
    separate(live)
}

/// Numbers the buckets from 1 in key order. One that a route has come to stand within becomes two; what
/// stands alone has a row of its own. Returns how many there are.
fn separate(live: &mut [(&KeyRange, &mut Heat)]) -> usize {
    let mut buckets = 0;
    for run in live.chunk_by_mut(|a, b| a.1.bucket != 0 && a.1.bucket == b.1.bucket) {
        let is_bucket = run.len() > 1;
        buckets += usize::from(is_bucket);
        let number = if is_bucket { buckets } else { 0 };
        run.iter_mut().for_each(|(_, heat)| heat.bucket = number);
    }
    buckets
}

#[cfg(test)]
#[path = "budget_test.rs"]
mod budget_test;
