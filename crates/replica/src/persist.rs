//! Merging what was recorded into what is stored: blocks, the roll-ups that summarise them, coverage
//! and the bucket index, in one batch.
//!
//! Invariants: no stored block is overwritten by one that holds less (it is merged; one that fails its
//! checksum is set aside under `damaged|`); a roll-up is computed anew from the merged block and stored
//! with it, so that the two cannot disagree (R9).
//! A pure function of the store, the graph and the delta (R7).
//! Proof: `state_machine_test.rs`, `rollup_test.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_codec::rollup::{self, Chunk, Entry, SLOTS, Tier};
use keyviz_codec::{HourBlocks, Key};
use keyviz_lineage::{GroupId, LineageGraph, LineageId, Series};
use keyviz_store::{Batch, Numbers, StoreError, View};

use crate::bounds;
use crate::memory::Delta;
use crate::numbers::number;

/// Puts a delta, merged into what is stored, into the batch. Returns the group's numbers after it.
pub(crate) fn merge_delta(
    view: &View<'_>,
    graph: &LineageGraph,
    numbers: &Arc<Numbers>,
    group: GroupId,
    delta: &Delta,
    batch: &mut Batch,
) -> Result<Arc<Numbers>, StoreError> {
    let lineages = delta.blocks.keys().map(|&(lineage, _)| lineage);
    let numbers = number(numbers, group, lineages, batch);
    let mut changed: BTreeMap<(u64, u32), Vec<Changed>> = BTreeMap::new();
    for (&(lineage, hour), blocks) in &delta.blocks {
        let merged = merge_blocks(view, graph, group, (lineage, hour), blocks, batch)?;
        // invariant: `number` gave every lineage of the delta a number
        let Some(number) = numbers.get(lineage) else { continue };
        let chunk = changed.entry((hour, number / SLOTS as u32)).or_default();
        chunk.push(Changed::new(number as usize % SLOTS, &merged));
        batch.put(group, &Key::Range { lineage, hour }, merged.encode());
    }
    for ((hour, chunk), changed) in changed {
        put_rollups(view, &numbers, group, (hour, chunk), &changed, batch)?;
    }
    for (&hour, coverage) in &delta.coverage {
        let key = Key::Coverage { hour };
        let stored = salvage(view, group, &key, view.coverage_of(group, hour), batch)?;
        let mut merged = stored.unwrap_or_default();
        merged.merge(coverage);
        batch.put(group, &key, merged.encode());
    }
    for (&hour, index) in &delta.index {
        let key = Key::Index { hour };
        let stored = salvage(view, group, &key, view.index_of(group, hour), batch)?;
        let mut merged = stored.unwrap_or_default();
        merged.merge(index);
        batch.put(group, &key, merged.encode());
    }
    Ok(numbers)
}

fn merge_blocks(
    view: &View<'_>,
    graph: &LineageGraph,
    group: GroupId,
    (lineage, hour): (LineageId, u64),
    blocks: &HourBlocks,
    batch: &mut Batch,
) -> Result<HourBlocks, StoreError> {
    let key = Key::Range { lineage, hour };
    let read = view.block(group, lineage, hour);
    let said = match &read {
        Ok(Some(_)) => None,
        Ok(None) => bounds::of_new_block(view, graph, group, lineage, hour)?,
        // What it said is lost with it.
        Err(_) => graph.get(lineage).map(|record| record.range.clone()),
    };
    let mut merged = match salvage(view, group, &key, read, batch)? {
        Some(mut stored) => {
            stored.merge(blocks);
            stored
        }
        None => blocks.clone(),
    };
    if let Some(range) = said {
        merged.set_bounds(range);
    }
    Ok(merged)
}

/// A lineage-hour whose block has changed: its slot, and its new entries.
struct Changed {
    slot: usize,
    entries: [[Entry; 4]; Tier::ALL.len()],
}

impl Changed {
    fn new(slot: usize, merged: &HourBlocks) -> Self {
        Self { slot, entries: Tier::ALL.map(|tier| rollup::of(merged, tier)) }
    }
}

/// Puts the entries of one hour and chunk, among those that are stored already, into the batch.
fn put_rollups(
    view: &View<'_>,
    numbers: &Numbers,
    group: GroupId,
    (hour, chunk): (u64, u32),
    changed: &[Changed],
    batch: &mut Batch,
) -> Result<(), StoreError> {
    for (at_tier, tier) in Tier::ALL.into_iter().enumerate() {
        for (at_series, series) in Series::ALL.into_iter().enumerate() {
            let key = Key::Rollup { tier, series, hour, chunk };
            let mut values = match changed.len() {
                // Every slot is written anew.
                SLOTS => Chunk::new(tier),
                _ => stored_rollups(view, numbers, group, (tier, series), (hour, chunk))?,
            };
            for changed in changed {
                values.set(changed.slot, Some(changed.entries[at_tier][at_series]));
            }
            batch.put(group, &key, values.encode());
        }
    }
    Ok(())
}

/// The roll-ups of one hour and chunk, as they are stored. Damaged ones are computed anew from the
/// blocks, which hold all that they say.
fn stored_rollups(
    view: &View<'_>,
    numbers: &Numbers,
    group: GroupId,
    (tier, series): (Tier, Series),
    (hour, chunk): (u64, u32),
) -> Result<Chunk, StoreError> {
    let key = Key::Rollup { tier, series, hour, chunk };
    let mut values = Chunk::new(tier);
    match view.rollup(group, &key) {
        Ok(stored) => return Ok(stored.unwrap_or(values)),
        Err(error) if error.is_damage() => {
            tracing::error!(group, key = %key, %error, "damaged roll-ups are computed anew");
        }
        Err(error) => return Err(error),
    }
    for (slot, &lineage) in numbers.chunk(chunk as usize).iter().enumerate() {
        let entry = match view.block(group, lineage, hour) {
            Ok(None) => continue,
            Ok(Some(block)) => rollup::of(&block, tier)[series as usize],
            // Whoever asks is sent to the block, and told.
            Err(error) if error.is_damage() => Entry::Uneven,
            Err(error) => return Err(error),
        };
        values.set(slot, Some(entry));
    }
    Ok(values)
}

/// A stored value that fails its checksum must not stop what is new: its bytes are set aside, and
/// the new value takes its place. One of a newer keyviz is not damaged and stops it.
fn salvage<T>(
    view: &View<'_>,
    group: GroupId,
    key: &Key,
    read: Result<Option<T>, StoreError>,
    batch: &mut Batch,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(error) if error.is_damage() => {
            tracing::error!(group, key = %key, %error, "damaged value set aside under damaged|");
            // Nothing may be left of it; that something was there is worth keeping all the same.
            let remains = view.remains(group, key).ok().flatten().unwrap_or_default();
            batch.put(group, &key.quarantine(), remains);
            Ok(None)
        }
        other => other,
    }
}
