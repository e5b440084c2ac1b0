//! How what several nodes hold of one source's window becomes one contribution.
//!
//! A node adds up what the boots of a source told it of a window, and knows which boots those were.
//! So of one (source node, window): nodes that heard other boots add; of nodes that heard the same boots, or
//! some of another's, one counts. Where they say different things, or have some boots in common and
//! others not (what they share cannot be told apart any more), the larger is kept and flagged.
//! What sources say together (reads add, writes once a term) is decided as ever, by
//! [`keyviz_codec::cell`].
//! Invariants: F1, F2, F3.
//! Must not: know lineages.
//! Proof: `fan_out_test.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use keyviz_codec::{CellEntry, Contributor, Coverage, HourBlocks};
use keyviz_lineage::{Counts, Flags, GroupId, Series, Step};
use uuid::Uuid;

/// The boots that were heard of a window, each with what it covered; ascending.
type Boots = Vec<(Uuid, u64)>;

/// For a step and a source: the parts that heard of it, with the boots of each window.
type BySource = HashMap<(Step, Arc<str>), BTreeMap<usize, BTreeMap<u16, Boots>>>;

/// Which part heard which boots of whom, in one hour of a group.
#[derive(Debug, Default)]
pub(super) struct Holders(BySource);

impl Holders {
    pub(super) fn of<'a>(told: impl Iterator<Item = Option<&'a Coverage>>) -> Self {
        let mut found = BySource::new();
        for (part, coverage) in told.enumerate() {
            for (step, source, windows) in coverage.into_iter().flat_map(Coverage::iter) {
                let key = (step, Arc::from(source.node.as_str()));
                let held = found.entry(key).or_default().entry(part).or_default();
                for &(window, cover) in windows {
                    held.entry(window).or_default().push((source.boot, cover.covered_ms));
                }
            }
        }
        Self(found)
    }
}

/// One source's cells of one part, by group and term.
type PartCells<'a> = BTreeMap<(GroupId, u64), &'a [CellEntry]>;

/// One hour of one lineage, from every part that holds some of it.
pub(super) fn merge(mut parts: Vec<(usize, HourBlocks)>, holders: &Holders) -> HourBlocks {
    if parts.len() == 1 && holders.0.values().all(|parts| parts.len() == 1) {
        return parts.pop().map(|(_, blocks)| blocks).unwrap_or_default();
    }
    let mut merged = HourBlocks::default();
    let mut sources: BTreeMap<(Step, Arc<str>), BTreeMap<usize, PartCells<'_>>> = BTreeMap::new();
    for (part, blocks) in &parts {
        for block in blocks.blocks() {
            for (who, cells) in block.contributors() {
                let of_source = sources.entry((block.step(), Arc::clone(&who.node))).or_default();
                of_source.entry(*part).or_default().insert((who.group, who.term), cells);
            }
        }
    }
    for ((step, node), told) in sources {
        let heard = holders.0.get(&(step, Arc::clone(&node)));
        let block = merged.block_mut(step);
        let is_alone = told.len() == 1
            && heard.is_none_or(|heard| heard.keys().all(|part| told.contains_key(part)));
        if is_alone {
            for ((group, term), cells) in told.into_values().flatten() {
                block.add_all(&Contributor { node: Arc::clone(&node), group, term }, cells);
            }
            continue;
        }
        for (who, entry) in of_source(&told, heard) {
            let (group, term) = who;
            block.add(&Contributor { node: Arc::clone(&node), group, term }, entry);
        }
    }
    merged
}

/// What one part says of one source's window.
struct Claim<'a> {
    boots: Boots,
    cells: BTreeMap<(GroupId, u64), &'a CellEntry>,
}

