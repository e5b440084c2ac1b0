//! A real data folder with so many ranges and hours in it, through the real path: one
//! `Command::PersistColumns` an hour and group, applied by the state machine, nothing compacted by
//! hand. What it takes is measured on the way: the processor time of everything but the generator, and
//! every so many hours that of encoding the blocks alone and of writing their bytes to a plain file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyviz_codec::marks::Member;
use keyviz_codec::{CellEntry, Contributor, HourBlocks, WindowCover};
use keyviz_lineage::{
    Change, Counts, Flags, GroupId, HOUR_MS, Hlc, KeyRange, LineageGraph, LineageId, RouteSpec,
    SourceId, Step, Transition, id,
};
use keyviz_replica::{Command, Delta, StateMachine};
use keyviz_store::retention::Retention;
use keyviz_store::{Store, StoreOptions};
use uuid::Uuid;

use crate::machine;
use crate::workload::{Hour, Load, WINDOWS, Workload};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The first hour (a day's first).
pub(crate) const FIRST_HOUR: u64 = 480_000;
const RANGES_A_GROUP: u64 = 10_000;
/// Every so many hours, encoding and plain writing are measured by themselves.
const SAMPLED_HOURS: u64 = 24;
/// As a node has it by default.
const MEMORY_BYTES: u64 = 128 << 20;
/// How often the store is asked again when it would have stalled.
const MAX_REFUSED: u64 = 100_000;
const RETRY: Duration = Duration::from_millis(2);

/// How much is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) load: Load,
    pub(crate) hours: u64,
    pub(crate) nodes: u64,
}

impl Size {
    pub(crate) fn ranges(&self) -> u64 {
        self.load.ranges
    }

    pub(crate) fn groups(&self) -> u64 {
        self.ranges().div_ceil(RANGES_A_GROUP)
    }

    /// Counts of one series each, idle ones too.
    pub(crate) fn cells(&self) -> u64 {
        self.ranges() * self.hours * u64::from(WINDOWS) * 4
    }

    pub(crate) fn start_ms(&self) -> u64 {
        FIRST_HOUR * HOUR_MS
    }

    pub(crate) fn end_ms(&self) -> u64 {
        (FIRST_HOUR + self.hours) * HOUR_MS
    }

    pub(crate) fn group_of(place: u64) -> GroupId {
        1 + place / RANGES_A_GROUP
    }

    /// Hot ranges lie anywhere among the others.
    pub(crate) fn rank_of(&self, place: u64) -> u64 {
        // No factor of any number of ranges that is asked for.
        1 + (place * 7_919 + 17) % self.ranges()
    }

    fn key(&self, at: u64) -> Vec<u8> {
        if at == 0 || at == self.ranges() {
            return Vec::new();
        }
        // A table's prefix, as keys have it.
        let mut key = b"t_0042_r".to_vec();
        key.extend_from_slice(&(at * (u64::MAX / (self.ranges() + 1))).to_be_bytes());
        key
    }

    pub(crate) fn range(&self, place: u64) -> Outcome<KeyRange> {
        Ok(KeyRange::new(self.key(place), self.key(place + 1))?)
    }

    fn created(group: GroupId) -> (Hlc, [u8; 16]) {
        (Hlc::new(FIRST_HOUR * HOUR_MS, 0), u128::from(group).to_be_bytes())
    }

    /// The lineage of the range at this place in key order.
    pub(crate) fn lineage(place: u64) -> LineageId {
        let group = Self::group_of(place);
        let (hlc, proposal) = Self::created(group);
        id::derive(hlc, group, &proposal, place % RANGES_A_GROUP)
    }
}

/// What filling took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) hours: u64,
    /// Processor time in seconds: of applying and of RocksDB's threads, until they rested.
    pub(crate) write_cpu: f64,
    /// Hours in which the next two were measured.
    pub(crate) sampled_hours: u64,
    /// Of encoding every block once.
    pub(crate) encode_cpu: f64,
    /// Of writing the same bytes to a file and syncing it, once an hour.
    pub(crate) plain_cpu: f64,
    /// Bytes that the store had written to the disk.
    pub(crate) written_bytes: f64,
    /// What the blocks say, in bytes.
    pub(crate) entropy_bytes: f64,
    /// How often the store refused a batch because it would have stalled.
    pub(crate) refused: u64,
}

