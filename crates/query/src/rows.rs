//! Who is drawn: the lineages of a row set, and which lineages each row shows.

use std::collections::{BTreeSet, HashSet};

use keyviz_lineage::{Cause, Hlc, KeyRange, LineageGraph, LineageId, LineageRecord};

use crate::RowSet;
use crate::span::Span;

/// A row before its cells: one or more lineages that stand together.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) range: KeyRange,
    /// The lineages it stands for, in key order.
    pub(crate) members: Vec<LineageId>,
    /// Everything it shows: its members, and what is linked to them and overlaps.
    pub(crate) sources: BTreeSet<LineageId>,
    pub(crate) closed: bool,
}

/// The instant that the row set is taken at; `None` for [`RowSet::Union`].
pub(crate) fn instant(row_set: RowSet, span: &Span, to_ms: u64) -> Option<u64> {
    match row_set {
        RowSet::AsOfTo => Some(to_ms - 1),
        RowSet::AsOfFrom => Some(span.from_ms),
        RowSet::AsOf(at_ms) => Some(at_ms),
        RowSet::Union => None,
    }
}

/// The rows of the row set that overlap `range`, and one for each further lineage that `had_traffic`
/// and that no row shows (dropped, or born elsewhere in the span), latest first, so that it shows
/// what it came from. By start key, then id.
pub(crate) fn draft(
    graph: &LineageGraph,
    range: &KeyRange,
    span: &Span,
    at_ms: Option<u64>,
    had_traffic: &dyn Fn(&LineageRecord) -> bool,
) -> Vec<Draft> {
    let mut overlapping: Vec<&LineageRecord> =
        graph.records().filter(|record| record.range.overlaps(range)).collect();
    overlapping.sort_by_key(|record| std::cmp::Reverse((record.valid_from, record.id)));
    let is_row = |record: &LineageRecord| match at_ms {
        Some(at_ms) => owned_at(graph, record, at_ms),
        None => alive_part(graph, record, span.from_ms, span.to_ms).is_some(),
    };
    let mut drafts = Vec::new();
    let mut shown: HashSet<LineageId> = HashSet::new();
    for record in overlapping.iter().filter(|record| is_row(record)) {
        let sources = match at_ms {
            Some(_) => linked(graph, record),
            None => BTreeSet::from([record.id]),
        };
        shown.extend(&sources);
        drafts.push(Draft {
            range: record.range.clone(),
            members: vec![record.id],
            sources,
            closed: false,
        });
    }
    for record in overlapping {
        if shown.contains(&record.id) || !had_traffic(record) {
            continue;
        }
        let closed = at_ms.is_some_and(|at| record.valid_to.is_some_and(|end| end.unix_ms() <= at));
        let sources = match at_ms {
            Some(_) => past(graph, record),
            None => BTreeSet::from([record.id]),
        };
        shown.extend(&sources);
        drafts.push(Draft {
            range: record.range.clone(),
            members: vec![record.id],
            sources,
            closed,
        });
    }
    drafts.sort_by(|a, b| (a.range.start(), &a.members).cmp(&(b.range.start(), &b.members)));
    drafts
}

/// From when a lineage owned its keys. One that was backfilled owned them before keyviz met it, back
/// to the end of the one it continues (contract section 4).
fn owned_from_ms(graph: &LineageGraph, record: &LineageRecord) -> u64 {
    let born_ms = record.valid_from.unix_ms();
    if record.cause != Cause::Backfill {
        return born_ms;
    }
    let parents = record.parents.iter().filter_map(|parent| graph.get(parent.id));
    let ends = parents.map(|parent| parent.valid_to.map_or(born_ms, Hlc::unix_ms));
    ends.max().unwrap_or(0).min(born_ms)
}

fn owned_at(graph: &LineageGraph, record: &LineageRecord, at_ms: u64) -> bool {
    owned_from_ms(graph, record) <= at_ms && record.valid_to.is_none_or(|end| end.unix_ms() > at_ms)
}

/// The part of `[from_ms, to_ms)` in which a lineage owned its keys, if any. One that was born and
/// closed within a millisecond is alive in that millisecond.
pub(crate) fn alive_part(
    graph: &LineageGraph,
    record: &LineageRecord,
    from_ms: u64,
    to_ms: u64,
) -> Option<(u64, u64)> {
    let end_ms =
        record.valid_to.map_or(u64::MAX, |end| end.unix_ms().max(record.valid_from.unix_ms() + 1));
    let part = (owned_from_ms(graph, record).max(from_ms), end_ms.min(to_ms));
    (part.0 < part.1).then_some(part)
}

/// The lineages linked to `row` in either direction that overlap it, itself included.
fn linked(graph: &LineageGraph, row: &LineageRecord) -> BTreeSet<LineageId> {
    let mut found = past(graph, row);
    let children = |record: &LineageRecord| graph.children(record.id).to_vec();
    walk(graph, row, &children, &mut found);
    found
}

/// The lineages that `row` came from and that overlap it, itself included.
fn past(graph: &LineageGraph, row: &LineageRecord) -> BTreeSet<LineageId> {
    let mut found = BTreeSet::from([row.id]);
    let parents = |record: &LineageRecord| record.parents.iter().map(|parent| parent.id).collect();
    walk(graph, row, &parents, &mut found);
    found
}

fn walk(
    graph: &LineageGraph,
    row: &LineageRecord,
    next: &dyn Fn(&LineageRecord) -> Vec<LineageId>,
    found: &mut BTreeSet<LineageId>,
) {
    let mut open = next(row);
    while let Some(id) = open.pop() {
        let Some(record) = graph.get(id) else { continue };
        if record.range.overlaps(&row.range) && found.insert(id) {
            open.extend(next(record));
        }
    }
}
