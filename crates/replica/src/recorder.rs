//! The recorder: what a server or an embedding node holds.
//!
//! Starts the ingest and checkpoint threads over one data folder, takes entries, gives views.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use futures::channel::oneshot;
use keyviz_lineage::{Clock, Entry, GroupId, LineageGraph, SourceId};
use keyviz_store::figures::Figures;
use keyviz_store::retention::Hold;
use keyviz_store::{DataDir, History as _, Store, StoreError};
use keyviz_wal::{FileSystem, RealFs};

use crate::config::{RecorderConfig, RecorderError};
use crate::counters::{Counters, CountersSnapshot};
use crate::events::{self, Event, EventKind};
use crate::gc::Gc;
use crate::group_log::{GroupLog, LocalGroupLog};
use crate::ingest::{Job, Verdict};
use crate::memory::{GroupSnapshot, Memory};
use crate::memory_tier::{self, MemoryTierStatus};
use crate::recovery::MakeLog;
use crate::state_machine::StateMachine;
use crate::view::RecorderView;
use crate::{checkpoint, recovery};

/// How far the start has come; for readiness. An upgrade of the folder comes first, then the replay.
#[derive(Debug, Default)]
pub struct Progress {
    /// The schema version that the folder is being upgraded to; 0 while it is not.
    pub upgrading_to: AtomicU64,
    /// What of that step of the upgrade is done, in its own measure.
    pub upgrade_done: AtomicU64,
    /// Of how much.
    pub upgrade_total: AtomicU64,
    /// Ends an upgrade between two batches: the node is told to stop.
    pub stop: AtomicBool,
    /// WAL bytes to replay.
    pub total_bytes: AtomicU64,
    /// WAL bytes replayed.
    pub done_bytes: AtomicU64,
    /// Whether the recorder takes entries.
    pub ready: AtomicBool,
}

pub(crate) struct Shared {
    pub(crate) config: RecorderConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    pub(crate) machine: Arc<StateMachine>,
    pub(crate) log: Arc<dyn GroupLog>,
    pub(crate) counters: Counters,
    pub(crate) memory: RwLock<Memory>,
    pub(crate) checkpoint: CheckpointSignal,
    pub(crate) gc: Mutex<Gc>,
    /// One pin at a time.
    pub(crate) pinning: Mutex<()>,
    /// While a pin cannot be read, nothing may go: it might be what it keeps.
    pub(crate) _damaged_pins: Vec<Hold>,
    /// Held for its lock.
    pub(crate) _data_dir: DataDir,
}

#[derive(Debug, Default)]
pub(crate) struct CheckpointSignal {
    pub(crate) state: Mutex<SignalState>,
    pub(crate) changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct SignalState {
    /// Persist every group now.
    pub(crate) now: bool,
    pub(crate) stop: bool,
    /// Rounds that were asked for with `now` and have ended.
    pub(crate) rounds: u64,
    /// Whether the last round met a store that would not take it.
    pub(crate) failing: bool,
}

impl CheckpointSignal {
    fn lock(&self) -> std::sync::MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round of checkpoints has ended.
    pub(crate) fn round_ended(&self, asked_for: bool, failed: bool) {
        let mut state = self.lock();
        state.rounds += u64::from(asked_for);
        state.failing = failed;
        self.changed.notify_all();
    }

    /// Asks for a round and waits until it has ended, at most `limit`. Returns at once where the
    /// store would not take the last one.
    pub(crate) fn persist_and_wait(&self, limit: std::time::Duration) {
        let mut state = self.lock();
        if state.failing || state.stop {
            return;
        }
        state.now = true;
        let rounds = state.rounds;
        self.changed.notify_all();
        // A time-out only means that the caller goes on without room.
        let _ = self.changed.wait_timeout_while(state, limit, |state| {
            state.rounds == rounds && !state.failing && !state.stop
        });
    }
}

impl Shared {
    // A panic while a lock was held leaves data that is whole: every change is one call.
    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers need of memory. What waits to be folded in is, first.
    pub(crate) fn memory_snapshot(&self) -> BTreeMap<GroupId, GroupSnapshot> {
        let settled = self.memory().snapshot();
        settled.unwrap_or_else(|| self.memory_mut().settled_snapshot())
    }

