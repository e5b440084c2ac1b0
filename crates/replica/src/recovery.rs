//! The start: open the store, replay the WAL over it, and hand over to the ingest thread.
//!
//! Invariants: a WAL record is added to memory only for groups whose applied mark lies before it
//! (R3); within the WAL each (node, boot, sequence) counts once; what was shed and is gone is marked (`shed.rs`); every acknowledged row finds a lineage
//! again (`rehome.rs`); nothing that the WAL holds can stop a start: what cannot be used is counted,
//! reported and left behind.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};

use keyviz_codec::column_record::{self, ColumnRecord};
use keyviz_codec::marks::{Applied, BootMark, digest};
use keyviz_codec::shed_record::{Held, ShedEntry};
use keyviz_lineage::{Clock, Column, GroupId, HOUR_MS, Hlc, LineageGraph, LineageId, SourceId};
use keyviz_store::retention::Retention;
use keyviz_store::{DataDir, History, Store, StoreError, StoreOptions, UpgradeProgress};
use keyviz_wal::{FileSystem, Record, Recovery, Wal, WalOptions};

use crate::config::{RecorderConfig, RecorderError};
use crate::counters::Counters;
use crate::gc::Gc;
use crate::group_log::GroupLog;
use crate::ingest::{FLAG_ROWS_LEFT_OUT, Ingest, KIND_COLUMN, KIND_LEAVE, KIND_SKIP};
use crate::issuer::Issuer;
use crate::memory::{Arrival, Memory};
use crate::placement::{Placement, Placements, Placing};
use crate::recorder::{CheckpointSignal, Progress, Shared};
use crate::rehome::Rehome;
use crate::shed::{Noted, SharedShedLog, ShedLog};
use crate::state_machine::StateMachine;
use crate::{pins, stand_ins};

/// Makes the group log over a state machine.
pub(crate) type MakeLog<'a> = &'a dyn Fn(Arc<StateMachine>) -> Arc<dyn GroupLog>;

struct Stored {
    graph: LineageGraph,
    applied: HashMap<GroupId, Applied>,
    boots: HashMap<SourceId, BootMark>,
    memory: Memory,
    hlc: Hlc,
}

pub(crate) fn recover(
    wal_files: Arc<dyn FileSystem>,
    config: RecorderConfig,
    clock: Arc<dyn Clock>,
    progress: &Progress,
    make_log: MakeLog<'_>,
) -> Result<Ingest, RecorderError> {
    let data_dir = DataDir::lock(&config.data_dir)?;
    let retention = Retention::with_rollups(config.retention_ms, config.rollup_retention_ms);
    let options = StoreOptions { retention };
    let store = Store::open_watched(&data_dir.db(), options, &|at| upgrading(progress, at))?;
    let store = Arc::new(store);
    progress.upgrading_to.store(0, Ordering::Relaxed);
    let counters = Counters::default();
    let Stored { graph, applied, boots, memory, hlc } = load(&store, clock.unix_ms(), &counters)?;
    let damaged_pins = pins::load(&store)?;
    Counters::set(&counters.damaged_pins, damaged_pins.len() as u64);
    let newest_ms = boots.values().map(|mark| mark.last_window_end_ms).max();
    let gc = Gc::start(&store, clock.as_ref(), newest_ms)?;
    let machine = StateMachine::new(Arc::clone(&store), graph);
    let machine = Arc::new(machine.with_memory_tier(config.memory_max_bytes));
    machine.note_recorded(&[], 0, newest_ms.unwrap_or(0));
    let log = make_log(Arc::clone(&machine));

    let last_applied = applied.values().map(|applied| applied.wal_sequence).max().unwrap_or(0);
    let (shed_log, noted) = ShedLog::open(Arc::clone(&wal_files), &data_dir.wal());
    let last_noted = noted.keys().next_back().copied().unwrap_or(0);
    let options = WalOptions {
        sync: config.wal_sync,
        min_next_sequence: last_applied.max(last_noted) + 1,
        ..WalOptions::with_max_bytes(config.wal_max_bytes)
    };
    let (mut wal, recovery) = Wal::open(wal_files, &data_dir.wal(), options)?;
    let issuer = Issuer::new(Arc::clone(&clock), Arc::clone(&store), hlc);
    let mut replay = Replay {
        applied,
        boots,
        memory,
        homes: Rehome { machine: Arc::clone(&machine), log: Arc::clone(&log), issuer, rehomed: 0 },
        placements: Placements::default(),
        seen: HashMap::new(),
        shed_log,
        noted,
        counters: &counters,
        now_ms: clock.unix_ms(),
    };
    replay.run(recovery, progress)?;
    let Replay { boots, memory, homes, placements, seen, shed_log, .. } = replay;
    // Covers what the replay delivered, before any of it is acknowledged again.
    wal.commit()?;
    let shed = SharedShedLog::new(shed_log);
    wal.note_shed_by(Box::new(shed.clone()));

    let shared = Arc::new(Shared {
        config,
        clock,
        store,
        machine,
        log,
        counters,
        memory: RwLock::new(memory),
        checkpoint: CheckpointSignal::default(),
        gc: Mutex::new(gc),
        pinning: Mutex::new(()),
        _damaged_pins: damaged_pins,
        _data_dir: data_dir,
    });
    let mut ingest = Ingest::new(shared, wal, boots, (homes.issuer, placements), shed);
    ingest.changed_boots.extend(seen.into_keys());
    Ok(ingest)
}

