//! A history in memory, written twice: as the store would hold it ([`History`]) and as plain facts
//! for the model ([`crate::model_test`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use keyviz_codec::marks::Member;
use keyviz_codec::rollup::{self, Chunk, Columns, SLOTS, Tier};
use keyviz_codec::{
    BucketIndex, CellEntry, Contributor, Coverage, HourBlocks, Key, WindowCover, lineage_record,
};
use keyviz_lineage::{
    Bucket, Cause, Change, Counts, Flags, GroupId, HOUR_MS, Hlc, KeyRange, LineageGraph, LineageId,
    LineageRecord, RouteId, RouteSpec, Series, SourceId, Step, Transition, Window, unix_hour,
};
use keyviz_store::{History, NOBODY, Part, StoreError, Wanted, visit_each};
use uuid::Uuid;

use crate::rectangles_test::Rectangles;
use crate::story_test::NODES;

/// What one node in one term counted of one lineage in one window.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) lineage: LineageId,
    /// The group of a bucket's part; 0 for a row.
    pub(crate) group: GroupId,
    pub(crate) start_ms: u64,
    pub(crate) step_ms: u64,
    pub(crate) node: String,
    pub(crate) term: u64,
    pub(crate) counts: Counts,
    pub(crate) flags: Flags,
}

/// What one boot of a node said of one window of one group.
#[derive(Clone, Debug)]
pub(crate) struct Cover {
    pub(crate) group: GroupId,
    pub(crate) node: String,
    pub(crate) boot: Uuid,
    pub(crate) start_ms: u64,
    pub(crate) step_ms: u64,
    pub(crate) covered_ms: u64,
    pub(crate) unattributed: u64,
}

/// One column on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) node: &'a str,
    pub(crate) boot: u128,
    pub(crate) start_ms: u64,
    pub(crate) step: Step,
    pub(crate) covered_ms: u64,
    pub(crate) unattributed: u64,
    pub(crate) groups: Vec<GroupId>,
    /// Lineage, term, counts, flags.
    pub(crate) rows: Vec<(LineageId, u64, Counts, Flags)>,
    pub(crate) buckets: Vec<Bucket>,
}

impl Sent<'_> {
    /// A whole idle window of node n1, which answers for group 1.
    pub(crate) fn whole(start_ms: u64, step: Step) -> Self {
        let (covered_ms, groups) = (step.ms(), vec![1]);
        Sent {
            node: "n1",
            boot: 1,
            start_ms,
            step,
            covered_ms,
            unattributed: 0,
            groups,
            rows: vec![],
            buckets: vec![],
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) graph: LineageGraph,
    /// What the commands say the graph should hold.
    pub(crate) rectangles: Rectangles,
    pub(crate) now_ms: u64,
    pub(crate) facts: Vec<Fact>,
    pub(crate) covers: Vec<Cover>,
    pub(crate) members: BTreeMap<GroupId, BTreeMap<String, Member>>,
    pub(crate) damaged_blocks: BTreeSet<(LineageId, u64)>,
    pub(crate) damaged_coverage: BTreeSet<(GroupId, u64)>,
    pub(crate) damaged_index: BTreeSet<(GroupId, u64)>,
    /// Buckets as they were sent, with their windows.
    pub(crate) buckets: Vec<(Window, Bucket)>,
    /// Columns as they were sent.
    pub(crate) columns: Vec<Sent<'static>>,
    blocks: BTreeMap<(GroupId, LineageId, u64), HourBlocks>,
    coverage: BTreeMap<(GroupId, u64), Coverage>,
    index: BTreeMap<(GroupId, u64), BucketIndex>,
    last: Hlc,
    proposals: u128,
    recorded_until_ms: u64,
    /// Every command that was proposed, taken or not.
    pub(crate) transitions: Vec<Transition>,
}

pub(crate) fn step(ms: u64) -> Step {
    Step::from_ms(ms).unwrap()
}

pub(crate) fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

pub(crate) fn spec(route: RouteId, range: KeyRange) -> RouteSpec {
    RouteSpec { route, range }
}

impl World {
    /// Without a lineage, seen at `now_ms`.
    pub(crate) fn at(now_ms: u64) -> Self {
        Self { now_ms, ..Self::default() }
    }

    /// Applies a change at `at_ms` (or just after the last one). Returns whether it was taken.
    pub(crate) fn apply(&mut self, at_ms: u64, group: GroupId, change: Change) -> bool {
        let hlc = Hlc::new(at_ms, 0).max(self.last.plus(1));
        self.apply_with(hlc, group, change)
    }

