//! Space-Saving: the most frequent keys of a stream in bounded memory (Metwally, Agrawal, El Abbadi,
//! 2005).
//!
//! A key that is known is counted; one that is not takes over the place of the smallest count, and that
//! count with it, as its error.
//! Invariants, over a stream of `n` keys and `m` places: the counts add up to `n` (K1); a key's count is
//! at least as often as it came, and more by its error at most (K2); no error, and no count of a key
//! that is not there, is above `n / m` (K3: so whoever came more often is there).
//! Must not: know routes, or scale what was sampled.
//! Proof: `space_saving_test.rs`, against exact counts.

use std::hash::{DefaultHasher, Hasher as _};

/// One place.
#[derive(Clone, Debug)]
struct Place {
    hash: u64,
    count: u64,
    error: u64,
    key: Vec<u8>,
}

/// See the module's header.
#[derive(Clone, Debug)]
pub(crate) struct SpaceSaving {
    capacity: usize,
    /// At most `capacity`: few enough that a search from the first to the last takes tens of
    /// nanoseconds, off the hot path.
    places: Vec<Place>,
    seen: u64,
}

/// A key with what is known of how often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequent {
    pub(crate) key: Vec<u8>,
    /// So often, or by up to `error` less.
    pub(crate) count: u64,
    pub(crate) error: u64,
}

impl SpaceSaving {
    /// With at least one place.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), places: Vec::new(), seen: 0 }
    }

    /// Counts `key` once. Returns by how many bytes what it holds has grown; `None`: by more than
    /// `room`, and it was not counted.
    pub(crate) fn add(&mut self, key: &[u8], room: usize) -> Option<usize> {
        let hash = hash(key);
        let is_it = |place: &&mut Place| place.hash == hash && place.key == key;
        let mut grown = 0;
        if let Some(place) = self.places.iter_mut().find(is_it) {
            place.count += 1;
        } else if self.places.len() < self.capacity {
            grown = key.len() + size_of::<Place>();
            if grown > room {
                return None;
            }
            self.places.push(Place { hash, count: 1, error: 0, key: key.to_vec() });
        } else if let Some(least) = self.places.iter_mut().min_by_key(|place| place.count) {
            let before = least.key.capacity();
            if key.len().saturating_sub(before) > room {
                return None;
            }
            (least.hash, least.error) = (hash, least.count);
            least.count += 1;
            least.key.clear();
            least.key.reserve_exact(key.len());
            least.key.extend_from_slice(key);
            grown = least.key.capacity() - before;
        }
        self.seen += 1;
        Some(grown)
    }

    /// How many keys were counted.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Its keys, the most frequent first, ties by key.
    pub(crate) fn into_frequent(self) -> Vec<Frequent> {
        let places = self.places.into_iter();
        let mut keys: Vec<Frequent> =
            places.map(|Place { key, count, error, .. }| Frequent { key, count, error }).collect();
        keys.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        keys
    }
}

/// Always the same of one key; that keys are compared, too, makes a collision harmless.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
#[path = "space_saving_test.rs"]
mod space_saving_test;
