//! The node behind both ports: the recorder once it is open, and questions on a bounded pool.
//!
//! JSON and gRPC are thin adapters over this. Must not: know either of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use keyviz_api::wire::history as wire;
use keyviz_lineage::{Clock, Entry, HotKeys, KeyRange, LineageGraph, LineageId, SourceId, Step};
use keyviz_query::biography::{Depth, Subject};
use keyviz_query::{Matrix, MatrixRequest, QueryError, matrix_admitted};
use keyviz_replica::{
    BackupError, Event, GcStatus, GroupState, PinError, PinSummary, Progress, Recorder, Verdict,
};
use keyviz_store::StoreError;
use keyviz_store::backup::Manifest;
use thiserror::Error;
use tokio::sync::watch;
use uuid::Uuid;

use crate::adapters::Adapters;
use crate::auth::Auth;
use crate::biography::Biography;
use crate::cluster::{Cluster, Passing};
use crate::hot_keys::{Board, NoHotKeys, Question};
use crate::measured::Measured;
use crate::queue::{Held, Queue, Rooms};

/// Hot keys of windows that end later than this are not believed: they would make all others look old.
const MAX_FUTURE_MS: u64 = 5 * 60_000;

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
    #[error("too many questions are waiting already; ask again in a moment")]
    Busy,
    #[error(
        "no turn came for the question in half a minute: others take long; ask again in a moment"
    )]
    Waited,
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
    #[error(transparent)]
    HotKeys(#[from] NoHotKeys),
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
    pub(crate) adapters: Arc<Adapters>,
    pub(crate) cluster: Cluster,
    backup_dir: Option<PathBuf>,
    pub(crate) hot_keys: Arc<Board>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) measured: Measured,
    pub(crate) queue: Queue,
    stopping: watch::Sender<bool>,
    /// Monotonic milliseconds.
    pub(crate) started_ms: u64,
}

impl Node {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        default_step: Step,
        backup_dir: Option<PathBuf>,
        auth: Arc<Auth>,
    ) -> prometheus::Result<Arc<Self>> {
        let started_ms = clock.monotonic_ms();
        Ok(Arc::new(Self {
            queue: Queue::new(Arc::clone(&clock)),
            behind: RwLock::new(Behind::Starting),
            reopened: watch::Sender::new(0),
            progress: Progress::default(),
            clock,
            default_step,
            adapters: Arc::default(),
            cluster: Cluster::default(),
            backup_dir,
            hot_keys: Arc::default(),
            auth,
            measured: Measured::new()?,
            stopping: watch::Sender::new(false),
            started_ms,
        }))
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

    /// Hands an entry to the recorder, as [`Recorder::submit`] and (without a sequence)
    /// [`Recorder::submit_next`] do, and lets those who watch know once it is stored.
    pub(crate) fn submit<'a>(
        &'a self,
        recorder: &Recorder,
        source: SourceId,
        sequence: Option<u64>,
        entry: Result<Entry, String>,
    ) -> impl Future<Output = (u64, Verdict)> + Send + use<'a> {
        let passing: Option<Passing> =
            entry.as_ref().ok().map(|entry| self.cluster.passing(&source.node, entry));
        let began_ns = self.clock.monotonic_ns();
        let answer = recorder.queue(source, sequence, entry);
        async move {
            let (sequence, verdict) = answer.await;
            let took_ns = self.clock.monotonic_ns().saturating_sub(began_ns);
            self.measured.acknowledged.observe(took_ns as f64 / 1e9);
            if let (Verdict::Stored { .. }, Some(passing)) = (&verdict, passing) {
                self.cluster.stored(passing, self.clock.unix_ms());
            }
            (sequence, verdict)
        }
    }

    /// The groups, and the graph that goes with them.
    pub(crate) async fn group_states(
        &self,
    ) -> Result<(Arc<LineageGraph>, Vec<GroupState>), NodeError> {
        self.ask("groups", |recorder| Ok((recorder.graph(), recorder.group_states()?))).await
    }

    /// Time x key range.
    pub(crate) async fn matrix(&self, request: MatrixRequest) -> Result<Held<Matrix>, NodeError> {
        let recorder = self.recorder()?;
        let answer = move |rooms: &Rooms| {
            let (view, mut room) = (recorder.view()?, None);
            let mut admit = |extent| {
                room = Some(rooms.take(extent)?);
                Ok(())
            };
            let matrix = matrix_admitted(&view, view.graph(), &request, &mut admit)?;
            Ok(Held::new(matrix, room))
        };
        self.queue.in_turn("matrix", answer).await
    }

    /// What is known of a range, of what it came from and of what became of it.
    pub(crate) async fn biography(
        &self,
        subject: Subject,
        (from_ms, to_ms): (u64, u64),
        depth: Depth,
    ) -> Result<Biography, NodeError> {
        self.ask("lineage", move |recorder| {
            Biography::of(&recorder.graph(), &subject, (from_ms, to_ms), depth)
        })
        .await
    }

    /// Takes what a source tells of one window's hot keys.
    pub(crate) fn put_hot_keys(&self, source: &SourceId, hot_keys: HotKeys) {
        let (end_ms, now_ms) = (hot_keys.window.end_ms(), self.clock.unix_ms());
        if end_ms > now_ms.saturating_add(MAX_FUTURE_MS) {
            tracing::warn!(
                node = source.node,
                end_ms,
                now_ms,
                "hot keys of the future are left out"
            );
            return;
        }
        self.hot_keys.put(source, hot_keys);
    }

    /// The most frequent keys of the last windows; of the range that had this lineage id, if one is given.
    pub(crate) async fn hot_keys(
        &self,
        mut question: Question,
        lineage: Option<LineageId>,
    ) -> Result<wire::GetHotKeysResponse, NodeError> {
        if let Some(id) = lineage {
            let graph = self.recorder()?.graph();
            let record = graph.get(id).ok_or_else(|| NodeError::Unknown {
                message: format!("no lineage has the id {id}"),
            })?;
            // Its route number is a hint only; in one group no two live ranges have the same keys.
            if question.routes.group.replace(record.group).is_some_and(|g| g != record.group) {
                return Err(NoHotKeys::NoSuchRoute.into());
            }
            question.routes.bounds = Some(record.range.clone());
        }
        let board = Arc::clone(&self.hot_keys);
        self.queue.in_turn("hotkeys", move |_| Ok(board.answer(&question)?)).await
    }

    /// What happened to the ranges in `[from_ms, to_ms)`.
    pub(crate) async fn events(&self, from_ms: u64, to_ms: u64) -> Result<Vec<Event>, NodeError> {
        self.ask("events", move |recorder| Ok(recorder.events(from_ms, to_ms)?)).await
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
        self.ask("gc", move |recorder| {
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
        self.ask("pin", move |recorder| Ok(recorder.pin(window_ms, range, note)?)).await
    }

    /// No longer keeps it. Returns what it was, unless it could not be read.
    pub(crate) async fn unpin(&self, id: Uuid) -> Result<Option<PinSummary>, NodeError> {
        self.ask("pin", move |recorder| Ok(recorder.unpin(id)?)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        kind: &'static str,
        question: impl FnOnce(&Recorder) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let recorder = self.recorder()?;
        self.queue.in_turn(kind, move |_| question(&recorder)).await
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
