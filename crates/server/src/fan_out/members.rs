//! Who the peers are now: read again every `--nodes-refresh-interval`, and at once after one was not there.
//!
//! Invariant: a list that cannot be read leaves the old one in force, and is told in the log; a peer that
//! stays in it keeps its connection and its counters.
//! Must not: ask peers anything.
//! Proof: `tests/tests/fan_out.rs`.

use std::sync::{Arc, Mutex, PoisonError};

use super::peer::Peer;
use super::settings::PeerSettings;

pub(super) struct Members {
    settings: Arc<PeerSettings>,
    held: Mutex<Held>,
}

struct Held {
    peers: Vec<Arc<Peer>>,
    /// When the list was read, by the monotonic clock; `None`: it is to be read.
    read_ms: Option<u64>,
}

impl Members {
    pub(super) fn new(settings: Arc<PeerSettings>) -> Self {
        let held = Mutex::new(Held { peers: Vec::new(), read_ms: None });
        Self { settings, held }
    }

    /// The peers, from a list that is not older than the interval.
    pub(super) fn now(&self, now_ms: u64) -> Vec<Arc<Peer>> {
        let interval_ms = self.settings.refresh.as_millis() as u64;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.read_ms.is_some_and(|read_ms| now_ms < read_ms.saturating_add(interval_ms)) {
            return held.peers.clone();
        }
        held.read_ms = Some(now_ms);
        match self.settings.read() {
            Ok(addresses) => {
                let known = std::mem::take(&mut held.peers);
                let peer = |address: String| {
                    let same = known.iter().find(|peer| peer.address == address);
                    same.map_or_else(
                        || Arc::new(Peer::new(address, Arc::clone(&self.settings))),
                        Arc::clone,
                    )
                };
                held.peers = addresses.into_iter().map(peer).collect();
            }
            Err(error) => tracing::error!("the peers from before stay: {error:#}"),
        }
        held.peers.clone()
    }

    /// One of them was not there: who they are is looked up at the next question.
    pub(super) fn doubt(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).read_ms = None;
    }

    /// Those of the last look.
    pub(super) fn last(&self) -> Vec<Arc<Peer>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).peers.clone()
    }
}
