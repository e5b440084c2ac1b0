//! A batch of writes: all or nothing, synced before it returns.
//!
//! `rocksdb::WriteBatch` is consumed by a write, so the operations are kept here and a failed commit
//! can be tried again. What is kept twice ([`crate::copies`]) goes to both places.

use keyviz_codec::marks::Mark;
use keyviz_codec::{Key, key_layout};
use keyviz_lineage::{GroupId, LineageId};
use rocksdb::{WriteBatch, WriteOptions};

use crate::{Store, StoreError, failpoint};

/// What RocksDB adds to each operation of a batch, at most.
const OPERATION_BYTES: usize = 16;

/// Writes that belong together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    operations: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Stores an encoded value.
    pub fn put(&mut self, group: GroupId, key: &Key, value: Vec<u8>) {
        self.operations.push((key.encode(group), Some(value)));
    }

    /// Stores a mark.
    pub fn put_mark(&mut self, group: GroupId, key: &Key, mark: &impl Mark) {
        self.put(group, key, mark.encode());
    }

    /// Removes a key.
    pub fn delete(&mut self, group: GroupId, key: &Key) {
        self.operations.push((key.encode(group), None));
    }

    /// The blocks that it stores: lineage, hour, value. (A block is never removed by a batch.)
    pub fn blocks(&self) -> impl Iterator<Item = (LineageId, u64, &[u8])> {
        self.operations.iter().filter_map(|(key, value)| match Key::parse(key)?.1 {
            Key::Range { lineage, hour } => Some((lineage, hour, value.as_deref()?)),
            _ => None,
        })
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

impl Store {
    /// Writes a batch of marks of the node: see [`Store::commit_as`].
    ///
    /// # Errors
    /// As [`Store::commit_as`].
    pub fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.commit_as("marks-batch", batch)
    }

    /// Writes a batch: RocksDB's own WAL on, synced, and refused at once where RocksDB would stall
    /// (a full disk must not hang the caller). `what` names it among the failpoints.
    ///
    /// # Errors
    /// [`StoreError::Write`]; the batch may be tried again, every key is written whole.
    pub fn commit_as(&self, what: &'static str, batch: &Batch) -> Result<(), StoreError> {
        let written = failpoint::reached(what, "-refused")
            .and_then(|()| self.write(batch))
            .and_then(|()| failpoint::reached(what, "-unanswered"));
        self.refusal.heard(&written);
        written
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let (family, copies) = (self.family(), self.copies());
        let bytes = batch
            .operations
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len) + OPERATION_BYTES);
        let mut writes = WriteBatch::with_capacity_bytes(bytes.sum());
        for (key, value) in &batch.operations {
            let families = [Some(family), key_layout::is_kept_twice(key).then_some(copies)];
            for family in families.into_iter().flatten() {
                match value {
                    Some(value) => writes.put_cf(family, key, value),
                    None => writes.delete_cf(family, key),
                }
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        options.set_no_slowdown(true);
        self.db.write_opt(writes, &options).map_err(|source| StoreError::Write { source })
    }
}
