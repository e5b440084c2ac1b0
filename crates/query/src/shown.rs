//! Which row shows which source, and how: in full, counted or not, or its share.
//!
//! Invariant: Q1, every source is counted in at most one row.
//! Proof: `matrix_test.rs`.

use std::collections::HashSet;
use std::ops::Range;

use keyviz_lineage::{KeyRange, LineageRecord, Slot};

use crate::cast::Cast;
use crate::flow::{Flow, Share};
use crate::rows::Draft;

/// How a row takes part in a source.
#[derive(Clone, Debug)]
pub(crate) enum Take {
    Counted,
    Inherited,
    Apportioned(Box<Share>),
}

/// One source of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) slot: Slot,
    /// Who shows it: a stretch of [`Shown::takes`].
    pub(crate) takes: Range<usize>,
    /// What of it is counted by rows outside the asked range; `None` = nothing.
    pub(crate) elsewhere: Option<Box<Share>>,
    /// Whether no row counts it whole.
    pub(crate) is_ownerless: bool,
}

/// The sources of an answer, by slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) sources: Vec<Source>,
    /// The row's place among the drafts, and how it takes part.
    pub(crate) takes: Vec<(u32, Take)>,
}

/// Who counts what.
pub(crate) struct Owners<'a> {
    cast: &'a Cast<'a>,
    /// Which row (by its first member) counts a source that lies inside it, by the source's slot.
    owners: Vec<Option<Slot>>,
    /// The members of rows outside the asked range.
    hidden: &'a HashSet<Slot>,
}

impl<'a> Owners<'a> {
    /// Q1: a row counts its own lineages; a source inside several (overlapping) rows is counted by
    /// the first.
    pub(crate) fn new(
        cast: &'a Cast<'a>,
        drafts: &[Draft],
        outside: &[Draft],
        hidden: &'a HashSet<Slot>,
    ) -> Self {
        let mut owners = vec![None; cast.slots() as usize];
        let mut all: Vec<&Draft> = drafts.iter().chain(outside).collect();
        if !outside.is_empty() {
            // Each of the two is in order.
            let place = |draft: &Draft| {
                cast.record(draft.members[0]).map(|record| (record.range.start(), record.id))
            };
            all.sort_by(|a, b| place(a).cmp(&place(b)));
        }
        for draft in &all {
            for &member in &draft.members {
                owners[member as usize] = Some(draft.members[0]);
            }
        }
        for draft in all {
            // Nearly every row shows its own lineages alone.
            let mut range: Option<KeyRange> = None;
            for &source in &draft.sources {
                let held = &mut owners[source as usize];
                if held.is_none() {
                    let range = range.get_or_insert_with(|| draft.range(cast));
                    let inside = |record: &LineageRecord| range.covers(&record.range);
                    *held = cast.record(source).filter(|r| inside(r)).map(|_| draft.members[0]);
                }
            }
        }
        Self { cast, owners, hidden }
    }

    fn owner(&self, source: Slot) -> Option<Slot> {
        self.owners.get(source as usize).copied().flatten()
    }

    /// Who shows what, of all drafts. `flow` shares what no row counts whole, if anybody does.
    pub(crate) fn shown(&self, drafts: &[Draft], flow: &mut Option<Flow<'_>>) -> Shown {
        // By counting: sources are many, and each is shown by few.
        let mut starts = vec![0u32; self.cast.slots() as usize + 1];
        for &source in drafts.iter().flat_map(|draft| &draft.sources) {
            starts[source as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        let mut rows = vec![0u32; sum as usize];
        let mut next = starts.clone();
        for (row, draft) in drafts.iter().enumerate() {
            for &source in &draft.sources {
                let at = &mut next[source as usize];
                rows[*at as usize] = row as u32;
                *at += 1;
            }
        }
        let mut shown = Shown::default();
        for (slot, bounds) in starts.windows(2).enumerate().filter(|(_, pair)| pair[0] < pair[1]) {
            let rows = &rows[bounds[0] as usize..bounds[1] as usize];
            self.add(slot as Slot, rows, drafts, flow, &mut shown);
        }
        shown
    }

    fn add(
        &self,
        slot: Slot,
        rows: &[u32],
        drafts: &[Draft],
        flow: &mut Option<Flow<'_>>,
        shown: &mut Shown,
    ) {
        let (first, owner) = (shown.takes.len(), self.owner(slot));
        for &row in rows {
            let members = &drafts[row as usize].members;
            let take = match (owner, &mut *flow) {
                (Some(owner), _) if owner == members[0] => Take::Counted,
                (None, Some(flow)) => {
                    let members = members.iter().copied().collect();
                    Take::Apportioned(Box::new(flow.share(slot, &members)))
                }
                _ => Take::Inherited,
            };
            shown.takes.push((row, take));
        }
        let elsewhere = match (owner, flow) {
            (Some(owner), _) => self.hidden.contains(&owner).then(Share::whole),
            (None, Some(flow)) if !self.hidden.is_empty() => Some(flow.share(slot, self.hidden)),
            _ => None,
        };
        shown.sources.push(Source {
            slot,
            takes: first..shown.takes.len(),
            elsewhere: elsewhere.map(Box::new),
            is_ownerless: owner.is_none(),
        });
    }
}
