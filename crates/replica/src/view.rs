//! Everything that is stored or acknowledged, at one instant.
//!
//! R5, in this order: handles to the deltas in memory first, then a snapshot of the store, then each
//! group's applied mark *from the snapshot*. A delta that the mark covers is in the snapshot and is
//! left out here; one that had left memory before is in the snapshot too. So each acknowledged column
//! is seen once, whatever a checkpoint does meanwhile, and nobody waits for anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::Member;
use keyviz_codec::rollup::Tier;
use keyviz_codec::{BucketIndex, Coverage, HourBlocks, SeriesColumn};
use keyviz_lineage::{GroupId, LineageGraph, LineageId, Series, Step};
use keyviz_store::{History, NOBODY, Numbers, Part, StoreError, View, Wanted, visit_series};

use crate::memory::{Delta, GroupSnapshot};
use crate::memory_tier::{self, Shelves};
use crate::recorder::Shared;
use crate::state_machine::StateMachine;

/// Store and memory as one [`History`].
#[derive(Debug)]
pub struct RecorderView<'a> {
    store: View<'a>,
    graph: Arc<LineageGraph>,
    machine: &'a StateMachine,
    groups: BTreeMap<GroupId, GroupSnapshot>,
    /// R10: as of the snapshot.
    shelves: BTreeMap<GroupId, Arc<Shelves>>,
    default_step: Step,
}

impl<'a> RecorderView<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Result<Self, StoreError> {
        let memory = shared.memory_snapshot();
        // Newer than the memory: every lineage that a delta names is in it.
        let graph = shared.machine.graph();
        let store = shared.store.view(shared.clock.unix_ms());
        let (machine, default_step) = (&*shared.machine, shared.config.default_step);
        let (mut groups, mut shelves) = (memory, BTreeMap::new());
        for (&group, snapshot) in &mut groups {
            let applied = store.applied(group)?;
            snapshot.deltas.retain(|delta| delta.last_wal > applied.wal_sequence);
            shelves.extend(machine.memory_tier().at(group, applied).map(|held| (group, held)));
        }
        Ok(Self { store, graph, machine, groups, shelves, default_step })
    }

    /// What the memory tier holds of a group in place of the snapshot, if it says all.
    pub(crate) fn shelves(&self, group: GroupId) -> Option<&Arc<Shelves>> {
        // What was set aside is missing here, and only the store says so.
        self.shelves.get(&group).filter(|_| !self.store.has_set_aside(group))
    }

    /// The numbers of a group's lineages.
    pub(crate) fn numbers(&self, group: GroupId) -> Result<Arc<Numbers>, StoreError> {
        self.machine.numbers(&self.store, group)
    }

    /// The deltas that hold cells of a group in an hour.
    pub(crate) fn deltas_of(&self, group: GroupId, hour: u64) -> Vec<&Delta> {
        let deltas = self.deltas(group).iter().map(Arc::as_ref);
        deltas.filter(|delta| delta.coverage.contains_key(&hour)).collect()
    }

    /// The graph that goes with this view.
    pub fn graph(&self) -> &LineageGraph {
        &self.graph
    }

    fn deltas(&self, group: GroupId) -> &[Arc<Delta>] {
        self.groups.get(&group).map_or(&[], |view| &view.deltas)
    }

    /// The hours in which the deltas hold cells of the group that are to be seen: of an hour whose finest
    /// columns have expired, only what is stored is.
    fn open_hours(&self, group: GroupId, hours: &RangeInclusive<u64>) -> BTreeSet<u64> {
        let held = self.deltas(group).iter().flat_map(|delta| delta.coverage.keys()).copied();
        let oldest_hour = self.oldest_ms() / keyviz_lineage::HOUR_MS;
        held.filter(|hour| *hour >= oldest_hour && hours.contains(hour)).collect()
    }

    /// Whether the deltas hold cells of a lineage in an hour.
    fn is_open(&self, group: GroupId, lineage: LineageId, hour: u64) -> bool {
        self.deltas(group).iter().any(|delta| delta.blocks.contains_key(&(lineage, hour)))
    }

    /// What is stored by hour, with what the deltas have of those hours; what cannot be read comes first.
    fn with_open<T: Clone>(
        &self,
        group: GroupId,
        hours: &RangeInclusive<u64>,
        stored: Vec<(u64, Result<T, StoreError>)>,
        parts_of: impl Fn(&Delta) -> &BTreeMap<u64, T>,
        merge: impl Fn(&mut T, &T),
    ) -> Vec<(u64, Result<T, StoreError>)> {
        let (mut found, errors) = parted(stored);
        let oldest_hour = self.oldest_rollup_ms() / keyviz_lineage::HOUR_MS;
        for delta in self.deltas(group) {
            for (&hour, part) in parts_of(delta) {
                if hour >= oldest_hour && hours.contains(&hour) {
                    merge_hour(&mut found, hour, part, &merge);
                }
            }
        }
        together(found, errors)
    }
}

/// Lineages with their tags in a scan.
type Tagged = Vec<(LineageId, u32)>;

/// An hour may have an error, a value, or both: a sum that lacks a part must not look whole.
type Hours<T> = Vec<(u64, Result<T, StoreError>)>;

