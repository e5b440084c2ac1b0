//! Everybody that an answer may show: the lineages of the graph, and the sources that no edge leads
//! to (*loose* ones), which are linked to rows by overlap (contract sections 4, 5 and 8).
//!
//! Loose are virtual buckets (several routes counted together; known from `index|<hour>`), and
//! lineages whose record was lost ([`Cause::Recovered`]; they are in the graph, without edges).
//! A bucket gets a slot behind those of the graph and a record of its own: alive from its first
//! recorded window in the span to its last.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use keyviz_codec::bucket_index::IndexedBucket;
use keyviz_lineage::{
    Cause, GroupId, Hlc, KeyRange, Life, LineageGraph, LineageId, LineageRecord, RouteId, Slot,
};
use keyviz_store::{History, StoreError};

use crate::span::Span;

/// A virtual bucket in the span of a question.
struct Bucket {
    record: LineageRecord,
    groups: Vec<GroupId>,
    members: Vec<RouteId>,
    member_count: u64,
}

/// The lineages and the loose sources of one question.
pub(crate) struct Cast<'a> {
    pub(crate) graph: &'a LineageGraph,
    buckets: Vec<Bucket>,
}

impl<'a> Cast<'a> {
    /// The graph, and the buckets of `groups` in the hours of `span`. What cannot be read becomes a
    /// warning.
    pub(crate) fn read(
        history: &dyn History,
        graph: &'a LineageGraph,
        groups: &BTreeSet<GroupId>,
        span: &Span,
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut found: BTreeMap<(GroupId, LineageId), IndexedBucket> = BTreeMap::new();
        for &group in groups {
            for (_, index) in history.buckets(group, span.hours()) {
                let index = match index {
                    Ok(index) => index,
                    Err(error) => {
                        warnings.push(StoreError::to_string(&error));
                        continue;
                    }
                };
                for (id, entry) in index.entries {
                    match found.get_mut(&(group, id)) {
                        Some(held) => held.merge(&entry),
                        None => {
                            found.insert((group, id), entry);
                        }
                    }
                }
            }
        }
        let buckets = found.into_iter().map(|((group, id), entry)| Bucket::new(group, id, &entry));
        Self { graph, buckets: buckets.collect() }
    }

    /// Every slot is below this.
    pub(crate) fn slots(&self) -> Slot {
        self.graph.slots() + self.buckets.len() as Slot
    }

    fn bucket(&self, slot: Slot) -> Option<&Bucket> {
        self.buckets.get(slot.checked_sub(self.graph.slots())? as usize)
    }

    /// The lineage in a slot, or what stands for a bucket.
    pub(crate) fn record(&self, slot: Slot) -> Option<&LineageRecord> {
        self.graph.record(slot).or_else(|| self.bucket(slot).map(|bucket| &bucket.record))
    }

    /// When a slot owned its keys.
    pub(crate) fn life(&self, slot: Slot) -> Life {
        match self.bucket(slot) {
            Some(bucket) => Life::of(&bucket.record),
            None => self.graph.life(slot),
        }
    }

    /// The units of the span in any part of which a slot was alive.
    pub(crate) fn alive(&self, slot: Slot, span: &Span) -> Range<usize> {
        let part = self.life(slot).part(span.from_ms, span.to_ms);
        part.map_or(0..0, |(from_ms, to_ms)| span.units_within(from_ms, to_ms))
    }

    pub(crate) fn is_bucket(&self, slot: Slot) -> bool {
        slot >= self.graph.slots()
    }

    pub(crate) fn is_loose(&self, slot: Slot) -> bool {
        self.record(slot).is_some_and(|record| record.cause == Cause::Recovered)
    }

    /// The groups whose sources count in a slot.
    pub(crate) fn groups_of(&self, slot: Slot) -> &[GroupId] {
        match self.bucket(slot) {
            Some(bucket) => &bucket.groups,
            None => {
                self.graph.record(slot).map_or(&[], |record| std::slice::from_ref(&record.group))
            }
        }
    }

