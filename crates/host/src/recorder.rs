//! The recorder: flushes the sampler when a window ends.
//!
//! Invariants: every flush becomes one column of the outbox (and its hot keys go out behind it); a flush follows the wall clock, also
//! after it jumped (W1); before a stop the window that has ended is flushed whole and the open one
//! as far as it went (W2).
//! Must not: read the machine's clock; it asks the [`Clock`] it is given.
//! Proof: `recorder_test.rs`, `tests/redis_clients.rs`.

use std::sync::Arc;
use std::time::Duration;

use keyviz_lineage::{Clock, unix_hour};
use keyviz_sampler::{Flush, Sampler};
use tokio::sync::watch;

use crate::outbox::Outbox;

/// The longest sleep: how late a jump of the clock may be noticed.
const MAX_SLEEP_MS: u64 = 500;

/// As long where hot keys are found: 8,192 operations wait at most, and one in 16 does, so this is for
/// some millions a second.
const MAX_HOT_KEYS_SLEEP_MS: u64 = 20;

/// Flushes one sampler.
pub(crate) struct Recorder {
    sampler: Arc<Sampler>,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    /// When the open window ends.
    due_ms: u64,
    /// The Unix hour in which it was last logged which ranges are reported together.
    told_hour: Option<u64>,
}

impl Recorder {
    pub(crate) fn new(sampler: Arc<Sampler>, outbox: Arc<Outbox>, clock: Arc<dyn Clock>) -> Self {
        let due_ms = window_end(&sampler, clock.unix_ms());
        Self { sampler, outbox, clock, due_ms, told_hour: None }
    }

    /// Flushes until `stop` turns true.
    pub(crate) async fn run(&mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let wait_ms = self.tick();
            let sleep = tokio::time::sleep(Duration::from_millis(wait_ms));
            tokio::select! {
                () = sleep => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Flushes when the open window has ended. Returns how long to wait before the next call.
    pub(crate) fn tick(&mut self) -> u64 {
        let now_ms = self.clock.unix_ms();
        if now_ms >= self.due_ms {
            let Flush { column, hot_keys, .. } = self.sampler.flush_all(now_ms);
            self.outbox.column(&column);
            if let Some(hot_keys) = &hot_keys {
                self.outbox.hot_keys(hot_keys);
            }
            self.due_ms = window_end(&self.sampler, now_ms);
            if !column.buckets.is_empty() {
                self.tell_coalesced(now_ms);
            }
        }
        // W1: the clock went back; the window that it is in now ends earlier.
        self.due_ms = self.due_ms.min(window_end(&self.sampler, now_ms));
        let sleep_ms = if self.sampler.finds_hot_keys() {
            self.sampler.collect_hot_keys();
            MAX_HOT_KEYS_SLEEP_MS
        } else {
            MAX_SLEEP_MS
        };
        (self.due_ms - now_ms).min(sleep_ms)
    }

    /// Once an hour: which ranges have no rows of their own.
    fn tell_coalesced(&mut self, now_ms: u64) {
        if self.told_hour == Some(unix_hour(now_ms)) {
            return;
        }
        let coalesced = self.sampler.coalesced();
        self.told_hour = Some(unix_hour(now_ms));
        let ranges: u64 = coalesced.iter().map(|bucket| bucket.routes as u64).sum();
        let first: Vec<String> = coalesced.iter().take(8).map(|b| b.range.to_string()).collect();
        tracing::warn!(
            buckets = coalesced.len(),
            ranges,
            first = first.join(" "),
            "more ranges than --tracked-routes: the least active neighbours are reported together"
        );
    }

    /// W2: the last columns, once nobody observes any more.
    pub(crate) fn finish(&mut self) {
        self.tick();
        self.outbox.column(&self.sampler.flush_partial(self.clock.unix_ms()));
    }
}

fn window_end(sampler: &Sampler, now_ms: u64) -> u64 {
    sampler.step().floor(now_ms).saturating_add(sampler.step().ms())
}

#[cfg(test)]
#[path = "recorder_test.rs"]
mod recorder_test;