impl Claim<'_> {
    fn shares_with(&self, other: &Self) -> bool {
        // Who said it is not known: it may be what the other says.
        let is_unknown = |claim: &Self| claim.boots.iter().all(|(boot, _)| boot.is_nil());
        if is_unknown(self) || is_unknown(other) {
            return true;
        }
        self.boots.iter().any(|(boot, _)| other.boots.iter().any(|(held, _)| held == boot))
    }

    /// Whether it heard everything that `other` did.
    fn holds(&self, other: &Self) -> bool {
        other.boots.iter().all(|(boot, covered_ms)| {
            self.boots.iter().any(|(held, ms)| held == boot && ms >= covered_ms)
        })
    }
}

/// The contributions of one source that several parts tell of, window by window.
fn of_source(
    told: &BTreeMap<usize, PartCells<'_>>,
    heard: Option<&BTreeMap<usize, BTreeMap<u16, Boots>>>,
) -> Vec<((GroupId, u64), CellEntry)> {
    let mut windows: BTreeMap<u16, BTreeMap<usize, Claim<'_>>> = BTreeMap::new();
    for (&part, cells) in told {
        for (&who, cells) in cells {
            for entry in *cells {
                let claims = windows.entry(entry.index).or_default();
                let new = || Claim { boots: Boots::new(), cells: BTreeMap::new() };
                claims.entry(part).or_insert_with(new).cells.insert(who, entry);
            }
        }
    }
    let mut found = Vec::new();
    for (window, mut claims) in windows {
        for (&part, heard) in heard.into_iter().flatten() {
            let Some(boots) = heard.get(&window) else { continue };
            let new = || Claim { boots: Boots::new(), cells: BTreeMap::new() };
            claims.entry(part).or_insert_with(new).boots.clone_from(boots);
        }
        for claim in claims.values_mut().filter(|claim| claim.boots.is_empty()) {
            // Who said it is not known (any more, or not yet): it shares with every other claim.
            claim.boots.push((Uuid::nil(), 0));
        }
        for alike in apart(claims.into_values().collect()) {
            found.extend(settle(window, &alike));
        }
    }
    found
}

/// Claims that share boots, directly or through others, together.
fn apart(claims: Vec<Claim<'_>>) -> Vec<Vec<Claim<'_>>> {
    let mut sets: Vec<Vec<Claim<'_>>> = Vec::new();
    for claim in claims {
        let (near, mut far): (Vec<_>, Vec<_>) = std::mem::take(&mut sets)
            .into_iter()
            .partition(|set| set.iter().any(|held| held.shares_with(&claim)));
        let mut joined: Vec<Claim<'_>> = near.into_iter().flatten().collect();
        joined.push(claim);
        far.push(joined);
        sets = far;
    }
    sets
}

/// What claims about the same boots come to: the largest, flagged where they do not agree.
fn settle(window: u16, claims: &[Claim<'_>]) -> Vec<((GroupId, u64), CellEntry)> {
    let is_whole =
        |claim: &&Claim<'_>| claims.iter().all(|other| claim.holds(other) || !other.holds(claim));
    let whole: Vec<&Claim<'_>> = claims.iter().filter(is_whole).collect();
    // Each holds what no other holds.
    let are_torn = whole.iter().any(|claim| !claim.holds(whole[0]) || !whole[0].holds(claim));
    let who: BTreeSet<(GroupId, u64)> =
        claims.iter().flat_map(|claim| claim.cells.keys().copied()).collect();
    let settle_one = |who: (GroupId, u64)| {
        let mut entry = CellEntry { index: window, ..CellEntry::default() };
        for held in claims.iter().filter_map(|claim| claim.cells.get(&who)) {
            for series in Series::ALL {
                let most = entry.counts.get_mut(series);
                *most = (*most).max(held.counts.get(series));
            }
            entry.flags = entry.flags.or(held.flags);
        }
        let counts_of =
            |claim: &&&Claim<'_>| claim.cells.get(&who).map_or(Counts::default(), |e| e.counts);
        if are_torn || whole.iter().any(|claim| counts_of(&claim) != entry.counts) {
            entry.flags = entry.flags.or(Flags::CONFLICT);
        }
        (who, entry)
    };
    who.into_iter().map(settle_one).collect()
}
