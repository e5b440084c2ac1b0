//! What the hosts' adapters are doing now, as each of them last said.
//!
//! Owns: the latest live summary of every host that has a stream open.
//! Invariants: it is as old as [`STALE_MS`] at most, and goes with the stream that brought it (a newer
//! stream of the same host takes its place, the older one's end takes nothing away); at most
//! [`MAX_NODES`] hosts and [`MAX_BUCKETS`] counts of latencies are held.
//! Must not: keep anything on disk, or stand in the way of a column: what cannot be taken is left out.
//! Proof: `adapters_test.rs`, `tests/tests/adapters.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyviz_lineage::OperationSummary;
use keyviz_sampler::live_summary::{WINDOW_NS, WINDOWS, merge};

/// Hosts whose summaries are held.
pub(crate) const MAX_NODES: usize = 1_024;
/// Latency counts that are held, of all hosts: 64 MiB.
const MAX_BUCKETS: usize = 4 << 20;
/// A host says something every two seconds; one that has not for so long is left out.
const STALE_MS: u64 = 30_000;
/// What a summary covers.
pub(crate) const COVERED_MS: u64 = WINDOW_NS / 1_000_000 * WINDOWS;

#[derive(Debug, Default)]
pub(crate) struct Adapters(Mutex<Reports>);

#[derive(Debug, Default)]
struct Reports {
    streams: u64,
    /// By host.
    latest: BTreeMap<String, Report>,
}

#[derive(Debug)]
struct Report {
    stream: u64,
    /// By the monotonic clock.
    told_ms: u64,
    summaries: Vec<OperationSummary>,
}

/// All hosts together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// Who said something, and how long ago.
    pub(crate) nodes: Vec<(String, u64)>,
    /// By adapter and operation.
    pub(crate) summaries: Vec<OperationSummary>,
}

impl Adapters {
    /// A stream of this host was opened.
    pub(crate) fn listen(self: &Arc<Self>, node: &str) -> Listener {
        let mut reports = self.lock();
        reports.streams += 1;
        let stream = reports.streams;
        Listener { adapters: Arc::clone(self), node: node.to_owned(), stream }
    }

    /// What all hosts said last. `now_ms` is of the monotonic clock.
    pub(crate) fn live(&self, now_ms: u64) -> Live {
        let reports = self.lock();
        let ages = reports
            .latest
            .iter()
            .map(|(node, report)| (node, now_ms.saturating_sub(report.told_ms), &report.summaries));
        let fresh: Vec<_> = ages.filter(|&(_, age_ms, _)| age_ms <= STALE_MS).collect();
        Live {
            nodes: fresh.iter().map(|&(node, age_ms, _)| (node.clone(), age_ms)).collect(),
            summaries: merge(fresh.iter().flat_map(|(_, _, summaries)| summaries.iter())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        // A panic while it was held leaves reports that are whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn buckets(summaries: &[OperationSummary]) -> usize {
    summaries.iter().map(|summary| summary.latencies.len()).sum()
}

/// One stream of one host.
#[derive(Debug)]
pub(crate) struct Listener {
    adapters: Arc<Adapters>,
    node: String,
    stream: u64,
}

impl Listener {
    /// The host said this.
    pub(crate) fn told(&self, now_ms: u64, summaries: Vec<OperationSummary>) {
        let mut reports = self.adapters.lock();
        let is_older = reports.latest.get(&self.node).is_some_and(|held| held.stream > self.stream);
        let others = reports.latest.iter().filter(|(node, _)| **node != self.node);
        let (count, held) = others.fold((0, 0), |(count, held), (_, report)| {
            (count + 1, held + buckets(&report.summaries))
        });
        if is_older || count >= MAX_NODES || held + buckets(&summaries) > MAX_BUCKETS {
            return;
        }
        let report = Report { stream: self.stream, told_ms: now_ms, summaries };
        reports.latest.insert(self.node.clone(), report);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut reports = self.adapters.lock();
        if reports.latest.get(&self.node).is_some_and(|held| held.stream == self.stream) {
            reports.latest.remove(&self.node);
        }
    }
}

#[cfg(test)]
#[path = "adapters_test.rs"]
mod adapters_test;
