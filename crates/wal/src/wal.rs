//! The log while it runs: append, commit; shedding and releasing are in `wal/room.rs`.
//!
//! Responsible for: where the next record goes, what a failure leads to, the cap.
//! Owns: the active segment, the list of the closed ones, the unsynced frames, the counters.
//! Invariants: W2, W3, W5 to W9 of the crate; unsynced frames are in the active segment, or in
//! memory only while there is none.
//! Must not: read what an earlier life wrote (that is `recovery`), retry an fsync on a file.
//! Proved by: `wal_test.rs`, `model_test.rs`, `fault_test.rs`.
//!
//! What a failure leads to:
//!
//! | failure | then |
//! |---|---|
//! | write, and the cut back works | once more at the same offset; then an error, the segment goes on |
//! | write, and the cut back fails | segment poisoned; unsynced frames and the record to a new one |
//! | fsync | segment poisoned; unsynced frames to a new one, synced there; else `NotDurable` |
//! | creating a segment, its header, its name's fsync | file discarded, error; the next call uses another |
//! | unlink | kept in a list, tried again at the next release |
//!
//! The sequences of a write that failed are not used again: parts of it may turn up after a crash.
//! Where they could not be cut off, the refused records stay with the unsynced ones for the next
//! segment: a start that finds them must be able to rely on a later commit covering them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::WalError;
use crate::fs::FileSystem;
use crate::hold::{HeldSegment, hold_segments};
use crate::layout::{HEADER_LEN, MAX_FILE_BYTES, MAX_SEQUENCE, SegmentName, frame_bytes};
use crate::options::{SyncPolicy, WalOptions};
use crate::recovery::recover;
use crate::replay::Recovery;
use crate::report::{Shed, Stats, Usage};
use crate::segment::{Active, FileError, SegmentInfo, Superseded};
use crate::unsynced::{Mark, Unsynced};

mod room;

/// How many names that exist already are passed over when a segment is created.
const CREATE_ATTEMPTS: u64 = 64;

/// A record to append. Kind and flags mean nothing to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// What the payload is.
    pub kind: u8,
    /// The owner's flags.
    pub flags: u8,
    /// The bytes, possibly none.
    pub payload: &'a [u8],
}

/// Who is to know what is shed before it is.
pub trait ShedNotes: std::fmt::Debug + Send {
    /// Notes durably that these records go.
    ///
    /// # Errors
    /// They stay, and what they should have made room for is refused.
    fn note(&mut self, shed: &Shed) -> io::Result<()>;
}

/// A write-ahead log in one folder, used by one thread.
///
/// Dropping it does not sync: call [`Self::sync`] before, if that matters.
#[derive(Debug)]
pub struct Wal {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    options: WalOptions,
    closed: VecDeque<SegmentInfo>,
    closed_bytes: u64,
    superseded: Vec<Superseded>,
    active: Option<Active>,
    unsynced: Unsynced,
    stuck: Vec<(PathBuf, u64)>,
    shed: Vec<Shed>,
    notes: Option<Box<dyn ShedNotes>>,
    hour: u64,
    next_id: u64,
    next_sequence: u64,
    last_sequence: u64,
    durable_sequence: u64,
    stats: Stats,
}

