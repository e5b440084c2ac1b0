//! The host's own records in its database: the catalogue, its transitions, the node.
//!
//! Owns: everything under `!admin|host|` (see `keys.rs`).
//! Invariants: a change of the catalogue and the transitions that tell of it are one synced batch,
//! written before either takes effect (R1); an HLC is stored before it is used, so a restart never
//! issues it again (R2; no margin is needed); the newest [`KEPT_TRANSITIONS`] are kept.
//! Proof: `ranges_test.rs`, `records_test.rs`.

use std::sync::Arc;

use keyviz_lineage::{GroupId, Hlc, KeyRange, RouteId, Transition};
use rocksdb::{DB, Direction, IteratorMode, WriteBatch, WriteOptions};
use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, Range};
use crate::error::HostError;
use crate::keys::{self, CATALOGUE_META, NODE_META, RANGES, TRANSITIONS, damaged, numbered};
use crate::stored_transition::StoredTransition;

/// Transitions that are kept and sent again at each start.
pub(crate) const KEPT_TRANSITIONS: u64 = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct CatalogueMeta {
    version: u64,
    next_route: RouteId,
    next_transition: u64,
    hlc: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct NodeMeta {
    node_id: String,
    term: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredRange {
    group: GroupId,
    start: String,
    end: String,
}

/// Who this host is in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) node_id: String,
    /// Counts the starts: the term in which this run leads its groups.
    pub(crate) term: u64,
}

/// What a start finds.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) catalogue: Catalogue,
    pub(crate) hlc: Hlc,
    pub(crate) next_transition: u64,
}

/// One change of the catalogue, or (nothing closed or opened) a new value of the HLC.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    pub(crate) after: &'a Catalogue,
    pub(crate) closed: &'a [RouteId],
    pub(crate) opened: &'a [Range],
    pub(crate) transitions: &'a [Transition],
    /// The number of the first of `transitions`.
    pub(crate) next_transition: u64,
    /// The last value issued.
    pub(crate) hlc: Hlc,
}

/// The host's own records.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    db: Arc<DB>,
}

impl Records {
    pub(crate) fn new(db: Arc<DB>) -> Self {
        Self { db }
    }

    /// Counts this start. The name is `asked`, else the one of the last start, else `fallback`.
    pub(crate) fn boot(&self, asked: Option<&str>, fallback: &str) -> Result<Boot, HostError> {
        let last: Option<NodeMeta> = self.get(NODE_META)?;
        let term = last.as_ref().map_or(0, |meta| meta.term) + 1;
        let kept = last.map(|meta| meta.node_id);
        let node_id = asked.map(str::to_owned).or(kept).unwrap_or_else(|| fallback.to_owned());
        let meta = NodeMeta { node_id, term };
        let mut batch = WriteBatch::default();
        batch.put(NODE_META, keys::seal(NODE_META, &meta)?);
        self.write(batch)?;
        Ok(Boot { node_id: meta.node_id, term })
    }

    /// The stored catalogue, if this store has one.
    pub(crate) fn load(&self) -> Result<Option<Loaded>, HostError> {
        let Some(meta) = self.get::<CatalogueMeta>(CATALOGUE_META)? else { return Ok(None) };
        let mut ranges = Vec::new();
        for entry in self.numbered_under::<StoredRange>(RANGES) {
            let (key, route, stored) = entry?;
            ranges.push(range_from(&key, route, &stored)?);
        }
        let catalogue = Catalogue::restore(meta.version, meta.next_route, ranges)?;
        let (hlc, next_transition) = (Hlc(meta.hlc), meta.next_transition);
        Ok(Some(Loaded { catalogue, hlc, next_transition }))
    }

    /// The kept transitions, oldest first.
    pub(crate) fn transitions(&self) -> Result<Vec<Transition>, HostError> {
        self.numbered_under::<StoredTransition>(TRANSITIONS)
            .map(|entry| {
                let (key, _, stored) = entry?;
                stored.restore().map_err(|reason| damaged(&key, reason))
            })
            .collect()
    }

    /// Stores a change. Returns the number of the next transition.
    pub(crate) fn commit(&self, commit: &Commit<'_>) -> Result<u64, HostError> {
        let mut batch = WriteBatch::default();
        for &route in commit.closed {
            batch.delete(numbered(RANGES, route));
        }
        for range in commit.opened {
            let key = numbered(RANGES, range.route);
            batch.put(&key, keys::seal(&key, &stored_range(range))?);
        }
        let mut next = commit.next_transition;
        for transition in commit.transitions {
            let key = numbered(TRANSITIONS, next);
            batch.put(&key, keys::seal(&key, &StoredTransition::of(transition))?);
            if let Some(old) = next.checked_sub(KEPT_TRANSITIONS) {
                batch.delete(numbered(TRANSITIONS, old));
            }
            next += 1;
        }
        let meta = CatalogueMeta {
            version: commit.after.version,
            next_route: commit.after.next_route,
            next_transition: next,
            hlc: commit.hlc.0,
        };
        batch.put(CATALOGUE_META, keys::seal(CATALOGUE_META, &meta)?);
        self.write(batch)?;
        Ok(next)
    }

    fn get<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, HostError> {
        let bytes = self
            .db
            .get_pinned(key)
            .map_err(|source| HostError::Database { action: "read its own records", source })?;
        bytes.map(|bytes| keys::unseal(key, &bytes)).transpose()
    }

    /// Every record under `prefix` with its key and number, ascending.
    fn numbered_under<'a, T: serde::de::DeserializeOwned>(
        &'a self,
        prefix: &'static [u8],
    ) -> impl Iterator<Item = Result<(Box<[u8]>, u64, T), HostError>> + 'a {
        self.db
            .iterator(IteratorMode::From(prefix, Direction::Forward))
            .take_while(move |entry| {
                entry.as_ref().map_or(true, |(key, _)| key.starts_with(prefix))
            })
            .map(move |entry| {
                let (key, bytes) = entry.map_err(|source| HostError::Database {
                    action: "read its own records",
                    source,
                })?;
                let number = key[prefix.len()..]
                    .try_into()
                    .map(u64::from_be_bytes)
                    .map_err(|_| damaged(&key, "the key does not end in 8 bytes".to_owned()))?;
                let record = keys::unseal(&key, &bytes)?;
                Ok((key, number, record))
            })
    }

    fn write(&self, batch: WriteBatch) -> Result<(), HostError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db
            .write_opt(batch, &options)
            .map_err(|source| HostError::Database { action: "store its own records", source })
    }
}

fn stored_range(range: &Range) -> StoredRange {
    StoredRange {
        group: range.group,
        start: hex::encode(range.keys.start()),
        end: hex::encode(range.keys.end()),
    }
}

fn range_from(key: &[u8], route: RouteId, stored: &StoredRange) -> Result<Range, HostError> {
    let unhex = |text: &str| hex::decode(text).map_err(|error| damaged(key, error.to_string()));
    let keys = KeyRange::new(unhex(&stored.start)?, unhex(&stored.end)?)
        .map_err(|error| damaged(key, error.to_string()))?;
    Ok(Range { route, group: stored.group, keys })
}

#[cfg(test)]
#[path = "records_test.rs"]
mod records_test;
