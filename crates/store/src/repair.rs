//! `keyviz repair`: a plan of what can be mended without guessing, and its execution.
//!
//! | what does not decode | what is done |
//! |---|---|
//! | a block, coverage, an index, an event | set aside under `damaged\|`: what is left is answered without an error; the roll-ups keep what they say of a block |
//! | a roll-up | set aside, and computed anew from the blocks |
//! | a boot, member, HLC or sweep mark | set aside: without it a node starts; what that means is said |
//! | the applied mark, the schema version, an upgrade's mark, lineage numbers | nothing: without the first the WAL would be counted twice, or not at all, and nothing else says what the others say |
//! | a lineage record | nothing: a node walls it off by itself and finds the counts by their keys |
//! | a value of a newer format, a key that is not in the catalogue, keys that RocksDB cannot read | nothing |
//!
//! Invariants: planning changes nothing; before the first change RocksDB is kept as it was (hard links,
//! so it takes no space until something is compacted); every change moves bytes, none is thrown away;
//! all changes are one batch.
//! Must not: invent a value.
//! Proof: `repair_test.rs`.

use std::path::PathBuf;

use keyviz_codec::rollup::{self, Chunk, Entry};
use keyviz_codec::{CodecError, Key};
use keyviz_lineage::GroupId;
use rocksdb::checkpoint::Checkpoint;

use crate::check::decodes;
use crate::finding::{Findings, Severity};
use crate::offline::{OfflineStore, Unreadable, Walker};
use crate::retention::Retention;
use crate::{Batch, DataDir, Store, StoreError, StoreOptions, View};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The group.
    pub group: GroupId,
    /// Whose value goes.
    pub key: Key,
    /// Why.
    pub why: String,
    /// What is different afterwards.
    pub then: &'static str,
}

impl SetAside {
    /// Where the bytes go.
    pub fn to(&self) -> Key {
        self.key.quarantine()
    }
}

/// What would be done, and what cannot be.
#[derive(Debug, Default)]
pub struct RepairPlan {
    /// The changes, in key order.
    pub steps: Vec<SetAside>,
    /// What is wrong and stays so, with what to do.
    pub left: Findings,
}

/// Looks for what can be mended. Nothing is changed.
pub fn plan(store: &OfflineStore, progress: &mut dyn FnMut(u64)) -> RepairPlan {
    let mut planner = Planner { plan: RepairPlan::default(), keys: 0, progress };
    store.walk(&mut planner);
    planner.plan
}

/// Keeps RocksDB as it is in a folder beside it, then does what the plan says. Returns that folder; no
/// folder is made for an empty plan.
///
/// # Errors
/// A failure to open, to keep or to write; either everything was done or nothing.
pub fn repair(folder: &DataDir, plan: &RepairPlan) -> Result<Option<PathBuf>, StoreError> {
    if plan.steps.is_empty() {
        return Ok(None);
    }
    // Nothing expires in here: compaction may drop only what a node with a trusted clock lets it.
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    let store = Store::open(&folder.db(), options)?;
    let kept = folder.before_repair();
    let checkpoint = Checkpoint::new(&store.db).and_then(|it| it.create_checkpoint(&kept));
    checkpoint.map_err(|source| StoreError::Open { path: kept.clone(), source })?;
    let mut batch = Batch::default();
    let view = store.view(0);
    for step in &plan.steps {
        if let Some(bytes) = view.raw(step.group, &step.key)? {
            batch.put(step.group, &step.to(), bytes);
            match anew(&view, plan, step)? {
                Some(value) => batch.put(step.group, &step.key, value),
                None => batch.delete(step.group, &step.key),
            }
        }
    }
    store.commit(&batch)?;
    store.flush()?;
    Ok(Some(kept))
}

