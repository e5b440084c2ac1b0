//! What entries tell of the cluster while they pass through: when each host was heard of last, how
//! much is asked of it, and the entries themselves for those who watch.
//!
//! Owns: the latest window of each host; the channel of what was stored.
//! Invariants: nothing is told of before the recorder has it; who watches too slowly loses the watch,
//! not a column; an entry is copied only while somebody watches; at most [`MAX_HOSTS`] hosts are known.
//! Must not: keep anything on disk.
//! Proof: `cluster_test.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use keyviz_lineage::{Column, Counts, Entry};
use tokio::sync::broadcast;

/// Entries that a watcher may be behind.
const WATCHER_ENTRIES: usize = 256;
const MAX_HOSTS: usize = 4_096;
/// A window that ended so many steps ago says nothing of now.
const RECENT_STEPS: u64 = 3;

#[derive(Debug)]
pub(crate) struct Cluster {
    hosts: Mutex<BTreeMap<String, Heard>>,
    stored: broadcast::Sender<Arc<Entry>>,
    /// Where this node's gRPC is, once it listens.
    pub(crate) grpc_address: OnceLock<String>,
}

/// The latest window of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    /// When its column came, Unix milliseconds.
    at_ms: u64,
    window_end_ms: u64,
    step_ms: u64,
    operations: u64,
    covered_ms: u64,
}

/// An entry on its way into the recorder.
#[derive(Debug)]
pub(crate) struct Passing {
    node: String,
    column: Option<Heard>,
    copy: Option<Arc<Entry>>,
}

impl Default for Cluster {
    fn default() -> Self {
        let stored = broadcast::Sender::new(WATCHER_ENTRIES);
        Self { hosts: Mutex::default(), stored, grpc_address: OnceLock::new() }
    }
}

impl Cluster {
    /// Takes note of an entry of `node` that will be stored, or not.
    pub(crate) fn passing(&self, node: &str, entry: &Entry) -> Passing {
        let column = match entry {
            Entry::Column(column) => Some(heard(column)),
            Entry::Transition(_) | Entry::Leave => None,
        };
        let is_watched = self.stored.receiver_count() > 0;
        let copy = is_watched.then(|| Arc::new(entry.clone()));
        Passing { node: node.to_owned(), column, copy }
    }

    /// It was stored.
    pub(crate) fn stored(&self, passing: Passing, now_ms: u64) {
        if let Some(column) = passing.column {
            let mut hosts = self.lock();
            let is_room = hosts.len() < MAX_HOSTS || hosts.contains_key(&passing.node);
            let is_newest = hosts
                .get(&passing.node)
                .is_none_or(|held| held.window_end_ms <= column.window_end_ms);
            if is_room && is_newest {
                hosts.insert(passing.node, Heard { at_ms: now_ms, ..column });
            }
        }
        if let Some(entry) = passing.copy {
            // The last watcher may have left.
            let _ = self.stored.send(entry);
        }
    }

    /// What is stored from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.stored.subscribe()
    }

    /// When the latest window of a host came, Unix milliseconds.
    pub(crate) fn heard_ms(&self, node: &str) -> Option<u64> {
        self.lock().get(node).map(|heard| heard.at_ms)
    }

    /// Reads and writes a second, of all hosts whose latest window is recent.
    pub(crate) fn operations_per_second(&self, now_ms: u64) -> u64 {
        let hosts = self.lock();
        let recent = hosts.values().filter(|heard| {
            let reach_ms = heard.step_ms.saturating_mul(RECENT_STEPS);
            heard.window_end_ms.saturating_add(reach_ms) >= now_ms
        });
        let per_second =
            recent.map(|heard| heard.operations as f64 * 1_000.0 / heard.covered_ms.max(1) as f64);
        per_second.sum::<f64>().round() as u64
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Heard>> {
        // A panic while it was held leaves hosts that are whole: each change is one call.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn heard(column: &Column) -> Heard {
    let parts = column.buckets.iter().flat_map(|bucket| &bucket.parts);
    let counts = column.rows.iter().map(|row| &row.counts).chain(parts.map(|part| &part.counts));
    let operations =
        |sum: u64, counts: &Counts| sum.saturating_add(counts.reads).saturating_add(counts.writes);
    Heard {
        at_ms: 0,
        window_end_ms: column.window.end_ms(),
        step_ms: column.window.step.ms(),
        operations: counts.fold(column.unattributed, operations),
        covered_ms: column.covered_to_ms.saturating_sub(column.covered_from_ms),
    }
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod cluster_test;
