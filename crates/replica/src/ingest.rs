//! The ingest thread: the one path in for every column and transition.
//!
//! Owns: the WAL, the order of every source (boot marks), the node's HLC (`issuer.rs`).
//! Invariants: entries of one (node, boot) are taken in order, each once, ever; every consumed
//! sequence leaves a WAL record (a column, or a skip mark), so the order survives a restart (R6); no
//! acknowledgement before the WAL's commit (R2).
//! Columns are in `ingest/columns.rs`; logging, committing and releasing in `commit.rs`.
//! Must not: read a stored block (a checkpoint does), or wait for a checkpoint.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use futures::channel::oneshot;
use keyviz_codec::column_record;
use keyviz_codec::marks::{BootMark, digest};
use keyviz_lineage::{
    Change, Entry, GraphError, GroupId, Hlc, ProposalId, RouteId, SourceId, Transition,
};
use keyviz_store::StoreError;
use keyviz_wal::Wal;

use crate::backup::{BackupError, Held};
use crate::command::{Command, Outcome, ProposeError, Sweep};
use crate::counters::Counters;
use crate::issuer::Issuer;
use crate::memory::Arrival;
use crate::placement::Placements;
use crate::recorder::Shared;
use crate::shed::SharedShedLog;

mod columns;

/// WAL record: a column ([`column_record`]).
pub(crate) const KIND_COLUMN: u8 = 1;
/// WAL record: a sequence that was consumed without a column.
pub(crate) const KIND_SKIP: u8 = 2;
/// WAL record: a source left.
pub(crate) const KIND_LEAVE: u8 = 3;
/// Of a column record: rows were refused, so its bytes are not those that were sent.
pub(crate) const FLAG_ROWS_LEFT_OUT: u8 = 1;
/// Entries handled between two fsyncs.
const MAX_BATCH: usize = 256;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Held. Rows that were refused by name did not keep the rest out.
    Stored {
        /// Rows stored.
        rows: u64,
        /// Rows refused, with the reason.
        refused_rows: Vec<(RouteId, String)>,
    },
    /// Held already.
    Duplicate,
    /// Refused for good; its sequence is consumed.
    Refused(String),
    /// A transition that was decided on a stale catalogue. Its sequence is consumed; reload the
    /// catalogue and decide again.
    Aborted(String),
    /// Not taken now; send it again. Its sequence is not consumed.
    Unavailable(String),
}

pub(crate) enum Job {
    /// An entry (under the next sequence if none is given), or why what came cannot be one.
    Submit {
        source: SourceId,
        sequence: Option<u64>,
        entry: Result<Entry, String>,
        reply: oneshot::Sender<(u64, Verdict)>,
    },
    Greet {
        source: SourceId,
        reply: oneshot::Sender<u64>,
    },
    Release,
    /// The WAL as it is now, for a backup.
    HoldWal {
        reply: oneshot::Sender<Result<Held, BackupError>>,
    },
    /// Try a commit that failed again, although nothing new comes.
    Retry,
    /// Lineage records that may go.
    Sweep {
        group: GroupId,
        sweep: Sweep,
    },
    /// An HLC and a proposal id of the node's own.
    Draw {
        reply: oneshot::Sender<Result<(Hlc, ProposalId), String>>,
    },
    /// Take nothing more, so that the last checkpoint holds all that was acknowledged.
    Close {
        reply: oneshot::Sender<()>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// An entry that was decided on and waits for the WAL's commit.
pub(crate) struct Pending {
    pub(crate) reply: oneshot::Sender<(u64, Verdict)>,
    pub(crate) sequence: u64,
    pub(crate) verdict: Verdict,
    pub(crate) effect: Option<Effect>,
}

/// What readers will see of an entry once it is durable.
pub(crate) enum Effect {
    Column { wal_sequence: u64, arrival: Arrival },
    Leave { wal_sequence: u64, source: SourceId, left_ms: u64 },
}

pub(crate) struct Ingest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) wal: Wal,
    pub(crate) boots: HashMap<SourceId, BootMark>,
    /// Boots whose mark is newer here than in the store.
    pub(crate) changed_boots: HashSet<SourceId>,
    pub(crate) issuer: Issuer,
    /// Where the rows of each source belong.
    pub(crate) placements: Placements,
    /// Decided on in this batch.
    pub(crate) pending: Vec<Pending>,
    /// WAL bytes appended in this batch.
    pub(crate) batch_bytes: u64,
    /// In the WAL, but its commit failed: nothing of it was acknowledged. The WAL keeps the records
    /// and will write them again, so they take effect with the next commit that succeeds.
    pub(crate) limbo: Vec<Effect>,
    /// Nothing more is taken.
    pub(crate) is_closed: bool,
    /// What the WAL holds, and what it has shed.
    pub(crate) shed: SharedShedLog,
    /// Records and bytes that were shed, and no line has said so yet.
    pub(crate) shed_untold: (u64, u64),
    /// By the monotonic clock.
    pub(crate) tell_shed_after_ms: u64,
    /// The same of a WAL that cannot be released.
    pub(crate) tell_kept_after_ms: u64,
    /// When the WAL has to be synced although nobody waits for it, by the monotonic clock.
    pub(crate) sync_due_ms: Option<u64>,
}

