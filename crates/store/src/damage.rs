//! What was found damaged and passed by, where no answer could carry it: told to whoever logs.
//!
//! Invariant: everything is counted; the newest few are kept in words.
//! Must not: log.
//! Proof: `tests/tests/damaged_store.rs`.

use std::sync::{Mutex, PoisonError};

use crate::Store;

/// How many are kept in words until they are told.
const KEPT: usize = 32;

/// Damage that was met.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    met: Mutex<(u64, Vec<String>)>,
}

impl Damage {
    pub(crate) fn met(&self, what: String) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.0 += 1;
        if !met.1.contains(&what) && met.1.len() < KEPT {
            met.1.push(what);
        }
    }
}

impl Store {
    /// How often something damaged was met and passed by since the start.
    pub fn damage_count(&self) -> u64 {
        self.damage.met.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// How often something damaged was met and passed by since the start, and in words what is new
    /// since this was last asked. What an answer warns of is not among them.
    pub fn damage(&self) -> (u64, Vec<String>) {
        let mut met = self.damage.met.lock().unwrap_or_else(PoisonError::into_inner);
        (met.0, std::mem::take(&mut met.1))
    }
}
