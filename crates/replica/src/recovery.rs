//! The start: open the store, replay the WAL over it, and hand over to the ingest thread.
//!
//! Invariants: a WAL record is added to memory only for groups whose applied mark lies before it
//! (R3); within the WAL each (node, boot, sequence) counts once; nothing that the WAL holds can stop
//! a start: what cannot be used is counted, reported and left behind.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use keyviz_codec::column_record;
use keyviz_codec::marks::{Applied, BootMark, digest};
use keyviz_lineage::{Clock, Column, GroupId, HlcClock, LineageGraph, SourceId};
use keyviz_store::retention::Retention;
use keyviz_store::{DataDir, History, Store, StoreOptions};
use keyviz_wal::{FileSystem, Record, Wal, WalOptions};

use crate::admit;
use crate::clock_guard::ClockGuard;
use crate::config::{RecorderConfig, RecorderError};
use crate::counters::Counters;
use crate::group_log::LocalGroupLog;
use crate::ingest::{FLAG_ROWS_LEFT_OUT, Ingest, KIND_COLUMN, KIND_LEAVE, KIND_SKIP};
use crate::memory::{Memory, Placed};
use crate::recorder::{CheckpointSignal, Progress, Shared};
use crate::stand_ins;
use crate::state_machine::StateMachine;

pub(crate) struct Recovered {
    pub(crate) ingest: Ingest,
    pub(crate) clock_guard: ClockGuard,
}

struct Stored {
    graph: LineageGraph,
    applied: HashMap<GroupId, Applied>,
    boots: HashMap<SourceId, BootMark>,
    memory: Memory,
    hlc: HlcClock,
}

pub(crate) fn recover(
    wal_files: Arc<dyn FileSystem>,
    config: RecorderConfig,
    clock: Arc<dyn Clock>,
    progress: &Progress,
) -> Result<Recovered, RecorderError> {
    let data_dir = DataDir::lock(&config.data_dir)?;
    let retention = Retention::new(config.retention_ms);
    let store = Arc::new(Store::open(&data_dir.db(), StoreOptions { retention })?);
    let counters = Counters::default();
    let stored = load(&store, clock.unix_ms(), &counters)?;
    let newest_ms = stored.boots.values().map(|mark| mark.last_window_end_ms).max();
    let clock_guard = ClockGuard::new(clock.unix_ms(), clock.monotonic_ms(), newest_ms);

    let last_applied =
        stored.applied.values().map(|applied| applied.wal_sequence).max().unwrap_or(0);
    let options = WalOptions {
        sync: config.wal_sync,
        min_next_sequence: last_applied + 1,
        ..WalOptions::with_max_bytes(config.wal_max_bytes)
    };
    let (mut wal, mut recovery) = Wal::open(wal_files, &data_dir.wal(), options)?;
    progress.total_bytes.store(recovery.report().bytes, Ordering::Relaxed);
    let mut replay =
        Replay { stored, seen: HashMap::new(), counters: &counters, now_ms: clock.unix_ms() };
    while let Some(record) = recovery.next_record() {
        progress.done_bytes.fetch_add(record.payload.len() as u64, Ordering::Relaxed);
        replay.take(&record);
    }
    let Replay { stored, seen, .. } = replay;
    for finding in &recovery.report().findings {
        tracing::warn!(%finding, "WAL");
    }
    drop(recovery);
    // Covers what the replay delivered, before any of it is acknowledged again.
    wal.commit()?;

    let machine = Arc::new(StateMachine::new(Arc::clone(&store), stored.graph));
    let log = Arc::new(LocalGroupLog::new(Arc::clone(&machine)));
    let shared = Arc::new(Shared {
        config,
        clock,
        store,
        machine,
        log,
        counters,
        memory: RwLock::new(stored.memory),
        checkpoint: CheckpointSignal::default(),
        _data_dir: data_dir,
    });
    let hlc_limit = stored.hlc.last();
    let ingest = Ingest {
        shared,
        wal,
        boots: stored.boots,
        hlc: stored.hlc,
        hlc_limit,
        changed_boots: seen.into_keys().collect(),
        pending: Vec::new(),
        batch_bytes: 0,
        limbo: Vec::new(),
        own_proposals: 0,
    };
    Ok(Recovered { ingest, clock_guard })
}

