//! What the other tests share: a log in memory, and an account of what it promised.
//!
//! The account checks, at every open:
//! - records come in rising order, each as it was appended under that sequence (W3);
//! - after a kill every accepted record is there, after a power cut every durable one (W6),
//!   but for those that were released or reported as shed (W8).

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::testing::{FaultyFs, PowerCut};
use crate::{NewRecord, RecoveryReport, SyncPolicy, Wal, WalError, WalOptions};

pub(crate) const DIR: &str = "/wal";

/// Small segments, so that a few records make many.
pub(crate) fn small() -> WalOptions {
    WalOptions {
        max_bytes: 4_000,
        segment_bytes: 200,
        max_record_bytes: 1_000,
        sync: SyncPolicy::EveryRecord,
        min_next_sequence: 1,
    }
}

pub(crate) type Owned = (u64, Vec<u8>);

pub(crate) fn open(fs: &FaultyFs, options: WalOptions) -> (Wal, Vec<Owned>, RecoveryReport) {
    try_open(fs, options).unwrap()
}

pub(crate) fn try_open(
    fs: &FaultyFs,
    options: WalOptions,
) -> Result<(Wal, Vec<Owned>, RecoveryReport), WalError> {
    let (wal, mut recovery) = Wal::open(Arc::new(fs.clone()), Path::new(DIR), options)?;
    let mut records = Vec::new();
    while let Some(record) = recovery.next_record() {
        assert_eq!((record.kind, record.flags), (record.payload.len() as u8, 7));
        records.push((record.sequence, record.payload.to_vec()));
    }
    Ok((wal, records, recovery.report().clone()))
}

pub(crate) fn append(wal: &mut Wal, hour: u64, payload: &[u8]) -> Result<u64, WalError> {
    wal.append(hour, payload.len() as u8, 7, payload)
}

pub(crate) fn segments(fs: &FaultyFs) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "log");
    fs.paths().into_iter().filter(is_segment).collect()
}

pub(crate) struct Rig {
    pub(crate) fs: FaultyFs,
    pub(crate) options: WalOptions,
    pub(crate) wal: Option<Wal>,
    /// Reads may fail for now: an open then need not deliver everything.
    pub(crate) lenient: bool,
    /// Whether a sync can be believed.
    pub(crate) honest: bool,
    made: u64,
    /// What was last tried under each sequence.
    tried: BTreeMap<u64, Vec<u8>>,
    /// The records of the last append.
    pub(crate) last: Vec<Owned>,
    pub(crate) accepted: BTreeSet<u64>,
    pub(crate) durable: BTreeSet<u64>,
    pub(crate) shed_records: u64,
    /// Sequences that were reported as shed: the owner's excuse, also if a file comes back.
    excused: BTreeSet<u64>,
    /// Of an earlier life and not durable, and the open could not deliver them.
    doubtful: BTreeSet<u64>,
}

impl Rig {
    pub(crate) fn new(options: WalOptions) -> Self {
        Self {
            fs: FaultyFs::new(),
            options,
            wal: None,
            lenient: false,
            honest: true,
            made: 0,
            tried: BTreeMap::new(),
            last: Vec::new(),
            accepted: BTreeSet::new(),
            durable: BTreeSet::new(),
            shed_records: 0,
            doubtful: BTreeSet::new(),
            excused: BTreeSet::new(),
        }
    }

    fn payload(&mut self, bytes: usize) -> Vec<u8> {
        self.made += 1;
        let made = self.made.to_le_bytes();
        made.iter().copied().cycle().take(bytes.max(8)).collect()
    }

    /// Appends records of these sizes in one batch; whether they were accepted.
    pub(crate) fn append(&mut self, hour: u64, sizes: &[usize]) -> bool {
        let payloads: Vec<Vec<u8>> = sizes.iter().map(|&n| self.payload(n)).collect();
        let Some(wal) = &mut self.wal else { return false };
        let records: Vec<NewRecord<'_>> = payloads
            .iter()
            .map(|p| NewRecord { kind: p.len() as u8, flags: 7, payload: p })
            .collect();
        self.last = (wal.next_sequence()..).zip(payloads.iter().cloned()).collect();
        self.tried.extend(self.last.iter().cloned());
        let appended = wal.append_batch(hour, &records);
        if let Ok(range) = &appended {
            assert_eq!(range.end - range.start, sizes.len() as u64);
            self.accepted.extend(range.clone());
        }
        self.note_shed(); // may take the first records of the batch itself
        let wal = self.wal.as_ref().unwrap();
        assert!(wal.usage().bytes <= wal.options().max_bytes, "W8");
        appended.is_ok()
    }