    /// Applies a change with an HLC of its own, which may lie before that of others.
    pub(crate) fn apply_with(&mut self, hlc: Hlc, group: GroupId, change: Change) -> bool {
        self.proposals += 1;
        self.last = self.last.max(hlc.plus(change.births()));
        let proposal = self.proposals.to_be_bytes();
        let transition = Transition { group, proposal, hlc, catalogue_version: 0, change };
        self.transitions.push(transition.clone());
        self.take(&transition)
    }

    /// Applies a command as it is.
    pub(crate) fn take(&mut self, transition: &Transition) -> bool {
        let planned = self.graph.plan(transition);
        let taken = planned.is_ok();
        if planned.as_ref().is_ok_and(|plan| !plan.records.is_empty()) {
            self.rectangles.take(transition);
        }
        self.graph.install_plan_at(planned.unwrap_or_default(), self.recorded_until_ms);
        taken
    }

    /// Forgets everything but what is stored; the record of `lost` cannot be read again, so that
    /// only its blocks tell of it.
    pub(crate) fn restart(&mut self, lost: Option<LineageId>) {
        if let Some(lost) = lost {
            let counted = self.facts.iter().filter(|fact| fact.lineage == lost);
            let hours = counted.map(|fact| unix_hour(fact.start_ms));
            self.rectangles.lose(lost, hours.clone().min().zip(hours.max()));
        }
        let stored = |record: &LineageRecord| {
            lineage_record::decode(&lineage_record::encode(record)).unwrap()
        };
        let kept = self.graph.records().filter(|record| Some(record.id) != lost);
        let mut records: Vec<LineageRecord> = kept.map(stored).collect();
        let hours_of = |id: LineageId| {
            self.blocks.keys().filter(move |(_, lineage, _)| *lineage == id).map(|&(.., hour)| hour)
        };
        let lost = lost.and_then(|id| self.graph.get(id));
        let hours = lost.map(|lost| (hours_of(lost.id).min(), hours_of(lost.id).max()));
        if let (Some(lost), Some((Some(first), Some(last)))) = (lost, hours) {
            records.push(LineageRecord {
                route: 0,
                valid_from: Hlc::new(first * HOUR_MS, 0),
                valid_to: Some(Hlc::new((last + 1) * HOUR_MS, 0)),
                parents: Vec::new(),
                successor: None,
                cause: Cause::Recovered,
                ..lost.clone()
            });
        }
        self.graph = LineageGraph::from_records(records);
        for &(_, lineage, hour) in self.blocks.keys() {
            self.graph.note_recorded(lineage, hour * HOUR_MS, (hour + 1) * HOUR_MS);
        }
    }

    /// Both halves of a move; the second may come later, or never (where the keys are taken).
    pub(crate) fn move_to(
        &mut self,
        out_ms: u64,
        in_ms: u64,
        from: &LineageRecord,
        group: GroupId,
        route: RouteId,
    ) {
        let out = Change::MoveOut { route: from.route, to_group: group, to_route: route };
        if self.apply(out_ms, from.group, out) {
            let route = spec(route, from.range.clone());
            self.apply(in_ms, group, Change::MoveIn { route, from: from.as_parent() });
        }
    }

    pub(crate) fn record(&self, id: LineageId) -> &LineageRecord {
        self.graph.get(id).unwrap()
    }

    pub(crate) fn live(&self, group: GroupId, route: RouteId) -> LineageRecord {
        self.graph.live_route(group, route).unwrap().clone()
    }

    /// The groups that a question reads: those that anything is known of, and the node's own (0).
    pub(crate) fn groups(&self) -> BTreeSet<GroupId> {
        let with_lineage = self.graph.records().map(|record| record.group);
        with_lineage.chain(self.members.keys().copied()).chain([0]).collect()
    }

