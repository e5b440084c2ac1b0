//! What was shed from the WAL: noted durably before it goes, and marked when a start finds it gone.
//!
//! The WAL sheds its oldest segments when it is at its cap and the store takes nothing. What they held
//! is still in memory; a kill would lose it. So before a segment goes, a shed record names each entry
//! in it (source, number, window, groups). A start reads these records beside the WAL: an entry whose
//! WAL sequence its group has applied is in the store after all, one that the replay still finds is in
//! the WAL; of every other one the window is marked *shed* in the group's coverage, through memory and
//! the next checkpoint like anything that was replayed, and its number stays taken.
//!
//! Owns: `<wal folder>/owner-shed/`, a log of its own outside the WAL's cap, there from the first shed
//! segment on; and, in memory, what each record in the WAL held (some 60 bytes each).
//! Invariants: nothing is shed without a durable record: where that cannot be written, ingest refuses.
//! A record goes once every group has applied what it names. Marking twice changes nothing.
//! Must not: stop a start.
//! Proof: `shed_test.rs`; a real process whose store takes nothing: `tests/src/torture/disks.rs`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::shed_record::{self, Held, ShedEntry};
use keyviz_lineage::{Column, GroupId, SourceId, Window};
use keyviz_wal::{FileSystem, OWNERS_PREFIX, Record, Shed, ShedNotes, Wal, WalError, WalOptions};

const KIND_SHED: u8 = 1;
/// Far beyond what notes of a WAL can take.
const MAX_BYTES: u64 = 1 << 40;
const SEGMENT_BYTES: u64 = 1 << 20;
const MAX_RECORD_BYTES: u64 = 32 << 20;

/// What a record in the WAL holds.
#[derive(Debug)]
enum What {
    Nothing,
    Leave,
    Column(Window, Arc<[GroupId]>),
}

#[derive(Debug)]
struct Logged {
    wal_sequence: u64,
    source: Arc<SourceId>,
    sequence: u64,
    what: What,
}

/// The log of what was shed, and what could be.
#[derive(Debug)]
pub(crate) struct ShedLog {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    wal: Option<Wal>,
    /// For the names of its segments.
    pub(crate) unix_hour: u64,
    /// Every record in the WAL, by sequence.
    logged: VecDeque<Logged>,
    /// So that sources and groups are kept once.
    known: HashMap<SourceId, (Arc<SourceId>, Arc<[GroupId]>)>,
    /// Shed records: their sequence in this log, and the last WAL sequence that they name.
    held: VecDeque<(u64, u64)>,
}

/// Entries that were shed, by WAL sequence.
pub(crate) type Noted = BTreeMap<u64, ShedEntry>;

/// The groups of a column: what it is marked in.
pub(crate) fn groups_of(column: &Column) -> &[GroupId] {
    if column.groups.is_empty() { &[NODE_GROUP] } else { &column.groups }
}

/// Where the log lies.
pub(crate) fn folder(wal_dir: &Path) -> PathBuf {
    wal_dir.join(format!("{OWNERS_PREFIX}shed"))
}

/// How many columns a record of it names.
pub(crate) fn columns_in(record: &Record<'_>) -> Result<u64, String> {
    let entries = shed_record::decode(record.payload).map_err(|error| error.to_string())?;
    let is_column = |entry: &&ShedEntry| matches!(entry.held, Held::Column { .. });
    Ok(entries.iter().filter(is_column).count() as u64)
}

impl ShedLog {
    /// The log beside the WAL in `wal_dir`, and what it says. Whatever is wrong with it is logged.
    pub(crate) fn open(files: Arc<dyn FileSystem>, wal_dir: &Path) -> (Self, Noted) {
        let dir = folder(wal_dir);
        let mut log = Self {
            files,
            dir,
            wal: None,
            unix_hour: 0,
            logged: VecDeque::new(),
            known: HashMap::new(),
            held: VecDeque::new(),
        };
        let mut noted = Noted::new();
        if log.files.list(&log.dir).is_ok_and(|entries| !entries.is_empty())
            && let Err(error) = log.read(&mut noted)
        {
            tracing::error!(%error, "what was shed from the WAL cannot be told");
        }
        (log, noted)
    }

    fn read(&mut self, noted: &mut Noted) -> Result<(), WalError> {
        let (mut wal, mut recovery) = open(&self.files, &self.dir)?;
        while let Some(record) = recovery.next_record() {
            match shed_record::decode(record.payload) {
                Ok(entries) => {
                    let last = entries.last().map_or(0, |entry| entry.wal_sequence);
                    self.held.push_back((record.sequence, last));
                    noted.extend(entries.into_iter().map(|entry| (entry.wal_sequence, entry)));
                }
                Err(error) => {
                    tracing::error!(%error, "a record of what was shed from the WAL cannot be used");
                }
            }
        }
        for finding in &recovery.report().findings {
            tracing::warn!(%finding, "shed records");
        }
        drop(recovery);
        wal.commit()?;
        self.wal = Some(wal);
        Ok(())
    }

    fn push(&mut self, wal_sequence: u64, source: &SourceId, sequence: u64, what: What) {
        let source = Arc::clone(&self.known(source, &[]).0);
        self.logged.push_back(Logged { wal_sequence, source, sequence, what });
    }

