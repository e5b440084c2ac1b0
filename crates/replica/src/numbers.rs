//! Which lineage (or virtual bucket) of a group has which number: what the slots of its roll-ups stand
//! for (`keyviz_codec::numbers`).
//!
//! Owns: the numbers of every group, as the store has them. A number is given by the first batch that
//! stores cells of a lineage, in the order of their ids, and is in that batch; so it is a function of
//! the group's commands (R7). It is never used again.
//! A chunk of them that is damaged leaves its lineages without a number: they are given others with
//! their next cells, and what the roll-ups say under the old ones is nobody's (counted as lost).
//! Proof: `state_machine_test.rs`, `rollup_test.rs`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use keyviz_codec::rollup::SLOTS;
use keyviz_codec::{Key, numbers};
use keyviz_lineage::{GroupId, LineageId};
use keyviz_store::{Batch, Numbers, StoreError, View};

/// The numbers of every group on this node.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    groups: HashMap<GroupId, Arc<Numbers>>,
}

impl Registry {
    /// The numbers of one group, read from the store at their first use.
    pub(crate) fn of(
        &mut self,
        view: &View<'_>,
        group: GroupId,
    ) -> Result<&Arc<Numbers>, StoreError> {
        match self.groups.entry(group) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(Arc::new(view.numbers(group)?))),
        }
    }

    /// Returns what was known before.
    pub(crate) fn install(
        &mut self,
        group: GroupId,
        numbers: Arc<Numbers>,
    ) -> Option<Arc<Numbers>> {
        self.groups.insert(group, numbers)
    }
}

/// Gives numbers to those of `lineages` that have none, and puts what changed into the batch.
pub(crate) fn number(
    held: &Arc<Numbers>,
    group: GroupId,
    lineages: impl IntoIterator<Item = LineageId>,
    batch: &mut Batch,
) -> Arc<Numbers> {
    let mut new: Vec<LineageId> =
        lineages.into_iter().filter(|&lineage| held.get(lineage).is_none()).collect();
    if new.is_empty() {
        return Arc::clone(held);
    }
    new.sort_unstable();
    new.dedup();
    let first = held.len();
    let mut numbers = Numbers::clone(held);
    new.into_iter().for_each(|lineage| numbers.push(lineage));
    for chunk in first / SLOTS..numbers.len().div_ceil(SLOTS) {
        let ids = numbers.chunk(chunk);
        batch.put(group, &Key::Numbers { chunk: chunk as u32 }, numbers::encode(ids));
    }
    Arc::new(numbers)
}
