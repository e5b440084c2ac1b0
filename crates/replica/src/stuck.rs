//! A store that takes nothing more until it is opened anew.
//!
//! Owned by the checkpoint thread, which looks at each tick. While RocksDB refuses writes, it is asked
//! again every two seconds (also where no group's turn has come). A flush or a compaction that failed is
//! trouble, too, until a flush works and the disk takes a file. Where it refuses for ten seconds although
//! a file beside its own can be written and synced, whoever owns the recorder is told that a new one would
//! help ([`crate::Recorder::wants_reopening`]): it begins as after a kill, from what is stored and in the
//! WAL, with every piece of memory made anew, so it does not matter whether the failed write is there.
//! Invariant: never told while something that was shed from the WAL is in memory alone, nor where a damaged
//! file is why.
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
    /// Flushes and compactions that had failed when it was last looked at.
    failed_before: u64,
    in_background: bool,
}

impl Stuck {
    pub(crate) fn look(&mut self, shared: &Shared, monotonic_ms: u64) {
        let (store, counters) = (&shared.store, &shared.counters);
        let (failed, _) = store.health();
        self.in_background |= failed > self.failed_before;
        self.failed_before = failed;
        let is_refused = store.refusal().is_some();
        Counters::set(&counters.store_read_only, u64::from(is_refused));
        Counters::set(&counters.background_failing, u64::from(self.in_background));
        if !is_refused && !self.in_background {
            self.since_ms = None;
            return Counters::set(&counters.wants_reopening, 0);
        }
        let since_ms = *self.since_ms.get_or_insert(monotonic_ms);
        if monotonic_ms < self.ask_after_ms {
            return;
        }
        self.ask_after_ms = monotonic_ms + PAUSE_MS;
        if store.try_write().is_ok() {
            self.since_ms = None;
            self.in_background &= store.flush().is_err() || store.try_disk().is_err();
            return Counters::set(&counters.wants_reopening, 0);
        }
        let outstanding = counters.snapshot().shed_outstanding > 0;
        let in_vain = outstanding || store.is_refused_for_damage();
        let helps = monotonic_ms - since_ms >= PATIENCE_MS && !in_vain;
        Counters::set(&counters.wants_reopening, u64::from(helps && store.try_disk().is_ok()));
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
        let counters = self.counters();
        // Nor where the WAL could not be opened again.
        counters.wants_reopening > 0 && counters.shed_outstanding == 0 && counters.wal_failing == 0
    }
}
