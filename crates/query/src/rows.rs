//! Who is drawn: the lineages of a row set, and which lineages each row shows.

use keyviz_lineage::{KeyRange, LineageRecord, Slot, SlotSet};
use smallvec::{SmallVec, smallvec};

use crate::RowSet;
use crate::cast::{Cast, Overlaps};
use crate::span::Span;

/// A row before its cells: one or more lineages that stand together.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The lineages it stands for, in key order; at least one.
    pub(crate) members: Slots,
    /// Everything it shows, ascending: its members, and what is linked to them (or loose) and
    /// overlaps.
    pub(crate) sources: Slots,
    pub(crate) closed: bool,
}

/// Slots of one row: nearly always few, as long as rows are not joined.
pub(crate) type Slots = SmallVec<[Slot; 4]>;

impl Draft {
    fn of_one(row: Slot, sources: &[Slot], closed: bool) -> Self {
        Self { members: smallvec![row], sources: SmallVec::from_slice(sources), closed }
    }

    /// The keys of its lineages, and what lies between them.
    pub(crate) fn range(&self, cast: &Cast<'_>) -> KeyRange {
        let ranges = self.members.iter().filter_map(|&slot| Some(&cast.record(slot)?.range));
        KeyRange::hull_of(ranges).unwrap_or_default()
    }
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
    pub(crate) cast: &'a Cast<'a>,
    pub(crate) span: &'a Span,
    /// `None` for the union.
    pub(crate) at_ms: Option<u64>,
    /// Of which of these lineages anything was recorded in the span.
    pub(crate) had_traffic: &'a dyn Fn(&[Slot]) -> Vec<bool>,
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
        let mut rows = self.cast.graph.overlapping(range, from_ms, to_ms);
        let graph = self.cast.graph;
        let recovered: Vec<Slot> = graph.recovered().collect();
        rows.retain(|&row| self.is_row(row) && recovered.binary_search(&row).is_err());
        self.sort(&mut rows);
        // A row that sticks out of the range stays whole, and so does what it shows.
        let loose = self.cast.loose(&KeyRange::all(), self.span);
        let mut drafts = self.linked(&rows, &loose);
        let mut shown = SlotSet::with_room(self.cast.slots());
        for &source in drafts.iter().flat_map(|draft| &draft.sources) {
            shown.insert(source);
        }
        let further = self.further(range, &loose, &mut shown);
        if further.is_empty() {
            return drafts;
        }
        drafts.extend(further);
        drafts.sort_by_cached_key(|draft| {
            let record = self.cast.record(draft.members[0]);
            record.map(|record| (record.range.start(), record.id))
        });
        drafts
    }

    /// By start key, then id.
    fn sort(&self, rows: &mut [Slot]) {
        let graph = self.cast.graph;
        rows.sort_by_cached_key(|&row| graph.start_rank(row));
        for same in rows.chunk_by_mut(|&a, &b| graph.start_rank(a) == graph.start_rank(b)) {
            same.sort_unstable_by_key(|&row| graph.record(row).map(|record| record.id));
        }
    }

    /// `range` and everything that is bound up with it: no lineage of the span, and no row, sticks out
    /// of the answer.
    pub(crate) fn closure(&self, range: &KeyRange) -> KeyRange {
        let mut hull = range.clone();
        loop {
            let mut found = self.cast.graph.overlapping(&hull, self.span.from_ms, self.span.to_ms);
            if let Some(at_ms) = self.at_ms {
                found.extend(self.cast.graph.overlapping(&hull, at_ms, at_ms.saturating_add(1)));
            }
            found.extend(self.cast.loose(&hull, self.span));
            let records = found.into_iter().filter_map(|slot| self.cast.record(slot));
            let wider = records.fold(hull.clone(), |hull, record| hull.hull(&record.range));
            if wider == hull {
                return hull;
            }
            hull = wider;
        }
    }

    fn is_row(&self, row: Slot) -> bool {
        let life = self.cast.graph.life(row);
        match self.at_ms {
            Some(at_ms) => life.owns_at(at_ms),
            None => life.part(self.span.from_ms, self.span.to_ms).is_some(),
        }
    }

    /// One draft for each of `rows` (by start), with what it shows.
    fn linked(&self, rows: &[Slot], loose: &[Slot]) -> Vec<Draft> {
        if self.at_ms.is_none() {
            return rows.iter().map(|&row| Draft::of_one(row, &[row], false)).collect();
        }
        let links = self.cast.graph.link(rows, self.span.from_ms, self.span.to_ms);
        let drafts = rows.iter().enumerate();
        let mut drafts: Vec<Draft> =
            drafts.map(|(at, &row)| Draft::of_one(row, links.of(at), false)).collect();
        if loose.is_empty() {
            return drafts;
        }
        let mut shown: Vec<(usize, Slot)> = Vec::new();
        let ranges = rows.iter().filter_map(|&row| Some(&self.cast.record(row)?.range));
        let overlaps = Overlaps::new(ranges.collect());
        for &slot in loose {
            let Some(record) = self.cast.record(slot) else { continue };
            shown.extend(overlaps.of(&record.range).map(|at| (at, slot)));
        }
        for (at, slot) in shown {
            add(&mut drafts[at].sources, slot);
        }
        drafts
    }

    /// A row for each lineage or loose source with traffic that no row shows.
    fn further(&self, range: &KeyRange, loose: &[Slot], shown: &mut SlotSet) -> Vec<Draft> {
        let (from_ms, to_ms) = (self.span.from_ms, self.span.to_ms);
        let mut left = self.cast.graph.overlapping_but(range, from_ms, to_ms, shown);
        let buckets = loose.iter().copied().filter(|&slot| self.cast.is_bucket(slot));
        let asked = |slot: &Slot| self.cast.record(*slot).is_some_and(|r| r.range.overlaps(range));
        left.extend(buckets.filter(|&slot| !shown.contains(slot) && asked(&slot)));
        if left.is_empty() {
            return Vec::new();
        }
        let had_traffic = (self.had_traffic)(&left).into_iter();
        let left = left.into_iter().zip(had_traffic).filter(|&(_, had_traffic)| had_traffic);
        let mut left: Vec<(Slot, &LineageRecord)> =
            left.filter_map(|(slot, _)| Some((slot, self.cast.record(slot)?))).collect();
        left.sort_unstable_by_key(|(_, record)| std::cmp::Reverse((record.valid_from, record.id)));
        let mut drafts = Vec::new();
        for (slot, record) in left {
            if shown.contains(slot) {
                continue;
            }
            let ended = |at_ms| record.valid_to.is_some_and(|end| end.unix_ms() <= at_ms);
            let sources = self.past(slot, record, loose);
            for &source in &sources {
                shown.insert(source);
            }
            drafts.push(Draft::of_one(slot, &sources, self.at_ms.is_some_and(ended)));
        }
        drafts
    }

    /// What a further row shows.
    fn past(&self, slot: Slot, record: &LineageRecord, loose: &[Slot]) -> Slots {
        if self.at_ms.is_none() {
            return smallvec![slot];
        }
        let mut sources = match self.cast.is_bucket(slot) {
            true => smallvec![slot],
            false => self.cast.graph.link_past(slot, self.span.from_ms, self.span.to_ms).into(),
        };
        for &other in loose {
            if self.cast.record(other).is_some_and(|other| other.range.overlaps(&record.range)) {
                add(&mut sources, other);
            }
        }
        sources
    }
}

/// Adds to an ascending list.
fn add(sources: &mut Slots, slot: Slot) {
    if let Err(at) = sources.binary_search(&slot) {
        sources.insert(at, slot);
    }
}
