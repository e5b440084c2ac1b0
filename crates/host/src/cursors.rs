//! SCAN's cursors: numbers that stand for the last key that a scan has looked at.
//!
//! Owns: the newest [`KEPT`] cursors of this run. An older one, or one of an earlier run, is invalid
//! and its scan starts again.
//! Proof: `commands_test.rs`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const KEPT: usize = 10_000;

/// The cursors that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    issued: Mutex<Issued>,
}

#[derive(Debug, Default)]
struct Issued {
    last: u64,
    keys: BTreeMap<u64, Vec<u8>>,
}

impl Cursors {
    /// A cursor for going on behind `key`.
    pub(crate) fn issue(&self, key: Vec<u8>) -> u64 {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.last += 1;
        let cursor = issued.last;
        issued.keys.insert(cursor, key);
        if issued.keys.len() > KEPT {
            issued.keys.pop_first();
        }
        cursor
    }

    /// The key that `cursor` stands for. It stays good for asking again.
    pub(crate) fn get(&self, cursor: u64) -> Option<Vec<u8>> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.keys.get(&cursor).cloned()
    }
}
