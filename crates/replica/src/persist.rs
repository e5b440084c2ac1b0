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
use crate::newest::{NewestHours, Stored};
use crate::numbers::number;

/// What the state machine knows before a delta.
pub(crate) struct Before<'a> {
    pub(crate) graph: &'a LineageGraph,
    pub(crate) numbers: &'a Arc<Numbers>,
    pub(crate) newest: &'a NewestHours,
}

/// What it knows after it.
pub(crate) struct After {
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) stored: Stored,
}

/// Puts a delta, merged into what is stored, into the batch.
pub(crate) fn merge_delta(
    view: &View<'_>,
    before: &Before<'_>,
    group: GroupId,
    delta: &Delta,
    batch: &mut Batch,
) -> Result<After, StoreError> {
    let lineages = delta.blocks.keys().map(|&(lineage, _)| lineage);
    let numbers = number(before.numbers, group, lineages, batch);
    let mut stored = Stored::new();
    let mut changed: BTreeMap<(u64, u32), Vec<Changed>> = BTreeMap::new();
    for (&(lineage, hour), blocks) in &delta.blocks {
        let newest = before.newest.of(view, group, lineage)?;
        let held = Held { view, graph: before.graph, group, lineage, newest };
        let newest = stored.entry(lineage).or_insert(newest.unwrap_or(hour));
        *newest = (*newest).max(hour);
        // invariant: `number` gave every lineage of the delta a number
        let Some(number) = numbers.get(lineage) else { continue };
        let chunk = changed.entry((hour, number / SLOTS as u32)).or_default();
        chunk.push(held.changed(number as usize % SLOTS, hour, blocks, batch)?);
    }
    for ((hour, chunk), changed) in changed {
        put_hour(view, &numbers, group, (hour, chunk), changed, batch)?;
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
    Ok(After { numbers, stored })
}

/// One lineage in the store.
struct Held<'a> {
    view: &'a View<'a>,
    graph: &'a LineageGraph,
    group: GroupId,
    lineage: LineageId,
    /// The newest hour that is stored of it.
    newest: Option<u64>,
}

impl Held<'_> {
    /// What is stored of an hour, with `blocks`.
    fn changed(
        &self,
        slot: usize,
        hour: u64,
        blocks: &HourBlocks,
        batch: &mut Batch,
    ) -> Result<Changed, StoreError> {
        let (view, group, lineage) = (self.view, self.group, self.lineage);
        let key = Key::Range { lineage, hour };
        let is_new = self.newest.is_none_or(|newest| newest < hour);
        let read = if is_new { Ok(None) } else { view.block(group, lineage, hour) };
        let said = match &read {
            Ok(Some(_)) => None,
            Ok(None) => {
                bounds::of_new_block(view, self.graph, group, (lineage, hour), self.newest)?
            }
            // What it said is lost with it.
            Err(_) => self.graph.get(lineage).map(|record| record.range.clone()),
        };
        let was_lost = read.is_err() || view.is_set_aside(group, &key)?;
        let stored = salvage(view, group, &key, read, batch)?;
        let below = match (&stored, was_lost) {
            (_, true) => Below::Lost,
            (Some(_), false) => Below::Block,
            (None, false) => Below::Nothing,
        };
        let mut merged = match stored {
            Some(mut stored) => {
                stored.merge(blocks);
                stored
            }
            None => blocks.clone(),
        };
        if let Some(range) = said {
            merged.set_bounds(range);
        }
        let told = if below == Below::Lost { blocks } else { &merged };
        let entries = Tier::ALL.map(|tier| rollup::of(told, tier));
        Ok(Changed { slot, key, entries, below, block: merged.encode() })
    }
}

/// What a lineage-hour had in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    Block,
    Nothing,
    /// A block that was, or has to be, set aside.
    Lost,
}

/// A lineage-hour that has changed.
struct Changed {
    slot: usize,
    key: Key,
    /// Its new entries; of a lost block, what has come now.
    entries: [[Entry; 4]; Tier::ALL.len()],
    below: Below,
    block: Vec<u8>,
}

/// Puts the blocks of one hour and chunk, and their entries among those that are stored already, into
/// the batch.
///
/// A roll-up can hold more than the block: it outlives it (`--rollup-retention`), and a damaged one.
/// Then what is new is added, and nothing is overwritten by less; and where the block has expired, what
/// comes late is not stored as if it were all of the hour.
fn put_hour(
    view: &View<'_>,
    numbers: &Numbers,
    group: GroupId,
    (hour, chunk): (u64, u32),
    changed: Vec<Changed>,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let mut outlived = vec![false; changed.len()];
    for (at_tier, tier) in Tier::ALL.into_iter().enumerate() {
        for (at_series, series) in Series::ALL.into_iter().enumerate() {
            let key = Key::Rollup { tier, series, hour, chunk };
            let mut values = stored_rollups(view, numbers, group, (tier, series), (hour, chunk))?;
            for (changed, outlived) in changed.iter().zip(&mut outlived) {
                let (entry, held) =
                    (changed.entries[at_tier][at_series], values.get(changed.slot).copied());
                // The hourly ones, which come first, are kept longest.
                *outlived |= changed.below == Below::Nothing && held.is_some();
                let entry = match (held, changed.below) {
                    (None, _) if *outlived => continue,
                    (Some(held), _) if *outlived => held.plus(entry),
                    (Some(held), Below::Lost) => held.plus(entry),
                    _ => entry,
                };
                values.set(changed.slot, Some(entry));
            }
            batch.put(group, &key, values.encode());
        }
    }
    for (changed, _) in changed.into_iter().zip(outlived).filter(|(_, outlived)| !outlived) {
        batch.put(group, &changed.key, changed.block);
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
