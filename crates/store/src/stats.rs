//! `keyviz stats`: what takes the space.
//!
//! Responsible for: keys and bytes by family, roll-up tier and group; cells; hours; RocksDB's levels.
//! Owns: nothing; one walk.
//! Must not: judge what it reads (that is `check`); what does not decode is counted.
//! Proof: `stats_test.rs`.

use std::collections::BTreeMap;

use keyviz_codec::{HourBlocks, Key};
use keyviz_lineage::GroupId;
use rocksdb::LiveFile;

use crate::StoreError;
use crate::offline::{OfflineStore, Unreadable, Walker};
use crate::open::FAMILY;

/// Keys, and the bytes of them and of their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Keys.
    pub keys: u64,
    /// Bytes of physical keys.
    pub key_bytes: u64,
    /// Bytes of values.
    pub value_bytes: u64,
}

impl Space {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.keys += 1;
        self.key_bytes += key.len() as u64;
        self.value_bytes += value.len() as u64;
    }

    /// Of keys and values.
    pub fn bytes(&self) -> u64 {
        self.key_bytes + self.value_bytes
    }
}

/// One level of RocksDB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// SST files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries in them, overwritten and deleted ones included.
    pub entries: u64,
}

/// What takes the space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Schema version, where it can be read.
    pub schema: Option<u64>,
    /// Everything.
    pub total: Space,
    /// By family, such as `range`, `rollup|1h`, `coverage` or `meta|boot`.
    pub families: BTreeMap<String, Space>,
    /// By group; 0 is the node's own.
    pub groups: BTreeMap<GroupId, Space>,
    /// Lineage-hours: values under `range|`.
    pub blocks: Space,
    /// Cells in them: one contributor's four counts of one window.
    pub cells: u64,
    /// The oldest and the newest hour of a block.
    pub hours: Option<(u64, u64)>,
    /// Values under `range|` that do not decode, and stretches of keys that cannot be read.
    pub unreadable: u64,
    /// RocksDB's levels.
    pub levels: BTreeMap<i32, Level>,
}

/// Reads everything.
///
/// # Errors
/// [`StoreError::Open`] when RocksDB does not list its files.
pub fn stats(
    store: &OfflineStore,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Stats, StoreError> {
    let schema = store.schema().and_then(Result::ok);
    let mut counter = Counter { stats: Stats { schema, ..Stats::default() }, progress };
    store.walk(&mut counter);
    let mut stats = counter.stats;
    stats.levels = levels(store.files()?);
    Ok(stats)
}

/// Files of the store's family, by level.
pub(crate) fn levels(files: Vec<LiveFile>) -> BTreeMap<i32, Level> {
    let mut levels: BTreeMap<i32, Level> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.column_family_name == FAMILY) {
        let level = levels.entry(file.level).or_default();
        level.files += 1;
        level.bytes += file.size as u64;
        level.entries += file.num_entries;
    }
    levels
}

struct Counter<'a> {
    stats: Stats,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Walker for Counter<'_> {
    fn pair(&mut self, key: &[u8], value: &[u8]) {
        let stats = &mut self.stats;
        stats.total.add(key, value);
        if stats.total.keys % 8_192 == 1 {
            (self.progress)(stats.total.keys, stats.total.bytes());
        }
        let Some((group, parsed)) = Key::parse(key) else {
            stats.families.entry("unknown".to_owned()).or_default().add(key, value);
            return;
        };
        stats.groups.entry(group).or_default().add(key, value);
        stats.families.entry(family(&parsed)).or_default().add(key, value);
        if let Key::Range { hour, .. } = parsed {
            stats.blocks.add(key, value);
            let (oldest, newest) = stats.hours.unwrap_or((hour, hour));
            stats.hours = Some((oldest.min(hour), newest.max(hour)));
            match HourBlocks::decode(value) {
                Ok(hour) => stats.cells += cells(&hour),
                Err(_) => stats.unreadable += 1,
            }
        }
    }

    fn unreadable(&mut self, _: &Unreadable<'_>) {
        self.stats.unreadable += 1;
    }
}

fn cells(hour: &HourBlocks) -> u64 {
    let parts = hour.blocks().iter().flat_map(|block| block.contributors());
    parts.map(|(_, entries)| entries.len() as u64).sum()
}

/// The family of a key, a roll-up's with its tier.
fn family(key: &Key) -> String {
    let name = key.to_string();
    let mut words = name.split('|').skip(2);
    let first = words.next().unwrap_or_default();
    match (first, words.next()) {
        ("meta" | "rollup", Some(second)) => format!("{first}|{second}"),
        _ => first.to_owned(),
    }
}

#[cfg(test)]
#[path = "stats_test.rs"]
mod stats_test;