/// What the store holds of every group.
fn load(store: &Store, now_ms: u64, counters: &Counters) -> Result<Stored, RecorderError> {
    let view = store.view(now_ms);
    let mut records = Vec::new();
    let mut applied = HashMap::new();
    let mut memory = Memory::default();
    let groups = view.groups()?;
    for &group in groups.iter().chain(&[keyviz_codec::key_layout::NODE_GROUP]) {
        for record in view.lineage_records(group)? {
            match record {
                Ok(record) => records.push(record),
                Err(error) => tracing::error!(%error, "a lineage record is damaged and left out"),
            }
        }
        applied.insert(group, view.applied(group)?);
        let members: BTreeMap<_, _> = view.members(group)?.into_iter().collect();
        if !members.is_empty() {
            memory.set_members(group, members);
        }
    }
    let mut graph = LineageGraph::from_records(records);
    stand_ins::add(&view, groups, &mut graph, counters)?;
    Ok(Stored {
        graph,
        applied,
        boots: view.boot_marks()?.into_iter().collect(),
        memory,
        hlc: HlcClock::after(view.hlc()?),
    })
}

struct Replay<'a> {
    stored: Stored,
    /// For each boot, the sequences that this replay has met, with their first WAL record.
    seen: HashMap<SourceId, HashMap<u64, u64>>,
    counters: &'a Counters,
    now_ms: u64,
}

impl Replay<'_> {
    fn take(&mut self, record: &Record<'_>) {
        let (source, sequence, column) = match record.kind {
            KIND_COLUMN => match column_record::decode(record.payload) {
                Ok((source, sequence, column)) => (source, sequence, Some(column)),
                Err(error) => return self.unusable(record, &error.to_string()),
            },
            KIND_SKIP | KIND_LEAVE => match column_record::decode_skip(record.payload) {
                Ok((source, sequence)) => (source, sequence, None),
                Err(error) => return self.unusable(record, &error.to_string()),
            },
            _ => {
                return self
                    .unusable(record, "its kind is unknown; was it written by a newer keyviz?");
            }
        };
        Counters::add(&self.counters.replayed_records, 1);
        let seen = self.seen.entry(source.clone()).or_default();
        let first_wal = *seen.entry(sequence).or_insert(record.sequence);
        let window_end_ms = column.as_ref().map_or(0, |column| column.window.end_ms());
        let mark = self.stored.boots.entry(source.clone()).or_default();
        if sequence > mark.last_sequence {
            let as_sent = record.kind == KIND_COLUMN && record.flags & FLAG_ROWS_LEFT_OUT == 0;
            let known = if as_sent { digest(record.payload) } else { 0 };
            mark.take(sequence, known, window_end_ms, self.now_ms);
        }
        let left_ms = mark.last_window_end_ms;
        let applied = &self.stored.applied;
        let done = |group| {
            let mark = applied.get(&group).map_or(0, |applied| applied.wal_sequence);
            // A sequence stands in the WAL twice when its first write failed, yet survived. A group
            // that the first one was replayed into has it; one that had passed the first by has not.
            mark >= record.sequence || first_wal < record.sequence && mark < first_wal
        };
        match column {
            Some(column) => {
                let placed = self.place(record.sequence, &column);
                self.stored.memory.add(record.sequence, &source, &column, &placed, done);
            }
            None if record.kind == KIND_LEAVE => {
                self.stored.memory.leave(record.sequence, &source.node, left_ms, done);
            }
            None => {}
        }
    }

    fn place(&self, wal_sequence: u64, column: &Column) -> Vec<Placed> {
        let admitted = admit::place(&self.stored.graph, column, true);
        // Placed before it was logged; without its lineage (a damaged record) it has no home.
        if !admitted.unknown.is_empty() {
            Counters::add(&self.counters.unusable_records, 1);
            tracing::error!(
                rows = admitted.unknown.len(),
                wal_sequence,
                "replayed rows have lost their lineage record and are left out"
            );
        }
        admitted.placed
    }

    fn unusable(&self, record: &Record<'_>, reason: &str) {
        Counters::add(&self.counters.unusable_records, 1);
        tracing::error!(wal_sequence = record.sequence, reason, "a WAL record cannot be used");
    }
}
