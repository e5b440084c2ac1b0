//! The stored blocks of some hours, of all lineages that have any: what is read ahead into memory.
//!
//! Which lineages those are is told by the hourly roll-ups, which are stored with the blocks, damaged
//! ones included. Blocks are handed out as they are stored, whatever their age, and pass the block cache
//! by: who asks keeps them.
//! Proof: `crates/replica/src/memory_tier_test.rs`.

use std::ops::{ControlFlow, RangeInclusive};

use keyviz_codec::rollup::{Chunk, SLOTS, Tier};
use keyviz_codec::{Key, key_layout};
use keyviz_lineage::{GroupId, LineageId, Series};
use rocksdb::ReadOptions;

use super::{View, damaged_physical};
use crate::StoreError;

/// Tag, hour, value.
type VisitBlock<'a> = &'a mut dyn FnMut(u32, u64, &[u8]) -> ControlFlow<()>;

impl View<'_> {
    /// The numbers of the lineages (and virtual buckets) of a group that were recorded in an hour,
    /// ascending.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn numbers_of(&self, group: GroupId, hour: u64) -> Result<Vec<u32>, StoreError> {
        let key =
            |hour, chunk| Key::Rollup { tier: Tier::Hour, series: Series::Reads, hour, chunk };
        let mut numbers = Vec::new();
        for (key, value) in
            self.scan(key(hour, 0).encode(group), key(hour, u32::MAX).encode(group))?
        {
            let Some((_, Key::Rollup { chunk, .. })) = Key::parse(&key) else { continue };
            let held = Chunk::decode(&value).map_err(|source| damaged_physical(&key, source))?;
            let slots = (0..SLOTS).filter(|&slot| held.get(slot).is_some());
            numbers.extend(slots.map(|slot| chunk * SLOTS as u32 + slot as u32));
        }
        Ok(numbers)
    }

    /// The stored blocks of these lineages (ascending) in these hours: tag, hour, value.
    ///
    /// # Errors
    /// A read failure; what was visited before is right.
    pub fn each_block(
        &self,
        group: GroupId,
        lineages: &[(LineageId, u32)],
        hours: RangeInclusive<u64>,
        visit: VisitBlock<'_>,
    ) -> Result<(), StoreError> {
        let all = key_layout::prefix::range(group);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(key_layout::prefix::end(all));
        options.fill_cache(false);
        let mut cursor = self.snapshot.raw_iterator_cf_opt(self.store.family(), options);
        for &(lineage, tag) in lineages {
            cursor.seek(Key::Range { lineage, hour: *hours.start() }.encode(group));
            while let Some((key, value)) = cursor.item() {
                match Key::parse(key) {
                    Some((_, Key::Range { lineage: at, hour }))
                        if at == lineage && hour <= *hours.end() =>
                    {
                        if visit(tag, hour, value).is_break() {
                            return Ok(());
                        }
                    }
                    _ => break,
                }
                cursor.next();
            }
            let key = || Key::Range { lineage, hour: *hours.start() }.to_string();
            cursor.status().map_err(|source| StoreError::Read { group, key: key(), source })?;
        }
        Ok(())
    }
}
