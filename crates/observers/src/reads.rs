//! Lease reads and read fast paths: how often the short way is taken, and why not.
//!
//! | metric | labels |
//! |---|---|
//! | `lease_reads_total` | `outcome` (`hit`: served under the lease; `miss`: asked the quorum) |
//! | `read_fast_path_total` | `command`: the first 128, then `_other`; `outcome` (`hit`, `skip_loaded`, `skip_cached_type`, `fallback`) |
//!
//! Proof: `reads_test.rs`, `tests/examples.rs`.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry, Result};

use crate::labels::Names;
use crate::registered;

const MAX_COMMANDS: usize = 128;

/// What a read did with its fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// It took it.
    Hit,
    /// Not tried: the value was loaded already.
    SkipLoaded,
    /// Not tried: the type was known to be another.
    SkipCachedType,
    /// Tried; the long way was needed all the same.
    Fallback,
}

/// Counts reads.
#[derive(Debug)]
pub struct ReadObserver {
    hit: IntCounter,
    miss: IntCounter,
    fast_paths: IntCounterVec,
    commands: Names,
}

/// Counts the fast path of one command: one atomic add, no look-up.
#[derive(Clone, Debug)]
pub struct FastPathObserver {
    hit: IntCounter,
    skip_loaded: IntCounter,
    skip_cached_type: IntCounter,
    fallback: IntCounter,
}

impl ReadObserver {
    /// An observer whose metrics are in `registry`.
    ///
    /// # Errors
    /// Something in the registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let leases = Opts::new("lease_reads_total", "Reads under a leader's lease.");
        let leases = registered(registry, IntCounterVec::new(leases, &["outcome"]))?;
        let fast_paths = Opts::new("read_fast_path_total", "What reads did with their fast path.");
        let labels = ["command", "outcome"];
        Ok(Self {
            hit: leases.with_label_values(&["hit"]),
            miss: leases.with_label_values(&["miss"]),
            fast_paths: registered(registry, IntCounterVec::new(fast_paths, &labels))?,
            commands: Names::new(MAX_COMMANDS),
        })
    }

    /// A read was served under the lease (`is_hit`), or had to ask the quorum.
    pub fn lease_read(&self, is_hit: bool) {
        if is_hit { self.hit.inc() } else { self.miss.inc() }
    }

    /// The observer of one command. Get it once, keep it where the command is served.
    pub fn fast_path(&self, command: &str) -> FastPathObserver {
        let command = self.commands.label(command);
        let counter = |outcome: &str| self.fast_paths.with_label_values(&[command, outcome]);
        FastPathObserver {
            hit: counter("hit"),
            skip_loaded: counter("skip_loaded"),
            skip_cached_type: counter("skip_cached_type"),
            fallback: counter("fallback"),
        }
    }
}

impl FastPathObserver {
    /// A read was decided.
    pub fn observe(&self, outcome: FastPath) {
        match outcome {
            FastPath::Hit => self.hit.inc(),
            FastPath::SkipLoaded => self.skip_loaded.inc(),
            FastPath::SkipCachedType => self.skip_cached_type.inc(),
            FastPath::Fallback => self.fallback.inc(),
        }
    }
}

#[cfg(test)]
#[path = "reads_test.rs"]
mod reads_test;
