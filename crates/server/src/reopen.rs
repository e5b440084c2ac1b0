//! Another recorder over the same folder, where RocksDB refuses every write until it is opened anew.
//!
//! The ports stay open. Nobody is given the recorder any more, streams that hold it end (their senders
//! keep and resend), and once the last answer is out it is stopped and dropped, which closes RocksDB. The
//! next one starts as after a kill: from what is stored, and the WAL over it.
//! Invariants: the old one is given back where somebody goes on using it; an opening that fails is tried
//! again, with pauses, for as long as the node lives.
//! Must not: decide that a recorder has to go ([`Recorder::wants_reopening`] does).
//! Proof: `tests/src/torture/reopens.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keyviz_lineage::Clock;
use keyviz_replica::{Recorder, RecorderConfig};
use tokio::time::sleep;

use crate::node::Node;

/// How long answers that are being computed may take.
const DRAIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);
/// An opening after which nothing is wrong for so long has helped.
const LASTING: Duration = Duration::from_secs(60);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// When the next one is due: each time later, until one has lasted.
#[derive(Debug)]
pub(crate) struct Due {
    pause: Duration,
}

impl Due {
    pub(crate) fn new() -> Self {
        Self { pause: Duration::ZERO }
    }

    /// Resolves when this recorder has to go, with why.
    pub(crate) async fn wait(&mut self, recorder: &Recorder) -> String {
        sleep(self.pause).await;
        let mut lasted = Duration::ZERO;
        while !recorder.wants_reopening() {
            sleep(LOOK).await;
            lasted += LOOK;
        }
        if lasted > LASTING {
            self.pause = Duration::ZERO;
        }
        self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE * 10, LONGEST_PAUSE);
        recorder.store_refusal().unwrap_or_default()
    }
}

/// Closes `recorder` and opens another. Returns what is open then: the same one where it cannot be closed.
pub(crate) async fn reopen(
    node: &Arc<Node>,
    config: RecorderConfig,
    clock: Arc<dyn Clock>,
    recorder: Arc<Recorder>,
    why: String,
) -> Arc<Recorder> {
    tracing::warn!(why, "RocksDB refuses every write: the store is opened anew");
    node.set_reopening(why);
    let recorder = match close(recorder).await {
        Ok(()) => open(node, config, clock).await,
        Err(in_use) => {
            tracing::warn!(
                "the store is not opened anew: somebody still reads from it, it takes writes again, or it lacks what was shed"
            );
            in_use
        }
    };
    node.set_recorder(Arc::clone(&recorder));
    recorder
}

/// Stops and drops it, once nobody else has it.
async fn close(recorder: Arc<Recorder>) -> Result<(), Arc<Recorder>> {
    let alone = async {
        while Arc::strong_count(&recorder) > 1 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let is_alone = tokio::time::timeout(DRAIN, alone).await.is_ok();
    // Something may have been shed meanwhile, which only this one holds.
    if !is_alone || !recorder.wants_reopening() {
        return Err(recorder);
    }
    let closed = tokio::task::spawn_blocking(move || {
        recorder.stop();
        drop(recorder);
    });
    if let Err(error) = closed.await {
        tracing::error!(%error, "the recorder did not stop in order");
    }
    Ok(())
}

async fn open(node: &Arc<Node>, config: RecorderConfig, clock: Arc<dyn Clock>) -> Arc<Recorder> {
    let mut pause = SHORTEST_PAUSE;
    loop {
        node.progress.done_bytes.store(0, Ordering::Relaxed);
        let (node, config, clock) = (Arc::clone(node), config.clone(), Arc::clone(&clock));
        let opened =
            tokio::task::spawn_blocking(move || Recorder::open(config, clock, &node.progress));
        match opened.await {
            Ok(Ok(recorder)) => {
                tracing::info!("the store is open again");
                return Arc::new(recorder);
            }
            Ok(Err(error)) => tracing::error!(%error, ?pause, "the store cannot be opened yet"),
            Err(error) => tracing::error!(%error, ?pause, "opening the store failed"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
