//! Redis-style commands.
//!
//! | metric | labels |
//! |---|---|
//! | `redis_requests_total` | `command`, `outcome` (`success`, `error`) |
//! | `redis_request_duration_seconds` | `command` |
//! | `redis_unsupported_commands_total` | `command`: the first 32 names, lower case, then `_other` |
//!
//! Proof: `redis_test.rs`, `crates/host/tests/live.rs`.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, Result,
};

use crate::labels::Names;
use crate::{SECONDS, registered};

const MAX_UNSUPPORTED: usize = 32;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It was answered with an error.
    Error,
}

/// Counts commands.
#[derive(Debug)]
pub struct RedisObserver {
    commands: Vec<CommandObserver>,
    unsupported: IntCounterVec,
    names: Names,
}

/// Counts one command: a few atomic adds, no look-up and no lock.
#[derive(Clone, Debug)]
pub struct CommandObserver {
    success: IntCounter,
    error: IntCounter,
    duration: Histogram,
}

impl RedisObserver {
    /// For a host with this table of commands.
    ///
    /// # Errors
    /// Something in the registry has one of the names already.
    pub fn new<'a>(
        registry: &Registry,
        commands: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let requests = Opts::new("redis_requests_total", "Commands, by how they ended.");
        let requests = registered(registry, IntCounterVec::new(requests, &["command", "outcome"]))?;
        let duration = HistogramOpts::new(
            "redis_request_duration_seconds",
            "From the whole request to the whole answer.",
        );
        let duration = HistogramVec::new(duration.buckets(SECONDS.to_vec()), &["command"]);
        let duration = registered(registry, duration)?;
        let unsupported =
            Opts::new("redis_unsupported_commands_total", "Commands that are not known here.");
        let unsupported = registered(registry, IntCounterVec::new(unsupported, &["command"]))?;
        let observer = |command: &'a str| CommandObserver {
            success: requests.with_label_values(&[command, "success"]),
            error: requests.with_label_values(&[command, "error"]),
            duration: duration.with_label_values(&[command]),
        };
        let commands = commands.into_iter().map(observer).collect();
        Ok(Self { commands, unsupported, names: Names::new(MAX_UNSUPPORTED) })
    }

    /// The observer of the n-th command of the table.
    pub fn command(&self, index: usize) -> Option<&CommandObserver> {
        self.commands.get(index)
    }

    /// A command that is not in the table.
    pub fn unsupported(&self, name: &[u8]) {
        let name = String::from_utf8_lossy(name.get(..64).unwrap_or(name)).to_lowercase();
        self.unsupported.with_label_values(&[self.names.label(&name)]).inc();
    }
}

impl CommandObserver {
    /// The command ended.
    pub fn observe(&self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Success => self.success.inc(),
            Outcome::Error => self.error.inc(),
        }
        self.duration.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
#[path = "redis_test.rs"]
mod redis_test;
