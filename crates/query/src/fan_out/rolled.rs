//! Roll-ups of hours that several nodes recorded and of which nothing finer is left.
//!
//! Where nodes recorded different windows, what they say adds up, and nothing is done here. Where they
//! recorded the same ones, a roll-up does not say whose counts it holds: reads of different sources add;
//! of anything else the larger counts, flagged where nodes differ. Their largest cells are combined by
//! the maximum, as everywhere.
//! Invariants: F2, F3.
//! Must not: touch what has finer columns (the plan asks for those then).
//! Proof: `fan_out_test.rs`.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_codec::Coverage;
use keyviz_codec::rollup::{Chunk, Columns, Entry, MAX_WINDOWS, SLOTS, Summary, Tier};
use keyviz_lineage::{Flags, GroupId, LineageId, Series};
use uuid::Uuid;

use super::HourRollups;

type ByHour = BTreeMap<GroupId, BTreeSet<u64>>;
type Windows = [Summary; MAX_WINDOWS];

/// All roll-ups that `told` brings, part by part, with those of `shared` hours merged.
pub(super) fn merge(
    told: Vec<(usize, GroupId, HourRollups)>,
    series: Series,
    shared: &ByHour,
    coverage: &[BTreeMap<(GroupId, u64), Coverage>],
) -> BTreeMap<GroupId, Vec<HourRollups>> {
    let mut merged: BTreeMap<GroupId, Vec<HourRollups>> = BTreeMap::new();
    let mut open: BTreeMap<(GroupId, u64, Tier), Vec<(usize, HourRollups)>> = BTreeMap::new();
    for (part, group, rollups) in told {
        if shared.get(&group).is_some_and(|hours| hours.contains(&rollups.hour)) {
            let key = (group, rollups.hour, rollups.columns.tier());
            open.entry(key).or_default().push((part, rollups));
        } else {
            merged.entry(group).or_default().push(rollups);
        }
    }
    for ((group, hour, tier), told) in open {
        let adds = matches!(series, Series::Reads | Series::ReadBytes)
            && are_different_sources(coverage, (group, hour));
        let mut lineages: BTreeMap<LineageId, Windows> = BTreeMap::new();
        for (_, rollups) in &told {
            for (slot, &lineage) in rollups.lineages.iter().enumerate() {
                if lineage != Uuid::nil() && rollups.columns.taken.contains(slot) {
                    let more = windows(&rollups.columns, slot);
                    let held = lineages.entry(lineage).or_default();
                    held.iter_mut()
                        .zip(more)
                        .for_each(|(held, more)| *held = both(*held, more, adds));
                }
            }
        }
        let lineages: Vec<(LineageId, Windows)> = lineages.into_iter().collect();
        merged.entry(group).or_default().extend(lineages.chunks(SLOTS).map(|some| {
            let mut chunk = Chunk::new(tier);
            for (slot, (_, windows)) in some.iter().enumerate() {
                chunk.set(slot, Some(Entry::Even(*windows)));
            }
            let mut columns = Columns::default();
            // invariant: what a chunk encodes, decodes (R1 of the codec)
            let _ = columns.read(&chunk.encode());
            HourRollups { hour, lineages: some.iter().map(|(id, _)| *id).collect(), columns }
        }));
    }
    merged
}

/// Whether no two parts heard of the same source in an hour.
fn are_different_sources(
    coverage: &[BTreeMap<(GroupId, u64), Coverage>],
    at: (GroupId, u64),
) -> bool {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    coverage.iter().filter_map(|part| part.get(&at)).all(|coverage| {
        let own: BTreeSet<&str> =
            coverage.iter().map(|(_, source, _)| source.node.as_str()).collect();
        let is_new = seen.is_disjoint(&own);
        seen.extend(own);
        is_new
    })
}

fn windows(columns: &Columns, slot: usize) -> Windows {
    let mut windows = Windows::default();
    for (window, held) in windows.iter_mut().enumerate().take(columns.tier().windows()) {
        let at = window * SLOTS + slot;
        let flags = columns.flags.get(at).copied().unwrap_or(Flags::NONE);
        let max = columns.maxima.get(at).copied().unwrap_or(0);
        *held = Summary { sum: columns.sums[at], max, flags };
    }
    windows
}

fn both(a: Summary, b: Summary, adds: bool) -> Summary {
    let mut flags = a.flags.or(b.flags);
    let sum = if adds { a.sum.saturating_add(b.sum) } else { a.sum.max(b.sum) };
    if !adds && a.sum != b.sum && a.sum > 0 && b.sum > 0 {
        flags = flags.or(Flags::CONFLICT);
    }
    if sum == u64::MAX {
        flags = flags.or(Flags::SATURATED);
    }
    Summary { sum, max: a.max.max(b.max), flags }
}
