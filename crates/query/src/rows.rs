//! Who is drawn: the lineages of a row set, and which lineages each row shows.

use keyviz_lineage::{KeyRange, LineageGraph, LineageRecord, Slot};

use crate::RowSet;
use crate::span::Span;

/// A row before its cells: one or more lineages that stand together.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) range: KeyRange,
    /// The lineages it stands for, in key order.
    pub(crate) members: Vec<Slot>,
    /// Everything it shows, ascending: its members, and what is linked to them and overlaps.
    pub(crate) sources: Vec<Slot>,
    pub(crate) closed: bool,
}

/// The instant that the row set is taken at; `None` for [`RowSet::Union`].
pub(crate) fn instant(row_set: RowSet, span: &Span, to_ms: u64) -> Option<u64> {
    match row_set {
        RowSet::AsOfTo => Some(to_ms - 1),
        RowSet::AsOfFrom => Some(span.from_ms),
        RowSet::AsOf(at_ms) => Some(at_ms.min(u64::MAX - 1)),
        RowSet::Union => None,
    }
}

/// Chooses the rows of one answer.
pub(crate) struct Drafting<'a> {
    pub(crate) graph: &'a LineageGraph,
    pub(crate) span: &'a Span,
    /// `None` for the union.
    pub(crate) at_ms: Option<u64>,
    /// Whether anything of a lineage was recorded in the span.
    pub(crate) had_traffic: &'a dyn Fn(&LineageRecord) -> bool,
}

impl Drafting<'_> {
    /// The rows of the row set that overlap `range`, and one for each further lineage that had
    /// traffic and that no row shows (dropped, or born elsewhere in the span), latest first, so that
    /// it shows what it came from. By start key, then id.
    pub(crate) fn draft(&self, range: &KeyRange) -> Vec<Draft> {
        let (from_ms, to_ms) = match self.at_ms {
            Some(at_ms) => (at_ms, at_ms.saturating_add(1)),
            None => (self.span.from_ms, self.span.to_ms),
        };
        let mut rows = self.graph.overlapping(range, from_ms, to_ms);
        rows.retain(|&row| self.graph.record(row).is_some_and(|record| self.is_row(record)));
        let key = |row: Slot| self.graph.record(row).map(|r| (r.range.start(), r.id));
        // Stable: the live rows of a group come in order.
        rows.sort_by(|&a, &b| key(a).cmp(&key(b)));
        let mut drafts = self.linked(&rows);
        let mut shown = vec![false; self.graph.slots() as usize];
        for &source in drafts.iter().flat_map(|draft| &draft.sources) {
            shown[source as usize] = true;
        }
        drafts.extend(self.further(range, &mut shown));
        drafts.sort_by(|a, b| {
            let id = |draft: &Draft| self.graph.record(draft.members[0]).map(|record| record.id);
            (a.range.start(), id(a)).cmp(&(b.range.start(), id(b)))
        });
        drafts
    }

    /// `range` and everything that is bound up with it: no lineage of the span, and no row, sticks out
    /// of the answer.
    pub(crate) fn closure(&self, range: &KeyRange) -> KeyRange {
        let mut hull = range.clone();
        loop {
            let mut found = self.graph.overlapping(&hull, self.span.from_ms, self.span.to_ms);
            if let Some(at_ms) = self.at_ms {
                found.extend(self.graph.overlapping(&hull, at_ms, at_ms.saturating_add(1)));
            }
            let records = found.into_iter().filter_map(|slot| self.graph.record(slot));
            let wider = records.fold(hull.clone(), |hull, record| hull.hull(&record.range));
            if wider == hull {
                return hull;
            }
            hull = wider;
        }
    }

    fn is_row(&self, record: &LineageRecord) -> bool {
        match self.at_ms {
            Some(at_ms) => owned_at(self.graph, record, at_ms),
            None => alive_part(self.graph, record, self.span.from_ms, self.span.to_ms).is_some(),
        }
    }

    /// One draft for each of `rows`, with what it shows.
    fn linked(&self, rows: &[Slot]) -> Vec<Draft> {
        let links = self.at_ms.map(|_| self.graph.link(rows, self.span.from_ms, self.span.to_ms));
        let drafts = rows.iter().enumerate().filter_map(|(at, &row)| {
            let sources = links.as_ref().map_or_else(|| vec![row], |links| links.of(at).to_vec());
            self.of_one(row, sources, false)
        });
        drafts.collect()
    }

    fn further(&self, range: &KeyRange, shown: &mut [bool]) -> Vec<Draft> {
        let (from_ms, to_ms) = (self.span.from_ms, self.span.to_ms);
        let is_shown = |slot: Slot| shown[slot as usize];
        let left = self.graph.overlapping_but(range, from_ms, to_ms, &is_shown);
        let mut left: Vec<(Slot, &LineageRecord)> =
            left.into_iter().filter_map(|slot| Some((slot, self.graph.record(slot)?))).collect();
        left.sort_unstable_by_key(|(_, record)| std::cmp::Reverse((record.valid_from, record.id)));
        let mut drafts = Vec::new();
        for (slot, record) in left {
            if shown[slot as usize] || !(self.had_traffic)(record) {
                continue;
            }
            let ended = |at_ms| record.valid_to.is_some_and(|end| end.unix_ms() <= at_ms);
            let sources = match self.at_ms {
                Some(_) => self.graph.link_past(slot, self.span.from_ms, self.span.to_ms),
                None => vec![slot],
            };
            sources.iter().for_each(|&source| shown[source as usize] = true);
            drafts.extend(self.of_one(slot, sources, self.at_ms.is_some_and(ended)));
        }
        drafts
    }

    fn of_one(&self, row: Slot, sources: Vec<Slot>, closed: bool) -> Option<Draft> {
        let range = self.graph.record(row)?.range.clone();
        Some(Draft { range, members: vec![row], sources, closed })
    }
}

fn owned_at(graph: &LineageGraph, record: &LineageRecord, at_ms: u64) -> bool {
    graph.owned_from_ms(record) <= at_ms && record.valid_to.is_none_or(|end| end.unix_ms() > at_ms)
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
    let part = (graph.owned_from_ms(record).max(from_ms), end_ms.min(to_ms));
    (part.0 < part.1).then_some(part)
}