    /// The same history as a node has it that was sent only these columns.
    pub(crate) fn having(&self, columns: &[&Sent<'static>]) -> Self {
        let mut part = self.clone();
        (part.blocks, part.coverage, part.index) = Default::default();
        (part.facts, part.covers) = Default::default();
        columns.iter().for_each(|sent| part.send(sent));
        part.members.clone_from(&self.members);
        part
    }

    /// Stores a column, in both forms.
    pub(crate) fn send(&mut self, sent: &Sent<'_>) {
        let node = NODES.into_iter().find(|node| *node == sent.node).unwrap_or("n1");
        self.columns.push(Sent { node, ..sent.clone() });
        let Sent { start_ms, step, .. } = *sent;
        let (hour, index) = (unix_hour(start_ms), ((start_ms % HOUR_MS) / step.ms()) as u16);
        for &(lineage, term, counts, flags) in &sent.rows {
            let (group, end_ms) = (self.record(lineage).group, start_ms + step.ms());
            self.recorded_until_ms = self.recorded_until_ms.max(end_ms);
            if !LineageGraph::expects(self.record(lineage), start_ms, end_ms) {
                self.graph.note_recorded(lineage, start_ms, end_ms);
            }
            let who = Contributor { node: sent.node.into(), group: 0, term };
            let blocks = self.blocks.entry((group, lineage, hour)).or_default();
            blocks.block_mut(step).add(&who, CellEntry { index, counts, flags });
            let node = sent.node.to_owned();
            self.facts.push(Fact {
                lineage,
                group: 0,
                start_ms,
                step_ms: step.ms(),
                node,
                term,
                counts,
                flags,
            });
        }
        sent.buckets.iter().for_each(|bucket| self.send_bucket(sent, bucket));
        let boot = Uuid::from_u128(sent.boot);
        for (at, &group) in sent.groups.iter().enumerate() {
            let unattributed = if at == 0 { sent.unattributed } else { 0 };
            let cover = WindowCover { covered_ms: sent.covered_ms, unattributed };
            let source = SourceId { node: sent.node.to_owned(), boot };
            self.coverage.entry((group, hour)).or_default().add(step, &source, index, cover);
            let member =
                self.members.entry(group).or_default().entry(source.node.clone()).or_default();
            member.arrived(start_ms);
            self.covers.push(Cover {
                group,
                node: source.node,
                boot,
                start_ms,
                step_ms: step.ms(),
                covered_ms: sent.covered_ms,
                unattributed,
            });
        }
    }

    /// A column of a node was acknowledged, shed and lost.
    pub(crate) fn lose(&mut self, group: GroupId, node: &str, start_ms: u64, step: Step) {
        let window = Window::new(start_ms, step).unwrap();
        let source = SourceId { node: node.to_owned(), boot: Uuid::from_u128(1) };
        let coverage = self.coverage.entry((group, window.hour())).or_default();
        coverage.add_shed(step, &source, window.index_in_hour() as u16);
    }

    fn send_bucket(&mut self, sent: &Sent<'_>, bucket: &Bucket) {
        let window = Window::new(sent.start_ms, sent.step).unwrap();
        let (hour, index) = (window.hour(), window.index_in_hour() as u16);
        for part in &bucket.parts {
            let who = Contributor { node: sent.node.into(), group: part.group, term: part.term };
            let blocks = self.blocks.entry((bucket.group, bucket.id(), hour)).or_default();
            let (counts, flags) = (part.counts, part.flags);
            blocks.block_mut(sent.step).add(&who, CellEntry { index, counts, flags });
            self.facts.push(Fact {
                lineage: bucket.id(),
                group: part.group,
                start_ms: sent.start_ms,
                step_ms: sent.step.ms(),
                node: sent.node.to_owned(),
                term: part.term,
                counts,
                flags,
            });
        }
        self.index.entry((bucket.group, hour)).or_default().add(bucket, window);
        self.buckets.push((window, bucket.clone()));
    }

    pub(crate) fn leave(&mut self, node: &str, left_ms: u64) {
        self.members
            .values_mut()
            .filter_map(|of_group| of_group.get_mut(node))
            .for_each(|m| m.leave(left_ms));
    }

    /// The group that keeps a lineage or a bucket.
    fn home(&self, lineage: LineageId) -> GroupId {
        let bucket = || self.buckets.iter().find(|(_, bucket)| bucket.id() == lineage);
        self.graph.get(lineage).map_or_else(|| bucket().unwrap().1.group, |record| record.group)
    }

    pub(crate) fn damage_block(&mut self, lineage: LineageId, hour: u64) {
        if self.blocks.contains_key(&(self.home(lineage), lineage, hour)) {
            self.damaged_blocks.insert((lineage, hour));
        }
    }

    pub(crate) fn block_damage(&self, lineage: LineageId, hour: u64) -> StoreError {
        let source = HourBlocks::decode(b"not a block").unwrap_err();
        StoreError::Damaged {
            group: self.home(lineage),
            key: Key::Range { lineage, hour }.to_string(),
            source,
        }
    }

    pub(crate) fn damage_coverage(&mut self, group: GroupId, hour: u64) {
        if self.coverage.contains_key(&(group, hour)) {
            self.damaged_coverage.insert((group, hour));
        }
    }

    pub(crate) fn damage_index(&mut self, group: GroupId, hour: u64) {
        if self.index.contains_key(&(group, hour)) {
            self.damaged_index.insert((group, hour));
        }
    }

    pub(crate) fn index_damage(&self, group: GroupId, hour: u64) -> StoreError {
        let source = BucketIndex::decode(b"no index").unwrap_err();
        StoreError::Damaged { group, key: Key::Index { hour }.to_string(), source }
    }

    pub(crate) fn coverage_damage(&self, group: GroupId, hour: u64) -> StoreError {
        let source = Coverage::decode(b"no coverage").unwrap_err();
        StoreError::Damaged { group, key: Key::Coverage { hour }.to_string(), source }
    }
}

impl History for World {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn oldest_ms(&self) -> u64 {
        (unix_hour(self.now_ms) - 7 * 24) * HOUR_MS
    }

