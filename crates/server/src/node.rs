//! The node behind both ports: the recorder once it is open, and questions on a bounded pool.
//!
//! JSON and gRPC are thin adapters over this. Must not: know either of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use keyviz_lineage::{Clock, KeyRange, Step};
use keyviz_query::biography::{Depth, Subject};
use keyviz_query::{Matrix, MatrixRequest, QueryError};
use keyviz_replica::{BackupError, Event, GcStatus, PinError, PinSummary, Progress, Recorder};
use keyviz_store::StoreError;
use keyviz_store::backup::Manifest;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::auth::Auth;
use crate::biography::Biography;

/// Questions that are answered at the same time. The others wait, so that ingest keeps a core.
const PARALLEL_QUERIES: usize = 2;
/// Questions that may wait.
const WAITING_QUERIES: usize = 256;

/// Why the node could not answer.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub(crate) enum NodeError {
    #[error("keyviz is starting: {doing}; ask again in a moment")]
    Starting { doing: String },
    #[error(
        "the store is being opened anew, because RocksDB took nothing more ({why}); what was acknowledged is in the write-ahead log. Ask again in a moment"
    )]
    Reopening { why: String },
    #[error("keyviz is shutting down; ask again after its restart")]
    Stopping,
    #[error("{WAITING_QUERIES} questions are waiting already; ask again in a moment")]
    Busy,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "this node takes no backups: it was started without --backup-dir DIR, the one folder that it may write them to"
    )]
    NoBackupDir,
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("{message}")]
    Unknown { message: String },
    #[error("the answer could not be computed: {reason}; this is a bug, please report it")]
    Panicked { reason: String },
}

/// What is behind the ports.
enum Behind {
    Starting,
    Open(Arc<Recorder>),
    Reopening(String),
}

pub(crate) struct Node {
    behind: RwLock<Behind>,
    /// How often a recorder has gone to be opened anew.
    reopened: watch::Sender<u64>,
    pub(crate) progress: Progress,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) default_step: Step,
    backup_dir: Option<PathBuf>,
    pub(crate) auth: Arc<Auth>,
    queries: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