    pub(crate) fn wake_checkpoint(&self) {
        self.checkpoint.state.lock().unwrap_or_else(PoisonError::into_inner).now = true;
        self.checkpoint.changed.notify_all();
    }
}

/// Records columns and transitions of any number of sources into one data folder.
pub struct Recorder {
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: Sender<Job>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    ingest: JoinHandle<()>,
    checkpoint: JoinHandle<()>,
    /// Nobody needs it.
    filler: JoinHandle<()>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("data_dir", &self.shared.config.data_dir)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Opens the folder, replays the WAL over what was persisted, and starts taking entries.
    /// Blocking: seconds for a large folder; `progress` tells how far it is.
    ///
    /// # Errors
    /// See [`RecorderError`]. Nothing that the WAL holds can cause one.
    pub fn open(
        config: RecorderConfig,
        clock: Arc<dyn Clock>,
        progress: &Progress,
    ) -> Result<Self, RecorderError> {
        Self::open_on(Arc::new(RealFs), config, clock, progress)
    }

    /// Like [`Recorder::open`], with the WAL on a filesystem of the caller's (for faults).
    ///
    /// # Errors
    /// As [`Recorder::open`].
    pub fn open_on(
        wal_files: Arc<dyn FileSystem>,
        config: RecorderConfig,
        clock: Arc<dyn Clock>,
        progress: &Progress,
    ) -> Result<Self, RecorderError> {
        Self::open_with(wal_files, config, clock, progress, &|machine| {
            Arc::new(LocalGroupLog::new(machine))
        })
    }

    /// Like [`Recorder::open_on`], with another log for the groups' commands.
    pub(crate) fn open_with(
        wal_files: Arc<dyn FileSystem>,
        config: RecorderConfig,
        clock: Arc<dyn Clock>,
        progress: &Progress,
        make_log: MakeLog<'_>,
    ) -> Result<Self, RecorderError> {
        let ingest = recovery::recover(wal_files, config, clock, progress, make_log)?;
        let (jobs, receiver) = channel();
        let shared = Arc::clone(&ingest.shared);
        let spawn = |name: &'static str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(body)
                .map_err(|source| RecorderError::Thread { name, source })
        };
        let ingest = spawn("keyviz-ingest", Box::new(move || ingest.run(&receiver)))?;
        let checkpoint = {
            let (shared, jobs) = (Arc::clone(&shared), jobs.clone());
            spawn("keyviz-persist", Box::new(move || checkpoint::run(&shared, &jobs)))?
        };
        let filler = {
            let shared = Arc::clone(&shared);
            spawn("keyviz-fill", Box::new(move || memory_tier::fill::run(&shared)))?
        };
        progress.ready.store(true, Ordering::Release);
        let threads = Mutex::new(Some(Threads { ingest, checkpoint, filler }));
        Ok(Self { shared, jobs, threads })
    }

    /// Queues one entry of a source, or why what came under its sequence cannot be one (it is then
    /// refused, and its sequence consumed). The answer resolves once the entry is durable, or is
    /// known not to be taken. Entries are handled in the order of these calls.
    pub fn submit(
        &self,
        source: SourceId,
        sequence: u64,
        entry: Result<Entry, String>,
    ) -> impl Future<Output = Verdict> + Send + use<> {
        let answer = self.queue(source, Some(sequence), entry);
        async move { answer.await.1 }
    }

    /// Like [`Recorder::submit`], under whatever sequence comes next; resolves to that too.
    pub fn submit_next(
        &self,
        source: SourceId,
        entry: Entry,
    ) -> impl Future<Output = (u64, Verdict)> + Send + use<> {
        self.queue(source, None, Ok(entry))
    }

