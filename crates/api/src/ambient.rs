//! The one place that asks the machine for time and randomness.
//!
//! Everything else takes a [`Clock`] or an id as an argument; `clippy.toml` enforces it.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keyviz_lineage::{Clock, ProposalId};
use uuid::Uuid;

/// The machine's clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self { started: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    fn monotonic_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn monotonic_ns(&self) -> u64 {
        // 584 years.
        self.started.elapsed().as_nanos() as u64
    }
}

/// A fresh boot id: names one run of a source.
pub fn new_boot_id() -> Uuid {
    Uuid::from_u128(rand::random())
}

/// A fresh proposal id: drawn once per command, before it is enqueued.
pub fn new_proposal_id() -> ProposalId {
    rand::random()
}

/// Where a choice by chance begins.
pub fn new_seed() -> u64 {
    rand::random()
}