impl Ingest {
    pub(crate) fn new(
        shared: Arc<Shared>,
        wal: Wal,
        boots: HashMap<SourceId, BootMark>,
        (issuer, placements): (Issuer, Placements),
        shed: SharedShedLog,
    ) -> Self {
        Self {
            shared,
            wal,
            boots,
            changed_boots: HashSet::new(),
            issuer,
            placements,
            pending: Vec::new(),
            batch_bytes: 0,
            limbo: Vec::new(),
            is_closed: false,
            shed,
            shed_untold: (0, 0),
            tell_shed_after_ms: 0,
            tell_kept_after_ms: 0,
            sync_due_ms: None,
        }
    }

    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        if let Err(reason) = self.complete_moves(None) {
            tracing::warn!(reason, "a move will be completed later");
        }
        while let Some(job) = self.wait_for_job(jobs) {
            let mut next = Some(job);
            while let Some(job) = next {
                if self.handle(job) {
                    return;
                }
                let full = self.pending.len() >= MAX_BATCH || self.batch_is_large();
                next = if full { None } else { jobs.try_recv().ok() };
            }
            self.finish();
            self.sync_if_due();
        }
    }

    /// Returns whether that was the end.
    fn handle(&mut self, job: Job) -> bool {
        match job {
            Job::Submit { source, sequence, entry, reply } => {
                let next = self.last_sequence(&source).saturating_add(1);
                let sequence = sequence.unwrap_or(next);
                if self.is_closed {
                    let verdict = Verdict::Unavailable("this node is stopping".to_owned());
                    // The asker may be gone.
                    let _ = reply.send((sequence, verdict));
                    return false;
                }
                self.make_room();
                let (verdict, effect) = self.take(&source, sequence, &entry);
                self.pending.push(Pending { reply, sequence, verdict, effect });
            }
            Job::Greet { source, reply } => {
                // What is said to be held must be durable.
                self.finish();
                if self.limbo.is_empty() {
                    // The asker may be gone.
                    let _ = reply.send(self.last_sequence(&source).saturating_add(1));
                }
            }
            Job::Release => {
                self.finish();
                self.release();
            }
            Job::HoldWal { reply } => {
                // The asker may be gone.
                let _ = reply.send(self.hold_wal());
            }
            Job::Retry => self.retry(),
            Job::Sweep { group, sweep } => self.sweep(group, sweep),
            Job::Draw { reply } => {
                // The asker may be gone.
                let _ = reply.send(self.issuer.draw(1).map_err(|error| error.to_string()));
            }
            Job::Close { reply } => {
                self.finish();
                self.is_closed = true;
                let _ = reply.send(());
            }
            Job::Stop { reply } => {
                self.finish();
                self.release();
                if let Err(error) = self.wal.sync() {
                    tracing::error!(%error, "the WAL could not be synced at shutdown");
                }
                let _ = reply.send(());
                return true;
            }
        }
        false
    }

    fn last_sequence(&self, source: &SourceId) -> u64 {
        self.boots.get(source).map_or(0, |mark| mark.last_sequence)
    }

    /// Decides on one entry and logs it. Nothing of it is visible before [`Self::finish`].
    fn take(
        &mut self,
        source: &SourceId,
        sequence: u64,
        entry: &Result<Entry, String>,
    ) -> (Verdict, Option<Effect>) {
        let payload = match entry {
            Ok(Entry::Column(column)) => Some(column_record::encode(source, sequence, column)),
            Ok(Entry::Transition(_) | Entry::Leave) | Err(_) => None,
        };
        let known = payload.as_deref().map_or(0, digest);
        let last = self.last_sequence(source);
        if sequence == 0 {
            Counters::add(&self.shared.counters.refused_entries, 1);
            let reason = "sequence 0 names no entry; sequences begin at 1".to_owned();
            return (Verdict::Refused(reason), None);
        }
        if sequence <= last {
            return (self.taken_before(source, sequence, entry, known), None);
        }
        if sequence - 1 != last {
            let reason = format!(
                "sequence {sequence} of {} boot {} came before {}; send in order",
                source.node,
                source.boot,
                last.saturating_add(1)
            );
            return (Verdict::Unavailable(reason), None);
        }
        let taken = match entry {
            Ok(Entry::Column(column)) => {
                self.take_column(source, sequence, column, payload.unwrap_or_default())
            }
            Ok(Entry::Transition(transition)) => self.take_transition(source, sequence, transition),
            Ok(Entry::Leave) => self.take_leave(source, sequence),
            Err(reason) => self.refuse(source, sequence, reason.clone()),
        };
        match taken {
            Ok((verdict, effect)) => {
                let window_end_ms = match &effect {
                    Some(Effect::Column { arrival, .. }) => arrival.column.window.end_ms(),
                    Some(Effect::Leave { .. }) | None => 0,
                };
                let now_ms = self.shared.clock.unix_ms();
                let mark = self.boots.entry(source.clone()).or_default();
                mark.take(sequence, known, window_end_ms, now_ms);
                self.changed_boots.insert(source.clone());
                (verdict, effect)
            }
            Err(reason) => (Verdict::Unavailable(reason), None),
        }
    }

    fn taken_before(
        &self,
        source: &SourceId,
        sequence: u64,
        entry: &Result<Entry, String>,
        known: u64,
    ) -> Verdict {
        let held = self.boots.get(source).and_then(|mark| mark.digest_of(sequence));
        // An older keyviz may have taken it, and told it by the bytes that it wrote.
        let as_before = || match entry {
            Ok(Entry::Column(column)) => {
                digest(&column_record::encode_as_before(source, sequence, column))
            }
            _ => 0,
        };
        if known == 0 || held.is_none_or(|held| held == known || held == as_before()) {
            Counters::add(&self.shared.counters.duplicates, 1);
            return Verdict::Duplicate;
        }
        Counters::add(&self.shared.counters.refused_entries, 1);
        Verdict::Refused(format!(
            "sequence {sequence} of {} boot {} was taken before with other content; a boot id names one numbering, draw a new one",
            source.node, source.boot
        ))
    }

    fn take_transition(
        &mut self,
        source: &SourceId,
        sequence: u64,
        transition: &Transition,
    ) -> Taken {
        let mut transition = transition.clone();
        let group = transition.group;
        let unheld = |error: StoreError| error.to_string();
        if transition.hlc == Hlc::default() {
            let ticks = transition.change.births().max(1);
            transition.hlc = self.issuer.draw(ticks).map_err(unheld)?.0;
        } else if let Err(error) = self.issuer.observe(transition.hlc) {
            return self.refuse(source, sequence, error.to_string());
        }
        if transition.proposal == [0; 16] {
            transition.proposal = self.issuer.draw(0).map_err(unheld)?.1;
        }
        self.issuer.persist().map_err(unheld)?;
        let moved = match &transition.change {
            Change::MoveOut { to_group, .. } if *to_group == group => {
                let reason = "a move needs another group to go to".to_owned();
                return self.refuse(source, sequence, reason);
            }
            Change::MoveOut { route, .. } => Some((group, *route)),
            _ => None,
        };
        let command = Command::Transitions(vec![transition]);
        if let Some(Err(error)) = self.propose(group, command)?.transitions.pop() {
            return self.not_applied(source, sequence, &error);
        }
        if moved.is_some() {
            self.complete_moves(moved)?;
        }
        Counters::add(&self.shared.counters.transitions, 1);
        self.log_skip(source, sequence)?;
        Ok((Verdict::Stored { rows: 0, refused_rows: Vec::new() }, None))
    }

    fn not_applied(&mut self, source: &SourceId, sequence: u64, error: &GraphError) -> Taken {
        let counters = &self.shared.counters;
        if let GraphError::Expired { .. } = error {
            // Most likely a host that tells all that it remembers; nothing that lives needs it.
            Counters::add(&counters.expired_transitions, 1);
            tracing::debug!(%error, node = source.node, sequence, "a transition has expired");
            self.log_skip(source, sequence)?;
            return Ok((Verdict::Duplicate, None));
        }
        if error.is_stale() {
            Counters::add(&counters.aborted_transitions, 1);
            self.log_skip(source, sequence)?;
            return Ok((Verdict::Aborted(error.to_string()), None));
        }
        self.refuse(source, sequence, error.to_string())
    }

    fn take_leave(&mut self, source: &SourceId, sequence: u64) -> Taken {
        let payload = column_record::encode_skip(source, sequence);
        let wal_sequence = self.log(KIND_LEAVE, 0, &payload).map_err(|error| error.to_string())?;
        self.shed.lock().leave(wal_sequence, source, sequence);
        // Nothing is expected behind the last window that it sent.
        let left_ms = self.boots.get(source).map_or(0, |mark| mark.last_window_end_ms);
        let verdict = Verdict::Stored { rows: 0, refused_rows: Vec::new() };
        Ok((verdict, Some(Effect::Leave { wal_sequence, source: source.clone(), left_ms })))
    }

    fn refuse(&mut self, source: &SourceId, sequence: u64, reason: String) -> Taken {
        Counters::add(&self.shared.counters.refused_entries, 1);
        self.log_skip(source, sequence)?;
        Ok((Verdict::Refused(reason), None))
    }

    /// Has the group's log apply a command. Where this node does not lead, nothing of the entry is
    /// taken: its source holds it.
    pub(crate) fn propose(&self, group: GroupId, command: Command) -> Result<Outcome, String> {
        if !self.shared.log.leads(group) {
            return Err(format!(
                "this node does not lead group {group}; it takes this once the leader's record is here, send it again"
            ));
        }
        let proposed = futures::executor::block_on(self.shared.log.propose(group, command));
        proposed.map_err(|ProposeError::Store(error)| error.to_string())
    }
}

type Taken = Result<(Verdict, Option<Effect>), String>;