    /// The routes of a slot, and how many there really are.
    pub(crate) fn routes_of(&self, slot: Slot) -> (&[RouteId], u64) {
        match self.bucket(slot) {
            Some(bucket) => (&bucket.members, bucket.member_count),
            None => (self.graph.record(slot).map_or(&[], |r| std::slice::from_ref(&r.route)), 1),
        }
    }

    /// The loose sources that overlap `range` and lie in the span.
    pub(crate) fn loose(&self, range: &KeyRange, span: &Span) -> Vec<Slot> {
        let recovered = self
            .graph
            .recovered()
            .filter(|&slot| self.graph.may_hold(slot, span.from_ms, span.to_ms));
        let buckets = self.graph.slots()..self.slots();
        let overlaps = |&slot: &Slot| self.record(slot).is_some_and(|r| r.range.overlaps(range));
        recovered.chain(buckets).filter(overlaps).collect()
    }

    /// Where the value of a loose source goes first: to the lineages that it overlaps and that were
    /// alive when it began, else to those alive at some time of it, in key order.
    pub(crate) fn heirs(&self, loose: &LineageRecord) -> Vec<Slot> {
        let from_ms = loose.valid_from.unix_ms();
        let end_ms = loose.valid_to.map_or(u64::MAX, Hlc::unix_ms);
        let alive_in = |to_ms: u64| -> Vec<Slot> {
            let mut found = self.graph.overlapping(&loose.range, from_ms, to_ms);
            found.retain(|&slot| {
                !self.is_loose(slot) && self.graph.life(slot).part(from_ms, to_ms).is_some()
            });
            found.sort_by_key(|&slot| self.graph.record(slot).map(|r| (r.range.start(), r.id)));
            found
        };
        let at_first = alive_in(from_ms + 1);
        if at_first.is_empty() { alive_in(end_ms.max(from_ms + 1)) } else { at_first }
    }
}

impl Bucket {
    fn new(group: GroupId, id: LineageId, entry: &IndexedBucket) -> Self {
        let record = LineageRecord {
            id,
            range: entry.range.clone(),
            route: 0,
            group,
            valid_from: Hlc::new(entry.first_ms, 0),
            valid_to: Some(Hlc::new(entry.last_ms, 0)),
            parents: Vec::new(),
            successor: None,
            proposal: [0; 16],
            cause: Cause::Recovered,
            version: 0,
        };
        Self {
            record,
            groups: entry.groups.iter().copied().collect(),
            members: entry.members.iter().copied().collect(),
            member_count: entry.member_count,
        }
    }
}

/// Which of many rows overlap a range, without looking at all of them.
pub(crate) struct Overlaps<'a> {
    /// By start.
    rows: Vec<&'a KeyRange>,
    /// For each row, which one up to it ends last.
    furthest: Vec<usize>,
}

impl<'a> Overlaps<'a> {
    /// `rows` are sorted by start.
    pub(crate) fn new(rows: Vec<&'a KeyRange>) -> Self {
        let mut furthest: Vec<usize> = Vec::with_capacity(rows.len());
        for at in 0..rows.len() {
            let further = |&held: &usize| {
                keyviz_lineage::key_range::cmp_end(rows[held].end(), rows[at].end()).is_ge()
            };
            furthest.push(furthest.last().copied().filter(further).unwrap_or(at));
        }
        Self { rows, furthest }
    }

    /// The rows that overlap `range`, ascending.
    pub(crate) fn of(&self, range: &KeyRange) -> impl Iterator<Item = usize> {
        let first = self.furthest.partition_point(|&at| {
            self.rows[at].bounded_end().is_some_and(|end| end <= range.start())
        });
        let last = match range.bounded_end() {
            Some(end) => self.rows.partition_point(|row| row.start() < end),
            None => self.rows.len(),
        };
        let found = (first..last).filter(|&at| self.rows[at].overlaps(range));
        found.collect::<Vec<_>>().into_iter()
    }
}