    fn note_shed(&mut self) {
        for shed in self.wal.as_mut().unwrap().take_shed() {
            let lost = |s: &u64| (shed.first_sequence..=shed.last_sequence).contains(s);
            self.shed_records += shed.records;
            self.excused.extend(shed.first_sequence..=shed.last_sequence);
            self.accepted.retain(|s| !lost(s));
            self.durable.retain(|s| !lost(s));
        }
    }

    pub(crate) fn commit(&mut self) -> bool {
        let Some(wal) = &mut self.wal else { return false };
        let committed = wal.commit();
        self.note_shed();
        if let Ok(up_to) = committed {
            assert!(self.accepted.last().is_none_or(|&last| last <= up_to));
            self.durable.extend(self.accepted.difference(&self.doubtful));
        }
        committed.is_ok()
    }

    pub(crate) fn release(&mut self, up_to: u64) {
        if let Some(wal) = &mut self.wal {
            wal.release(up_to).ok();
            // The owner's durable mark.
            self.options.min_next_sequence = self.options.min_next_sequence.max(up_to + 1);
            self.accepted.retain(|&s| s > up_to);
            self.durable.retain(|&s| s > up_to);
        }
    }

    /// Ends the process, and with `cut` the power; then opens. `None` if the open failed.
    pub(crate) fn restart(
        &mut self,
        cut: Option<PowerCut>,
    ) -> Option<(Vec<Owned>, RecoveryReport)> {
        self.wal = None;
        if let Some(cut) = cut {
            self.fs.power_cut(cut);
            self.accepted = self.durable.clone();
        }
        let (wal, records, report) = match try_open(&self.fs, self.options.clone()) {
            Ok(opened) => opened,
            Err(WalError::Folder { .. }) => return None,
            Err(e) => panic!("W1: {e}"),
        };
        self.check(&records, &report);
        // What was released may come back, but the owner goes by its mark and skips it.
        let mark = self.options.min_next_sequence;
        let counts = |s: &u64| *s >= mark && !self.excused.contains(s);
        let got: BTreeSet<u64> = records.iter().map(|(s, _)| *s).filter(counts).collect();
        if !self.honest {
            self.accepted.clear();
            self.durable.clear();
        }
        self.accepted.extend(&got);
        let unsafe_until_delivered = self.accepted.difference(&self.durable);
        self.doubtful = unsafe_until_delivered.filter(|s| !got.contains(s)).copied().collect();
        self.wal = Some(wal);
        Some((records, report))
    }

    fn check(&self, records: &[Owned], report: &RecoveryReport) {
        for pair in records.windows(2) {
            assert!(pair[0].0 < pair[1].0, "W3: {} then {}", pair[0].0, pair[1].0);
        }
        for (sequence, payload) in records {
            assert_eq!(self.tried.get(sequence), Some(payload), "W3: record {sequence}");
        }
        assert_eq!(report.records, records.len() as u64 + report.unreplayed_records);
        if !self.lenient && self.honest {
            let got: BTreeSet<u64> = records.iter().map(|(s, _)| *s).collect();
            let lost: Vec<&u64> = self.accepted.difference(&got).collect();
            assert!(lost.is_empty(), "W6: lost {lost:?}, {report:?}");
        }
    }

    /// A copy of this rig as if it went on without faults.
    pub(crate) fn healed_fork(&self) -> Self {
        Self {
            fs: self.fs.fork(),
            options: self.options.clone(),
            wal: None,
            lenient: false,
            honest: self.honest,
            made: self.made,
            tried: self.tried.clone(),
            last: Vec::new(),
            accepted: self.accepted.clone(),
            durable: self.durable.clone(),
            shed_records: 0,
            doubtful: BTreeSet::new(),
            excused: self.excused.clone(),
        }
    }
}
