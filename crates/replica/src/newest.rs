//! The newest hour of which each lineage has a stored block, and that block as it is stored: nearly all
//! blocks are new to the store, and it need not be searched for them; the others are mostly of the hour
//! that is open, and it need not be asked for what it was given minutes ago.
//!
//! Owns: what was stored since the start, and what was looked up; at most [`MOST_BYTES`] of blocks. What
//! does not fit is read from the store: a matter of speed alone.
//! Invariant: never older than what the store has, and the same bytes; what a batch adds is added once
//! it is durable, so nobody is taken for stored who is not.
//! Proof: `state_machine_test.rs`, `bounds_test.rs`, `random_log_test.rs`.

use std::collections::HashMap;

use keyviz_lineage::{GroupId, LineageId};
use keyviz_store::{StoreError, View};

/// The open hour of some 50,000 lineages.
const MOST_BYTES: usize = 16 << 20;

/// By group and lineage.
#[derive(Debug, Default)]
pub(crate) struct NewestHours {
    groups: HashMap<GroupId, HashMap<LineageId, Newest>>,
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

/// What a batch adds.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    lineages: HashMap<LineageId, Newest>,
    bytes: usize,
}

impl Stored {
    /// The lineage has something of this hour.
    pub(crate) fn saw(&mut self, lineage: LineageId, hour: u64) {
        let held = self.lineages.entry(lineage).or_insert(Newest { hour, block: None });
        if held.hour < hour {
            *held = Newest { hour, block: None };
        }
    }

    /// This is its block of this hour now.
    pub(crate) fn put(&mut self, lineage: LineageId, hour: u64, block: &[u8]) {
        self.saw(lineage, hour);
        // What would not be held need not be copied.
        if self.bytes + block.len() > MOST_BYTES {
            return;
        }
        if let Some(held) = self.lineages.get_mut(&lineage).filter(|held| held.hour == hour) {
            held.block = Some(block.into());
            self.bytes += block.len();
        }
    }
}

impl NewestHours {
    /// The newest hour of which the store has a block of this lineage.
    pub(crate) fn of(
        &self,
        view: &View<'_>,
        group: GroupId,
        lineage: LineageId,
    ) -> Result<Option<u64>, StoreError> {
        match self.held(group, lineage) {
            Some(newest) => Ok(Some(newest.hour)),
            None => match view.newest_block_hour(group, lineage) {
                // Nobody knows: every block is looked for, and found damaged or not by itself.
                Err(error) if error.is_damage() => Ok(Some(u64::MAX)),
                found => found,
            },
        }
    }

    /// The block of this lineage and hour as it is stored, if it is held.
    pub(crate) fn block(&self, group: GroupId, lineage: LineageId, hour: u64) -> Option<&[u8]> {
        self.held(group, lineage).filter(|held| held.hour == hour)?.block.as_deref()
    }

    fn held(&self, group: GroupId, lineage: LineageId) -> Option<&Newest> {
        self.groups.get(&group)?.get(&lineage)
    }

    /// After the batch that stored them.
    pub(crate) fn learn(&mut self, group: GroupId, stored: Stored) {
        let of_group = self.groups.entry(group).or_default();
        if self.bytes + stored.bytes > MOST_BYTES {
            // Hours that are over go first.
            let newest = stored.lineages.values().map(|stored| stored.hour).max();
            for held in of_group.values_mut().filter(|held| Some(held.hour) < newest) {
                self.bytes -= held.bytes();
                held.block = None;
            }
        }
        for (lineage, mut stored) in stored.lineages {
            if self.bytes + stored.bytes() > MOST_BYTES {
                stored.block = None;
            }
            self.bytes += stored.bytes();
            let before = of_group.insert(lineage, stored);
            self.bytes -= before.map_or(0, |before| before.bytes());
        }
    }

    /// Lineages of this group are gone; those that are not are looked up again.
    pub(crate) fn forget(&mut self, group: GroupId) {
        let held = self.groups.remove(&group).unwrap_or_default();
        self.bytes -= held.values().map(Newest::bytes).sum::<usize>();
    }
}

impl Newest {
    fn bytes(&self) -> usize {
        self.block.as_deref().map_or(0, <[u8]>::len)
    }
}
