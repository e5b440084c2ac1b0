//! What the graph is kept in: parts that are shared between a graph and its copies until one of
//! them is written.
//!
//! A query holds the graph as it was when it began, while transitions go on. So a copy must cost
//! next to nothing, and the first write after it must copy a small part, not everything.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Elements that are copied together on a write.
const CHUNK: usize = 64;
/// Parts that a map is cut into.
const SHARDS: usize = 64;

/// A vector that only grows, in shared chunks.
#[derive(Clone, Debug)]
pub(super) struct Arena<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Arena<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        Arc::make_mut(self.chunks.get_mut(at / CHUNK)?).get_mut(at % CHUNK)
    }

    pub(super) fn push(&mut self, value: T) -> usize {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(value),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(Arc::new(chunk));
            }
        }
        self.len += 1;
        self.len - 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

/// A hash map in shared parts.
#[derive(Clone, Debug)]
pub(super) struct ShardedMap<K, V> {
    shards: Vec<Arc<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K, V> Default for ShardedMap<K, V> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Arc::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> ShardedMap<K, V> {
    fn shard_of(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.shards[self.shard_of(key)].get(key)
    }

    /// The part that holds `key`, for writing.
    pub(super) fn shard_mut(&mut self, key: &K) -> &mut HashMap<K, V> {
        let shard = self.shard_of(key);
        Arc::make_mut(&mut self.shards[shard])
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }
}