    /// It keeps what it was told.
    fn expired(
        &self,
        _group: GroupId,
        _lineage: LineageId,
        _hours: RangeInclusive<u64>,
    ) -> Vec<RangeInclusive<u64>> {
        Vec::new()
    }

    fn blocks(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<HourBlocks, StoreError>)> {
        let held =
            self.blocks.range((group, lineage, *hours.start())..=(group, lineage, *hours.end()));
        let decoded = held.map(|(&(_, _, hour), blocks)| {
            match self.damaged_blocks.contains(&(lineage, hour)) {
                true => (hour, Err(self.block_damage(lineage, hour))),
                false => (hour, Ok(blocks.clone())),
            }
        });
        decoded.collect()
    }

    /// As the store would: from chunks that were written and read, uneven ones from the blocks. A
    /// block that is damaged now was not when its roll-ups were written.
    fn rollups(
        &self,
        group: GroupId,
        (tier, series): (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let numbered: BTreeSet<LineageId> = self.blocks.keys().map(|&(_, id, _)| id).collect();
        let numbered: Vec<LineageId> = numbered.into_iter().collect();
        let mut tags = vec![NOBODY; numbered.len().next_multiple_of(SLOTS)];
        for &(lineage, tag) in wanted.lineages {
            numbered.binary_search(&lineage).into_iter().for_each(|number| tags[number] = tag);
        }
        for hour in hours {
            for (chunk, tags) in tags.chunks(SLOTS).enumerate() {
                let mut values = Chunk::new(tier);
                for (slot, id) in numbered.iter().skip(chunk * SLOTS).take(SLOTS).enumerate() {
                    let block = self.blocks.get(&(group, *id, hour));
                    values.set(slot, block.map(|block| rollup::of(block, tier)[series as usize]));
                }
                let mut columns = Columns::default();
                let value = values.encode();
                match wanted.maxima {
                    true => columns.read(&value).unwrap(),
                    false => columns.read_sums(&value).unwrap(),
                }
                visit(hour, Part::Chunk { tags, columns: &columns });
                let slots = numbered.iter().skip(chunk * SLOTS).zip(tags).enumerate();
                for (slot, (&id, &tag)) in slots {
                    if tag != NOBODY && columns.uneven.contains(slot) {
                        let wanted = Wanted { lineages: &[(id, tag)], ..*wanted };
                        visit_each(self, group, series, hour..=hour, &wanted, visit);
                    }
                }
            }
        }
    }

    fn coverage(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<Coverage, StoreError>)> {
        let held = self.coverage.range((group, *hours.start())..=(group, *hours.end()));
        let decoded = held.map(|(&(_, hour), coverage)| {
            match self.damaged_coverage.contains(&(group, hour)) {
                true => (hour, Err(self.coverage_damage(group, hour))),
                false => (hour, Ok(coverage.clone())),
            }
        });
        decoded.collect()
    }

    fn buckets(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<BucketIndex, StoreError>)> {
        let held = self.index.range((group, *hours.start())..=(group, *hours.end()));
        let decoded =
            held.map(|(&(_, hour), index)| match self.damaged_index.contains(&(group, hour)) {
                true => (hour, Err(self.index_damage(group, hour))),
                false => (hour, Ok(index.clone())),
            });
        decoded.collect()
    }

    fn groups(&self) -> Result<BTreeSet<GroupId>, StoreError> {
        Ok(self.members.keys().copied().filter(|&group| group != 0).collect())
    }

    fn members(&self, group: GroupId) -> Result<Vec<(String, Member)>, StoreError> {
        Ok(self
            .members
            .get(&group)
            .map(|members| members.clone().into_iter().collect())
            .unwrap_or_default())
    }
}
