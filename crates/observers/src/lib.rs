//! Prometheus metrics for the protocols that a host speaks.
//!
//! | feature | observer | of |
//! |---|---|---|
//! | `redis` | [`redis::RedisObserver`] | commands: requests, errors, unsupported, latency |
//! | `dynamodb` | [`dynamodb::DynamoDbObserver`] | operations and tables: in flight, latency, sizes, items, failed conditions |
//! | `queues` | [`queues::QueueObserver`] | queues: depths, messages by partition |
//! | `scripts` | [`scripts::ScriptObserver`] | script runs: time in the VM, in calls, in commits; retries |
//! | `reads` | [`reads::ReadObserver`] | lease reads and read fast paths: hit, miss, why not |
//! | `conflicts` | [`conflicts::ConflictObserver`] | write conflicts by kind and key prefix |
//!
//! Responsible for: what is counted, and that no client can make it grow without limit.
//! Invariants: a label whose values come from clients has a fixed number of them, the rest are
//! [`OTHER`] (O1); counters never go back or away (O2); a gauge that is polled keeps its last values
//! when a poll fails and loses what the next good one does not name (O3); what is in flight is counted
//! by guards, so that it comes back to zero however a request ends (O4).
//! Must not: read a clock (the caller says how long it took), know keyviz's sampler or its wire.
//! Names are the host's: give `prometheus::Registry::new_custom(Some("my_store".into()), None)` and
//! every metric begins with `my_store_`.
//! Proof: the `*_test.rs` beside each module; `tests/examples.rs` drives the programs in `examples/`.

mod labels;

#[cfg(feature = "conflicts")]
pub mod conflicts;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "queues")]
pub mod queues;
#[cfg(feature = "reads")]
pub mod reads;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "scripts")]
pub mod scripts;

pub use labels::OTHER;
pub use prometheus;

use prometheus::core::Collector;
use prometheus::{Encoder as _, Registry, TextEncoder};

/// The type of what [`text`] returns.
pub const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything in the registry as Prometheus reads it.
///
/// # Errors
/// Two metrics of one name that contradict each other.
pub fn text(registry: &Registry) -> prometheus::Result<String> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// From 100 us to 10 s.
#[allow(dead_code)] // not every set of features has latencies
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Registers a collector and gives it back.
#[allow(dead_code)] // without any feature
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let collector = made?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