impl Node {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        default_step: Step,
        backup_dir: Option<PathBuf>,
        auth: Arc<Auth>,
    ) -> Arc<Self> {
        Arc::new(Self {
            behind: RwLock::new(Behind::Starting),
            reopened: watch::Sender::new(0),
            progress: Progress::default(),
            clock,
            default_step,
            backup_dir,
            auth,
            queries: Arc::new(Semaphore::new(PARALLEL_QUERIES)),
            waiting: Arc::new(Semaphore::new(WAITING_QUERIES)),
            stopping: watch::Sender::new(false),
        })
    }

    pub(crate) fn set_recorder(&self, recorder: Arc<Recorder>) {
        *self.behind.write().unwrap_or_else(PoisonError::into_inner) = Behind::Open(recorder);
    }

    /// Hands out no recorder for now, and has streams that hold one end.
    pub(crate) fn set_reopening(&self, why: String) {
        *self.behind.write().unwrap_or_else(PoisonError::into_inner) = Behind::Reopening(why);
        self.reopened.send_modify(|times| *times += 1);
    }

    /// How often the store was opened anew, or tried to be.
    pub(crate) fn times_reopened(&self) -> u64 {
        *self.reopened.borrow()
    }

    /// Resolves when the recorder that was there at that count is to be given up.
    pub(crate) async fn reopens_after(&self, times: u64) {
        let mut reopened = self.reopened.subscribe();
        // The sender lives as long as self.
        let _ = reopened.wait_for(|now| *now != times).await;
    }

    /// The recorder, while it takes entries. Whoever keeps it for longer than an answer heeds
    /// [`Node::reopens_after`].
    pub(crate) fn recorder(&self) -> Result<Arc<Recorder>, NodeError> {
        match &*self.behind.read().unwrap_or_else(PoisonError::into_inner) {
            Behind::Open(recorder) => Ok(Arc::clone(recorder)),
            Behind::Reopening(why) => Err(NodeError::Reopening { why: why.clone() }),
            Behind::Starting => Err(NodeError::Starting { doing: self.starting() }),
        }
    }

    /// What the start is at.
    fn starting(&self) -> String {
        let at = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let progress = &self.progress;
        match at(&progress.upgrading_to) {
            0 => {
                let total_mib = at(&progress.total_bytes).div_ceil(1 << 20);
                let done_mib = at(&progress.done_bytes) >> 20;
                format!("replaying {done_mib}/{total_mib} MiB of its write-ahead log")
            }
            to => {
                let (done, total) = (at(&progress.upgrade_done), at(&progress.upgrade_total));
                format!("upgrading its data folder to schema version {to}, {done}/{total} done")
            }
        }
    }

    /// Tells every open stream to end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Resolves when the node stops.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as self.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Time x key range.
    pub(crate) async fn matrix(&self, request: MatrixRequest) -> Result<Matrix, NodeError> {
        self.ask(move |recorder| {
            let view = recorder.view()?;
            Ok(keyviz_query::matrix(&view, view.graph(), &request)?)
        })
        .await
    }

    /// What is known of a range, of what it came from and of what became of it.
    pub(crate) async fn biography(
        &self,
        subject: Subject,
        (from_ms, to_ms): (u64, u64),
        depth: Depth,
    ) -> Result<Biography, NodeError> {
        self.ask(move |recorder| {
            Biography::of(&recorder.graph(), &subject, (from_ms, to_ms), depth)
        })
        .await
    }

    /// What happened to the ranges in `[from_ms, to_ms)`.
    pub(crate) async fn events(&self, from_ms: u64, to_ms: u64) -> Result<Vec<Event>, NodeError> {
        self.ask(move |recorder| Ok(recorder.events(from_ms, to_ms)?)).await
    }

    /// Takes a backup into the folder that the operator has named. Not one of the questions: it may
    /// take minutes, and one at a time is let in by the folder's lock.
    pub(crate) async fn backup(&self) -> Result<Manifest, NodeError> {
        let recorder = self.recorder()?;
        let to = self.backup_dir.clone().ok_or(NodeError::NoBackupDir)?;
        let taken = tokio::task::spawn_blocking(move || recorder.backup(&to)).await;
        Ok(taken.map_err(|error| NodeError::Panicked { reason: error.to_string() })??)
    }

    /// How garbage collection stands; `accept_clock` ends a freeze.
    pub(crate) async fn gc(&self, accept_clock: bool) -> Result<GcStatus, NodeError> {
        self.ask(move |recorder| {
            let status = if accept_clock { recorder.accept_clock() } else { recorder.gc_status() };
            Ok(status?)
        })
        .await
    }

    /// Keeps a past window beyond the retention.
    pub(crate) async fn pin(
        &self,
        window_ms: (u64, u64),
        range: KeyRange,
        note: String,
    ) -> Result<PinSummary, NodeError> {
        self.ask(move |recorder| Ok(recorder.pin(window_ms, range, note)?)).await
    }

    /// No longer keeps it. Returns what it was, unless it could not be read.
    pub(crate) async fn unpin(&self, id: Uuid) -> Result<Option<PinSummary>, NodeError> {
        self.ask(move |recorder| Ok(recorder.unpin(id)?)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Recorder) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let recorder = self.recorder()?;
        // The permits go with the work: an asker who leaves does not make room for another question.
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| NodeError::Busy)?;
        let running =
            Arc::clone(&self.queries).acquire_owned().await.map_err(|_| NodeError::Stopping)?;
        let answered = tokio::task::spawn_blocking(move || {
            let _until_answered = (waiting, running);
            question(&recorder)
        })
        .await;
        answered.unwrap_or_else(|error| Err(NodeError::Panicked { reason: error.to_string() }))
    }
}

/// Unix milliseconds as RFC 3339 in UTC.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(unix_ms));
    // humantime writes up to the year 9999.
    match time.filter(|_| unix_ms < 253_402_300_800_000) {
        Some(time) => humantime::format_rfc3339_millis(time).to_string(),
        None => format!("{unix_ms} ms"),
    }
}

#[cfg(test)]
#[path = "node_test.rs"]
mod node_test;
