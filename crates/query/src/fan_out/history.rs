//! What was gathered, read as any other history.
//!
//! A lineage-hour comes as the merged finest columns, or as the roll-ups of the nodes that recorded
//! different windows of it, one node's after the other's: what they say adds up.
//! Must not: merge anything.
//! Proof: `fan_out_test.rs`.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::Member;
use keyviz_codec::rollup::{SLOTS, Tier};
use keyviz_codec::{BucketIndex, Coverage, HourBlocks};
use keyviz_lineage::{GroupId, LineageId, Series, Step};
use keyviz_store::{History, NOBODY, Part, StoreError, Wanted, visit_each};

use super::Gathered;

type Hours<T> = Vec<(u64, Result<T, StoreError>)>;

impl Gathered {
    fn told(&self, why: &str) -> StoreError {
        StoreError::Told { why: why.to_owned() }
    }

    /// Roll-ups of the wanted lineages, and what of them or of the whole group cannot be read.
    fn visit_rollups(
        &self,
        group: GroupId,
        hours: &RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let tags: HashMap<LineageId, u32> = wanted.lineages.iter().copied().collect();
        let rollups = self.rollups.get(&group).into_iter().flatten();
        for held in rollups.filter(|held| hours.contains(&held.hour)) {
            let of = |id: &LineageId| tags.get(id).copied().unwrap_or(NOBODY);
            let mut slots: Vec<u32> = held.lineages.iter().map(of).collect();
            if slots.iter().all(|&tag| tag == NOBODY) {
                continue;
            }
            slots.resize(SLOTS, NOBODY);
            visit(held.hour, Part::Chunk { tags: &slots, columns: &held.columns });
        }
        for (&(_, hour), told) in self.unread.range((group, *hours.start())..=(group, *hours.end()))
        {
            for (lineage, why) in told {
                let of_all = || wanted.lineages.iter().map(|&(_, tag)| tag).collect::<Vec<_>>();
                let of_one = |id| tags.get(id).copied().into_iter().collect();
                for tag in lineage.as_ref().map_or_else(of_all, of_one) {
                    visit(hour, Part::Unread { tag, error: self.told(why) });
                }
            }
        }
    }
}

impl History for Gathered {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn oldest_ms(&self) -> u64 {
        self.oldest_ms
    }

    fn oldest_rollup_ms(&self) -> u64 {
        self.oldest_rollup_ms
    }

    fn default_step(&self) -> Step {
        self.default_step
    }

    fn blocks(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Hours<HourBlocks> {
        let held = self.blocks.get(&(group, lineage)).into_iter();
        held.flat_map(|held| held.range(hours.clone()))
            .map(|(&hour, blocks)| (hour, Ok(blocks.clone())))
            .collect()
    }

    fn cells(
        &self,
        group: GroupId,
        series: Series,
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        visit_each(self, group, series, hours.clone(), wanted, visit);
        self.visit_rollups(group, &hours, wanted, visit);
    }

    fn rollups(
        &self,
        group: GroupId,
        (_, series): (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        self.cells(group, series, hours, wanted, visit);
    }

    fn coverage(&self, group: GroupId, hours: RangeInclusive<u64>) -> Hours<Coverage> {
        let Some(held) = self.groups.get(&group) else { return Vec::new() };
        let unread = held.unread.iter().filter(|(hour, _)| hours.contains(hour));
        let unread = unread.map(|(hour, why)| (*hour, Err(self.told(why))));
        let good = held.coverage.range(hours.clone());
        unread.chain(good.map(|(&hour, coverage)| (hour, Ok(coverage.clone())))).collect()
    }

    fn groups(&self) -> Result<BTreeSet<GroupId>, StoreError> {
        Ok(self.groups.keys().copied().filter(|&group| group != NODE_GROUP).collect())
    }

    fn buckets(&self, group: GroupId, hours: RangeInclusive<u64>) -> Hours<BucketIndex> {
        let held =
            self.groups.get(&group).into_iter().flat_map(|held| held.buckets.range(hours.clone()));
        held.map(|(&hour, index)| (hour, Ok(index.clone()))).collect()
    }

    fn members(&self, group: GroupId) -> Result<Vec<(String, Member)>, StoreError> {
        Ok(self.groups.get(&group).map(|held| held.members.clone()).unwrap_or_default())
    }
}
