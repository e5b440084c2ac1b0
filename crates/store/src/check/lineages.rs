//! Lineage records against each other and against the blocks.
//!
//! Owns: the life of every record that was read, whom each names as its parents, and the live ranges
//! of the group that is being read.
//! Checks L1 (live ranges of one group do not overlap) and L2 (a closed side's end is the new side's
//! birth) of `docs/ARCHITECTURE.md`, as they are stored.
//! Proof: `check_test.rs`.

use std::collections::{HashMap, HashSet};

use keyviz_codec::Key;
use keyviz_lineage::{
    Cause, GroupId, Hlc, KeyRange, LineageId, LineageRecord, ParentRef, id, unix_hour,
};

use crate::finding::{Findings, Severity};

const REPORT: &str = "the ancestry that is drawn may be wrong; restore a backup, or report it";

#[derive(Clone, Copy, Debug)]
struct Life {
    group: GroupId,
    from: Hlc,
    to: Option<Hlc>,
}

#[derive(Debug)]
struct Birth {
    child: LineageId,
    group: GroupId,
    from: Hlc,
    cause: Cause,
    parent: LineageId,
    parent_group: GroupId,
    parent_from: Hlc,
}

/// What the records say.
#[derive(Debug)]
pub(super) struct Lineages {
    first_hour: u64,
    lives: HashMap<LineageId, Life>,
    damaged: HashSet<LineageId>,
    births: Vec<Birth>,
    live: Vec<(KeyRange, LineageId)>,
    /// The last lineage without a record that was told of.
    told: Option<LineageId>,
    /// Some keys could not be read: what is absent may be among them.
    pub(super) has_holes: bool,
}

impl Lineages {
    pub(super) fn new(first_hour: u64) -> Self {
        Self {
            first_hour,
            lives: HashMap::new(),
            damaged: HashSet::new(),
            births: Vec::new(),
            live: Vec::new(),
            told: None,
            has_holes: false,
        }
    }

    pub(super) fn damaged(&mut self, lineage: LineageId) {
        self.damaged.insert(lineage);
    }

    pub(super) fn record(
        &mut self,
        group: GroupId,
        lineage: LineageId,
        record: &LineageRecord,
        findings: &mut Findings,
    ) {
        let mut wrong = |what: String| {
            let key = Key::Lineage { lineage }.to_string();
            findings.add(Severity::Error, group, key, what, REPORT);
        };
        if record.id != lineage || record.group != group {
            let (id, of) = (record.id, record.group);
            wrong(format!("it is the record of lineage {id} of group {of}"));
        }
        if let Some(end) = record.valid_to.filter(|&end| end < record.valid_from) {
            wrong(format!("it ends at {end}, before its birth at {}", record.valid_from));
        }
        let (from, to) = (record.valid_from, record.valid_to);
        self.lives.insert(lineage, Life { group, from, to });
        for ParentRef { group: parent_group, id: parent, valid_from: parent_from, .. } in
            record.parents.iter().cloned()
        {
            let (child, cause) = (lineage, record.cause);
            let birth = Birth { child, group, from, cause, parent, parent_group, parent_from };
            self.births.push(birth);
        }
        if record.is_live() {
            self.live.push((record.range.clone(), lineage));
        }
    }

    /// A retained block of this lineage was read, behind every record of its group.
    pub(super) fn block(
        &mut self,
        group: GroupId,
        lineage: LineageId,
        hour: u64,
        findings: &mut Findings,
    ) {
        let has_record = self.lives.get(&lineage).is_some_and(|life| life.group == group);
        let needs_none = id::is_virtual(lineage) || id::is_unrecorded(lineage);
        if has_record
            || needs_none
            || self.has_holes
            || self.damaged.contains(&lineage)
            || self.told.replace(lineage) == Some(lineage)
        {
            return;
        }
        findings.add(
            Severity::Warning,
            group,
            Key::Range { lineage, hour }.to_string(),
            format!("lineage {lineage} has blocks from this hour on, and no record"),
            "its counts are shown by the keys that its blocks say, without its ancestry; restore its record from a backup",
        );
    }

    /// L1, for the group whose keys have all been read.
    pub(super) fn end_group(&mut self, findings: &mut Findings) {
        let mut live = std::mem::take(&mut self.live);
        live.sort_by(|(a, _), (b, _)| a.start().cmp(b.start()));
        let mut widest: Option<&(KeyRange, LineageId)> = None;
        for held in &live {
            let (range, lineage) = held;
            if let Some((other, other_id)) = widest.filter(|(other, _)| other.overlaps(range)) {
                findings.add(
                    Severity::Error,
                    self.lives.get(lineage).map(|life| life.group),
                    Key::Lineage { lineage: *lineage }.to_string(),
                    format!("its live range {range} overlaps {other} of lineage {other_id}, which lives too"),
                    REPORT,
                );
            }
            let reaches_farther = widest.is_none_or(|(other, _)| {
                keyviz_lineage::key_range::cmp_end(range.end(), other.end()).is_gt()
            });
            if reaches_farther {
                widest = Some(held);
            }
        }
    }

    /// L2, once every group has been read.
    pub(super) fn end(self, findings: &mut Findings) {
        for birth in &self.births {
            let Birth { parent, parent_group, .. } = birth;
            let mut tell = |severity, what: String, advice: &str| {
                let key = Key::Lineage { lineage: birth.child }.to_string();
                findings.add(severity, birth.group, key, what, advice);
            };
            let Some(life) = self.lives.get(parent) else {
                let is_retained = unix_hour(birth.from.unix_ms()) >= self.first_hour;
                if is_retained && !self.damaged.contains(parent) && !self.has_holes {
                    let what = format!("its parent {parent} of group {parent_group} has no record");
                    tell(Severity::Note, what, "the walk into its past ends there");
                }
                continue;
            };
            if life.group != birth.parent_group || life.from != birth.parent_from {
                let what = format!(
                    "it says that its parent {parent} was born at {} in group {parent_group}; the parent's \
                     record says {} in group {}",
                    birth.parent_from, life.from, life.group
                );
                tell(Severity::Warning, what, REPORT);
            }
            let closes_it = matches!(birth.cause, Cause::Split | Cause::Merge);
            if closes_it && life.to != Some(birth.from) {
                let ends = life.to.map_or("still lives".to_owned(), |to| format!("ends at {to}"));
                let (cause, from) = (birth.cause.name(), birth.from);
                let what =
                    format!("it was born by a {cause} at {from}, and its parent {parent} {ends}");
                tell(Severity::Warning, what, REPORT);
            }
        }
    }
}
