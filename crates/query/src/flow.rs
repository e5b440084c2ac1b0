//! How the value of a source that sticks out of its rows is shared among them (contract section 8,
//! `apportion`).
//!
//! The value flows along the lineage edges towards the rows that show the source. At each fork it
//! parts in equal whole numbers among the branches that overlap the source and lead to such a row,
//! the remainder to the first in key order; where branches meet again (a merge), what arrives is
//! added and flows on as one.
//! Invariant: nothing is lost or made up: the shares of all rows add up to the value (Q1).
//! Cost: linear in the lineages between source and rows, however often they split and merged.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use keyviz_lineage::{LineageGraph, LineageId, LineageRecord};

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
type Net = Vec<(LineageId, Vec<usize>)>;

/// Shares sources among the rows of one answer.
pub(crate) struct Flow<'a> {
    graph: &'a LineageGraph,
    at_ms: u64,
    /// What each row shows, by its lineage.
    rows: HashMap<LineageId, BTreeSet<LineageId>>,
    nets: HashMap<LineageId, Rc<Net>>,
}

impl<'a> Flow<'a> {
    /// `drafts` are all rows as of `at_ms`, not yet coarsened.
    pub(crate) fn new(graph: &'a LineageGraph, at_ms: u64, drafts: &[Draft]) -> Self {
        let rows = drafts
            .iter()
            .flat_map(|draft| draft.members.iter().map(|&id| (id, draft.sources.clone())));
        Self { graph, at_ms, rows: rows.collect(), nets: HashMap::new() }
    }

    /// What of `source` reaches the rows of `members`.
    pub(crate) fn share(&mut self, source: &LineageRecord, members: &HashSet<LineageId>) -> Share {
        let net = match self.nets.get(&source.id) {
            Some(net) => Rc::clone(net),
            None => {
                let net = Rc::new(self.net(source));
                self.nets.insert(source.id, Rc::clone(&net));
                net
            }
        };
        let mut leads = vec![false; net.len()];
        for (at, (id, branches)) in net.iter().enumerate().rev() {
            leads[at] =
                branches.is_empty() && members.contains(id) || branches.iter().any(|&to| leads[to]);
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
    /// anew in between) by any.
    fn net(&self, source: &LineageRecord) -> Net {
        let forward = source.valid_from.unix_ms() <= self.at_ms;
        let ways = [(forward, true), (!forward, true), (forward, false), (!forward, false)];
        ways.into_iter()
            .find_map(|(forward, overlapping)| self.way(source, forward, overlapping))
            .unwrap_or_default()
    }

    fn way(&self, source: &LineageRecord, forward: bool, overlapping: bool) -> Option<Net> {
        let is_row =
            |id: LineageId| self.rows.get(&id).is_some_and(|shown| shown.contains(&source.id));
        let next = |here: &LineageRecord| {
            let ids: Vec<LineageId> = if is_row(here.id) {
                Vec::new()
            } else if forward {
                self.graph.children(here.id).to_vec()
            } else {
                here.parents.iter().map(|parent| parent.id).collect()
            };
            let records = ids.into_iter().filter_map(|id| self.graph.get(id));
            let mut next: Vec<_> =
                records.filter(|r| !overlapping || r.range.overlaps(&source.range)).collect();
            next.sort_by(|a, b| (a.range.start(), a.id).cmp(&(b.range.start(), b.id)));
            next
        };
        let mut seen = HashSet::from([source.id]);
        let mut order = vec![source];
        let mut done = 0;
        while let Some(&here) = order.get(done) {
            order.extend(next(here).into_iter().filter(|record| seen.insert(record.id)));
            done += 1;
        }
        // Along the edges births only get later, so that this is upstream first.
        order.sort_by_key(|record| (record.valid_from, record.id));
        if !forward {
            order.reverse();
        }
        let mut leads: HashMap<LineageId, bool> = HashMap::new();
        for record in order.iter().rev() {
            let found = is_row(record.id)
                || next(record).iter().any(|to| leads.get(&to.id).is_some_and(|&l| l));
            leads.insert(record.id, found);
        }
        order.retain(|record| leads.get(&record.id).is_some_and(|&leads| leads));
        let place: HashMap<LineageId, usize> =
            order.iter().enumerate().map(|(at, record)| (record.id, at)).collect();
        let branches = |record: &LineageRecord| {
            next(record).iter().filter_map(|to| place.get(&to.id).copied()).collect()
        };
        (place.get(&source.id) == Some(&0))
            .then(|| order.iter().map(|record| (record.id, branches(record))).collect())
    }
}
