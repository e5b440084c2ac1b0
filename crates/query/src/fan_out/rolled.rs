//! Roll-ups of hours that several nodes recorded.
//!
//! Where nodes recorded different windows, what they say adds up: here, so that a share of it is rounded
//! once, as for a node that recorded all of it. Where they recorded the same ones (and nothing finer is
//! left), a roll-up does not say whose counts it holds: reads of different sources add; of anything else
//! the larger counts, flagged where nodes differ. Their largest cells are combined by the maximum, as
//! everywhere.
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

/// All roll-ups that `told` brings, part by part, with those of the same hour merged.
pub(super) fn merge(
    told: Vec<(usize, GroupId, HourRollups)>,
    series: Series,
    shared: &ByHour,
    coverage: &[BTreeMap<(GroupId, u64), Coverage>],
) -> BTreeMap<GroupId, Vec<HourRollups>> {
    let mut merged: BTreeMap<GroupId, Vec<HourRollups>> = BTreeMap::new();
    let mut open: BTreeMap<(GroupId, u64, Tier), Vec<(usize, HourRollups)>> = BTreeMap::new();
    for (part, group, rollups) in told {
        let key = (group, rollups.hour, rollups.columns.tier());
        open.entry(key).or_default().push((part, rollups));
    }
    for ((group, hour, tier), told) in open {
        let of_one = told.iter().all(|(part, _)| *part == told[0].0);
        if of_one {
            merged.entry(group).or_default().extend(told.into_iter().map(|(_, rollups)| rollups));
            continue;
        }
        let is_shared = shared.get(&group).is_some_and(|hours| hours.contains(&hour));
        let adds = !is_shared
            || matches!(series, Series::Reads | Series::ReadBytes)
                && are_different_sources(coverage, (group, hour));
        let mut lineages: BTreeMap<LineageId, Entry> = BTreeMap::new();
        for (_, rollups) in &told {
            for (slot, &lineage) in rollups.lineages.iter().enumerate() {
                if lineage != Uuid::nil() && rollups.columns.taken.contains(slot) {
                    let more = entry(&rollups.columns, slot);
                    lineages
                        .entry(lineage)
                        .and_modify(|held| {
                            *held = if adds { held.plus(more) } else { larger(*held, more) };
                        })
                        .or_insert(more);
                }
            }
        }
        let lineages: Vec<(LineageId, Entry)> = lineages.into_iter().collect();
        merged.entry(group).or_default().extend(lineages.chunks(SLOTS).map(|some| {
            let mut chunk = Chunk::new(tier);
            for (slot, (_, entry)) in some.iter().enumerate() {
                chunk.set(slot, Some(*entry));
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

fn entry(columns: &Columns, slot: usize) -> Entry {
    if columns.uneven.contains(slot) {
        return Entry::Uneven;
    }
    let mut windows = [Summary::default(); MAX_WINDOWS];
    for (window, held) in windows.iter_mut().enumerate().take(columns.tier().windows()) {
        let at = window * SLOTS + slot;
        let flags = columns.flags.get(at).copied().unwrap_or(Flags::NONE);
        let max = columns.maxima.get(at).copied().unwrap_or(0);
        *held = Summary { sum: columns.sums[at], max, flags };
    }
    Entry::Even(windows)
}

/// The larger of what two nodes say of the same windows.
fn larger(held: Entry, more: Entry) -> Entry {
    let (Entry::Even(mut windows), Entry::Even(more)) = (held, more) else { return Entry::Uneven };
    for (held, more) in windows.iter_mut().zip(more) {
        let mut flags = held.flags.or(more.flags);
        if held.sum != more.sum && held.sum > 0 && more.sum > 0 {
            flags = flags.or(Flags::CONFLICT);
        }
        *held = Summary { sum: held.sum.max(more.sum), max: held.max.max(more.max), flags };
    }
    Entry::Even(windows)
}
