//! What pins keep: an immutable set that the compaction filter, views and the sweep look at.
//!
//! Owns: nothing on disk; it is made of the groups' pin marks at start, and of each pin as it is
//! applied. A change makes a new set, so whoever holds one (a compaction, a view) sees one state.
//! Invariants: a look-up reads no store and takes no lock; what is kept is the union of all pins.
//! Must not: decide what a pin covers (`keyviz_replica::pins` does, when it is applied).
//! Proof: `pins_test.rs`.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use keyviz_codec::{Key, Period, Pin};
use keyviz_lineage::{GroupId, LineageId, unix_hour};
use uuid::Uuid;

type Runs = Vec<RangeInclusive<u64>>;

/// Every pin of every group, ready for look-ups.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    pins: BTreeMap<(Uuid, GroupId), Pin>,
    /// Hours of the finest columns; empty where only the record is kept.
    lineages: HashMap<(GroupId, LineageId), Runs>,
    /// Hours of what is kept for the group as a whole: by the fine period, by the longest.
    groups: HashMap<GroupId, (Runs, Runs)>,
}

impl Pins {
    /// Those of some marks.
    pub fn new(marks: impl IntoIterator<Item = (GroupId, Uuid, Pin)>) -> Self {
        let pins = marks.into_iter().map(|(group, id, pin)| ((id, group), pin));
        let mut set = Self { pins: pins.collect(), ..Self::default() };
        for (&(_, group), pin) in &set.pins {
            for (&lineage, runs) in &pin.lineages {
                set.lineages.entry((group, lineage)).or_default().extend_from_slice(runs);
            }
            let (fine, longest) = set.groups.entry(group).or_default();
            fine.extend(Some(pin.fine_hours()).filter(|hours| !hours.is_empty()));
            longest.push(pin.hours());
        }
        set.lineages.values_mut().for_each(join_hours);
        set.groups.values_mut().for_each(|(fine, longest)| {
            join_hours(fine);
            join_hours(longest);
        });
        set
    }

    /// With one more, or one in another's place.
    pub fn with(&self, group: GroupId, id: Uuid, pin: Pin) -> Self {
        Self::new(self.marks().chain([(group, id, pin)]))
    }

    /// Without one.
    pub fn without(&self, group: GroupId, id: Uuid) -> Self {
        Self::new(self.marks().filter(|&(of, held, _)| (of, held) != (group, id)))
    }

    fn marks(&self) -> impl Iterator<Item = (GroupId, Uuid, Pin)> {
        self.pins.iter().map(|(&(id, group), pin)| (group, id, pin.clone()))
    }

    /// Every group's part of every pin, by id.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, GroupId, &Pin)> {
        self.pins.iter().map(|(&(id, group), pin)| (id, group, pin))
    }

    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty()
    }

    /// Whether a lineage's record is kept.
    pub fn keeps_lineage(&self, group: GroupId, lineage: LineageId) -> bool {
        self.lineages.contains_key(&(group, lineage))
    }

    /// Whether a value is kept whatever its age.
    pub fn keeps(&self, group: GroupId, key: &Key) -> bool {
        if self.pins.is_empty() {
            return false;
        }
        match key {
            Key::Damaged { .. } => key.set_aside().is_some_and(|inner| self.keeps(group, &inner)),
            Key::Event { hlc } => holds(self.hours_for(group, key), unix_hour(hlc.unix_ms())),
            key => key.expiry_hour().is_some_and(|hour| holds(self.hours_for(group, key), hour)),
        }
    }

    /// Whether a roll-up of an hour that is pinned may tell of a lineage: its columns of that hour are
    /// pinned, too, or they had gone before the pin was set and its record is.
    pub(crate) fn shows(&self, group: GroupId, lineage: LineageId, hour: u64) -> bool {
        let fine = self.groups.get(&group).is_some_and(|(fine, _)| holds(fine, hour));
        let runs = self.lineages.get(&(group, lineage));
        runs.is_some_and(|runs| !fine || holds(runs, hour))
    }

    /// The hours, ascending, of which values such as this one are kept: of the same lineage for a
    /// block, else of the same group.
    pub(crate) fn hours_for(&self, group: GroupId, key: &Key) -> &[RangeInclusive<u64>] {
        let runs = match key {
            Key::Range { lineage, .. } => self.lineages.get(&(group, *lineage)),
            key => match (key.expiry(), self.groups.get(&group)) {
                (Some((Period::Fine, _)), Some((fine, _))) => Some(fine),
                (Some((Period::Longest, _)), Some((_, longest))) => Some(longest),
                _ => None,
            },
        };
        runs.map_or(&[], Vec::as_slice)
    }
}

/// Which of `hours` are still to be seen: those from `oldest_hour` on and those of `kept`. Ascending
/// and apart.
pub(crate) fn visible(
    hours: &RangeInclusive<u64>,
    oldest_hour: u64,
    kept: &[RangeInclusive<u64>],
) -> Runs {
    let mut runs: Runs = kept
        .iter()
        .chain([&(oldest_hour..=u64::MAX)])
        .map(|run| *run.start().max(hours.start())..=*run.end().min(hours.end()))
        .filter(|run| !run.is_empty())
        .collect();
    join_hours(&mut runs);
    runs
}

/// Which of `hours` are not.
pub(crate) fn hidden(
    hours: &RangeInclusive<u64>,
    oldest_hour: u64,
    kept: &[RangeInclusive<u64>],
) -> Runs {
    let (mut runs, mut next) = (Runs::new(), Some(*hours.start()));
    for seen in visible(hours, oldest_hour, kept) {
        let Some(from) = next else { break };
        if from < *seen.start() {
            runs.push(from..=*seen.start() - 1);
        }
        next = seen.end().checked_add(1);
    }
    runs.extend(next.filter(|from| from <= hours.end()).map(|from| from..=*hours.end()));
    runs
}

fn holds(runs: &[RangeInclusive<u64>], hour: u64) -> bool {
    let behind = runs.partition_point(|run| *run.start() <= hour);
    behind.checked_sub(1).is_some_and(|at| runs[at].contains(&hour))
}

/// Makes runs of hours ascending and apart.
pub fn join_hours(runs: &mut Vec<RangeInclusive<u64>>) {
    runs.sort_unstable_by_key(|run| (*run.start(), *run.end()));
    let mut joined: Runs = Vec::with_capacity(runs.len());
    for run in runs.drain(..) {
        match joined.last_mut() {
            Some(last) if *run.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(run.end());
            }
            _ => joined.push(run),
        }
    }
    *runs = joined;
}

#[cfg(test)]
#[path = "pins_test.rs"]
mod pins_test;