fn parted<T>(stored: Hours<T>) -> (BTreeMap<u64, T>, Vec<(u64, StoreError)>) {
    let (mut found, mut errors) = (BTreeMap::new(), Vec::new());
    for (hour, held) in stored {
        match held {
            Ok(held) => drop(found.insert(hour, held)),
            Err(error) => errors.push((hour, error)),
        }
    }
    (found, errors)
}

fn together<T>(found: BTreeMap<u64, T>, errors: Vec<(u64, StoreError)>) -> Hours<T> {
    let errors = errors.into_iter().map(|(hour, error)| (hour, Err(error)));
    errors.chain(found.into_iter().map(|(hour, held)| (hour, Ok(held)))).collect()
}

/// Merges one more part into an hour.
fn merge_hour<T: Clone>(
    hours: &mut BTreeMap<u64, T>,
    hour: u64,
    part: &T,
    merge: impl Fn(&mut T, &T),
) {
    match hours.get_mut(&hour) {
        None => drop(hours.insert(hour, part.clone())),
        Some(held) => merge(held, part),
    }
}

impl History for RecorderView<'_> {
    fn now_ms(&self) -> u64 {
        self.store.now_ms()
    }

    fn oldest_ms(&self) -> u64 {
        self.store.oldest_ms()
    }

    fn oldest_rollup_ms(&self) -> u64 {
        self.store.oldest_rollup_ms()
    }

    fn expired(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<RangeInclusive<u64>> {
        self.store.expired(group, lineage, hours)
    }

    fn default_step(&self) -> Step {
        self.default_step
    }

    fn blocks(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<HourBlocks, StoreError>)> {
        let (mut found, errors) = parted(self.store.blocks(group, lineage, hours.clone()));
        // An open window spans few hours, a question may span many.
        for hour in self.open_hours(group, &hours) {
            for part in
                self.deltas(group).iter().filter_map(|delta| delta.blocks.get(&(lineage, hour)))
            {
                merge_hour(&mut found, hour, part, HourBlocks::merge);
            }
        }
        together(found, errors)
    }

    /// Hours that the deltas know of are merged whole; all others are the store's alone.
    fn series(
        &self,
        group: GroupId,
        lineage: LineageId,
        series: Series,
        hours: RangeInclusive<u64>,
        visit: &mut dyn FnMut(u64, Result<SeriesColumn<'_>, StoreError>),
    ) {
        let mut open = self.open_hours(group, &hours);
        open.retain(|&hour| self.is_open(group, lineage, hour));
        let mut from = *hours.start();
        for hour in open {
            if from < hour {
                self.store.series(group, lineage, series, from..=hour - 1, visit);
            }
            visit_series(self.blocks(group, lineage, hour..=hour), series, visit);
            from = hour.saturating_add(1);
        }
        if from <= *hours.end() {
            self.store.series(group, lineage, series, from..=*hours.end(), visit);
        }
    }

    fn cells(
        &self,
        group: GroupId,
        series: Series,
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        memory_tier::read::cells(self, group, series, hours, wanted, visit);
    }

    /// In the hours that the deltas know of, whoever has cells in them is told from the merged blocks.
    fn rollups(
        &self,
        group: GroupId,
        (tier, series): (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let numbers = match self.numbers(group) {
            Ok(numbers) => numbers,
            Err(error) => return visit(*hours.start(), Part::Unread { tag: NOBODY, error }),
        };
        let mut stored = |hours: RangeInclusive<u64>, wanted: &Wanted<'_>| {
            self.store.rollups_by(&numbers, group, (tier, series), hours, wanted, visit);
        };
        let (mut from, mut open) = (*hours.start(), Vec::new());
        for hour in self.open_hours(group, &hours) {
            if from < hour {
                stored(from..=hour - 1, wanted);
            }
            let (here, closed): (Tagged, Tagged) = wanted
                .lineages
                .iter()
                .partition(|(lineage, _)| self.is_open(group, *lineage, hour));
            stored(hour..=hour, &Wanted { lineages: &closed, ..*wanted });
            open.push((hour, here));
            from = hour.saturating_add(1);
        }
        if from <= *hours.end() {
            stored(from..=*hours.end(), wanted);
        }
        for (hour, here) in open {
            let wanted = Wanted { lineages: &here, ..*wanted };
            self.cells(group, series, hour..=hour, &wanted, visit);
        }
    }

    fn coverage(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<Coverage, StoreError>)> {
        let stored = self.store.coverage(group, hours.clone());
        self.with_open(group, &hours, stored, |delta| &delta.coverage, Coverage::merge)
    }

    fn buckets(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<BucketIndex, StoreError>)> {
        let stored = self.store.buckets(group, hours.clone());
        self.with_open(group, &hours, stored, |delta| &delta.index, BucketIndex::merge)
    }

    fn groups(&self) -> Result<BTreeSet<GroupId>, StoreError> {
        Ok(self.groups.keys().copied().filter(|&group| group != NODE_GROUP).collect())
    }

    fn members(&self, group: GroupId) -> Result<Vec<(String, Member)>, StoreError> {
        let members = self.groups.get(&group).map(|view| view.members.clone());
        Ok(members.unwrap_or_default().into_iter().collect())
    }
}
