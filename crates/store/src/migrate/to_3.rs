//! To version 3: numbers and roll-ups, computed from the blocks that are stored.
//!
//! Group by group, the lineages (and virtual buckets) that have blocks get numbers in the order of their
//! ids; then chunk by chunk, a day at a time, the roll-ups of their hours. One batch a day of a chunk
//! (some tens of MiB in memory at most), with where to go on.
//! A block that cannot be read leaves its entry uneven: whoever asks is sent to the block, and told.
//! Numbers that are there already stay.
//! Proof: `to_3_test.rs`; `tests/tests/golden_folders.rs`.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use keyviz_codec::rollup::{self, Chunk, Entry, SLOTS, Tier};
use keyviz_codec::{Key, numbers};
use keyviz_lineage::{GroupId, LineageId, Series};

use super::Work;
use crate::view::View;
use crate::{Batch, History as _, Numbers, StoreError};

const HOURS_A_BATCH: u64 = 24;

/// Everything before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    group: GroupId,
    chunk: u64,
    hour: u64,
}

impl Position {
    fn encode(self) -> Vec<u8> {
        [self.group, self.chunk, self.hour].iter().flat_map(|part| part.to_be_bytes()).collect()
    }

    /// What is not one is the beginning.
    fn decode(bytes: &[u8]) -> Self {
        match bytes.as_chunks::<8>() {
            ([group, chunk, hour], []) => Self {
                group: u64::from_be_bytes(*group),
                chunk: u64::from_be_bytes(*chunk),
                hour: u64::from_be_bytes(*hour),
            },
            _ => Self::default(),
        }
    }
}

/// Slot by slot, the entries of one lineage-hour: for each tier, of each series.
type Entries = [[Entry; 4]; Tier::ALL.len()];

pub(super) fn run(work: &mut Work<'_>) -> Result<(), StoreError> {
    let begin = Position::decode(work.position());
    // Nobody else writes: what is read here stays as it is.
    let view = work.store().view(0);
    let mut groups = Vec::new();
    for group in view.groups()? {
        groups.push((group, numbered(&view, group)?));
    }
    let total = groups.iter().map(|(_, numbers)| numbers.len() as u64).sum();
    let mut done = 0;
    for (group, numbers) in &groups {
        for chunk in 0..numbers.len().div_ceil(SLOTS) as u64 {
            let ids = numbers.chunk(chunk as usize);
            let at = Position { group: *group, chunk, hour: 0 };
            let next = Position { chunk: chunk + 1, ..at };
            if next > begin {
                let hour = if at < begin { begin.hour } else { 0 };
                sum_up(work, &view, ids, Position { hour, ..at }, (done, total))?;
            }
            done += ids.len() as u64;
            if next > begin {
                work.commit(Batch::default(), &next.encode(), (done, total))?;
            }
        }
    }
    Ok(())
}

/// The numbers that a group has, and then those of all others that have blocks.
fn numbered(view: &View<'_>, group: GroupId) -> Result<Numbers, StoreError> {
    let mut numbers = view.numbers(group)?;
    for lineage in view.lineages_of_blocks(group)? {
        if numbers.get(lineage).is_none() {
            numbers.push(lineage);
        }
    }
    Ok(numbers)
}

/// Writes one chunk, from an hour on.
fn sum_up(
    work: &mut Work<'_>,
    view: &View<'_>,
    ids: &[LineageId],
    at: Position,
    far: (u64, u64),
) -> Result<(), StoreError> {
    let (group, chunk) = (at.group, at.chunk as u32);
    let mut from = at.hour;
    while let Some(first) = view.next_block_hour(group, ids, from)? {
        let last = first.saturating_add(HOURS_A_BATCH - 1);
        let mut batch = Batch::default();
        batch.put(group, &Key::Numbers { chunk }, numbers::encode(ids));
        for (hour, entries) in entries(view, group, ids, first..=last) {
            for (tier, of_tier) in Tier::ALL.into_iter().enumerate() {
                put(&mut batch, (group, hour, chunk), (tier, of_tier), &entries);
            }
        }
        let Some(next) = last.checked_add(1) else { return work.commit(batch, &at.encode(), far) };
        from = next;
        work.commit(batch, &Position { hour: from, ..at }.encode(), far)?;
    }
    Ok(())
}

/// The entries of some hours of a chunk, hour by hour.
fn entries(
    view: &View<'_>,
    group: GroupId,
    ids: &[LineageId],
    hours: RangeInclusive<u64>,
) -> BTreeMap<u64, BTreeMap<usize, Entries>> {
    let mut found: BTreeMap<u64, BTreeMap<usize, Entries>> = BTreeMap::new();
    for (slot, &lineage) in ids.iter().enumerate() {
        let mut unread = HashSet::new();
        for (hour, blocks) in view.blocks(group, lineage, hours.clone()) {
            let entries = match blocks {
                Ok(blocks) if !unread.contains(&hour) => {
                    Tier::ALL.map(|tier| rollup::of(&blocks, tier))
                }
                _ => {
                    unread.insert(hour);
                    [[Entry::Uneven; 4]; Tier::ALL.len()]
                }
            };
            found.entry(hour).or_default().insert(slot, entries);
        }
    }
    found
}

fn put(
    batch: &mut Batch,
    (group, hour, chunk): (GroupId, u64, u32),
    (at_tier, tier): (usize, Tier),
    entries: &BTreeMap<usize, Entries>,
) {
    for (at_series, series) in Series::ALL.into_iter().enumerate() {
        let mut values = Chunk::new(tier);
        for (&slot, entries) in entries {
            values.set(slot, Some(entries[at_tier][at_series]));
        }
        batch.put(group, &Key::Rollup { tier, series, hour, chunk }, values.encode());
    }
}

#[cfg(test)]
#[path = "to_3_test.rs"]
mod to_3_test;