/// Tells readiness and the log how far an upgrade is: the log at its beginning, and for each tenth.
fn upgrading(progress: &Progress, at: UpgradeProgress) -> ControlFlow<()> {
    let UpgradeProgress { from, to, done, total } = at;
    let begins = progress.upgrading_to.swap(to, Ordering::Relaxed) != to;
    let tenth = |done: u64| done.saturating_mul(10).checked_div(total).unwrap_or(0);
    let before = progress.upgrade_done.swap(done, Ordering::Relaxed);
    progress.upgrade_total.store(total, Ordering::Relaxed);
    if begins || tenth(before) != tenth(done) {
        tracing::info!(from, to, done, total, "upgrading the data folder to schema version {to}");
    }
    match progress.stop.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
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
    stand_ins::add(&view, groups.iter().copied(), &mut graph, counters)?;
    for group in groups {
        note_strays(&mut graph, view.block_hours(group)?);
    }
    let boots = view.boot_marks()?.into_iter().collect();
    let hlc = match view.hlc() {
        // The births and ends that were issued say how far it had come.
        Err(error) if error.is_damage() => {
            tracing::error!(%error, "taken from the lineage records");
            let ends =
                graph.records().flat_map(|record| [Some(record.valid_from), record.valid_to]);
            ends.flatten().max().unwrap_or(Hlc(0))
        }
        read => read?,
    };
    let (_, damage) = store.damage();
    damage.iter().for_each(|what| tracing::error!(what, "damage in the store; the rest is served"));
    Ok(Stored { graph, applied, boots, memory, hlc })
}

/// Tells the graph of blocks that lie where it would not look for them.
fn note_strays(graph: &mut LineageGraph, block_hours: Vec<(LineageId, u64, u64)>) {
    for (lineage, first_hour, last_hour) in block_hours {
        let (from_ms, to_ms) = (first_hour * HOUR_MS, (last_hour + 1).saturating_mul(HOUR_MS));
        if !graph.knows_of(lineage, from_ms, to_ms) {
            graph.note_recorded(lineage, from_ms, to_ms);
        }
    }
}

struct Replay<'a> {
    applied: HashMap<GroupId, Applied>,
    boots: HashMap<SourceId, BootMark>,
    memory: Memory,
    homes: Rehome,
    placements: Placements,
    /// For each boot, the sequences that this replay has met, with their first WAL record.
    seen: HashMap<SourceId, HashMap<u64, u64>>,
    shed_log: ShedLog,
    /// What was shed and was not looked at yet.
    noted: Noted,
    counters: &'a Counters,
    now_ms: u64,
}

