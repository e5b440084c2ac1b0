//! Write conflicts: which keys transactions fight over.
//!
//! | metric | labels |
//! |---|---|
//! | `write_conflicts_total` | `group`, `kind` (`write`: a newer write was there; `read`: what was read had changed), `key_prefix` |
//!
//! A key's prefix is what comes before its second separator (one of `|`, `:`, `/`), 32 bytes at most:
//! `user:42:cart` and `user:43:cart` are told apart, `user:42:cart` and `user:42:orders` are not. Bytes
//! that are not printable are escaped. The first 64 prefixes and 64 groups have labels, the rest are
//! `_other`.
//! Proof: `conflicts_test.rs`, `tests/examples.rs`.

use prometheus::{IntCounterVec, Opts, Registry, Result};

use crate::labels::Names;
use crate::registered;

const MAX_PREFIXES: usize = 64;
const MAX_GROUPS: usize = 64;
const MAX_PREFIX_BYTES: usize = 32;

/// What the write ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The key was written since.
    Write,
    /// A key that was read has been written since.
    Read,
}

/// Counts conflicts.
#[derive(Debug)]
pub struct ConflictObserver {
    conflicts: IntCounterVec,
    groups: Names,
    prefixes: Names,
}

impl ConflictObserver {
    /// An observer whose metrics are in `registry`.
    ///
    /// # Errors
    /// Something in the registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let conflicts = Opts::new("write_conflicts_total", "Writes that ran into another.");
        let labels = ["group", "kind", "key_prefix"];
        Ok(Self {
            conflicts: registered(registry, IntCounterVec::new(conflicts, &labels))?,
            groups: Names::new(MAX_GROUPS),
            prefixes: Names::new(MAX_PREFIXES),
        })
    }

    /// A write of consensus group `group` ran into another at `key`.
    pub fn observe(&self, group: u64, conflict: Conflict, key: &[u8]) {
        let kind = match conflict {
            Conflict::Write => "write",
            Conflict::Read => "read",
        };
        let (group, prefix) = (group.to_string(), prefix(key));
        let labels = [self.groups.label(&group), kind, self.prefixes.label(&prefix)];
        self.conflicts.with_label_values(&labels).inc();
    }
}

fn prefix(key: &[u8]) -> String {
    let is_separator = |&(_, byte): &(usize, &u8)| matches!(byte, b'|' | b':' | b'/');
    let second = key.iter().enumerate().filter(is_separator).nth(1);
    let end = second.map_or(key.len(), |(at, _)| at).min(MAX_PREFIX_BYTES);
    key[..end].escape_ascii().to_string()
}

#[cfg(test)]
#[path = "conflicts_test.rs"]
mod conflicts_test;
