//! The open window: what was acknowledged and is not yet in the store.
//!
//! Owns: for each group the delta that is being filled and the sealed ones that a checkpoint is
//! writing; and who is expected in each group.
//! A virtual bucket belongs to its home group altogether: its cells, whichever groups they were counted
//! in, and its place in the index are in that group's delta, so that the one applied mark of that
//! group says whether the store has it. It has no route and no lineage, so it goes past
//! [`crate::admit`]: there is nothing to resolve, to backfill or to contradict.
//! The cells of a column wait as they were logged, and are folded into the blocks of the open deltas many
//! columns at a time (`memory/fold.rs`): when a delta is sealed, and when a reader asks.
//! Invariants: a delta says from which to which WAL record it holds its group's rows, so a reader can
//! tell by the group's applied mark whether the store has it already (R5). What waits belongs to open
//! deltas, which know of it: nothing is sealed, and no snapshot taken, while something waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keyviz_codec::column_record::ColumnRecord;
use keyviz_codec::marks::Member;
use keyviz_codec::{
    BucketIndex, CellEntry, CodecError, Contributor, Coverage, HourBlocks, WindowCover,
};
use keyviz_lineage::{Bucket, Column, GroupId, LineageId, SourceId, Window};

use crate::placement::Placement;
use fold::Waiting;

mod fold;

/// What a stretch of the WAL adds to one group.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// The first WAL record in it.
    pub first_wal: u64,
    /// The last WAL record in it.
    pub last_wal: u64,
    /// Cells by lineage (or virtual bucket) and hour.
    pub blocks: HashMap<(LineageId, u64), HourBlocks>,
    /// Who recorded what, by hour.
    pub coverage: BTreeMap<u64, Coverage>,
    /// Virtual buckets that the group keeps, by hour.
    pub index: BTreeMap<u64, BucketIndex>,
    /// Members that changed, as they are after the last WAL record.
    pub members: BTreeMap<String, Member>,
}

impl Delta {
    fn touch(&mut self, wal_sequence: u64) {
        if self.first_wal == 0 {
            self.first_wal = wal_sequence;
        }
        self.last_wal = wal_sequence;
    }

    fn is_empty(&self) -> bool {
        self.first_wal == 0
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct GroupMemory {
    open: Arc<Delta>,
    sealed: Vec<Arc<Delta>>,
    members: BTreeMap<String, Member>,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    groups: BTreeMap<GroupId, GroupMemory>,
    /// Columns whose cells are not in the open deltas yet, by WAL sequence.
    waiting: Vec<Waiting>,
}

/// One group at one instant: what the store may not have yet, and who is expected.
#[derive(Debug)]
pub(crate) struct GroupSnapshot {
    pub(crate) deltas: Vec<Arc<Delta>>,
    pub(crate) members: BTreeMap<String, Member>,
}

/// What memory takes of a column.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) source: SourceId,
    /// All but its rows.
    pub(crate) column: Column,
    /// What was counted in the rows, as it was logged.
    pub(crate) cells: Box<[u8]>,
    pub(crate) placement: Arc<Placement>,
}

impl Arrival {
    /// Of a record whose rows are placed like this.
    ///
    /// # Errors
    /// A record that is malformed.
    pub(crate) fn of(
        record: &ColumnRecord<'_>,
        placement: Arc<Placement>,
    ) -> Result<Self, CodecError> {
        let (source, column) = (record.source.clone(), record.without_rows()?);
        Ok(Self { source, column, cells: record.cells().into(), placement })
    }
}

impl Memory {
    pub(crate) fn set_members(&mut self, group: GroupId, members: BTreeMap<String, Member>) {
        self.groups.entry(group).or_default().members = members;
    }

    /// Adds a column. Buckets and coverage of groups for which `skip` holds are left out (the store has
    /// them already), as their rows were when it was placed.
    pub(crate) fn add(
        &mut self,
        wal_sequence: u64,
        arrival: Arrival,
        skip: impl Fn(GroupId) -> bool,
    ) {
        let Arrival { source, column, cells, placement } = arrival;
        let (source, column) = (&source, &column);
        let (window, index) = (column.window, column.window.index_in_hour() as u16);
        for bucket in column.buckets.iter().filter(|bucket| !skip(bucket.group)) {
            self.add_bucket(wal_sequence, source, window, bucket);
        }
        let node_group = [keyviz_codec::key_layout::NODE_GROUP];
        let groups = if column.groups.is_empty() { &node_group[..] } else { &column.groups };
        for (at, &group) in groups.iter().enumerate().filter(|(_, group)| !skip(**group)) {
            let cover = WindowCover {
                covered_ms: column.covered_to_ms - column.covered_from_ms,
                unattributed: if at == 0 { column.unattributed } else { 0 },
            };
            let delta = self.open(group, wal_sequence);
            delta.coverage.entry(window.hour()).or_default().add(window.step, source, index, cover);
        }
        for &group in column.groups.iter().filter(|group| !skip(**group)) {
            let member = self.member(group, &source.node);
            if member.arrived(window.start_ms) {
                let changed = member.clone();
                self.open(group, wal_sequence).members.insert(source.node.clone(), changed);
            }
        }
        debug_assert!(
            placement.runs.iter().all(|(group, _)| column.groups.contains(group) && !skip(*group)),
            "the open deltas of all its groups know of it"
        );
        if !placement.runs.is_empty() {
            self.waiting.push(Waiting { window, cells, placement });
        }
    }

