//! The start: sorts out whatever is in the folder and plans the replay.
//!
//! Responsible for: judging every file, cutting torn tails, setting bad segments aside, finding
//! the next sequence and segment id.
//! Owns: the folder while it runs; nothing after.
//! Invariants: W1; a segment with damage is copied before it is cut; where two segments hold a
//! sequence, the later one's record counts (it was written again because the earlier one's fsync
//! failed); what could not be read is never moved or pruned, the next start may be able to; what
//! the last life may not have synced is in memory for the first segment of this one (W5).
//! Must not: deliver records (that is `replay`), or fail for what a file holds.
//! Proved by: `damage_test.rs`, `fault_test.rs`.
//!
//! | what is found | what is done |
//! |---|---|
//! | bad tail, no later record is missing for it | torn: cut |
//! | damage before an intact record, or a bad tail although later records are missing | copied aside, skipped |
//! | nothing intact; another segment's header; larger than a segment can be | moved aside |
//! | no bytes, a header only, zeros only | removed |
//! | cannot be opened or read; newer format; a folder | left in place |

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::deliver::{Candidate, Delivery, carry_last, deliver_newest};
use crate::aside::{Aside, Kept};
use crate::error::WalError;
use crate::fs::{Access, Entry, FileSystem, Unreadable, read_lenient};
use crate::layout::{
    FRAME_HEADER_LEN, FileName, HEADER_LEN, Header, HeaderFault, MAX_FILE_BYTES, MAX_SEQUENCE,
    SegmentName,
};
use crate::options::WalOptions;
use crate::replay::Recovery;
use crate::report::{Finding, Reason, RecoveryReport, SequenceRange};
use crate::scan::{Extent, Stretch, scan};
use crate::segment::{SegmentInfo, Superseded, plan_shed};
use crate::unsynced::Unsynced;

mod deliver;

/// Foreign files that are listed one by one.
const LISTED_FOREIGN_FILES: u64 = 16;
/// A name alone moves the next id and sequence only up to here, so that a made-up one cannot use
/// them up.
const MAX_UNPROVEN_ID: u64 = 1 << 48;

/// What a start leads to.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Segments with records that no later one holds, by id.
    pub(crate) segments: VecDeque<SegmentInfo>,
    /// Segments without.
    pub(crate) superseded: Vec<Superseded>,
    /// Records that the last life may not have synced.
    pub(crate) carried: Unsynced,
    pub(crate) next_id: u64,
    pub(crate) next_sequence: u64,
    pub(crate) recovery: Recovery,
}

/// Sorts the folder out.
pub(crate) fn recover(
    fs: &Arc<dyn FileSystem>,
    dir: &Path,
    options: &WalOptions,
) -> Result<Recovered, WalError> {
    let folder = |doing: &'static str| {
        move |source| WalError::Folder { dir: dir.to_path_buf(), doing, source }
    };
    fs.create_dir_all(dir).map_err(folder("create"))?;
    let entries = fs.list(dir).map_err(folder("list"))?;
    let mut start = Start::new(fs.as_ref(), dir, options);
    let segments = start.classify(entries);
    let mut candidates = Vec::new();
    for (name, entry) in segments {
        candidates.extend(start.judge(name, &entry));
    }
    let kept = start.settle(candidates);
    let mut deliveries = deliver_newest(&kept);
    // With no id left, a segment would get a name that the next start does not take for one: what is
    // there stays where it is, and nothing can be appended.
    let has_id = start.next_id <= MAX_SEQUENCE;
    let carry = || carry_last(fs, &kept, &deliveries);
    let (carried, withheld_from) = match has_id.then(carry).unwrap_or(Ok(Unsynced::default())) {
        Ok(unsynced) => (unsynced, u64::MAX),
        Err(from) => (Unsynced::default(), from),
    };
    let carried_from = carried.first_sequence().unwrap_or(u64::MAX);
    let (segments, superseded) = start.account(&kept, &deliveries, carried_from);
    start.withhold(&kept, &mut deliveries, withheld_from);
    let next_segment = if carried.is_empty() { 0 } else { HEADER_LEN as u64 + carried.len() };
    let total = segments.iter().map(|s| s.bytes).sum::<u64>() + next_segment;
    start.report.over_cap = plan_shed(segments.iter(), total, options.max_bytes);
    let plan = deliveries.iter().map(|d| kept[d.index].piece(d)).collect();
    let report = start.finish();
    Ok(Recovered {
        segments,
        superseded,
        carried,
        next_id: start.next_id,
        next_sequence: start.next_sequence,
        recovery: Recovery::new(Arc::clone(fs), report, plan, start.buffer),
    })
}

