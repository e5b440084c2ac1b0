//! Who recorded when, and who is expected, over several nodes.
//!
//! Invariants: F2, F4; a window of a source is covered as far as the node that heard most of it says; it
//! is shed only where every node that heard of it lost it.
//! Must not: know cells.
//! Proof: `fan_out_test.rs`.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_codec::marks::Member;
use keyviz_codec::{BucketIndex, Coverage, WindowCover};
use keyviz_lineage::{GroupId, HOUR_MS, SourceId, Step};

use super::{GatheredGroup, GroupOutline, Part};

/// The coverage of one part by group and hour.
pub(super) fn by_hour(part: &Part) -> BTreeMap<(GroupId, u64), Coverage> {
    let groups = part.told().into_iter().flat_map(|outline| &outline.groups);
    groups
        .flat_map(|(&group, held)| {
            held.coverage.iter().map(move |(hour, coverage)| ((group, *hour), coverage.clone()))
        })
        .collect()
}

/// One group: members and buckets as everybody says, coverage as those do who answered.
pub(super) fn merge_group<'a>(
    all: impl Iterator<Item = &'a GroupOutline>,
    heard: impl Iterator<Item = &'a GroupOutline>,
) -> GatheredGroup {
    let mut hours: BTreeMap<u64, Vec<&Coverage>> = BTreeMap::new();
    let mut group = GatheredGroup::default();
    for held in heard {
        held.coverage.iter().for_each(|(hour, coverage)| {
            hours.entry(*hour).or_default().push(coverage);
        });
        group.unread.extend(held.unread.iter().cloned());
    }
    group.coverage = hours.into_iter().map(|(hour, told)| (hour, merge(&told))).collect();
    let mut members: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for held in all {
        for (name, member) in &held.members {
            members.entry(name).or_default().push(member);
        }
        for (hour, index) in &held.buckets {
            group.buckets.entry(*hour).or_insert_with(BucketIndex::default).merge(index);
        }
    }
    let newest = newest_windows(&group.coverage);
    group.members = members
        .into_iter()
        .map(|(name, told)| {
            let newest_ms = newest.get(name).copied().unwrap_or(0);
            (name.to_owned(), merge_members(&told, newest_ms))
        })
        .collect();
    group
}

fn merge(told: &[&Coverage]) -> Coverage {
    if let [only] = told {
        return (*only).clone();
    }
    let mut covers: BTreeMap<(Step, &SourceId, u16), WindowCover> = BTreeMap::new();
    for (step, source, windows) in told.iter().flat_map(|coverage| coverage.iter()) {
        for &(index, cover) in windows {
            let held = covers.entry((step, source, index)).or_default();
            held.covered_ms = held.covered_ms.max(cover.covered_ms);
            held.unattributed = held.unattributed.max(cover.unattributed);
        }
    }
    let mut merged = Coverage::default();
    for (&(step, source, index), &cover) in &covers {
        merged.add(step, source, index, cover);
    }
    for (at, coverage) in told.iter().enumerate() {
        for (step, source, index) in coverage.shed() {
            let has_it = |other: &&Coverage| {
                let lost = other.shed().any(|held| held == (step, source, index));
                let mut of_source = other.iter().filter(|(s, who, _)| (*s, *who) == (step, source));
                !lost && of_source.any(|(.., windows)| windows.iter().any(|(w, _)| *w == index))
            };
            let others = told.iter().enumerate().filter(|(other, _)| *other != at);
            if !others.map(|(_, other)| other).any(has_it) {
                merged.add_shed(step, source, index);
            }
        }
    }
    merged
}

/// Where the newest window of each node ends, Unix milliseconds.
fn newest_windows(coverage: &BTreeMap<u64, Coverage>) -> BTreeMap<&str, u64> {
    let mut newest = BTreeMap::new();
    for (hour, coverage) in coverage {
        for (step, source, windows) in coverage.iter() {
            let Some(&(last, _)) = windows.last() else { continue };
            let end_ms = hour * HOUR_MS + (u64::from(last) + 1) * step.ms();
            let held: &mut u64 = newest.entry(source.node.as_str()).or_default();
            *held = end_ms.max(*held);
        }
    }
    newest
}

/// When anybody expects a source. One that told one node that it leaves, and nobody anything since, has
/// left.
fn merge_members(told: &[&Member], newest_ms: u64) -> Member {
    let left_ms = told.iter().flat_map(|member| &member.spans).filter_map(|&(_, left)| left).max();
    let left_ms = left_ms.filter(|&left| newest_ms <= left);
    let spans = told.iter().flat_map(|member| &member.spans);
    let mut spans: Vec<(u64, Option<u64>)> = spans
        .map(|&(from, left)| (from, left.or(left_ms.filter(|&left_ms| left_ms >= from))))
        .collect();
    spans.sort_by_key(|&(from, _)| from);
    let mut merged: Vec<(u64, Option<u64>)> = Vec::new();
    for (from, left) in spans {
        match merged.last_mut() {
            Some((_, held)) if held.is_none_or(|held| from <= held) => {
                *held = held.zip(left).map(|(held, left)| held.max(left));
            }
            _ => merged.push((from, left)),
        }
    }
    Member { spans: merged }
}

/// Seconds of an hour; no step is shorter.
type Seconds = [u64; 57];

/// The hours of each group in which two parts recorded the same instant.
pub(super) fn shared_hours(
    told: &[BTreeMap<(GroupId, u64), Coverage>],
) -> BTreeMap<GroupId, BTreeSet<u64>> {
    let mut seen: BTreeMap<(GroupId, u64), Seconds> = BTreeMap::new();
    let mut shared: BTreeMap<GroupId, BTreeSet<u64>> = BTreeMap::new();
    for part in told {
        for (&(group, hour), coverage) in part {
            let mut own = [0; 57];
            for (step, _, windows) in coverage.iter() {
                let seconds = (step.ms() / 1_000) as usize;
                for &(index, _) in windows {
                    let first = usize::from(index) * seconds;
                    (first..first + seconds).for_each(|at| own[at / 64] |= 1u64 << (at % 64));
                }
            }
            let held = seen.entry((group, hour)).or_insert([0; 57]);
            if held.iter().zip(&own).any(|(held, own)| held & own != 0) {
                shared.entry(group).or_default().insert(hour);
            }
            held.iter_mut().zip(&own).for_each(|(held, own)| *held |= own);
        }
    }
    shared
}
