//! The newest hour of which each lineage has a stored block: nearly all blocks are new to the store, and
//! it need not be searched for them.
//!
//! Owns: by group and number, what was stored since the start, and what was looked up.
//! Invariant: never older than what the store has; what a batch adds is added once it is durable, so
//! nobody is taken for stored who is not.
//! Proof: `persist_test.rs` (the same bytes without it), `bounds_test.rs`.

use std::collections::HashMap;

use keyviz_lineage::{GroupId, LineageId};
use keyviz_store::{StoreError, View};

/// Of every lineage that has a number.
#[derive(Debug, Default)]
pub(crate) struct NewestHours {
    groups: HashMap<GroupId, Vec<Option<u64>>>,
}

/// The newest hours that a batch makes, by number.
pub(crate) type Stored = Vec<(u32, u64)>;

impl NewestHours {
    /// The newest hour of which the store has a block of this lineage.
    pub(crate) fn of(
        &self,
        view: &View<'_>,
        group: GroupId,
        (lineage, number): (LineageId, u32),
    ) -> Result<Option<u64>, StoreError> {
        let held = self.groups.get(&group).and_then(|held| *held.get(number as usize)?);
        match held {
            Some(hour) => Ok(Some(hour)),
            None => match view.newest_block_hour(group, lineage) {
                // Nobody knows: every block is looked for, and found damaged or not by itself.
                Err(error) if error.is_damage() => Ok(Some(u64::MAX)),
                found => found,
            },
        }
    }

    /// After the batch that stored them.
    pub(crate) fn learn(&mut self, group: GroupId, stored: Stored) {
        let of_group = self.groups.entry(group).or_default();
        for (number, hour) in stored {
            let number = number as usize;
            if of_group.len() <= number {
                of_group.resize(number + 1, None);
            }
            of_group[number] = of_group[number].max(Some(hour));
        }
    }

    /// Lineages of this group are gone; those that are not are looked up again.
    pub(crate) fn forget(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }
}
