//! What a flush brings: a column, and beside it what a column has no field for.
//!
//! Invariants: rows are in `Row::order`, one for each route, term and range, idle ones left out (S3);
//! a row of a cut route is the sum of its [`SubRangeRow`] (F1).
//! Proof: `sampler_test.rs`.

use keyviz_lineage::{Column, Counts, Flags, KeyRange, RouteId, Row, Step};

use crate::slot::Slot;
use crate::sub_range::SubRanges;

/// Everything that one flush brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The column.
    pub column: Column,
    /// The parts of the rows whose routes are cut, in the order of the rows.
    pub sub_ranges: Vec<SubRangeRow>,
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
}

impl Rows {
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Adds what was counted on a slot, by sub-range, under `term`.
    pub(crate) fn push(&mut self, slot: &Slot, term: u64, counts: &[Counts]) {
        let mut sum = Counts::default();
        for part in counts {
            sum.add(part);
        }
        if sum.is_idle() {
            return;
        }
        self.rows.push(Row {
            route: slot.route,
            group: slot.group,
            term,
            range: slot.range.clone(),
            flags: if sum.is_saturated() { Flags::SATURATED } else { Flags::NONE },
            counts: sum,
        });
        if let Some(sub_ranges) = slot.sub_ranges() {
            let (sub_ranges, counts) = (sub_ranges.clone(), counts.to_vec());
            self.subs.push(SubRangeRow { route: slot.route, term, sub_ranges, counts });
        }
    }

    /// S3. Routes come in key order, so that mostly there is nothing to sort: only rows that were cut by
    /// a change of leadership, and routes that took over a number.
    pub(crate) fn sorted(mut self) -> (Vec<Row>, Vec<SubRangeRow>) {
        if !self.rows.is_sorted_by(|a, b| a.order() < b.order()) {
            self.rows.sort_by(|a, b| a.order().cmp(&b.order()));
            self.rows.dedup_by(|row, first| {
                let is_same = row.order() == first.order();
                if is_same && first.counts.add(&row.counts) {
                    first.flags = first.flags.or(Flags::SATURATED);
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

/// A flush is late by a few milliseconds of scheduling; what arrives in them is in the next column.
/// Within 5 % of a step the edge of the window is what was covered.
pub(crate) fn snap(at_ms: u64, edge_ms: u64, step: Step) -> u64 {
    if at_ms.abs_diff(edge_ms) * 20 <= step.ms() { edge_ms } else { at_ms }
}
