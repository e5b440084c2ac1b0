//! How the value of a source that sticks out of its rows is shared among them (contract section 8,
//! `apportion`).
//!
//! The value flows along the lineage edges towards the rows that show the source. At each fork it
//! parts in equal whole numbers among the branches that overlap the source and lead to such a row,
//! the remainder to the first in key order; where branches meet again (a merge), what arrives is
//! added and flows on as one.
//! Invariant: nothing is lost or made up: the shares of all rows add up to the value (Q1).
//! Cost: linear in the lineages between source and rows, however often they split and merged.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use keyviz_lineage::{LineageRecord, Slot};

use crate::cast::Cast;
use crate::rows::Draft;

/// The part of a source that reaches one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    /// `(from, to, branches, first)`, upstream first: at `from` the value parts into so many.
    edges: Vec<(usize, usize, u64, bool)>,
    ends: Vec<usize>,
    nodes: usize,
}

impl Share {
    /// All of it.
    pub(crate) fn whole() -> Self {
        Self { edges: Vec::new(), ends: vec![0], nodes: 1 }
    }

    /// What of `value` arrives.
    pub(crate) fn of(&self, value: u64) -> u64 {
        let mut amounts = vec![0; self.nodes];
        if let Some(source) = amounts.first_mut() {
            *source = value;
        }
        for &(from, to, branches, first) in &self.edges {
            let amount = amounts[from];
            amounts[to] += amount / branches + if first { amount % branches } else { 0 };
        }
        self.ends.iter().map(|&end| amounts[end]).sum()
    }
}

/// The lineages between one source (at 0) and the rows, upstream first. One without branches is a row.
type Net = Vec<(Slot, Vec<usize>)>;

/// Shares sources among the rows of one answer.
pub(crate) struct Flow<'a> {
    cast: &'a Cast<'a>,
    at_ms: u64,
    /// What each row shows, by its lineage.
    rows: HashMap<Slot, Vec<Slot>>,
    nets: HashMap<Slot, Rc<Net>>,
}

impl<'a> Flow<'a> {
    /// `drafts` are all rows as of `at_ms`, not yet coarsened.
    pub(crate) fn new(cast: &'a Cast<'a>, at_ms: u64, drafts: &[Draft]) -> Self {
        let rows = drafts
            .iter()
            .flat_map(|draft| draft.members.iter().map(|&row| (row, draft.sources.to_vec())));
        Self { cast, at_ms, rows: rows.collect(), nets: HashMap::new() }
    }

    /// What of `source` reaches the rows of `members`.
    pub(crate) fn share(&mut self, source: Slot, members: &HashSet<Slot>) -> Share {
        let net = match self.nets.get(&source) {
            Some(net) => Rc::clone(net),
            None => {
                let net = Rc::new(self.net(source));
                self.nets.insert(source, Rc::clone(&net));
                net
            }
        };
        let mut leads = vec![false; net.len()];
        for (at, (slot, branches)) in net.iter().enumerate().rev() {
            leads[at] = branches.is_empty() && members.contains(slot)
                || branches.iter().any(|&to| leads[to]);
        }
        let mut share = Share::default();
        let mut place = vec![0; net.len()];
        for (at, (_, branches)) in net.iter().enumerate().filter(|&(at, _)| leads[at]) {
            place[at] = share.nodes;
            share.nodes += 1;
            if branches.is_empty() {
                share.ends.push(at);
            }
            let here = branches.iter().enumerate().filter(|&(_, &to)| leads[to]);
            share.edges.extend(here.map(|(nth, &to)| (at, to, branches.len() as u64, nth == 0)));
        }
        share.ends.iter_mut().for_each(|end| *end = place[*end]);
        for (from, to, ..) in &mut share.edges {
            (*from, *to) = (place[*from], place[*to]);
        }
        share
    }

    /// Towards the instant that the rows are taken at, else (rows that were born and ended since)
    /// away from it; by lineages that overlap the source, else (its keys were dropped and created
    /// anew in between) by any. A loose source goes to its heirs first; where none of them leads to a
    /// row, straight to the rows that show it.
    fn net(&self, source: Slot) -> Net {
        let Some(record) = self.cast.record(source) else { return Net::new() };
        let forward = record.valid_from.unix_ms() <= self.at_ms;
        let ways = [(forward, true), (!forward, true), (forward, false), (!forward, false)];
        ways.into_iter()
            .find_map(|(forward, overlapping)| self.way(source, record, forward, overlapping))
            .or_else(|| self.cast.is_loose(source).then(|| self.straight(source)))
            .unwrap_or_default()
    }

    fn is_row(&self, source: Slot, slot: Slot) -> bool {
        self.rows.get(&slot).is_some_and(|shown| shown.binary_search(&source).is_ok())
    }

    /// Where the value goes from `here`, in key order.
    fn next(
        &self,
        source: Slot,
        here: Slot,
        forward: bool,
        within: &LineageRecord,
        overlapping: bool,
    ) -> Vec<Slot> {
        if self.is_row(source, here) {
            return Vec::new();
        }
        let mut next: Vec<Slot> = match forward {
            _ if self.cast.is_loose(here) => {
                self.cast.record(here).map_or_else(Vec::new, |loose| self.cast.heirs(loose))
            }
            true => self.cast.graph.children_of(here).collect(),
            false => self.cast.graph.parents_of(here).collect(),
        };
        let record = |slot: Slot| self.cast.record(slot);
        next.retain(|&to| {
            !overlapping || record(to).is_some_and(|to| to.range.overlaps(&within.range))
        });
        next.sort_by_key(|&to| record(to).map(|to| (to.range.start(), to.id)));
        next
    }

    fn way(
        &self,
        source: Slot,
        record: &LineageRecord,
        forward: bool,
        overlapping: bool,
    ) -> Option<Net> {
        let next = |here: Slot| self.next(source, here, forward, record, overlapping);
        let mut seen = HashSet::from([source]);
        let mut order = vec![source];
        let mut done = 0;
        while let Some(&here) = order.get(done) {
            order.extend(next(here).into_iter().filter(|&slot| seen.insert(slot)));
            done += 1;
        }
        // A parent's slot is lower than its children's, so that this is upstream first.
        order[1..].sort_unstable();
        if !forward {
            order[1..].reverse();
        }
        let mut leads: HashSet<Slot> = HashSet::new();
        for &slot in order.iter().rev() {
            if self.is_row(source, slot) || next(slot).iter().any(|to| leads.contains(to)) {
                leads.insert(slot);
            }
        }
        order.retain(|slot| leads.contains(slot));
        let place: HashMap<Slot, usize> =
            order.iter().enumerate().map(|(at, &slot)| (slot, at)).collect();
        let branches =
            |slot: Slot| next(slot).iter().filter_map(|to| place.get(to).copied()).collect();
        (place.get(&source) == Some(&0))
            .then(|| order.iter().map(|&slot| (slot, branches(slot))).collect())
    }

    /// To every row that shows the source, in key order.
    fn straight(&self, source: Slot) -> Net {
        let mut rows: Vec<Slot> =
            self.rows.keys().copied().filter(|&row| self.is_row(source, row)).collect();
        rows.sort_by_key(|&row| self.cast.record(row).map(|to| (to.range.start(), to.id)));
        let ends = rows.iter().map(|&row| (row, Vec::new()));
        std::iter::once((source, (1..=rows.len()).collect())).chain(ends).collect()
    }
}