impl Replay<'_> {
    /// Takes every record, and tells what was out of the ordinary.
    fn run(&mut self, mut recovery: Recovery, progress: &Progress) -> Result<(), StoreError> {
        progress.total_bytes.store(recovery.report().bytes, Ordering::Relaxed);
        while let Some(record) = recovery.next_record() {
            progress.done_bytes.fetch_add(record.payload.len() as u64, Ordering::Relaxed);
            self.take(&record)?;
        }
        self.lose_before(u64::MAX);
        tell_lost(self.counters);
        Counters::set(&self.counters.rehomed_rows, self.homes.rehomed);
        for finding in &recovery.report().findings {
            tracing::warn!(%finding, "WAL");
        }
        Ok(())
    }

    /// Everything that was shed and has a WAL sequence below `wal_sequence` is gone, unless its group
    /// has applied it: in the order of their sequences, so before newer records are taken.
    fn lose_before(&mut self, wal_sequence: u64) {
        while let Some(entry) = self.noted.first_entry().filter(|entry| *entry.key() < wal_sequence)
        {
            let ShedEntry { wal_sequence, source, sequence, held } = entry.remove();
            self.seen.entry(source.clone()).or_default();
            let mark = self.boots.entry(source.clone()).or_default();
            let window_end_ms = match &held {
                Held::Column { window, .. } => window.end_ms(),
                Held::Nothing | Held::Leave => 0,
            };
            if sequence > mark.last_sequence {
                mark.take(sequence, 0, window_end_ms, self.now_ms);
            }
            let applied = &self.applied;
            let done = |group| {
                applied.get(&group).is_some_and(|applied| applied.wal_sequence >= wal_sequence)
            };
            match held {
                Held::Column { window, groups } => {
                    let lost: Vec<GroupId> = groups.iter().copied().filter(|&g| !done(g)).collect();
                    let is_lost = u64::from(!lost.is_empty());
                    Counters::add(&self.counters.shed_lost_columns, is_lost);
                    self.memory.lose(wal_sequence, &source, window, &lost);
                }
                Held::Leave => {
                    let left_ms = mark.last_window_end_ms;
                    self.memory.leave(wal_sequence, &source.node, left_ms, done);
                }
                Held::Nothing => {}
            }
        }
    }

    /// Fails only where the store does.
    fn take(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        self.lose_before(record.sequence);
        // It was noted, and then it was not shed after all.
        self.noted.remove(&record.sequence);
        let taken = match record.kind {
            KIND_COLUMN => self.take_column(record)?,
            _ => self.take_mark(record),
        };
        match taken {
            Ok(()) => Counters::add(&self.counters.replayed_records, 1),
            Err(reason) => {
                Counters::add(&self.counters.unusable_records, 1);
                tracing::error!(
                    wal_sequence = record.sequence,
                    reason,
                    "a WAL record cannot be used"
                );
            }
        }
        Ok(())
    }

    /// A sequence that was consumed without a column.
    fn take_mark(&mut self, record: &Record<'_>) -> Result<(), String> {
        let (source, sequence, _) = read(record)?;
        if record.kind == KIND_LEAVE {
            self.shed_log.leave(record.sequence, &source, sequence);
        } else {
            self.shed_log.skip(record.sequence, &source, sequence);
        }
        let first_wal = self.consume(record, &source, sequence, 0);
        if record.kind == KIND_LEAVE {
            let left_ms = self.boots.get(&source).map_or(0, |mark| mark.last_window_end_ms);
            let done = |group| is_applied(&self.applied, group, record.sequence, first_wal);
            self.memory.leave(record.sequence, &source.node, left_ms, done);
        }
        Ok(())
    }

    fn take_column(&mut self, record: &Record<'_>) -> Result<Result<(), String>, StoreError> {
        let payload = match column_record::of_this_version(record.payload) {
            Ok(payload) => payload,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let parsed = match ColumnRecord::parse(&payload) {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(error.to_string())),
        };
        // What it says of its rows is looked at before anything is taken of it.
        let known = self.placements.are_known(&parsed);
        let whole = match if known { parsed.without_rows() } else { parsed.column() } {
            Ok(column) => column,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let (source, sequence) = (&parsed.source, parsed.sequence);
        self.shed_log.column(record.sequence, source, sequence, &whole);
        let first_wal = self.consume(record, source, sequence, whole.window.end_ms());
        let applied = &self.applied;
        let done = |group| is_applied(applied, group, record.sequence, first_wal);
        let left_out: Vec<GroupId> = whole.groups.iter().copied().filter(|&g| done(g)).collect();
        let placement = {
            let graph = self.homes.machine.graph();
            let (window, left_out) = (whole.window, &*left_out);
            let placing = Placing { graph: &graph, window, trusted: true, left_out };
            self.placements.of(&parsed, placing)
        };
        let placement = match placement {
            Some(placement) => {
                let (from_ms, until_ms) = (whole.window.start_ms, whole.window.end_ms());
                self.homes.machine.note_recorded(&[], from_ms, until_ms);
                placement
            }
            None => {
                let column = if known { parsed.column() } else { Ok(whole) };
                // invariant: rows that are known were looked at before
                let Ok(column) = column else {
                    return Ok(Err("its rows are malformed".to_owned()));
                };
                let admitted = self.homes.place(&column, &left_out)?;
                let placement = Arc::new(Placement::new(&parsed, &column, &admitted, left_out));
                self.placements.keep(source, Arc::clone(&placement));
                placement
            }
        };
        match Arrival::of(&parsed, placement) {
            Ok(arrival) => self.memory.add(record.sequence, arrival, done),
            Err(error) => return Ok(Err(error.to_string())),
        }
        Ok(Ok(()))
    }

    /// A sequence is taken. Returns the first WAL record that it has: there are two where the first
    /// write failed, yet survived.
    fn consume(
        &mut self,
        record: &Record<'_>,
        source: &SourceId,
        sequence: u64,
        window_end_ms: u64,
    ) -> u64 {
        let seen = match self.seen.get_mut(source) {
            Some(seen) => seen,
            None => self.seen.entry(source.clone()).or_default(),
        };
        let first_wal = *seen.entry(sequence).or_insert(record.sequence);
        let mark = match self.boots.get_mut(source) {
            Some(mark) => mark,
            None => self.boots.entry(source.clone()).or_default(),
        };
        if sequence > mark.last_sequence {
            let as_sent = record.kind == KIND_COLUMN && record.flags & FLAG_ROWS_LEFT_OUT == 0;
            let known = if as_sent { digest(record.payload) } else { 0 };
            mark.take(sequence, known, window_end_ms, self.now_ms);
        }
        first_wal
    }
}

