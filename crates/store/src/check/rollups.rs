//! Roll-ups against the blocks that they summarise: every entry is that of the stored block, and every
//! stored block has its entries.
//!
//! Blocks come before roll-ups, one lineage after the other; roll-ups go hour by hour. So that neither is
//! kept or read twice, each block adds a hash of its entries to a sum of its chunk, and the roll-up must
//! have the same sum.
//! Owns: for one group, the numbers of its lineages and 64 bytes for each hour and chunk that has blocks.
//! Proof: `check_test.rs`.

use std::collections::{HashMap, HashSet};

use keyviz_codec::rollup::{self, Chunk, Entry, SLOTS, Tier};
use keyviz_codec::{HourBlocks, Key};
use keyviz_lineage::{GroupId, LineageId, Series};

use crate::finding::{Findings, Severity};

const ADVICE: &str = "wide questions answer from it: restore a backup, or report it";

/// One sum for each tier and series.
type Sums = [[u64; 4]; Tier::ALL.len()];

/// What the blocks of one group say.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    numbers: HashMap<LineageId, u32>,
    /// Not all numbers could be read.
    lacks_numbers: bool,
    sums: HashMap<(u64, u32), Sums>,
    /// Roll-ups that were seen, of those that must be.
    seen: HashSet<(u64, u32)>,
    /// Hours and chunks with a block that cannot be read.
    spoiled: HashSet<(u64, u32)>,
    /// Blocks that were set aside: their entries may still say what they held.
    aside: Vec<(LineageId, u64)>,
}

impl Rollups {
    pub(super) fn numbers(&mut self, chunk: u32, ids: Vec<LineageId>) {
        let first = chunk.saturating_mul(SLOTS as u32);
        self.numbers.extend(ids.into_iter().zip(first..));
        for (lineage, hour) in std::mem::take(&mut self.aside) {
            match self.numbers.contains_key(&lineage) {
                true => self.no_block(lineage, hour),
                false => self.aside.push((lineage, hour)),
            }
        }
    }

    pub(super) fn no_numbers(&mut self) {
        self.lacks_numbers = true;
    }

    /// The block of this lineage and hour was set aside.
    pub(super) fn set_aside(&mut self, lineage: LineageId, hour: u64) {
        self.aside.push((lineage, hour));
    }

    /// The block of this lineage and hour cannot be read.
    pub(super) fn no_block(&mut self, lineage: LineageId, hour: u64) {
        if let Some(number) = self.numbers.get(&lineage) {
            self.spoiled.insert((hour, number / SLOTS as u32));
        }
    }

    pub(super) fn block(
        &mut self,
        group: GroupId,
        lineage: LineageId,
        hour: u64,
        blocks: &HourBlocks,
        findings: &mut Findings,
    ) {
        let Some(number) = self.numbers.get(&lineage) else {
            if !self.lacks_numbers {
                let key = Key::Range { lineage, hour }.to_string();
                let what = "its lineage has no number, so no roll-up holds it";
                findings.add(Severity::Warning, group, key, what, ADVICE);
            }
            return;
        };
        let slot = number % SLOTS as u32;
        let sums = self.sums.entry((hour, number / SLOTS as u32)).or_default();
        for (tier, sums) in Tier::ALL.into_iter().zip(sums) {
            for (entry, sum) in rollup::of(blocks, tier).iter().zip(sums) {
                *sum = sum.wrapping_add(hash(slot, entry));
            }
        }
    }

    /// A roll-up of an hour whose blocks are retained.
    pub(super) fn rollup(
        &mut self,
        group: GroupId,
        (tier, series): (Tier, Series),
        (hour, chunk): (u64, u32),
        values: &Chunk,
        findings: &mut Findings,
    ) {
        if tier == Tier::ALL[0] && series == Series::Reads {
            self.seen.insert((hour, chunk));
        }
        if self.lacks_numbers || self.spoiled.contains(&(hour, chunk)) {
            return;
        }
        let at = Tier::ALL.iter().position(|held| *held == tier).unwrap_or(0);
        let expected = self.sums.get(&(hour, chunk)).map_or(0, |sums| sums[at][series as usize]);
        let slots = (0..SLOTS).filter_map(|slot| Some((slot as u32, values.get(slot)?)));
        let found = slots.fold(0u64, |sum, (slot, entry)| sum.wrapping_add(hash(slot, &entry)));
        if found != expected {
            let key = Key::Rollup { tier, series, hour, chunk }.to_string();
            let what = "it does not say what the blocks of its lineages say";
            findings.add(Severity::Error, group, key, what, ADVICE);
        }
    }

    /// The roll-up is there and cannot be read.
    pub(super) fn no_rollup(&mut self, hour: u64, chunk: u32) {
        self.seen.insert((hour, chunk));
    }

    pub(super) fn end_group(&mut self, group: Option<GroupId>, findings: &mut Findings) {
        let held = std::mem::take(self);
        let mut missing: Vec<_> =
            held.sums.into_keys().filter(|place| !held.seen.contains(place)).collect();
        missing.sort_unstable();
        for (hour, chunk) in missing {
            let (tier, series) = (Tier::ALL[0], Series::Reads);
            let key = Key::Rollup { tier, series, hour, chunk }.to_string();
            let what = "there are blocks for it, and it is not there";
            findings.add(Severity::Error, group, key, what, ADVICE);
        }
    }
}

/// Of an entry in its slot. Not for strangers: it only tells mistakes apart.
fn hash(slot: u32, entry: &Entry) -> u64 {
    let mut state = mix(u64::from(slot).wrapping_add(0x9E37_79B9_7F4A_7C15));
    match entry {
        Entry::Uneven => state = mix(state ^ 1),
        Entry::Even(windows) => {
            for window in windows {
                state = mix(state ^ window.sum);
                state = mix(state ^ window.max);
                state = mix(state ^ u64::from(window.flags.0));
            }
        }
    }
    state
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
