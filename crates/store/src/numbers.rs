//! The numbers of one group's lineages, as the store has them (`keyviz_codec::numbers`).
//!
//! Invariant: a number stands for one lineage, for ever; where a stored chunk cannot be read, its
//! numbers stand for nobody, and are not given again.
//! Must not: decide who gets a number.
//! Proof: `crates/replica/src/rollup_test.rs`, with a store that numbers and is opened again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use keyviz_codec::rollup::SLOTS;
use keyviz_codec::{Key, key_layout, numbers};
use keyviz_lineage::{GroupId, LineageId};

use crate::{StoreError, View};

/// Which lineage (or virtual bucket) has which number.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// By number; nil where a chunk cannot be read.
    ids: Vec<LineageId>,
    by_id: HashMap<LineageId, u32, BuildHasherDefault<IdHasher>>,
    damage: Vec<String>,
}

/// Hashes lineage ids, which are mostly a hash already (`keyviz_lineage::id`): a wide question looks up
/// each of its lineages.
#[derive(Clone, Copy, Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            // Siblings differ in their time alone: all bits count.
            self.0 = (self.0.rotate_left(26) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        self.0 ^= self.0 >> 32;
    }
}

impl Numbers {
    /// How many numbers were given.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The number of a lineage.
    pub fn get(&self, lineage: LineageId) -> Option<u32> {
        self.by_id.get(&lineage).copied()
    }

    /// The lineage that has a number, if that is known.
    pub fn id(&self, number: u32) -> Option<LineageId> {
        self.ids.get(number as usize).copied().filter(|id| !id.is_nil())
    }

    /// Gives the next number.
    pub fn push(&mut self, lineage: LineageId) {
        self.by_id.insert(lineage, self.ids.len() as u32);
        self.ids.push(lineage);
    }

    /// The ids of one chunk.
    pub fn chunk(&self, chunk: usize) -> &[LineageId] {
        let first = (chunk * SLOTS).min(self.ids.len());
        &self.ids[first..(first + SLOTS).min(self.ids.len())]
    }

    /// The chunks that cannot be read, and why. While there is one, roll-ups do not say all.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }
}

impl View<'_> {
    /// The numbers of a group.
    ///
    /// # Errors
    /// A read failure. A damaged chunk is told by [`Numbers::damage`].
    pub fn numbers(&self, group: GroupId) -> Result<Numbers, StoreError> {
        let mut found = Numbers::default();
        for (key, value) in self.scan_prefix(&key_layout::prefix::numbers(group))? {
            let Some((_, Key::Numbers { chunk })) = Key::parse(&key) else { continue };
            // Chunks follow each other. Where some are gone, their numbers are not given again.
            found.ids.resize(chunk as usize * SLOTS, LineageId::nil());
            match self.decoded(&key, &value, numbers::decode) {
                Ok(ids) => ids.into_iter().for_each(|id| found.push(id)),
                Err(error) => {
                    found.ids.resize((chunk as usize + 1) * SLOTS, LineageId::nil());
                    found.damage.push(error.to_string());
                }
            }
        }
        Ok(found)
    }
}