/// Whether a group has a WAL record. A sequence stands in the WAL twice when its first write failed, yet
/// survived: a group that the first one was replayed into has it; one that had passed the first by has
/// not.
fn is_applied(
    applied: &HashMap<GroupId, Applied>,
    group: GroupId,
    wal_sequence: u64,
    first_wal: u64,
) -> bool {
    let mark = applied.get(&group).map_or(0, |applied| applied.wal_sequence);
    mark >= wal_sequence || first_wal < wal_sequence && mark < first_wal
}

fn tell_lost(counters: &Counters) {
    let columns = counters.snapshot().shed_lost_columns;
    if columns > 0 {
        tracing::error!(
            columns,
            "acknowledged columns had been shed from the WAL and are gone: the store had not taken them. Their cells are flagged shed"
        );
    }
}

/// What a WAL record says, or why it cannot be used.
pub(crate) fn read(record: &Record<'_>) -> Result<(SourceId, u64, Option<Column>), String> {
    match record.kind {
        KIND_COLUMN => column_record::decode(record.payload)
            .map(|(source, sequence, column)| (source, sequence, Some(column))),
        KIND_SKIP | KIND_LEAVE => column_record::decode_skip(record.payload)
            .map(|(source, sequence)| (source, sequence, None)),
        _ => return Err("its kind is unknown; was it written by a newer keyviz?".to_owned()),
    }
    .map_err(|error| error.to_string())
}