struct Start<'a> {
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    aside: Aside<'a>,
    report: RecoveryReport,
    /// Findings with the segment id that orders them.
    findings: Vec<(u64, Finding)>,
    buffer: Vec<u8>,
    next_id: u64,
    next_sequence: u64,
    /// The largest id of a segment that was walled off although it may have held records.
    walled_id: u64,
}

impl<'a> Start<'a> {
    fn new(fs: &'a dyn FileSystem, dir: &'a Path, options: &'a WalOptions) -> Self {
        Self {
            fs,
            dir,
            aside: Aside::new(fs, dir, Vec::new()),
            report: RecoveryReport::default(),
            findings: Vec::new(),
            buffer: Vec::new(),
            next_id: 1,
            next_sequence: options.min_next_sequence.max(1),
            walled_id: 0,
        }
    }

    fn find(&mut self, id: u64, finding: Finding) {
        self.findings.push((id, finding));
    }

    /// Sorts the names; returns the segments by id.
    fn classify(&mut self, mut entries: Vec<Entry>) -> Vec<(SegmentName, Entry)> {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut segments, mut kept) = (Vec::new(), Vec::new());
        for entry in entries {
            let path = self.dir.join(&entry.name);
            match entry.name.to_str().map_or(FileName::Foreign, FileName::parse) {
                FileName::Segment(name) => segments.push((name, entry)),
                FileName::Aside(name, number) => {
                    kept.push(Kept { number, name, bytes: entry.bytes });
                }
                FileName::Partial => self.remove(0, path, Reason::Unfinished),
                FileName::Owners => {}
                FileName::Foreign => {
                    self.report.foreign_files += 1;
                    if self.report.foreign_files <= LISTED_FOREIGN_FILES {
                        self.find(0, Finding::Foreign { path });
                    }
                }
            }
        }
        self.aside = Aside::new(self.fs, self.dir, kept);
        segments.sort_by_key(|(name, _)| name.id);
        segments
    }

    fn remove(&mut self, id: u64, path: PathBuf, reason: Reason) {
        let finding = match self.fs.remove(&path) {
            Ok(()) => Finding::Removed { path, reason },
            Err(e) => Finding::Failed { path, doing: "remove it", kind: e.kind() },
        };
        self.find(id, finding);
    }

    fn move_aside(&mut self, name: SegmentName, bytes: u64, reason: Reason) {
        for finding in self.aside.move_here(name, bytes, reason) {
            self.find(name.id, finding);
        }
    }

    /// Looks into a file; returns it if it may hold records.
    fn judge(&mut self, name: SegmentName, entry: &Entry) -> Option<Candidate> {
        let path = self.dir.join(&entry.name);
        if !entry.is_file {
            self.find(name.id, Finding::LeftInPlace { path, reason: Reason::NotAFile });
            return None;
        }
        if entry.bytes > MAX_FILE_BYTES {
            self.walled_id = name.id;
            self.move_aside(name, entry.bytes, Reason::Oversized { bytes: entry.bytes });
            return None;
        }
        let unreadable = match self.read(&path, entry.bytes as usize) {
            Ok(unreadable) => unreadable,
            Err(kind) => {
                self.unproven(name, entry.bytes);
                let reason = Reason::Unreadable { kind };
                self.find(name.id, Finding::LeftInPlace { path, reason });
                return None;
            }
        };
        let header = match Header::decode(&self.buffer) {
            Ok(header) if header.name == name => Some(header),
            Ok(header) => {
                // Its sequences stay its own, should it be put back by hand.
                let original = scan(&self.buffer, Some(header), header.name.id);
                self.proven(header.name.id, original.next_sequence());
                let reason = Reason::Misnamed { hour: header.name.hour, id: header.name.id };
                self.move_aside(name, entry.bytes, reason);
                return None;
            }
            Err(HeaderFault::Version(version)) => {
                self.unproven(name, entry.bytes);
                let reason = Reason::UnknownVersion { version };
                self.find(name.id, Finding::LeftInPlace { path, reason });
                return None;
            }
            Err(HeaderFault::Damaged) => None,
        };
        let scan = scan(&self.buffer, header, name.id);
        if scan.next_sequence().is_some() {
            self.proven(name.id, scan.next_sequence());
        }
        let unreadable_to = unreadable.stretches.last().map_or(0, |(start, length)| start + length);
        let zeros = unreadable_to == 0 && self.buffer.iter().all(|&b| b == 0);
        let blank = header.is_none() && (self.buffer.len() < HEADER_LEN || zeros);
        if scan.next_sequence().is_none() && !blank {
            self.unproven(name, 0);
        }
        Some(Candidate { name, path, bytes: self.buffer.len(), scan, blank, unreadable_to })
    }

    /// Reads a file into the buffer. The error is that of a file of which nothing can be read.
    fn read(&mut self, path: &Path, bytes: usize) -> Result<Unreadable, std::io::ErrorKind> {
        let file = self.fs.open(path, Access::Read).map_err(|e| e.kind())?;
        let unreadable = read_lenient(file.as_ref(), bytes, &mut self.buffer);
        let lost: u64 = unreadable.stretches.iter().map(|(_, length)| length).sum();
        match &unreadable.first_error {
            Some(e) if lost == self.buffer.len() as u64 => Err(e.kind()),
            _ => Ok(unreadable),
        }
    }

    /// A segment's content proves its id and what comes after it.
    fn proven(&mut self, id: u64, next_sequence: Option<u64>) {
        self.next_id = self.next_id.max(id + 1);
        self.next_sequence = self.next_sequence.max(next_sequence.unwrap_or(0));
    }

    /// Only a name is known: by W9 it bounds the sequences that `bytes` can hold.
    fn unproven(&mut self, name: SegmentName, bytes: u64) {
        self.walled_id = self.walled_id.max(name.id);
        if name.id < MAX_UNPROVEN_ID {
            self.next_id = self.next_id.max(name.id + 1);
            if bytes > 0 {
                let beyond = name.id + bytes / FRAME_HEADER_LEN as u64 + 1;
                self.next_sequence = self.next_sequence.max(beyond);
            }
        }
    }

    /// Decides about damage and tails, now that all segments are known; returns those with
    /// records, by id.
    fn settle(&mut self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        // The least sequence in any later segment, for each.
        let mut later = u64::MAX;
        let mut firsts_after: Vec<u64> = Vec::with_capacity(candidates.len());
        for candidate in candidates.iter().rev() {
            firsts_after.push(later);
            later = later.min(candidate.scan.first_sequence().unwrap_or(u64::MAX));
        }
        firsts_after.reverse();
        let mut kept = Vec::new();
        for (candidate, first_after) in candidates.into_iter().zip(firsts_after) {
            kept.extend(self.settle_one(candidate, first_after));
        }
        kept
    }

    fn settle_one(&mut self, mut candidate: Candidate, first_after: u64) -> Option<Candidate> {
        let Candidate { name, bytes, .. } = candidate;
        let path = candidate.path.clone();
        let empty = candidate.scan.extents.is_empty();
        let tail = candidate.scan.tail;
        if empty && (tail.is_none() || candidate.blank) {
            self.report.torn_bytes += tail.map_or(0, |t| (t.end - t.start) as u64);
            self.remove(name.id, path, Reason::Empty);
            return None;
        }
        // A write that a crash cut short, or that was given up and written to the next segment.
        let expected = candidate.scan.next_sequence();
        let last = first_after == u64::MAX && self.walled_id < name.id;
        let followed = last || expected.is_some_and(|e| first_after <= e);
        let torn = tail.filter(|t| {
            expected.is_some() && followed && candidate.unreadable_to <= t.start as u64
        });
        if empty {
            match torn {
                Some(torn) => {
                    self.torn(&candidate, torn);
                    self.remove(name.id, path, Reason::Empty);
                }
                None => self.move_aside(name, bytes as u64, Reason::NothingIntact),
            }
            return None;
        }
        let mut damage = candidate.scan.damage.clone();
        damage.extend(tail.filter(|_| torn.is_none()));
        let mut may_cut = true;
        if !damage.is_empty() {
            may_cut = self.set_copy_aside(&candidate);
            for Stretch { start, end } in damage {
                let (offset, bytes) = (start as u64, (end - start) as u64);
                self.report.damaged_bytes += bytes;
                self.find(name.id, Finding::Damaged { path: path.clone(), offset, bytes });
            }
        }
        if let Some(torn) = torn {
            self.torn(&candidate, torn);
            if may_cut && self.cut(name.id, &path, torn.start as u64) {
                candidate.bytes = torn.start;
            } else {
                // What the tail holds may be readable another time: its sequences stay its own.
                let most = ((torn.end - torn.start) / FRAME_HEADER_LEN) as u64 + 1;
                self.proven(name.id, expected.map(|e| e + most));
            }
        }
        Some(candidate)
    }

    fn torn(&mut self, candidate: &Candidate, tail: Stretch) {
        let (offset, bytes) = (tail.start as u64, (tail.end - tail.start) as u64);
        self.report.torn_bytes += bytes;
        let path = candidate.path.clone();
        self.find(candidate.name.id, Finding::TornTail { path, offset, bytes });
    }

    /// Whether a copy of the segment is there now.
    fn set_copy_aside(&mut self, candidate: &Candidate) -> bool {
        if let Err(kind) = self.read(&candidate.path, candidate.bytes) {
            let path = candidate.path.clone();
            self.find(candidate.name.id, Finding::Failed { path, doing: "copy it aside", kind });
            return false;
        }
        let (copied, findings) = self.aside.copy_here(candidate.name, &self.buffer);
        for finding in findings {
            self.find(candidate.name.id, finding);
        }
        copied
    }

    fn cut(&mut self, id: u64, path: &Path, bytes: u64) -> bool {
        let cut = self.fs.open(path, Access::ReadWrite).and_then(|mut file| {
            file.truncate(bytes)?;
            file.sync_data()
        });
        if let Err(e) = &cut {
            let path = path.to_path_buf();
            self.find(id, Finding::Failed { path, doing: "cut its torn tail", kind: e.kind() });
        }
        cut.is_ok()
    }

    /// Counts what is kept; returns the segments that own records, and those that do not because
    /// later ones, or from `carried_from` on memory, hold them too.
    fn account(
        &mut self,
        kept: &[Candidate],
        deliveries: &[Delivery],
        carried_from: u64,
    ) -> (VecDeque<SegmentInfo>, Vec<Superseded>) {
        let mut infos: Vec<SegmentInfo> = kept.iter().map(info).collect();
        let mut expected = None;
        for delivery in deliveries {
            let Delivery { index, first_sequence: first, last_sequence: last, .. } = *delivery;
            self.report.records += last - first + 1;
            if let Some(expected) = expected.filter(|&expected| expected < first) {
                self.report.missing.push(SequenceRange { first: expected, last: first - 1 });
            }
            expected = Some(last + 1);
            let last = last.min(carried_from - 1);
            if first <= last {
                let info = &mut infos[index];
                if info.records == 0 {
                    info.first_sequence = first;
                }
                info.last_sequence = last;
                info.records += last - first + 1;
            }
        }
        let extents = || kept.iter().flat_map(|c| &c.scan.extents);
        let intact: u64 = extents().map(Extent::records).sum();
        self.report.segments = kept.len() as u64;
        self.report.bytes = extents().map(|e| (e.end - e.start) as u64).sum();
        self.report.duplicate_records = intact - self.report.records;
        let (owners, others): (Vec<_>, Vec<_>) = infos.into_iter().partition(|s| s.records > 0);
        let superseded =
            others.into_iter().map(|segment| Superseded { segment, until_synced: true }).collect();
        (owners.into(), superseded)
    }

    /// Takes the records from a sequence on out of the replay.
    fn withhold(&mut self, kept: &[Candidate], deliveries: &mut Vec<Delivery>, from: u64) {
        for delivery in deliveries.iter_mut().filter(|d| d.last_sequence >= from) {
            let first = delivery.first_sequence.max(from);
            self.report.unreplayed_records += delivery.last_sequence + 1 - first;
            delivery.last_sequence = first - 1;
            let path = kept[delivery.index].path.clone();
            let kind = std::io::ErrorKind::InvalidData;
            let doing = "read the same bytes again";
            self.find(kept[delivery.index].name.id, Finding::Failed { path, doing, kind });
        }
        deliveries.retain(|d| d.first_sequence <= d.last_sequence);
    }

    fn finish(&mut self) -> RecoveryReport {
        self.next_sequence = self.next_sequence.min(MAX_SEQUENCE);
        if let Err(e) = self.fs.sync_dir(self.dir) {
            let path = self.dir.to_path_buf();
            self.find(u64::MAX, Finding::Failed { path, doing: "sync it", kind: e.kind() });
        }
        self.findings.sort_by_key(|(id, _)| *id);
        self.report.findings = self.findings.drain(..).map(|(_, finding)| finding).collect();
        std::mem::take(&mut self.report)
    }
}

/// A kept segment that does not own any record yet.
fn info(candidate: &Candidate) -> SegmentInfo {
    let held_through = candidate.scan.extents.last().map_or(0, |e| e.last_sequence);
    SegmentInfo {
        path: candidate.path.clone(),
        bytes: candidate.bytes as u64,
        first_sequence: held_through,
        last_sequence: held_through,
        records: 0,
        held_through,
    }
}
