//! What a flush brings: a column, and beside it what a column has no field for.
//!
//! Invariants: rows are in `Row::order`, one for each route, term and range, idle ones left out (S3);
//! a row of a cut route is the sum of its [`SubRangeRow`] (F1); a bucket
//! names all of its live members, idle ones too, and is left out when all are idle (F2).
//! Proof: `sampler_test.rs`, `budget_test.rs`.

use keyviz_lineage::{
    Bucket, BucketPart, Column, Counts, Flags, GroupId, HotKeys, KeyRange, MAX_LISTED_MEMBERS,
    RouteId, Row, Step,
};

use crate::registry::{Part, Tracked};
use crate::sub_range::SubRanges;

/// Everything that one flush brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The column.
    pub column: Column,
    /// The parts of the rows whose routes are cut, in the order of the rows.
    pub sub_ranges: Vec<SubRangeRow>,
    /// The hottest keys, where they are found ([`crate::Settings::hot_keys`]).
    pub hot_keys: Option<HotKeys>,
}

/// How the counts of one row of the column spread over its route's sub-ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubRangeRow {
    /// The row's route.
    pub route: RouteId,
    /// The row's term.
    pub term: u64,
    /// How the route is cut; its range is the row's.
    pub sub_ranges: SubRanges,
    /// One entry a sub-range, in key order. They add up to the row's.
    pub counts: Vec<Counts>,
}

impl SubRangeRow {
    fn order(&self) -> (&[u8], RouteId, u64, &[u8]) {
        let range: &KeyRange = self.sub_ranges.range();
        (range.start(), self.route, self.term, range.end())
    }
}

/// Rows on their way into a column.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    subs: Vec<SubRangeRow>,
    /// By number, from 1, which is in key order.
    buckets: Vec<Option<Together>>,
}

/// Routes that are counted together.
#[derive(Debug)]
struct Together {
    /// Of the first member in key order.
    group: GroupId,
    range: KeyRange,
    members: Vec<RouteId>,
    /// By (group, term); several of one until they are merged.
    parts: Vec<((GroupId, u64), Counts, Flags)>,
}

impl Together {
    fn add(&mut self, leadership: (GroupId, u64), counts: Counts, flags: Flags) {
        match self.parts.last_mut() {
            Some((last, sum, inexact)) if *last == leadership => {
                sum.add(&counts);
                *inexact = inexact.or(flags);
            }
            _ => self.parts.push((leadership, counts, flags)),
        }
    }

    fn into_bucket(mut self) -> Bucket {
        self.members.sort_unstable();
        self.members.dedup();
        self.parts.sort_unstable_by_key(|(leadership, ..)| *leadership);
        self.parts.dedup_by(|part, first| {
            let is_same = part.0 == first.0;
            if is_same {
                first.1.add(&part.1);
                first.2 = first.2.or(part.2);
            }
            is_same
        });
        let parts = self.parts.into_iter().map(|((group, term), counts, flags)| BucketPart {
            group,
            term,
            counts,
            flags: flags.or(saturated(&counts)),
        });
        Bucket {
            group: self.group,
            range: self.range,
            member_count: self.members.len() as u64,
            members: self.members.into_iter().take(MAX_LISTED_MEMBERS).collect(),
            parts: parts.collect(),
        }
    }
}

impl Rows {
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Adds a part of what was counted on a route.
    pub(crate) fn push(&mut self, tracked: &Tracked, part: Part<'_>) {
        let (slot, term, mut sum) = (&tracked.slot, part.term, Counts::default());
        for part in part.counts {
            sum.add(part);
        }
        if tracked.heat.bucket != 0 {
            return self.push_together(tracked, term, sum, part.flags);
        }
        if sum.is_idle() && part.flags.is_none() {
            return;
        }
        self.rows.push(Row {
            route: slot.route,
            group: slot.group,
            term,
            range: slot.range.clone(),
            flags: part.flags.or(saturated(&sum)),
            counts: sum,
        });
        if let Some(sub_ranges) = slot.sub_ranges() {
            let (sub_ranges, counts) = (sub_ranges.clone(), part.counts.to_vec());
            self.subs.push(SubRangeRow { route: slot.route, term, sub_ranges, counts });
        }
    }

    /// An idle member is one too.
    fn push_together(&mut self, tracked: &Tracked, term: u64, sum: Counts, flags: Flags) {
        let slot = &tracked.slot;
        let at = tracked.heat.bucket;
        if self.buckets.len() <= at {
            self.buckets.resize_with(at + 1, || None);
        }
        let together = self.buckets[at].get_or_insert_with(|| Together {
            group: slot.group,
            range: slot.range.clone(),
            members: Vec::new(),
            parts: Vec::new(),
        });
        together.range = together.range.hull(&slot.range);
        together.members.push(slot.route);
        if !sum.is_idle() || !flags.is_none() {
            together.add((slot.group, term), sum, flags);
        }
    }

    /// The buckets that counted anything, in their order.
    pub(crate) fn buckets(&mut self) -> Vec<Bucket> {
        let all = std::mem::take(&mut self.buckets).into_iter().flatten();
        let mut busy: Vec<Together> = all.filter(|together| !together.parts.is_empty()).collect();
        busy.sort_by(|a, b| a.range.cmp(&b.range));
        // Routes of different groups may overlap: buckets of one range are one.
        busy.dedup_by(|together, first| {
            let is_same = together.range == first.range;
            if is_same {
                first.members.append(&mut together.members);
                first.parts.append(&mut together.parts);
            }
            is_same
        });
        busy.into_iter().map(Together::into_bucket).collect()
    }

    /// S3. Routes come in key order, so that mostly there is nothing to sort: only rows that were cut by
    /// a change of leadership, and routes that took over a number.
    pub(crate) fn sorted(mut self) -> (Vec<Row>, Vec<SubRangeRow>) {
        if !self.rows.is_sorted_by(|a, b| a.order() < b.order()) {
            self.rows.sort_by(|a, b| a.order().cmp(&b.order()));
            self.rows.dedup_by(|row, first| {
                let is_same = row.order() == first.order();
                if is_same {
                    first.counts.add(&row.counts);
                    first.flags = first.flags.or(row.flags).or(saturated(&first.counts));
                }
                is_same
            });
        }
        self.subs.sort_by(|a, b| a.order().cmp(&b.order()));
        self.subs.dedup_by(|row, first| {
            let is_same = row.order() == first.order() && row.sub_ranges == first.sub_ranges;
            if is_same {
                for (sum, part) in first.counts.iter_mut().zip(&row.counts) {
                    sum.add(part);
                }
            }
            is_same
        });
        (self.rows, self.subs)
    }
}

fn saturated(counts: &Counts) -> Flags {
    if counts.is_saturated() { Flags::SATURATED } else { Flags::NONE }
}

/// A flush is late by a few milliseconds of scheduling; what arrives in them is in the next column.
/// Within 5 % of a step the edge of the window is what was covered.
pub(crate) fn snap(at_ms: u64, edge_ms: u64, step: Step) -> u64 {
    if at_ms.abs_diff(edge_ms) * 20 <= step.ms() { edge_ms } else { at_ms }
}
