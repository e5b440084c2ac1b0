//! The newest hour of which each lineage has a stored block, and that block as it is stored: nearly all
//! blocks are new to the store, and it need not be searched for them; the others are mostly of the hour
//! that is open, and it need not be asked for what it was given minutes ago.
//!
//! Owns: by group and number, what was stored since the start, and what was looked up; at most [`MOST_BYTES`] of blocks. What
//! does not fit is read from the store: a matter of speed alone.
//! Invariant: never older than what the store has, and the same bytes; what a batch adds is added once
//! it is durable, so nobody is taken for stored who is not.
//! Proof: `newest_test.rs`, `persist_test.rs` (the same bytes without it), `bounds_test.rs`.

use std::collections::HashMap;

use keyviz_lineage::{GroupId, LineageId};
use keyviz_store::{StoreError, View};

/// The open hour of some 50,000 lineages.
const MOST_BYTES: usize = 16 << 20;

/// Of every lineage that has a number.
#[derive(Debug, Default)]
pub(crate) struct NewestHours {
    groups: HashMap<GroupId, Vec<Option<Newest>>>,
    /// Of all blocks that are held.
    bytes: usize,
}

/// What is stored of one lineage.
#[derive(Clone, Debug)]
struct Newest {
    /// The newest hour.
    hour: u64,
    /// Its block as it is stored, where it is held.
    block: Option<Box<[u8]>>,
}

/// What a batch adds, by number: what comes later holds.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    changed: Vec<(u32, Newest)>,
    bytes: usize,
}

impl Stored {
    /// The newest hour of the lineage with this number; and this is its block of `hour` now.
    pub(crate) fn put(
        &mut self,
        number: u32,
        newest: Option<u64>,
        hour: u64,
        block: Option<&[u8]>,
    ) {
        let newest = newest.map_or(hour, |newest| newest.max(hour));
        // What would not be held need not be copied.
        let fits = |block: &&[u8]| newest == hour && self.bytes + block.len() <= MOST_BYTES;
        let block: Option<Box<[u8]>> = block.filter(fits).map(Box::from);
        self.bytes += block.as_deref().map_or(0, <[u8]>::len);
        self.changed.push((number, Newest { hour: newest, block }));
    }
}

impl NewestHours {
    /// The newest hour of which the store has a block of this lineage.
    pub(crate) fn of(
        &self,
        view: &View<'_>,
        group: GroupId,
        (lineage, number): (LineageId, u32),
    ) -> Result<Option<u64>, StoreError> {
        match self.held(group, number) {
            Some(newest) => Ok(Some(newest.hour)),
            None => match view.newest_block_hour(group, lineage) {
                // Nobody knows: every block is looked for, and found damaged or not by itself.
                Err(error) if error.is_damage() => Ok(Some(u64::MAX)),
                found => found,
            },
        }
    }

    /// The block of this number and hour as it is stored, if it is held.
    pub(crate) fn block(&self, group: GroupId, number: u32, hour: u64) -> Option<&[u8]> {
        self.held(group, number).filter(|held| held.hour == hour)?.block.as_deref()
    }

    fn held(&self, group: GroupId, number: u32) -> Option<&Newest> {
        self.groups.get(&group)?.get(number as usize)?.as_ref()
    }

    /// After the batch that stored them.
    pub(crate) fn learn(&mut self, group: GroupId, stored: Stored) {
        let of_group = self.groups.entry(group).or_default();
        if self.bytes + stored.bytes > MOST_BYTES {
            // Hours that are over go first.
            let newest = stored.changed.iter().map(|(_, stored)| stored.hour).max();
            for held in of_group.iter_mut().flatten().filter(|held| Some(held.hour) < newest) {
                self.bytes -= held.bytes();
                held.block = None;
            }
        }
        for (number, mut stored) in stored.changed {
            let number = number as usize;
            if of_group.len() <= number {
                of_group.resize(number + 1, None);
            }
            let held = &mut of_group[number];
            self.bytes -= held.as_ref().map_or(0, Newest::bytes);
            if self.bytes + stored.bytes() > MOST_BYTES {
                stored.block = None;
            }
            self.bytes += stored.bytes();
            *held = Some(stored);
        }
    }

    /// Lineages of this group are gone; those that are not are looked up again.
    pub(crate) fn forget(&mut self, group: GroupId) {
        let held = self.groups.remove(&group).unwrap_or_default();
        self.bytes -= held.iter().flatten().map(Newest::bytes).sum::<usize>();
    }
}

impl Newest {
    fn bytes(&self) -> usize {
        self.block.as_deref().map_or(0, <[u8]>::len)
    }
}

#[cfg(test)]
#[path = "newest_test.rs"]
mod newest_test;