/// What this process had spent at one time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    process_cpu: f64,
    thread_cpu: f64,
    written_bytes: u64,
}

impl Mark {
    fn now() -> Outcome<Self> {
        let (process_cpu, thread_cpu) = (machine::process_cpu(), machine::thread_cpu());
        Ok(Self { process_cpu, thread_cpu, written_bytes: machine::written_bytes()? })
    }
}

/// A store that is being filled.
pub(crate) struct Filling {
    pub(crate) size: Size,
    pub(crate) workload: Workload,
    pub(crate) figures: Figures,
    /// What was counted, by window and series.
    pub(crate) totals: Vec<[u64; 4]>,
    pub(crate) store: Arc<Store>,
    machine: StateMachine,
    folder: PathBuf,
    wal_sequence: u64,
    mark: Mark,
}

impl Filling {
    /// Opens a store in `folder/db` and has the ranges created.
    pub(crate) fn start(folder: &Path, size: Size) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let retention = Retention::new(size.hours.max(7 * 24) * HOUR_MS);
        let store = Arc::new(Store::open(&folder.join("db"), StoreOptions { retention })?);
        Self::over(folder, size, store)
    }

    fn over(folder: &Path, size: Size, store: Arc<Store>) -> Outcome<Self> {
        let machine = StateMachine::new(Arc::clone(&store), LineageGraph::default())
            .with_memory_tier(MEMORY_BYTES);
        let filling = Self {
            size,
            workload: Workload::new(size.load),
            figures: Figures::default(),
            totals: Vec::new(),
            store,
            machine,
            folder: folder.to_owned(),
            wal_sequence: 0,
            mark: Mark::now()?,
        };
        for group in 1..=size.groups() {
            let (hlc, proposal) = Size::created(group);
            let places = (group - 1) * RANGES_A_GROUP..(group * RANGES_A_GROUP).min(size.ranges());
            let routes =
                places.map(|place| Ok(RouteSpec { route: place + 1, range: size.range(place)? }));
            let change = Change::Create { routes: routes.collect::<Outcome<_>>()? };
            let transition = Transition { group, proposal, hlc, catalogue_version: 1, change };
            let applied = filling.machine.apply(group, &Command::Transitions(vec![transition]))?;
            applied.transitions.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        Ok(filling)
    }

    /// Adds the next hour, in so many persists.
    pub(crate) fn hour(&mut self, hour: u64, persists: u16) -> Outcome<()> {
        self.totals.resize((hour - FIRST_HOUR + 1) as usize * usize::from(WINDOWS), [0; 4]);
        let is_sampled = (hour - FIRST_HOUR).is_multiple_of(SAMPLED_HOURS);
        self.figures.hours += 1;
        self.figures.sampled_hours += u64::from(is_sampled);
        for group in 1..=self.size.groups() {
            let start = machine::thread_cpu();
            self.machine.fill_memory_tier(group, hour * HOUR_MS)?;
            self.figures.write_cpu += machine::thread_cpu() - start;
            let delta = self.delta(group, hour);
            if is_sampled {
                self.sample(&delta)?;
            }
            let parts = if persists == 1 { vec![delta] } else { parts(&delta, persists) };
            for part in parts {
                self.apply(group, part)?;
            }
        }
        Ok(())
    }

    /// What filling took since the last time, once RocksDB rests.
    pub(crate) fn take_figures(&mut self) -> Outcome<Figures> {
        self.store.flush()?;
        self.store.wait_for_compactions()?;
        let mark = Mark::now()?;
        let of_others =
            (mark.process_cpu - self.mark.process_cpu) - (mark.thread_cpu - self.mark.thread_cpu);
        let mut figures = std::mem::take(&mut self.figures);
        figures.write_cpu += of_others;
        figures.written_bytes += (mark.written_bytes - self.mark.written_bytes) as f64;
        self.mark = mark;
        Ok(figures)
    }

    fn apply(&mut self, group: GroupId, mut delta: Delta) -> Outcome<()> {
        self.wal_sequence += 1;
        (delta.first_wal, delta.last_wal) = (self.wal_sequence, self.wal_sequence);
        let command = Command::PersistColumns { delta: Arc::new(delta) };
        loop {
            let start = machine::thread_cpu();
            match self.machine.apply(group, &command) {
                Ok(_) => {
                    self.figures.write_cpu += machine::thread_cpu() - start;
                    return Ok(());
                }
                Err(_) if self.figures.refused < MAX_REFUSED => {
                    self.figures.refused += 1;
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Encoding and plain writing by themselves.
    fn sample(&mut self, delta: &Delta) -> Outcome<()> {
        let start = machine::thread_cpu();
        let encoded: Vec<Vec<u8>> = delta.blocks.values().map(HourBlocks::encode).collect();
        self.figures.encode_cpu += machine::thread_cpu() - start;
        let path = self.folder.join("plain");
        let start = machine::thread_cpu();
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        encoded.iter().try_for_each(|value| file.write_all(value))?;
        file.into_inner()?.sync_data()?;
        self.figures.written_bytes -= encoded.iter().map(Vec::len).sum::<usize>() as f64;
        self.figures.plain_cpu += machine::thread_cpu() - start;
        std::fs::remove_file(path)?;
        Ok(())
    }

    /// What one group recorded in an hour.
    fn delta(&mut self, group: GroupId, hour: u64) -> Delta {
        let (size, mut delta) = (self.size, Delta::default());
        let places = (group - 1) * RANGES_A_GROUP..(group * RANGES_A_GROUP).min(size.ranges());
        let totals = &mut self.totals[((hour - FIRST_HOUR) * u64::from(WINDOWS)) as usize..];
        for node in 0..size.nodes {
            let name = format!("node-{}", node + 1);
            let who = Contributor { node: name.as_str().into(), group: 0, term: 12 };
            let who = if node == 0 { who } else { Contributor { term: 0, ..who } };
            for place in places.clone() {
                let rank = size.rank_of(place);
                let blocks = delta.blocks.entry((Size::lineage(place), hour)).or_default();
                let block = blocks.block_mut(Step::MINUTE);
                let whose = Hour { rank, hour, node, nodes: size.nodes };
                let bits = self.workload.hour(whose, |index, counts| {
                    if counts.is_idle() {
                        return;
                    }
                    let total = &mut totals[usize::from(index)];
                    add(total, &counts);
                    block.add(&who, CellEntry { index, counts, flags: Flags::NONE });
                });
                self.figures.entropy_bytes += bits / 8.0;
            }
            let source =
                SourceId { node: name.clone(), boot: Uuid::from_u128(1 + u128::from(node)) };
            let coverage = delta.coverage.entry(hour).or_default();
            for index in 0..WINDOWS {
                let cover = WindowCover { covered_ms: Step::MINUTE.ms(), unattributed: 0 };
                coverage.add(Step::MINUTE, &source, index, cover);
            }
            let mut member = Member::default();
            if hour == FIRST_HOUR && member.arrived(hour * HOUR_MS) {
                delta.members.insert(name, member);
            }
        }
        delta.blocks.retain(|_, blocks| {
            blocks.blocks().iter().any(|block| block.contributors().next().is_some())
        });
        delta
    }
}

fn add(total: &mut [u64; 4], counts: &Counts) {
    for (total, count) in
        total.iter_mut().zip([counts.reads, counts.writes, counts.read_bytes, counts.write_bytes])
    {
        *total += count;
    }
}

/// An hour as so many persists of it: each has the windows since the last one.
fn parts(delta: &Delta, persists: u16) -> Vec<Delta> {
    let windows = WINDOWS / persists;
    let part_of = |persist: u16| {
        let mut part = Delta { members: delta.members.clone(), ..Delta::default() };
        let within = persist * windows..(persist + 1) * windows;
        for (&key, whole) in &delta.blocks {
            let mut blocks = HourBlocks::default();
            for block in whole.blocks() {
                for (who, cells) in block.contributors() {
                    for entry in cells.iter().filter(|entry| within.contains(&entry.index)) {
                        blocks.block_mut(block.step()).add(who, *entry);
                    }
                }
            }
            if !blocks.blocks().is_empty() {
                part.blocks.insert(key, blocks);
            }
        }
        for (&hour, coverage) in &delta.coverage {
            for (step, source, covers) in coverage.iter() {
                for &(index, cover) in covers.iter().filter(|(index, _)| within.contains(index)) {
                    part.coverage.entry(hour).or_default().add(step, source, index, cover);
                }
            }
        }
        part
    };
    (0..persists).map(part_of).collect()
}
