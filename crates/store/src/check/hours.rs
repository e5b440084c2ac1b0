//! Blocks against what their hour says: was each window with counts recorded by somebody, is each
//! virtual bucket named by the index?
//!
//! Owns: for one group, which windows of each hour were recorded, and the buckets of each hour.
//! Proof: `check_test.rs`.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_codec::{BucketIndex, Coverage, HourBlocks, Key};
use keyviz_lineage::{GroupId, LineageId, Step, id};

use crate::finding::{Findings, Severity};

/// A bit for each window of an hour.
type Windows = Vec<u64>;

/// What the hours of one group say.
#[derive(Debug, Default)]
pub(super) struct Hours {
    recorded: BTreeMap<(u64, Step), Windows>,
    buckets: BTreeMap<u64, Vec<LineageId>>,
    /// Hours whose coverage or index cannot be read: nothing is compared with them.
    spoiled_coverage: BTreeSet<u64>,
    spoiled_index: BTreeSet<u64>,
    /// Some keys could not be read: what is absent may be among them.
    pub(super) has_holes: bool,
}

impl Hours {
    pub(super) fn new(has_holes: bool) -> Self {
        Self { has_holes, ..Self::default() }
    }

    pub(super) fn coverage(&mut self, hour: u64, coverage: &Coverage) {
        for (step, _, windows) in coverage.iter() {
            let recorded = self.recorded.entry((hour, step)).or_default();
            recorded.resize(step.columns_per_hour().div_ceil(64), 0);
            for &(index, _) in windows {
                recorded[usize::from(index) / 64] |= 1 << (index % 64);
            }
        }
    }

    pub(super) fn index(&mut self, hour: u64, index: &BucketIndex) {
        // Ids ascend.
        self.buckets.insert(hour, index.entries.keys().copied().collect());
    }

    pub(super) fn no_coverage(&mut self, hour: u64) {
        self.spoiled_coverage.insert(hour);
    }

    pub(super) fn no_index(&mut self, hour: u64) {
        self.spoiled_index.insert(hour);
    }

    pub(super) fn block(
        &self,
        group: GroupId,
        lineage: LineageId,
        hour: u64,
        blocks: &HourBlocks,
        findings: &mut Findings,
    ) {
        if self.has_holes {
            return;
        }
        let key = || Key::Range { lineage, hour }.to_string();
        if id::is_virtual(lineage) && !self.spoiled_index.contains(&hour) {
            let named = self.buckets.get(&hour);
            if named.is_none_or(|named| named.binary_search(&lineage).is_err()) {
                findings.add(
                    Severity::Warning,
                    group,
                    key(),
                    "this virtual bucket is not in the index of its hour, so no answer shows it",
                    "restore a backup, or report it",
                );
            }
        }
        if self.spoiled_coverage.contains(&hour) {
            return;
        }
        for block in blocks.blocks() {
            let recorded = self.recorded.get(&(hour, block.step()));
            let is_recorded = |index: u16| {
                let word = recorded.and_then(|words| words.get(usize::from(index) / 64));
                word.is_some_and(|word| word >> (index % 64) & 1 == 1)
            };
            let entries = block.contributors().flat_map(|(_, entries)| entries);
            let unrecorded: BTreeSet<u16> =
                entries.map(|entry| entry.index).filter(|&index| !is_recorded(index)).collect();
            if let Some(first) = unrecorded.first() {
                let (count, step_ms) = (unrecorded.len(), block.step().ms());
                findings.add(
                    Severity::Warning,
                    group,
                    key(),
                    format!(
                        "{count} of its windows of {step_ms} ms (the first is number {first}) have counts, \
                         and no source recorded them"
                    ),
                    "their cells are drawn as missing; restore a backup, or report it",
                );
            }
        }
    }
}
