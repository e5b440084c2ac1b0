//! What one node tells: its outline, and the cells that a plan needs.
//!
//! Must not: say less than the node itself would show. What cannot be read is told as such.
//! Proof: `fan_out_test.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::rollup::Columns;
use keyviz_lineage::{GroupId, HOUR_MS, LineageGraph, LineageId, Series};
use keyviz_store::{History, NOBODY, Part, StoreError, Wanted};

use super::{Cells, GroupOutline, HourRollups, LineageBlocks, Outline, Plan};

impl Outline {
    /// What `history` knows of some hours; `records` are those of the graph that goes with it.
    ///
    /// # Errors
    /// A read failure; what is merely damaged is told in its place.
    pub fn read(
        history: &dyn History,
        graph: &LineageGraph,
        hours: RangeInclusive<u64>,
    ) -> Result<Self, StoreError> {
        let mut ids: BTreeSet<GroupId> = graph.groups().collect();
        ids.extend(history.groups()?);
        ids.insert(NODE_GROUP);
        let mut groups = BTreeMap::new();
        for id in ids {
            let mut group = GroupOutline { members: history.members(id)?, ..Default::default() };
            for (hour, coverage) in history.coverage(id, hours.clone()) {
                match coverage {
                    Ok(coverage) => group.coverage.push((hour, coverage)),
                    Err(error) => group.unread.push((hour, error.to_string())),
                }
            }
            for (hour, index) in history.buckets(id, hours.clone()) {
                match index {
                    Ok(index) => group.buckets.push((hour, index)),
                    Err(error) => group.unread.push((hour, error.to_string())),
                }
            }
            groups.insert(id, group);
        }
        Ok(Self {
            oldest_ms: history.oldest_ms(),
            oldest_rollup_ms: history.oldest_rollup_ms(),
            default_step: history.default_step(),
            groups,
            records: Arc::new(graph.records().cloned().collect()),
            strays: graph.recorded_outside(),
        })
    }
}

impl Cells {
    /// What `history` has recorded of what `plan` needs.
    pub fn read(history: &dyn History, graph: &LineageGraph, plan: &Plan) -> Self {
        let mut cells = Self::default();
        for (group, lineages) in lineages(history, graph, plan) {
            let nothing = BTreeSet::new();
            let shared = plan.shared.get(&group).unwrap_or(&nothing);
            for (hours, is_shared) in stretches(&plan.hours, shared) {
                match plan.tier {
                    Some(tier) if !is_shared => {
                        cells.add_rollups(history, group, (tier, plan.series), hours, &lineages);
                    }
                    _ => lineages.iter().for_each(|&lineage| {
                        cells.add_blocks(history, (group, lineage), hours.clone());
                    }),
                }
            }
        }
        cells
    }

    /// All series: a conflict in one flags the cell in every one.
    fn add_blocks(
        &mut self,
        history: &dyn History,
        (group, lineage): (GroupId, LineageId),
        hours: RangeInclusive<u64>,
    ) {
        let mut found = LineageBlocks::new();
        for (hour, blocks) in history.blocks(group, lineage, hours) {
            match blocks {
                Ok(blocks) => found.push((hour, blocks)),
                Err(error) => {
                    self.unread.push((group, Some(lineage), hour, error.to_string()));
                }
            }
        }
        if !found.is_empty() {
            self.blocks.entry((group, lineage)).or_default().extend(found);
        }
    }

    fn add_rollups(
        &mut self,
        history: &dyn History,
        group: GroupId,
        what: (keyviz_codec::rollup::Tier, Series),
        hours: RangeInclusive<u64>,
        lineages: &[LineageId],
    ) {
        let tagged: Vec<(LineageId, u32)> = lineages.iter().copied().zip(0..).collect();
        let wanted = Wanted { lineages: &tagged, maxima: true };
        let id = |tag: u32| lineages.get(tag as usize).copied().unwrap_or_default();
        let mut finer: BTreeSet<(LineageId, u64)> = BTreeSet::new();
        history.rollups(group, what, hours, &wanted, &mut |hour, part| match part {
            Part::Chunk { tags, columns } => {
                if tags.iter().any(|&tag| tag != NOBODY) {
                    let lineages = tags.iter().map(|&tag| id(tag)).collect();
                    let (columns, group) = (Columns::clone(columns), group);
                    let held = self.rollups.entry(group).or_default();
                    held.push(HourRollups { hour, lineages, columns });
                }
            }
            // Not rolled up yet: by contributor, as it is.
            Part::Cells { tag, .. } => drop(finer.insert((id(tag), hour))),
            Part::Unread { tag, error } => {
                let lineage = (tag != NOBODY).then(|| id(tag));
                self.unread.push((group, lineage, hour, error.to_string()));
            }
        });
        for (lineage, hour) in finer {
            self.add_blocks(history, (group, lineage), hour..=hour);
        }
    }
}

/// The lineages and buckets that a plan is about, by group.
fn lineages(
    history: &dyn History,
    graph: &LineageGraph,
    plan: &Plan,
) -> BTreeMap<GroupId, Vec<LineageId>> {
    let from_ms = plan.hours.start().saturating_mul(HOUR_MS);
    let to_ms = plan.hours.end().saturating_add(1).saturating_mul(HOUR_MS);
    let mut found: BTreeMap<GroupId, BTreeSet<LineageId>> = BTreeMap::new();
    for slot in graph.overlapping(&plan.range, from_ms, to_ms) {
        if let Some(record) = graph.record(slot) {
            found.entry(record.group).or_default().insert(record.id);
        }
    }
    let groups = history.groups().unwrap_or_default();
    for group in groups.into_iter().chain([NODE_GROUP]) {
        // What cannot be read is told with the outline.
        for index in
            history.buckets(group, plan.hours.clone()).into_iter().filter_map(|(_, i)| i.ok())
        {
            let asked = index.entries.iter().filter(|(_, held)| held.range.overlaps(&plan.range));
            found.entry(group).or_default().extend(asked.map(|(&id, _)| id));
        }
    }
    found.into_iter().map(|(group, ids)| (group, ids.into_iter().collect())).collect()
}

/// The hours in stretches, each with whether its hours are among `shared`.
fn stretches(
    hours: &RangeInclusive<u64>,
    shared: &BTreeSet<u64>,
) -> Vec<(RangeInclusive<u64>, bool)> {
    let (mut found, mut from) = (Vec::new(), *hours.start());
    for &hour in shared.range(hours.clone()) {
        if from < hour {
            found.push((from..=hour - 1, false));
        }
        found.push((hour..=hour, true));
        from = hour + 1;
    }
    if from <= *hours.end() {
        found.push((from..=*hours.end(), false));
    }
    found
}
