//! What sources and rows count over a whole span: what rows are chosen by.
//!
//! Must not: know columns.
//! Proof: `matrix_test.rs`.

use std::ops::Range;

use keyviz_codec::rollup::Summary;
use keyviz_store::{NOBODY, StoreError};

use crate::reading::{Place, Plain, Sink};
use crate::shown::{Shown, Take};

/// What each source recorded over the whole span.
pub(crate) struct SourceTotals(pub(crate) Vec<u128>);

impl SourceTotals {
    /// Of so many sources.
    pub(crate) fn of(sources: usize) -> Self {
        Self(vec![0; sources])
    }

    /// With what they recorded in another part of the span.
    pub(crate) fn plus(mut self, more: &Self) -> Self {
        self.0.iter_mut().zip(&more.0).for_each(|(held, more)| *held += more);
        self
    }

    /// What each row counts of it, where nothing is shared.
    pub(crate) fn by_row(&self, shown: &Shown, rows: usize) -> Vec<u128> {
        let mut totals = vec![0; rows];
        for (source, sum) in shown.sources.iter().zip(&self.0) {
            for (row, take) in &shown.takes[source.takes.clone()] {
                if matches!(take, Take::Counted) {
                    totals[*row as usize] += sum;
                }
            }
        }
        totals
    }
}

impl Sink for SourceTotals {
    const MAXIMA: bool = false;

    fn take(&mut self, source: u32, _: Place, recorded: Summary) {
        self.0[source as usize] += u128::from(recorded.sum);
    }

    fn take_slots(&mut self, tags: &[u32], _: Place, sums: &[u64], _: &[u64]) {
        for (&tag, &sum) in tags.iter().zip(sums).filter(|(tag, _)| **tag != NOBODY) {
            self.0[tag as usize] += u128::from(sum);
        }
    }

    fn take_plain(&mut self, source: u32, _: usize, _: usize, cells: &Plain<'_>) {
        let sum = cells.values.iter().map(|&value| u128::from(value)).sum::<u128>();
        self.0[source as usize] += sum;
    }

    fn unread(&mut self, _: u32, _: Range<usize>, _: &StoreError) {}
}

/// What each row counts over the whole span, where shares are cut window by window.
pub(crate) struct RowTotals<'a> {
    pub(crate) shown: &'a Shown,
    /// By row.
    pub(crate) totals: Vec<u128>,
}

impl Sink for RowTotals<'_> {
    const MAXIMA: bool = false;

    fn take(&mut self, source: u32, _: Place, recorded: Summary) {
        let source = &self.shown.sources[source as usize];
        for (row, take) in &self.shown.takes[source.takes.clone()] {
            let counted = match take {
                Take::Counted => recorded.sum,
                Take::Inherited => 0,
                Take::Apportioned(share) => share.of(recorded.sum),
            };
            self.totals[*row as usize] += u128::from(counted);
        }
    }

    fn unread(&mut self, _: u32, _: Range<usize>, _: &StoreError) {}
}

/// Which sources had traffic, or may have had.
pub(crate) struct Busy(pub(crate) Vec<bool>);

impl Sink for Busy {
    const MAXIMA: bool = false;

    fn take(&mut self, source: u32, _: Place, _: Summary) {
        self.0[source as usize] = true;
    }

    fn unread(&mut self, source: u32, _: Range<usize>, _: &StoreError) {
        self.0[source as usize] = true;
    }
}
