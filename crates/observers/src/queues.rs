//! SQS-style queues.
//!
//! | metric | labels |
//! |---|---|
//! | `queue_messages` (gauge) | `queue`, `state` (`visible`, `in_flight`, `delayed`) |
//! | `queue_poll_failures_total` | |
//! | `queue_partition_messages_total` | `queue`, `partition`, `action` (`send`, `receive`, `delete`) |
//!
//! Depths are polled: a failed poll keeps the last ones, a good one replaces them all, so that a queue
//! that is gone is forgotten and an empty poll clears them (O3). Counters are never forgotten: a queue
//! that comes back goes on where it was (O2). Up to 512 queues (of the last poll, by name; of the
//! counters, the first ever met) and 64 partitions have labels, the rest are `_other`.
//! Proof: `queues_test.rs`, `tests/examples.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, Result};

use crate::labels::{Names, OTHER, is_name};
use crate::registered;

const MAX_QUEUES: usize = 512;
const MAX_PARTITIONS: u32 = 64;
const STATES: [&str; 3] = ["visible", "in_flight", "delayed"];

/// How many messages a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Its name.
    pub queue: String,
    /// Messages that can be received.
    pub visible: u64,
    /// Messages that were received and not deleted yet.
    pub in_flight: u64,
    /// Messages that cannot be received yet.
    pub delayed: u64,
}

/// What was done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Action {
    Send,
    Receive,
    Delete,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Delete => "delete",
        }
    }
}

/// Counts messages, shows depths.
#[derive(Debug)]
pub struct QueueObserver {
    depths: IntGaugeVec,
    /// Labels of the last good poll.
    shown: Mutex<BTreeSet<String>>,
    failures: IntCounter,
    messages: IntCounterVec,
    counted: Names,
}

impl QueueObserver {
    /// An observer whose metrics are in `registry`.
    ///
    /// # Errors
    /// Something in the registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let depths = Opts::new("queue_messages", "Messages in a queue, as of the last good poll.");
        let failures = IntCounter::new("queue_poll_failures_total", "Polls of depths that failed.");
        let messages = Opts::new("queue_partition_messages_total", "What was done with messages.");
        let labels = ["queue", "partition", "action"];
        Ok(Self {
            depths: registered(registry, IntGaugeVec::new(depths, &["queue", "state"]))?,
            shown: Mutex::default(),
            failures: registered(registry, failures)?,
            messages: registered(registry, IntCounterVec::new(messages, &labels))?,
            counted: Names::new(MAX_QUEUES),
        })
    }

    /// Something was done with so many messages of a partition (0 where a queue has only one).
    pub fn messages(&self, queue: &str, partition: u32, action: Action, count: u64) {
        let queue = self.counted.label(queue);
        let number = partition.to_string();
        let partition = if partition < MAX_PARTITIONS { number.as_str() } else { OTHER };
        self.messages.with_label_values(&[queue, partition, action.name()]).inc_by(count);
    }

    /// The depths of every queue that there is, or that they could not be had.
    pub fn polled<E>(&self, depths: std::result::Result<Vec<QueueDepth>, E>) {
        let Ok(depths) = depths else {
            self.failures.inc();
            return;
        };
        let labelled = by_label(depths);
        // A panic while it was held leaves labels that are cleared next time.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.iter().filter(|label| !labelled.contains_key(*label)) {
            for state in STATES {
                // It may never have been shown.
                let _ = self.depths.remove_label_values(&[gone.as_str(), state]);
            }
        }
        for (label, numbers) in &labelled {
            for (state, &number) in STATES.into_iter().zip(numbers) {
                let gauge = self.depths.with_label_values(&[label.as_str(), state]);
                gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
        *shown = labelled.into_keys().collect();
    }
}

/// Depths by label, each queue's and those that share one added up.
fn by_label(depths: Vec<QueueDepth>) -> BTreeMap<String, [u64; 3]> {
    let names: BTreeSet<&str> = depths.iter().map(|depth| depth.queue.as_str()).collect();
    let labels: BTreeSet<String> = names
        .into_iter()
        .filter(|name| is_name(name))
        .take(MAX_QUEUES)
        .map(str::to_owned)
        .collect();
    let mut by_label: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for depth in depths {
        let label = if labels.contains(&depth.queue) { depth.queue } else { OTHER.to_owned() };
        let sums = by_label.entry(label).or_default();
        for (sum, more) in sums.iter_mut().zip([depth.visible, depth.in_flight, depth.delayed]) {
            *sum = sum.saturating_add(more);
        }
    }
    by_label
}

#[cfg(test)]
#[path = "queues_test.rs"]
mod queues_test;
