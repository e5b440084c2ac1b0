//! What the host sees of its own requests: a live summary for keyviz, metrics for Prometheus.
//!
//! Responsible for: every command is measured from its whole request to its encoded answer, under its
//! name; unknown ones under `_other`.
//! Invariants: no lock and no allocation on the path of a command that is known (B1); what is in
//! flight ends with its request (B2).
//! Must not: count what a range was asked for; the dispatcher observes that.
//! Proof: `observed_test.rs`, `tests/live.rs`.

use std::sync::Arc;
use std::time::Duration;

use keyviz_lineage::summary::OTHER;
use keyviz_lineage::{Clock, OperationSummary};
use keyviz_observers::prometheus::Registry;
use keyviz_observers::redis::{Outcome, RedisObserver};
use keyviz_observers::{prometheus, text};
use keyviz_sampler::{InFlight, LiveSummary, OperationHandle};

use crate::command::{COMMANDS, find};

/// The adapter's name in a live summary.
const ADAPTER: &str = "redis";
/// What every metric's name begins with.
pub(crate) const PREFIX: &str = "keyviz_host";

/// Measures requests.
pub(crate) struct Observed {
    clock: Arc<dyn Clock>,
    live: LiveSummary,
    /// In the order of the table of commands.
    operations: Vec<OperationHandle>,
    other: OperationHandle,
    registry: Registry,
    redis: RedisObserver,
}

/// A request that is being served.
pub(crate) struct Request<'a> {
    observed: &'a Observed,
    command: Option<usize>,
    began_ns: u64,
    in_flight: InFlight<'a>,
}

impl Observed {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let live = LiveSummary::new(clock.monotonic_ns());
        let operations = COMMANDS.iter().map(|spec| live.operation(ADAPTER, spec.name)).collect();
        let other = live.operation(ADAPTER, OTHER);
        let registry = Registry::new_custom(Some(PREFIX.to_owned()), None)?;
        let redis = RedisObserver::new(&registry, COMMANDS.iter().map(|spec| spec.name))?;
        Ok(Self { clock, live, operations, other, registry, redis })
    }

    /// The command called `name` begins.
    pub(crate) fn request(&self, name: &[u8]) -> Request<'_> {
        let command = find(name);
        if command.is_none() {
            self.redis.unsupported(name);
        }
        let operation = command.and_then(|command| self.operations.get(command));
        let began_ns = self.clock.monotonic_ns();
        let in_flight = operation.unwrap_or(&self.other).begin(began_ns);
        Request { observed: self, command, began_ns, in_flight }
    }

    /// What the commands did over the last five minutes.
    pub(crate) fn summaries(&self) -> Vec<OperationSummary> {
        self.live.summaries(self.clock.monotonic_ns())
    }

    /// What Prometheus reads.
    pub(crate) fn metrics(&self) -> prometheus::Result<String> {
        text(&self.registry)
    }
}

impl Request<'_> {
    /// It is answered with so many bytes.
    pub(crate) fn answered(self, is_error: bool, bytes_in: usize, bytes_out: usize) {
        let now_ns = self.observed.clock.monotonic_ns();
        self.in_flight.finish(now_ns, bytes_in as u64, bytes_out as u64);
        let redis = &self.observed.redis;
        if let Some(observer) = self.command.and_then(|command| redis.command(command)) {
            let outcome = if is_error { Outcome::Error } else { Outcome::Success };
            observer.observe(outcome, Duration::from_nanos(now_ns.saturating_sub(self.began_ns)));
        }
    }
}

#[cfg(test)]
#[path = "observed_test.rs"]
mod observed_test;
