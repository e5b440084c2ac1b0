//! Merging what was recorded into what is stored: blocks, the roll-ups that summarise them, coverage
//! and the bucket index, in one batch.
//!
//! Blocks go by hour and chunk of roll-ups, so that each roll-up is read and written once, and by lineage
//! within it, so that RocksDB takes neighbours one after the other.
//! Invariants: no stored block is overwritten by one that holds less (it is merged; one that fails its
//! checksum is set aside under `damaged|`); a roll-up is computed anew from the merged block and stored
//! with it, so that the two cannot disagree (R9).
//! A pure function of the store, the graph and the delta (R7).
//! Proof: `state_machine_test.rs`, `rollup_test.rs`, `persist_test.rs`.

use std::borrow::Cow;
use std::sync::Arc;

use keyviz_codec::rollup::{self, Chunk, Entry, SLOTS, Tier};
use keyviz_codec::{BlockRoom, HourBlocks, Key};
use keyviz_lineage::{GroupId, LineageGraph, LineageId, Series};
use keyviz_store::{Batch, Numbers, StoreError, View};

use crate::bounds;
use crate::memory::Delta;
use crate::memory_tier::Shelves;
use crate::newest::{NewestHours, Stored};
use crate::numbers::number;

/// What the state machine knows before a delta.
pub(crate) struct Before<'a> {
    pub(crate) graph: &'a LineageGraph,
    pub(crate) numbers: &'a Arc<Numbers>,
    pub(crate) newest: &'a NewestHours,
    /// What memory holds of the blocks that are stored.
    pub(crate) shelves: Option<Arc<Shelves>>,
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
    let news = delta.blocks.iter().filter_map(|(&(lineage, hour), blocks)| {
        // invariant: `number` gave every lineage of the delta a number
        Some(News { hour, number: numbers.get(lineage)?, lineage, blocks })
    });
    let mut news: Vec<News<'_>> = news.collect();
    news.sort_unstable_by_key(|news| (news.hour, news.chunk(), news.lineage));
    let (stored, room) = (Stored::default(), BlockRoom::default());
    let mut merging = Merging { view, before, numbers: &numbers, group, batch, stored, room };
    for news in news.chunk_by(|a, b| (a.hour, a.chunk()) == (b.hour, b.chunk())) {
        merging.put_chunk(news)?;
    }
    let stored = merging.stored;
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

/// What a delta has of one lineage-hour.
struct News<'a> {
    hour: u64,
    number: u32,
    lineage: LineageId,
    blocks: &'a HourBlocks,
}

/// What a lineage-hour has in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    Block,
    Nothing,
    /// A block that was, or has to be, set aside.
    Lost,
}

struct Merging<'a, 'b> {
    view: &'a View<'a>,
    before: &'a Before<'a>,
    numbers: &'a Numbers,
    group: GroupId,
    batch: &'b mut Batch,
    stored: Stored,
    room: BlockRoom,
}

