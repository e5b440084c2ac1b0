//! A store that takes nothing more until it is opened anew.
//!
//! Owned by the checkpoint thread, which looks at each tick. While RocksDB refuses writes, it is asked
//! again every two seconds (also where no group's turn has come). Where it refuses for ten seconds although
//! a file beside its own can be written and synced, whoever owns the recorder is told that a new one would
//! help ([`crate::Recorder::wants_reopening`]): it begins as after a kill, from what is stored and in the
//! WAL, with every piece of memory made anew, so it does not matter whether the failed write is there.
//! Invariant: never told while something that was shed from the WAL is in memory alone.
//! Must not: close or open anything.
//! Proof: `crates/replica/tests/failpoints.rs`; `tests/src/torture/reopens.rs`.

use crate::counters::Counters;
use crate::recorder::{Recorder, Shared};

/// How long RocksDB may take to go on by itself: after a full disk that is some seconds.
const PATIENCE_MS: u64 = 10_000;
const PAUSE_MS: u64 = 2_000;

/// Since when RocksDB refuses, and when to ask it again.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    since_ms: Option<u64>,
    ask_after_ms: u64,
}

impl Stuck {
    pub(crate) fn look(&mut self, shared: &Shared, monotonic_ms: u64) {
        let (store, counters) = (&shared.store, &shared.counters);
        if store.refusal().is_none() {
            return self.taken_again(counters);
        }
        Counters::set(&counters.store_read_only, 1);
        let since_ms = *self.since_ms.get_or_insert(monotonic_ms);
        if monotonic_ms < self.ask_after_ms {
            return;
        }
        self.ask_after_ms = monotonic_ms + PAUSE_MS;
        if store.try_write().is_ok() {
            return self.taken_again(counters);
        }
        let outstanding = counters.snapshot().shed_outstanding > 0;
        let helps = monotonic_ms - since_ms >= PATIENCE_MS && !outstanding;
        Counters::set(&counters.wants_reopening, u64::from(helps && store.try_disk().is_ok()));
    }

    fn taken_again(&mut self, counters: &Counters) {
        if self.since_ms.take().is_some() {
            Counters::set(&counters.store_read_only, 0);
            Counters::set(&counters.wants_reopening, 0);
        }
    }
}

impl Recorder {
    /// What RocksDB said to the last write, where it refused it.
    pub fn store_refusal(&self) -> Option<String> {
        self.shared.store.refusal()
    }

    /// Whether the store refuses every write and another recorder over the same folder would take them.
    /// What is acknowledged is in the WAL: stop this one, drop it, and open another.
    pub fn wants_reopening(&self) -> bool {
        self.counters().wants_reopening > 0
    }
}
