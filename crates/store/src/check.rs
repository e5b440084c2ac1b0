//! `keyviz check`: everything that is stored, read once and compared with itself.
//!
//! Responsible for: every physical key parsed, every value decoded in full (version, checksum, layout),
//! lineage records against each other ([`lineages`]), blocks against records, coverage and the index of
//! buckets ([`hours`]), roll-ups against blocks ([`rollups`]), what is kept twice against its second copies
//! ([`copies`]), what lies under `damaged|`, the schema version.
//! Owns: nothing. One walk in key order: within a group the catalogue puts coverage, index and lineage
//! records before the blocks that are compared with them, and blocks before roll-ups.
//! Memory: of all groups the id and life of each lineage, of one group which windows were recorded (a
//! bit each), which buckets each hour names, the numbers of lineages and a sum for each roll-up.
//! Invariants: the store is not changed; what one comparison lacks because it is damaged is not told a
//! second time by the comparison.
//! Must not: read a clock; the caller says what has expired by now.
//! Proof: `check_test.rs`; `tests/tests/tools.rs` with real folders.

use std::collections::BTreeSet;

use keyviz_codec::marks::{Applied, BootMark, Freeze, LeaderEvent, Mark, Member, Upgrade};
use keyviz_codec::rollup::Chunk;
use keyviz_codec::{
    BucketIndex, CodecError, Coverage, HourBlocks, Key, Pin, lineage_record, numbers,
};
use keyviz_lineage::GroupId;

use crate::copies::SINCE_SCHEMA;
use crate::finding::{Findings, Severity};
use crate::offline::{OfflineStore, Unreadable, Walker};

mod copies;
mod hours;
mod lineages;
mod rollups;

use copies::Copies;
use hours::Hours;
use lineages::Lineages;
use rollups::Rollups;

/// Pairs between two reports of progress.
const PAIRS_A_REPORT: u64 = 8_192;
const RESTORE: &str = "restore a backup that is older than the damage, or run `keyviz repair`, which sets \
                       the value aside so that the rest is answered without it";
const RESTORE_RECORD: &str = "restore it from a backup (`keyviz restore`); until then its history is found by \
                              the keys that its blocks say";

/// How far a check is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Keys read.
    pub keys: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// What is being read, such as `range of group 3`.
    pub what: String,
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// The schema version, where it can be read.
    pub schema: Option<u64>,
    /// Keys read.
    pub keys: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Groups, without the node's own.
    pub groups: u64,
    /// Blocks that have expired and that compaction has not dropped yet.
    pub expired: u64,
    /// Values that an earlier write or repair set aside.
    pub set_aside: u64,
    /// What was found.
    pub findings: Findings,
}

/// Reads everything. Blocks, coverage and index entries of hours before `first_hour` have expired: they
/// must decode, and are compared with nothing, because compaction drops them one by one.
pub fn check(
    store: &OfflineStore,
    first_hour: u64,
    progress: &mut dyn FnMut(&CheckProgress),
) -> CheckReport {
    let mut checker = Checker {
        report: CheckReport::default(),
        at: CheckProgress::default(),
        progress,
        first_hour,
        group: None,
        groups: BTreeSet::new(),
        lineages: Lineages::new(first_hour),
        hours: Hours::default(),
        rollups: Rollups::default(),
        copies: Copies::default(),
    };
    if let Some(refusal) = &store.refusal {
        checker.report.findings.add(
            Severity::Error,
            None,
            "db/",
            format!("RocksDB does not open it as a node would: {refusal}"),
            "restore a backup; what could be read all the same is in this report",
        );
    }
    match store.schema() {
        Some(Ok(schema)) => checker.report.schema = Some(schema),
        Some(Err(_)) => {} // the walk comes by and tells it
        None => checker.report.findings.add(
            Severity::Warning,
            keyviz_codec::key_layout::NODE_GROUP,
            Key::Schema.to_string(),
            "there is no schema version: the folder is empty, or has lost it",
            "a start of keyviz writes it; if the folder is not new, restore a backup",
        ),
    }
    store.walk(&mut checker);
    let copies = std::mem::take(&mut checker.copies);
    if checker.report.schema.is_some_and(|schema| schema >= SINCE_SCHEMA) {
        copies.compare(store, &mut checker.report.findings);
    }
    checker.end()
}

