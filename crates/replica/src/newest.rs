//! The newest hour of which each lineage has a stored block: nearly all blocks are new to the store, and
//! it need not be searched for them.
//!
//! Owns: what was stored since the start, and what was looked up.
//! Invariant: never older than what the store has; what a batch adds is added once it is durable, so
//! nobody is taken for stored who is not.
//! Proof: `state_machine_test.rs`, `bounds_test.rs`.

use std::collections::HashMap;

use keyviz_lineage::{GroupId, LineageId};
use keyviz_store::{StoreError, View};

/// By group and lineage.
#[derive(Debug, Default)]
pub(crate) struct NewestHours {
    groups: HashMap<GroupId, HashMap<LineageId, u64>>,
}

/// What a batch adds.
pub(crate) type Stored = HashMap<LineageId, u64>;

impl NewestHours {
    /// The newest hour of which the store has a block of this lineage.
    pub(crate) fn of(
        &self,
        view: &View<'_>,
        group: GroupId,
        lineage: LineageId,
    ) -> Result<Option<u64>, StoreError> {
        match self.groups.get(&group).and_then(|of_group| of_group.get(&lineage)) {
            Some(&hour) => Ok(Some(hour)),
            None => match view.newest_block_hour(group, lineage) {
                // Nobody knows: every block is looked for, and found damaged or not by itself.
                Err(error) if error.is_damage() => Ok(Some(u64::MAX)),
                found => found,
            },
        }
    }

    /// After the batch that stored them.
    pub(crate) fn learn(&mut self, group: GroupId, stored: Stored) {
        self.groups.entry(group).or_default().extend(stored);
    }

    /// Lineages of this group are gone; those that are not are looked up again.
    pub(crate) fn forget(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }
}