impl Wal {
    /// Opens the log in `dir`, which is created if need be; the caller holds the lock on it.
    /// Whatever the folder holds, it is sorted out and reported (W1). Read the [`Recovery`] to its
    /// end before anything else: an append may shed what was not read yet, a commit moves the last
    /// segment's records to a new one.
    ///
    /// # Errors
    /// [`WalError::OptionOutOfRange`]; [`WalError::Folder`] if `dir` cannot be created or listed.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Recovery), WalError> {
        options.validate()?;
        let recovered = recover(&fs, dir, &options)?;
        let durable = recovered.carried.first_sequence().unwrap_or(recovered.next_sequence) - 1;
        let wal = Self {
            fs,
            dir: dir.to_path_buf(),
            options,
            closed_bytes: recovered.segments.iter().map(|s| s.bytes).sum(),
            closed: recovered.segments,
            superseded: recovered.superseded,
            active: None,
            unsynced: recovered.carried,
            stuck: Vec::new(),
            shed: Vec::new(),
            notes: None,
            hour: 0,
            next_id: recovered.next_id,
            next_sequence: recovered.next_sequence,
            last_sequence: recovered.next_sequence - 1,
            durable_sequence: durable,
            stats: Stats::default(),
        };
        Ok((wal, recovered.recovery))
    }

    /// From now on nothing is shed before `notes` has noted it durably.
    pub fn note_shed_by(&mut self, notes: Box<dyn ShedNotes>) {
        self.notes = Some(notes);
    }

    /// Writes one record to the operating system and returns its sequence. `hour` is the Unix hour
    /// (seconds / 3,600) for the segment's name. The record survives `kill -9` now, and power loss
    /// after the next [`Self::commit`].
    ///
    /// # Errors
    /// [`WalError::RecordTooLarge`], [`WalError::Create`], [`WalError::Room`],
    /// [`WalError::Write`], [`WalError::Backlog`], [`WalError::SequencesExhausted`]: the record must not be acknowledged
    /// but appended again. After `Write` it may turn up in a later replay all the same.
    pub fn append(
        &mut self,
        hour: u64,
        kind: u8,
        flags: u8,
        payload: &[u8],
    ) -> Result<u64, WalError> {
        self.append_batch(hour, &[NewRecord { kind, flags, payload }]).map(|range| range.start)
    }

    /// Like [`Self::append`] for many records, with as few writes as segments allow; returns their
    /// sequences. They need not lie in one segment.
    ///
    /// # Errors
    /// As [`Self::append`]. The first records of a batch that failed may be in the log; none may
    /// be acknowledged.
    pub fn append_batch(
        &mut self,
        hour: u64,
        records: &[NewRecord<'_>],
    ) -> Result<Range<u64>, WalError> {
        let max_record_bytes = self.options.max_record_bytes;
        if let Some(large) = records.iter().find(|r| r.payload.len() as u64 > max_record_bytes) {
            let bytes = large.payload.len() as u64;
            return Err(WalError::RecordTooLarge { bytes, max_record_bytes });
        }
        let first = self.next_sequence;
        let mut rest = records;
        while !rest.is_empty() {
            let (group, bytes) = self.group(rest);
            self.append_group(hour, &rest[..group], bytes)?;
            rest = &rest[group..];
        }
        Ok(first..self.next_sequence)
    }

    /// How many of the first records fit into a segment (at least one), and their framed bytes.
    fn group(&self, records: &[NewRecord<'_>]) -> (usize, u64) {
        let mut bytes = 0;
        for (count, record) in records.iter().enumerate() {
            let frame = frame_bytes(record.payload.len());
            if count > 0 && HEADER_LEN as u64 + bytes + frame > self.options.segment_bytes {
                return (count, bytes);
            }
            bytes += frame;
        }
        (records.len(), bytes)
    }

    fn append_group(
        &mut self,
        hour: u64,
        group: &[NewRecord<'_>],
        bytes: u64,
    ) -> Result<(), WalError> {
        self.prepare(hour, group.len() as u64, bytes)?;
        let mark = self.unsynced.mark();
        let first = self.next_sequence;
        if let Some(active) = &self.active {
            for (record, sequence) in group.iter().zip(first..) {
                let NewRecord { kind, flags, payload } = *record;
                self.unsynced.push(active.seed(), sequence, kind, flags, payload);
            }
        }
        self.next_sequence += group.len() as u64; // also if it fails, see the module's header
        if let Err(FileError { path, source }) = self.write_since(mark, group.len() as u64) {
            if self.active.is_some() {
                self.unsynced.rewind(mark);
            } else {
                self.last_sequence = self.next_sequence - 1;
            }
            return Err(WalError::Write { path, sequence: first, source });
        }
        self.last_sequence = self.next_sequence - 1;
        self.stats.appended_records += group.len() as u64;
        self.stats.appended_bytes += bytes;
        Ok(())
    }

    /// Makes an active segment with room for `bytes` more.
    fn prepare(&mut self, hour: u64, records: u64, bytes: u64) -> Result<(), WalError> {
        if self.next_sequence + records >= MAX_SEQUENCE || self.next_id >= MAX_SEQUENCE {
            return Err(WalError::SequencesExhausted { next_sequence: self.next_sequence });
        }
        self.hour = hour;
        let segment_bytes = self.options.segment_bytes;
        let limit_bytes = self.options.max_bytes.min(MAX_FILE_BYTES);
        let fits = |waiting: u64| HEADER_LEN as u64 + waiting + bytes <= limit_bytes;
        if self.active.is_none() && !fits(self.unsynced.len()) {
            self.sync().ok(); // if it fails, the check below says so
        }
        if self.active.as_ref().is_some_and(|a| a.is_over(hour, bytes, segment_bytes)) {
            self.rotate();
        }
        if self.active.is_some() {
            let room = self.make_room(bytes);
            return room.map_err(|e| WalError::Room { path: e.path, source: e.source });
        }
        if !fits(self.unsynced.len()) {
            return Err(WalError::Backlog { unsynced_bytes: self.unsynced.len(), limit_bytes });
        }
        self.start_segment(bytes).map_err(|e| WalError::Create { path: e.path, source: e.source })
    }

    /// Closes the active segment, synced (W7); if that fails its frames wait for the next one.
    fn rotate(&mut self) {
        if !self.unsynced.is_empty() && self.sync_active().is_err() {
            return; // poisoned and gone
        }
        self.close_active();
    }

    fn close_active(&mut self) {
        if let Some(active) = self.active.take() {
            self.stats.rotations += 1;
            self.push_closed(active.close());
        }
    }

    fn push_closed(&mut self, segment: SegmentInfo) {
        self.closed_bytes += segment.bytes;
        self.closed.push_back(segment);
    }

    /// Creates the next segment with the unsynced frames in it, leaving room for `bytes` more.
    fn start_segment(&mut self, bytes: u64) -> Result<(), FileError> {
        debug_assert!(self.active.is_none(), "W2");
        let header = if self.unsynced.is_empty() { HEADER_LEN as u64 } else { 0 }; // else counted
        self.make_room(header + bytes)?;
        let (name, mut active) = self.create_segment()?;
        let begun = active.begin(name, &mut self.unsynced).and_then(|()| {
            self.fs.sync_dir(&self.dir).inspect_err(|_| self.stats.failed_dir_syncs += 1)
        });
        if let Err(source) = begun {
            let path = active.path().to_path_buf();
            let bytes = active.abandon().bytes;
            drop(active);
            self.unlink(path.clone(), bytes).ok(); // counted, and tried again later
            return Err(FileError { path, source });
        }
        debug_assert!(active.bytes() <= MAX_FILE_BYTES);
        self.active = Some(active);
        self.unlink_superseded(|s| !s.until_synced);
        Ok(())
    }

    fn create_segment(&mut self) -> Result<(SegmentName, Active), FileError> {
        let first_sequence = self.unsynced.first_sequence().unwrap_or(self.next_sequence);
        let mut attempts = CREATE_ATTEMPTS;
        loop {
            let id = self.next_id.max(first_sequence);
            self.next_id = id + 1; // an id is tried once, whatever comes of it
            let name = SegmentName { hour: self.hour, id };
            match Active::create(self.fs.as_ref(), &self.dir, name, first_sequence) {
                Ok(active) => return Ok((name, active)),
                Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists && attempts > 0 => {
                    attempts -= 1;
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes the frames since the mark, see the table in the module's header.
    fn write_since(&mut self, mark: Mark, records: u64) -> Result<(), FileError> {
        let mut attempts = 2;
        loop {
            let Some(active) = &mut self.active else {
                return self.start_segment(0); // takes the frames along
            };
            let last_sequence = self.unsynced.last_sequence();
            let Err(source) = active.write(self.unsynced.since(mark), records, last_sequence)
            else {
                return Ok(());
            };
            self.stats.failed_writes += 1;
            attempts -= 1;
            if active.cut_back().is_err() {
                self.poison();
            } else if attempts == 0 {
                return Err(FileError { path: active.path().to_path_buf(), source });
            }
        }
    }

    /// Gives the active segment up; its unsynced frames stay in memory.
    fn poison(&mut self) {
        if let Some(active) = self.active.take() {
            self.stats.poisoned_segments += 1;
            let segment = active.abandon();
            if segment.records > 0 {
                self.push_closed(segment);
            } else {
                self.superseded.push(Superseded { segment, until_synced: false });
            }
        }
    }

    /// Makes the records appended so far as safe as the policy promises, with one fsync for all of
    /// them, and returns the last one's sequence: up to it the owner may acknowledge. Under
    /// [`SyncPolicy::Os`] there is no fsync. The first commit after an open also covers what the
    /// replay delivered: call it before acknowledging one of those records when it is sent again.
    ///
    /// # Errors
    /// [`WalError::NotDurable`]: acknowledge nothing since the last success, call again later.
    /// Nothing is lost by it, the records stay in memory for another segment.
    pub fn commit(&mut self) -> Result<u64, WalError> {
        match self.options.sync {
            SyncPolicy::EveryRecord => self.sync(),
            SyncPolicy::Os if self.active.is_none() && !self.unsynced.is_empty() => {
                self.start_segment(0).map_err(|e| self.not_durable(e))?;
                Ok(self.last_sequence)
            }
            SyncPolicy::Os => Ok(self.last_sequence),
        }
    }

    /// Like [`Self::commit`] under [`SyncPolicy::EveryRecord`], whatever the policy.
    ///
    /// # Errors
    /// [`WalError::NotDurable`], as for [`Self::commit`].
    pub fn sync(&mut self) -> Result<u64, WalError> {
        if !self.unsynced.is_empty() && (self.active.is_none() || self.sync_active().is_err()) {
            self.start_segment(0).map_err(|e| self.not_durable(e))?;
            self.sync_active().map_err(|e| self.not_durable(e))?;
        }
        debug_assert!(self.unsynced.is_empty(), "W6");
        self.durable_sequence = self.last_sequence;
        Ok(self.durable_sequence)
    }

    /// Syncs the active segment, or poisons it (W5).
    fn sync_active(&mut self) -> Result<(), FileError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        match active.sync() {
            Ok(()) => {
                self.stats.syncs += 1;
                self.unsynced.clear();
                self.unlink_superseded(|_| true);
                Ok(())
            }
            Err(source) => {
                let path = active.path().to_path_buf();
                self.stats.failed_syncs += 1;
                self.poison();
                Err(FileError { path, source })
            }
        }
    }

    fn not_durable(&self, error: FileError) -> WalError {
        WalError::NotDurable {
            first_sequence: self.unsynced.first_sequence().unwrap_or(self.next_sequence),
            last_sequence: self.unsynced.last_sequence(),
            bytes: self.unsynced.len(),
            path: error.path,
            source: error.source,
        }
    }

    /// Bytes of the segments; what waits in memory counts as the segment that it will be.
    fn bytes(&self) -> u64 {
        self.closed_bytes
            + match &self.active {
                Some(active) => active.bytes(),
                None if self.unsynced.is_empty() => 0,
                None => HEADER_LEN as u64 + self.unsynced.len(),
            }
    }

    /// How full the log is.
    pub fn usage(&self) -> Usage {
        let open = self.active.is_some() || !self.unsynced.is_empty();
        let stuck = self.stuck.iter().map(|(_, bytes)| bytes);
        let superseded = self.superseded.iter().map(|s| &s.segment.bytes);
        Usage {
            bytes: self.bytes(),
            segments: self.closed.len() as u64 + u64::from(open),
            cap_bytes: self.options.max_bytes,
            unsynced_bytes: self.unsynced.len(),
            stuck_bytes: stuck.chain(superseded).sum(),
        }
    }

    /// Counters since the open.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The sequence that the next record would get.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Every record up to this sequence was synced, or released. After an open it may be less than
    /// what the replay delivers: the next [`Self::commit`] covers that too.
    pub fn durable_sequence(&self) -> u64 {
        self.durable_sequence
    }

    /// Every segment, open for reading, as long as it is now: for a backup. Records that were
    /// committed are in one of them, or were released or shed.
    ///
    /// # Errors
    /// [`WalError::Folder`].
    pub fn hold(&self) -> Result<Vec<HeldSegment>, WalError> {
        hold_segments(self.fs.as_ref(), &self.dir)
    }

    /// The settings.
    pub fn options(&self) -> &WalOptions {
        &self.options
    }
}