    /// Both: under `sequence`, or whatever comes next.
    pub fn queue(
        &self,
        source: SourceId,
        sequence: Option<u64>,
        entry: Result<Entry, String>,
    ) -> impl Future<Output = (u64, Verdict)> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.jobs.send(Job::Submit { source, sequence, entry, reply }).is_ok();
        async move {
            let stopping = || {
                (sequence.unwrap_or(0), Verdict::Unavailable(RecorderError::Stopping.to_string()))
            };
            if queued { answer.await.unwrap_or_else(|_| stopping()) } else { stopping() }
        }
    }

    /// The sequence that is expected next from one boot of a source.
    ///
    /// # Errors
    /// [`RecorderError::Stopping`].
    pub async fn greet(&self, source: SourceId) -> Result<u64, RecorderError> {
        let (reply, next) = oneshot::channel();
        self.jobs.send(Job::Greet { source, reply }).map_err(|_| RecorderError::Stopping)?;
        next.await.map_err(|_| RecorderError::Stopping)
    }

    /// Everything that is stored or acknowledged, at one instant.
    ///
    /// # Errors
    /// A read failure of the store.
    pub fn view(&self) -> Result<RecorderView<'_>, StoreError> {
        RecorderView::new(&self.shared)
    }

    /// The lineage graph as it is now.
    pub fn graph(&self) -> Arc<LineageGraph> {
        self.shared.machine.graph()
    }

    /// Whether both threads are at work. Once they are not, nothing is taken any more.
    pub fn is_running(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let works = |thread: &JoinHandle<()>| !thread.is_finished();
        threads.as_ref().is_some_and(|all| works(&all.ingest) && works(&all.checkpoint))
    }

    /// The groups that this node has heard of.
    pub fn groups(&self) -> Vec<GroupId> {
        self.shared.memory().groups().filter(|&group| group != 0).collect()
    }

    /// Splits, merges, moves, drops, births and changes of leader in `[from_ms, to_ms)`.
    ///
    /// # Errors
    /// A read failure of the store.
    pub fn events(&self, from_ms: u64, to_ms: u64) -> Result<Vec<Event>, StoreError> {
        let mut found = events::of_graph(&self.graph(), from_ms, to_ms);
        let view = self.shared.store.view(self.shared.clock.unix_ms());
        for group in view.groups()? {
            for (hlc, leader) in view.leader_events(group, from_ms, to_ms)? {
                found.push(Event {
                    unix_ms: hlc.unix_ms(),
                    kind: EventKind::Leader,
                    group,
                    lineages: Vec::new(),
                    routes: Vec::new(),
                    text: format!("{} leads group {group} in term {}", leader.node, leader.term),
                });
            }
        }
        found.sort_by_key(|event| (event.unix_ms, event.kind, event.group));
        Ok(found)
    }

    /// What happened so far, in numbers.
    pub fn counters(&self) -> CountersSnapshot {
        self.shared.counters.snapshot()
    }

    /// What RocksDB says of itself.
    pub fn store_figures(&self) -> Figures {
        self.shared.store.figures(&self.groups())
    }

    /// How many of RocksDB's flushes and compactions have failed since the start, and bytes of live data.
    pub fn store_health(&self) -> (u64, u64) {
        self.shared.store.health()
    }

    /// How often something damaged in the store was met and passed by (an answer that needs it warns).
    pub fn store_damage(&self) -> u64 {
        self.shared.store.damage_count()
    }

    /// How much of the newest hours is held in memory.
    pub fn memory_tier(&self) -> MemoryTierStatus {
        self.shared.machine.memory_tier().status()
    }

    /// Has every group's window persisted soon, without waiting for its turn.
    pub fn persist_soon(&self) {
        self.shared.wake_checkpoint();
    }

    /// Persists the last window and stops. Entries that come after this are answered `Unavailable`.
    pub fn stop(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Threads { ingest, checkpoint, filler }) = threads else { return };
        // The ingest thread works off its queue and takes nothing more; the checkpoint thread persists
        // once more and ends; then the ingest thread releases the WAL.
        self.ask(|reply| Job::Close { reply });
        self.shared.checkpoint.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.checkpoint.changed.notify_all();
        let checkpoint = checkpoint.join();
        self.ask(|reply| Job::Stop { reply });
        let (ingest, filler) = (ingest.join(), filler.join());
        if checkpoint.is_err() || ingest.is_err() || filler.is_err() {
            tracing::error!("a recorder thread had panicked; what was acknowledged is in the WAL");
        }
    }
}

impl Recorder {
    /// Waits until the ingest thread has done a job, or is gone.
    fn ask(&self, job: impl FnOnce(oneshot::Sender<()>) -> Job) {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(job(reply)).is_ok() {
            let _ = futures::executor::block_on(done);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}