    /// A column was acknowledged, shed and lost: its window is marked in these groups.
    pub(crate) fn lose(
        &mut self,
        wal_sequence: u64,
        source: &SourceId,
        window: Window,
        groups: &[GroupId],
    ) {
        for &group in groups {
            let delta = self.open(group, wal_sequence);
            let coverage = delta.coverage.entry(window.hour()).or_default();
            coverage.add_shed(window.step, source, window.index_in_hour() as u16);
            if group == keyviz_codec::key_layout::NODE_GROUP {
                continue;
            }
            let member = self.member(group, &source.node);
            if member.arrived(window.start_ms) {
                let changed = member.clone();
                self.open(group, wal_sequence).members.insert(source.node.clone(), changed);
            }
        }
    }

    fn add_bucket(
        &mut self,
        wal_sequence: u64,
        source: &SourceId,
        window: Window,
        bucket: &Bucket,
    ) {
        let delta = self.open(bucket.group, wal_sequence);
        delta.index.entry(window.hour()).or_default().add(bucket, window);
        if bucket.parts.is_empty() {
            return;
        }
        let index = window.index_in_hour() as u16;
        let blocks = delta.blocks.entry((bucket.id(), window.hour())).or_default();
        let block = blocks.block_mut(window.step);
        for part in &bucket.parts {
            let node = source.node.as_str().into();
            let who = Contributor { node, group: part.group, term: part.term };
            block.add(&who, CellEntry { index, counts: part.counts, flags: part.flags });
        }
    }

    fn open(&mut self, group: GroupId, wal_sequence: u64) -> &mut Delta {
        let delta = Arc::make_mut(&mut self.groups.entry(group).or_default().open);
        delta.touch(wal_sequence);
        delta
    }

    /// Folds every column that waits into the open deltas.
    fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        // Sources come in turns; cells add up in any order.
        waiting.sort_by_key(|column| {
            let window = column.window;
            (Arc::as_ptr(&column.placement).addr(), window.step.ms(), window.start_ms)
        });
        fold::fold(&waiting, &mut self.groups);
    }

    fn member(&mut self, group: GroupId, node: &str) -> &mut Member {
        let members = &mut self.groups.entry(group).or_default().members;
        if !members.contains_key(node) {
            members.insert(node.to_owned(), Member::default());
        }
        // invariant: inserted above if it was not there
        members.get_mut(node).expect("invariant: inserted above")
    }

    /// The node leaves every group (but those for which `skip` holds) at `left_ms`.
    pub(crate) fn leave(
        &mut self,
        wal_sequence: u64,
        node: &str,
        left_ms: u64,
        skip: impl Fn(GroupId) -> bool,
    ) {
        let groups: Vec<GroupId> = self.groups().filter(|&group| !skip(group)).collect();
        for group in groups {
            let memory = self.groups.entry(group).or_default();
            if let Some(member) = memory.members.get_mut(node) {
                member.leave(left_ms);
                let changed = member.clone();
                self.open(group, wal_sequence).members.insert(node.to_owned(), changed);
            }
        }
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.groups.keys().copied()
    }

    /// Seals what a group has gathered, unless something sealed is still waiting for the store: then
    /// that comes first, and what has gathered goes on gathering in one piece.
    pub(crate) fn seal(&mut self, group: GroupId) -> Option<Arc<Delta>> {
        self.settle();
        let memory = self.groups.get_mut(&group)?;
        if memory.sealed.is_empty() && !memory.open.is_empty() {
            memory.sealed.push(std::mem::take(&mut memory.open));
        }
        memory.sealed.first().cloned()
    }

    /// The store has this delta.
    pub(crate) fn persisted(&mut self, group: GroupId, delta: &Arc<Delta>) {
        if let Some(memory) = self.groups.get_mut(&group) {
            memory.sealed.retain(|held| !Arc::ptr_eq(held, delta));
        }
    }

    /// The first WAL record that some group still needs, if any.
    pub(crate) fn first_needed(&self) -> Option<u64> {
        let deltas =
            self.groups.values().flat_map(|memory| memory.sealed.iter().chain([&memory.open]));
        deltas.filter(|delta| !delta.is_empty()).map(|delta| delta.first_wal).min()
    }

    /// What a reader needs: cheap handles to every delta, and the members. `None` while columns wait:
    /// then it takes [`Memory::settled_snapshot`].
    pub(crate) fn snapshot(&self) -> Option<BTreeMap<GroupId, GroupSnapshot>> {
        self.waiting.is_empty().then(|| self.handles())
    }

    /// The same, once every column that waits is folded in.
    pub(crate) fn settled_snapshot(&mut self) -> BTreeMap<GroupId, GroupSnapshot> {
        self.settle();
        self.handles()
    }

    fn handles(&self) -> BTreeMap<GroupId, GroupSnapshot> {
        self.groups
            .iter()
            .map(|(&group, memory)| {
                let deltas = memory.sealed.iter().chain([&memory.open]);
                let deltas = deltas.filter(|delta| !delta.is_empty()).cloned().collect();
                (group, GroupSnapshot { deltas, members: memory.members.clone() })
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod memory_test;
