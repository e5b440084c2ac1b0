//! Label values that come from clients, kept to a fixed number.
//!
//! Invariant: O1: the first so many names have a label of their own for good, the rest share [`OTHER`].
//! Proof: `labels_test.rs`.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// The label of names beyond the limit.
pub const OTHER: &str = "_other";

/// Longer names share [`OTHER`].
const MAX_NAME_BYTES: usize = 128;

/// Whether it can be a label.
#[allow(dead_code)] // not every set of features has names of clients
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
}

/// The names that have a label.
#[derive(Debug)]
#[allow(dead_code)] // not every set of features has names of clients
pub(crate) struct Names {
    most: usize,
    known: RwLock<HashSet<Box<str>>>,
}

#[allow(dead_code)] // as above
impl Names {
    /// At most `most`, [`OTHER`] not counted.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, known: RwLock::default() }
    }

    /// The label of a name.
    pub(crate) fn label<'a>(&self, name: &'a str) -> &'a str {
        if !is_name(name) {
            return OTHER;
        }
        // A panic while it was held leaves a set that is whole.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return name;
        }
        let is_full = known.len() >= self.most;
        drop(known);
        if is_full {
            return OTHER;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < self.most || known.contains(name) {
            known.insert(name.into());
            return name;
        }
        OTHER
    }
}

#[cfg(test)]
#[path = "labels_test.rs"]
mod labels_test;