struct Checker<'a> {
    report: CheckReport,
    at: CheckProgress,
    progress: &'a mut dyn FnMut(&CheckProgress),
    first_hour: u64,
    group: Option<GroupId>,
    groups: BTreeSet<GroupId>,
    lineages: Lineages,
    hours: Hours,
    rollups: Rollups,
    copies: Copies,
}

impl Walker for Checker<'_> {
    fn pair(&mut self, key: &[u8], value: &[u8]) {
        self.report.bytes += (key.len() + value.len()) as u64;
        self.report.keys += 1;
        let Some((group, parsed)) = Key::parse(key) else {
            self.report.findings.add(
                Severity::Error,
                None,
                key.escape_ascii().to_string(),
                format!("this physical key is not in the catalogue ({} bytes of value)", value.len()),
                "keyviz ignores it; if a newer keyviz wrote it, use that one, else restore a backup",
            );
            return;
        };
        self.copies.note(key, value);
        self.enter(group);
        if self.report.keys % PAIRS_A_REPORT == 1 {
            self.tell_progress(group, &parsed);
        }
        let first_hour = self.first_hour;
        let has_expired = matches!(parsed, Key::Range { hour, .. } if hour < first_hour);
        self.report.expired += u64::from(has_expired);
        if let Err(error) = self.value(group, &parsed, value, has_expired) {
            self.spoiled(group, &parsed, &error);
        }
    }

    fn unreadable(&mut self, stretch: &Unreadable<'_>) {
        self.copies.has_holes = true;
        let name = |key: &[u8]| match Key::parse(key) {
            Some((group, key)) => format!("{key} of group {group}"),
            None => key.escape_ascii().to_string(),
        };
        let after = match stretch.after {
            [] => "the beginning".to_owned(),
            key => name(key),
        };
        let before = stretch.before.map_or("the end".to_owned(), name);
        let group = stretch.after.first_chunk().map(|group| GroupId::from_be_bytes(*group));
        self.report.findings.add(
            Severity::Error,
            group,
            format!("from {after} to {before}"),
            format!("RocksDB cannot read the keys between them: {}", stretch.source),
            "restore a backup; check the disk first. The rest of this report is without these keys",
        );
        self.hours.has_holes = true;
        self.lineages.has_holes = true;
    }
}