impl Merging<'_, '_> {
    /// Puts the blocks of one hour and chunk, and their entries among those that are stored already, into
    /// the batch.
    ///
    /// A roll-up can hold more than the block: it outlives it (`--rollup-retention`), and a damaged one.
    /// Then what is new is added, and nothing is overwritten by less; and where the block has expired,
    /// what comes late is not stored as if it were all of the hour.
    fn put_chunk(&mut self, news: &[News<'_>]) -> Result<(), StoreError> {
        let Some((hour, chunk)) = news.first().map(|first| (first.hour, first.chunk())) else {
            return Ok(());
        };
        let (view, numbers, group) = (self.view, self.numbers, self.group);
        let mut rollups = Vec::with_capacity(Tier::ALL.len() * Series::ALL.len());
        for (tier, series) in tiers_and_series() {
            rollups.push(stored_rollups(view, numbers, group, (tier, series), (hour, chunk))?);
        }
        for news in news {
            let newest = self.before.newest.of(view, group, (news.lineage, news.number))?;
            let (merged, below) = self.merged(news, newest)?;
            let told = if below == Below::Lost { news.blocks } else { &*merged };
            let entries = rollup::of_all(told);
            let slot = news.number as usize % SLOTS;
            let outlived = below == Below::Nothing && rollups.iter().any(|held| held.has(slot));
            for (values, &entry) in rollups.iter_mut().zip(entries.as_flattened()) {
                let adds = outlived || below == Below::Lost;
                match if adds { values.get(slot) } else { None } {
                    Some(held) => values.set(slot, Some(held.plus(entry))),
                    // A tier that did not outlive the block.
                    None if outlived => {}
                    None => values.set(slot, Some(entry)),
                }
            }
            let block = (!outlived).then(|| merged.encode_in(&mut self.room));
            self.stored.push((news.number, newest.map_or(hour, |newest| newest.max(hour))));
            if let Some(block) = block {
                self.batch.put(group, &news.key(), block);
            }
            if let Cow::Owned(merged) = merged {
                self.room.recycle(merged);
            }
        }
        for ((tier, series), values) in tiers_and_series().zip(rollups) {
            self.batch.put(group, &Key::Rollup { tier, series, hour, chunk }, values.encode());
        }
        Ok(())
    }

    /// What is stored of a lineage-hour, with what is new. `newest` is the newest hour that is stored of
    /// the lineage.
    fn merged<'n>(
        &mut self,
        news: &News<'n>,
        newest: Option<u64>,
    ) -> Result<(Cow<'n, HourBlocks>, Below), StoreError> {
        let (view, graph, group) = (self.view, self.before.graph, self.group);
        let (key, &News { lineage, hour, blocks, .. }) = (news.key(), news);
        let read =
            if newest.is_none_or(|newest| newest < hour) { Ok(None) } else { self.block(news) };
        let said = match &read {
            Ok(Some(_)) => None,
            Ok(None) => bounds::of_new_block(view, graph, group, (lineage, hour), newest)?,
            // What it said is lost with it.
            Err(_) => graph.get(lineage).map(|record| record.range.clone()),
        };
        let was_lost = read.is_err() || view.is_set_aside(group, &key)?;
        let stored = salvage(view, group, &key, read, self.batch)?;
        let below = match (&stored, was_lost) {
            (_, true) => Below::Lost,
            (Some(_), false) => Below::Block,
            (None, false) => Below::Nothing,
        };
        let mut merged = match stored {
            Some(mut stored) => {
                stored.merge(blocks);
                Cow::Owned(stored)
            }
            None => Cow::Borrowed(blocks),
        };
        if let Some(range) = said {
            merged.to_mut().set_bounds(range);
        }
        Ok((merged, below))
    }

    /// A stored block, from memory where it is held.
    fn block(&mut self, news: &News<'_>) -> Result<Option<HourBlocks>, StoreError> {
        let held = self.before.shelves.as_ref();
        let held = held.and_then(|shelves| shelves.block(news.number, news.hour));
        match held.map(|held| HourBlocks::decode_in(held, &mut self.room)) {
            Some(Ok(block)) => Ok(Some(block)),
            _ => self.view.block(self.group, news.lineage, news.hour),
        }
    }
}

impl News<'_> {
    /// Which roll-ups it goes into.
    fn chunk(&self) -> u32 {
        self.number / SLOTS as u32
    }

    fn key(&self) -> Key {
        Key::Range { lineage: self.lineage, hour: self.hour }
    }
}

/// As [`rollup::of_all`] has them.
fn tiers_and_series() -> impl Iterator<Item = (Tier, Series)> {
    Tier::ALL.into_iter().flat_map(|tier| Series::ALL.map(|series| (tier, series)))
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
            let remains = view.raw(group, key).ok().flatten().unwrap_or_default();
            batch.put(group, &key.quarantine(), remains);
            Ok(None)
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "persist_test.rs"]
mod persist_test;
