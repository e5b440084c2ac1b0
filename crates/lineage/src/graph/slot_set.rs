//! A set of slots: one bit each.

use super::Slot;

/// Slots, each in the set or not.
#[derive(Clone, Debug, Default)]
pub struct SlotSet {
    words: Vec<u64>,
    len: usize,
}

impl SlotSet {
    /// An empty set with room for every slot below `slots`.
    pub fn with_room(slots: Slot) -> Self {
        Self { words: vec![0; (slots as usize).div_ceil(64)], len: 0 }
    }

    /// Adds a slot. Returns whether that is news.
    pub fn insert(&mut self, slot: Slot) -> bool {
        let word = slot as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let held = &mut self.words[word];
        let is_news = *held & 1 << (slot % 64) == 0;
        *held |= 1 << (slot % 64);
        self.len += usize::from(is_news);
        is_news
    }

    /// Whether a slot is in it.
    pub fn contains(&self, slot: Slot) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word & 1 << (slot % 64) != 0)
    }

    /// How many are in it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slots below `slots` that are not in it, ascending.
    pub fn missing(&self, slots: Slot) -> impl Iterator<Item = Slot> {
        let word = |at: u32| self.words.get(at as usize).copied().unwrap_or(0);
        let missing = (0..slots.div_ceil(64)).filter(move |&at| word(at) != u64::MAX);
        let bits = missing.flat_map(move |at| {
            (0..64).filter(move |bit| word(at) & 1 << bit == 0).map(move |bit| at * 64 + bit)
        });
        bits.take_while(move |&slot| slot < slots)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(
            slots in prop::collection::vec(0u32..300, 0..400),
            room in 0u32..300,
            below in 0u32..400,
        ) {
            let (mut set, mut tree) = (SlotSet::with_room(room), BTreeSet::new());
            for slot in slots {
                prop_assert_eq!(set.insert(slot), tree.insert(slot));
            }
            prop_assert_eq!((set.len(), set.is_empty()), (tree.len(), tree.is_empty()));
            prop_assert!((0..400).all(|slot| set.contains(slot) == tree.contains(&slot)));
            let missing: Vec<Slot> = (0..below).filter(|slot| !tree.contains(slot)).collect();
            prop_assert_eq!(set.missing(below).collect::<Vec<_>>(), missing);
        }
    }
}