impl Checker<'_> {
    fn enter(&mut self, group: GroupId) {
        let left = self.group.replace(group);
        if left != Some(group) {
            self.lineages.end_group(&mut self.report.findings);
            self.end_rollups(left);
            self.hours = Hours::new(self.hours.has_holes);
            if group != keyviz_codec::key_layout::NODE_GROUP {
                self.groups.insert(group);
            }
        }
    }

    fn end_rollups(&mut self, group: Option<GroupId>) {
        if self.hours.has_holes {
            self.rollups = Rollups::default();
        } else {
            self.rollups.end_group(group, &mut self.report.findings);
        }
    }

    fn tell_progress(&mut self, group: GroupId, key: &Key) {
        let name = key.to_string();
        let family = name.split('|').nth(2).unwrap_or_default();
        self.at = CheckProgress {
            keys: self.report.keys,
            bytes: self.report.bytes,
            what: format!("{family} of group {group}"),
        };
        (self.progress)(&self.at);
    }

    /// Decodes a value and compares it with what came before it.
    fn value(
        &mut self,
        group: GroupId,
        key: &Key,
        value: &[u8],
        has_expired: bool,
    ) -> Result<(), CodecError> {
        let findings = &mut self.report.findings;
        match key {
            Key::Range { lineage, hour } => {
                let blocks = HourBlocks::decode(value)?;
                if !has_expired {
                    self.lineages.block(group, *lineage, *hour, findings);
                    self.hours.block(group, *lineage, *hour, &blocks, findings);
                    if !self.hours.has_holes {
                        self.rollups.block(group, *lineage, *hour, &blocks, findings);
                    }
                }
            }
            Key::Numbers { chunk } => self.rollups.numbers(*chunk, numbers::decode(value)?),
            Key::Rollup { tier, series, hour, chunk } => {
                decodes(key, value)?;
                if *hour >= self.first_hour && !self.hours.has_holes {
                    let (of, place) = ((*tier, *series), (*hour, *chunk));
                    self.rollups.rollup(group, of, place, &Chunk::decode(value)?, findings);
                }
            }
            Key::Coverage { hour } => self.hours.coverage(*hour, &Coverage::decode(value)?),
            Key::Index { hour } => self.hours.index(*hour, &BucketIndex::decode(value)?),
            Key::Lineage { lineage } => {
                let record = lineage_record::decode(value)?;
                self.lineages.record(group, *lineage, &record, findings);
            }
            Key::Damaged { .. } => {
                self.report.set_aside += 1;
                if let Some(Key::Range { lineage, hour }) = key.set_aside() {
                    self.rollups.set_aside(lineage, hour);
                }
                findings.add(
                    Severity::Note,
                    group,
                    key.to_string(),
                    format!("{} damaged bytes were set aside under this key", value.len()),
                    "nothing needs them any more; they are kept for whoever looks into the damage",
                );
            }
            _ => decodes(key, value)?,
        }
        Ok(())
    }

    fn spoiled(&mut self, group: GroupId, key: &Key, error: &CodecError) {
        let advice = match (key, error) {
            (_, CodecError::Version { .. }) => {
                "read this folder with the newer keyviz that wrote it"
            }
            (Key::Lineage { .. }, _) => RESTORE_RECORD,
            _ => RESTORE,
        };
        match key {
            Key::Coverage { hour } => self.hours.no_coverage(*hour),
            Key::Index { hour } => self.hours.no_index(*hour),
            Key::Lineage { lineage } => self.lineages.damaged(*lineage),
            Key::Numbers { .. } => self.rollups.no_numbers(),
            Key::Range { lineage, hour } => self.rollups.no_block(*lineage, *hour),
            Key::Rollup { hour, chunk, .. } => self.rollups.no_rollup(*hour, *chunk),
            _ => {}
        }
        let what = error.to_string();
        self.report.findings.add(Severity::Error, group, key.to_string(), what, advice);
    }

    fn end(mut self) -> CheckReport {
        self.lineages.end_group(&mut self.report.findings);
        self.end_rollups(self.group);
        self.lineages.end(&mut self.report.findings);
        self.report.groups = self.groups.len() as u64;
        let (keys, bytes) = (self.report.keys, self.report.bytes);
        (self.progress)(&CheckProgress { keys, bytes, what: "the end".to_owned() });
        self.report
    }
}

/// Whether a value is what its key says: version, checksum and the whole layout.
pub(crate) fn decodes(key: &Key, value: &[u8]) -> Result<(), CodecError> {
    match key {
        Key::Range { .. } => drop(HourBlocks::decode(value)?),
        Key::Rollup { tier, .. } => {
            if Chunk::decode(value)?.tier() != *tier {
                let (what, field) = ("roll-up", "another tier than its key");
                return Err(CodecError::Invalid { what, field });
            }
        }
        Key::Numbers { .. } => drop(numbers::decode(value)?),
        Key::Upgrade => drop(Upgrade::decode(value)?),
        Key::Pin { .. } => drop(Pin::decode(value)?),
        Key::Freeze => drop(Freeze::decode(value)?),
        Key::Coverage { .. } => drop(Coverage::decode(value)?),
        Key::Index { .. } => drop(BucketIndex::decode(value)?),
        Key::Lineage { .. } => drop(lineage_record::decode(value)?),
        Key::Event { .. } => drop(LeaderEvent::decode(value)?),
        Key::Damaged { .. } => {}
        Key::Applied => drop(Applied::decode(value)?),
        Key::Member { .. } => drop(Member::decode(value)?),
        Key::Boot { .. } => drop(BootMark::decode(value)?),
        Key::Swept | Key::Dropped | Key::Schema | Key::Hlc => drop(u64::decode(value)?),
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_test.rs"]
mod check_test;