/// A roll-up from its blocks, as they will be when the plan is done; nothing for other keys.
fn anew(
    view: &View<'_>,
    plan: &RepairPlan,
    step: &SetAside,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Key::Rollup { tier, series, hour, chunk } = step.key else { return Ok(None) };
    let numbers = view.numbers(step.group)?;
    let mut values = Chunk::new(tier);
    for (slot, &lineage) in numbers.chunk(chunk as usize).iter().enumerate() {
        let key = Key::Range { lineage, hour };
        let goes = |other: &SetAside| other.group == step.group && other.key == key;
        if plan.steps.iter().any(goes) {
            continue;
        }
        let entry = match view.block(step.group, lineage, hour) {
            Ok(None) => continue,
            Ok(Some(block)) => rollup::of(&block, tier)[series as usize],
            // Whoever asks is sent to the block.
            Err(error) if error.is_damage() => Entry::Uneven,
            Err(error) => return Err(error),
        };
        values.set(slot, Some(entry));
    }
    Ok(Some(values.encode()))
}

struct Planner<'a> {
    plan: RepairPlan,
    keys: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Walker for Planner<'_> {
    fn pair(&mut self, key: &[u8], value: &[u8]) {
        self.keys += 1;
        if self.keys % 8_192 == 1 {
            (self.progress)(self.keys);
        }
        let Some((group, key)) = Key::parse(key) else {
            self.left(
                None,
                key.escape_ascii().to_string(),
                "it is not in the catalogue",
                "keyviz ignores it",
            );
            return;
        };
        if let Err(error) = decodes(&key, value) {
            self.decide(group, key, &error);
        }
    }

    fn unreadable(&mut self, stretch: &Unreadable<'_>) {
        let text = |key: &[u8]| key.escape_ascii().to_string();
        let (after, before) = (text(stretch.after), stretch.before.map(text).unwrap_or_default());
        self.left(
            None,
            format!("from {after:?} to {before:?}"),
            format!("RocksDB cannot read it: {}", stretch.source),
            "check the disk, then restore a backup",
        );
    }
}

impl Planner<'_> {
    fn decide(&mut self, group: GroupId, key: Key, error: &CodecError) {
        let then = match (&key, error) {
            (_, CodecError::Version { .. }) => {
                return self.left(
                    group,
                    key.to_string(),
                    error.to_string(),
                    "use the keyviz that wrote it",
                );
            }
            (Key::Lineage { .. }, _) => {
                let advice = "restore a backup to have its ancestry back; a node goes on without it and finds the \
                              counts by the keys that their blocks say";
                return self.left(group, key.to_string(), error.to_string(), advice);
            }
            (Key::Applied | Key::Schema | Key::Upgrade | Key::Numbers { .. }, _) => {
                let advice = "restore a backup: what it says cannot be told from anything else";
                return self.left(group, key.to_string(), error.to_string(), advice);
            }
            (Key::Range { .. }, _) => {
                "the cells of this hour are drawn as idle or missing, and late columns are stored again"
            }
            (Key::Coverage { .. }, _) => {
                "what was recorded in this hour and group is drawn as missing"
            }
            (Key::Index { .. }, _) => "the virtual buckets of this hour are not shown",
            (Key::Boot { .. }, _) => {
                "a node starts; an entry that this source sends again may count twice"
            }
            (Key::Member { .. }, _) => {
                "a node starts; the source is expected again from its next column on"
            }
            (Key::Hlc, _) => {
                "a node starts; if its clock went back, ids of lineages may not be in the order of time"
            }
            (Key::Pin { .. }, _) => "what it kept beyond the retention goes; set it anew",
            (Key::Freeze, _) => "a node starts, and freezes dropping anew where it must",
            (Key::Swept, _) => "a node starts, and sweeps again",
            (Key::Dropped, _) => {
                "where --retention was raised, hours that had expired before may look idle"
            }
            (Key::Event { .. }, _) => "this change of leader is not told",
            (Key::Rollup { .. } | Key::Damaged { .. }, _) => {
                "it is computed anew from the blocks: nothing is missing"
            }
        };
        let why = error.to_string();
        self.plan.steps.push(SetAside { group, key, why, then });
    }

    fn left(
        &mut self,
        group: impl Into<Option<GroupId>>,
        key: String,
        what: impl Into<String>,
        advice: &str,
    ) {
        self.plan.left.add(Severity::Error, group, key, what, advice);
    }
}

#[cfg(test)]
#[path = "repair_test.rs"]
mod repair_test;