    fn known(
        &mut self,
        source: &SourceId,
        groups: &[GroupId],
    ) -> &mut (Arc<SourceId>, Arc<[GroupId]>) {
        if !self.known.contains_key(source) {
            let held = (Arc::new(source.clone()), Arc::from(groups));
            self.known.insert(source.clone(), held);
        }
        // invariant: inserted above if it was not there
        self.known.get_mut(source).expect("invariant: inserted above")
    }

    /// The WAL holds a column of a source.
    pub(crate) fn column(
        &mut self,
        wal_sequence: u64,
        source: &SourceId,
        sequence: u64,
        column: &Column,
    ) {
        let groups = groups_of(column);
        let (source, held) = self.known(source, groups);
        if **held != *groups {
            *held = Arc::from(groups);
        }
        let what = What::Column(column.window, Arc::clone(held));
        let source = Arc::clone(source);
        self.logged.push_back(Logged { wal_sequence, source, sequence, what });
    }

    /// The WAL holds a number that was consumed without a column.
    pub(crate) fn skip(&mut self, wal_sequence: u64, source: &SourceId, sequence: u64) {
        self.push(wal_sequence, source, sequence, What::Nothing);
    }

    /// The WAL holds that a source left.
    pub(crate) fn leave(&mut self, wal_sequence: u64, source: &SourceId, sequence: u64) {
        self.push(wal_sequence, source, sequence, What::Leave);
    }

    /// Whether something was shed that the store may not have.
    pub(crate) fn is_outstanding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The WAL holds nothing up to this record any more.
    fn forget(&mut self, up_to: u64) {
        while self.logged.front().is_some_and(|logged| logged.wal_sequence <= up_to) {
            self.logged.pop_front();
        }
        // Who has nothing in the WAL is met anew.
        self.known.retain(|_, (source, _)| Arc::strong_count(source) > 1);
    }

    /// Every group has applied every WAL record up to this one.
    pub(crate) fn release(&mut self, up_to: u64) {
        self.forget(up_to);
        let mut last = None;
        while let Some((sequence, _)) = self.held.front().filter(|(_, named)| *named <= up_to) {
            last = Some(*sequence);
            self.held.pop_front();
        }
        if let (Some(last), Some(wal)) = (last, &mut self.wal)
            && let Err(error) = wal.release(last)
        {
            tracing::warn!(%error, "shed records that are not needed any more could not be removed yet");
        }
    }

    /// Notes durably what lies in `[first, last]`.
    fn note(&mut self, first: u64, last: u64) -> Result<(), WalError> {
        let from = self.logged.partition_point(|logged| logged.wal_sequence < first);
        let within = self.logged.iter().skip(from);
        let within = within.take_while(|logged| logged.wal_sequence <= last);
        let entries: Vec<ShedEntry> = within.map(Logged::entry).collect();
        let Some(named) = entries.last().map(|entry| entry.wal_sequence) else { return Ok(()) };
        let mut wal = match self.wal.take() {
            Some(wal) => wal,
            None => open(&self.files, &self.dir)?.0,
        };
        let payload = shed_record::encode(&entries);
        let noted = wal.append(self.unix_hour, KIND_SHED, 0, &payload);
        let noted = noted.and_then(|sequence| wal.sync().map(|_| sequence));
        self.wal = Some(wal);
        self.held.push_back((noted?, named));
        // Segments go oldest first: nothing before this one is in the WAL any more.
        self.forget(last);
        Ok(())
    }
}

impl Logged {
    fn entry(&self) -> ShedEntry {
        let held = match &self.what {
            What::Nothing => Held::Nothing,
            What::Leave => Held::Leave,
            What::Column(window, groups) => {
                Held::Column { window: *window, groups: Arc::clone(groups) }
            }
        };
        let (wal_sequence, sequence) = (self.wal_sequence, self.sequence);
        ShedEntry { wal_sequence, source: (*self.source).clone(), sequence, held }
    }
}

fn open(files: &Arc<dyn FileSystem>, dir: &Path) -> Result<(Wal, keyviz_wal::Recovery), WalError> {
    let options = WalOptions {
        max_bytes: MAX_BYTES,
        segment_bytes: SEGMENT_BYTES,
        max_record_bytes: MAX_RECORD_BYTES,
        ..WalOptions::default()
    };
    Wal::open(Arc::clone(files), dir, options)
}

/// The log, as the WAL and its owner share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedShedLog(Arc<Mutex<ShedLog>>);

impl SharedShedLog {
    pub(crate) fn new(log: ShedLog) -> Self {
        Self(Arc::new(Mutex::new(log)))
    }

    // Both users are the ingest thread. A panic while it was held leaves whole data.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ShedLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShedNotes for SharedShedLog {
    fn note(&mut self, shed: &Shed) -> io::Result<()> {
        let noted = self.lock().note(shed.first_sequence, shed.last_sequence);
        noted.map_err(|error| io::Error::other(error.to_string()))
    }
}

#[cfg(test)]
#[path = "shed_test.rs"]
pub(crate) mod shed_test;
