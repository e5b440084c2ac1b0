//! One graph of the lineages that several nodes know.
//!
//! Ids are made of the command that created a lineage, so the same range on two nodes is one record; the
//! one that knows more of its end wins. A node that was never told of a command has met the range by its
//! columns and given it an id of its own: the same keys of the same group at the same time are the same
//! lineage, whatever it is called. What a node never heard to have ended, ends where its keys went.
//! Invariants: F2; live ranges of one group do not overlap (L1).
//! Must not: know columns.
//! Proof: `fan_out_test.rs`.

use std::collections::{BTreeMap, HashMap};

use keyviz_lineage::{Cause, GroupId, Hlc, KeyRange, LineageGraph, LineageId, LineageRecord};

/// A record, and which of the nodes know it: a bit each.
type Known = (LineageRecord, u64);

/// The records of each node as one graph, and the ids that stand for another's.
pub(super) fn merge<'a>(
    told: impl Iterator<Item = &'a [LineageRecord]>,
) -> (LineageGraph, HashMap<LineageId, LineageId>) {
    let mut known: BTreeMap<LineageId, Known> = BTreeMap::new();
    for (node, records) in told.enumerate() {
        // Of more than 64 nodes the others share bits: fewer aliases are found then.
        let bit = 1 << (node % 64);
        for record in records {
            match known.get_mut(&record.id) {
                None => drop(known.insert(record.id, (record.clone(), bit))),
                Some((held, nodes)) => {
                    join(held, record);
                    *nodes |= bit;
                }
            }
        }
    }
    let aliases = aliases(&known);
    for (id, of) in &aliases {
        let Some((alias, _)) = known.remove(id) else { continue };
        if let Some((held, _)) = known.get_mut(of) {
            held.valid_to = first(held.valid_to, alias.valid_to);
            held.successor = held.successor.or(alias.successor);
        }
    }
    let mut records: Vec<LineageRecord> = known.into_values().map(|(record, _)| record).collect();
    // A parent is born before its children.
    records.sort_unstable_by_key(|record| (record.valid_from, record.id));
    if !aliases.is_empty() {
        for record in &mut records {
            for parent in &mut record.parents {
                parent.id = aliases.get(&parent.id).copied().unwrap_or(parent.id);
            }
            let id = record.id;
            record.parents.retain(|parent| parent.id != id);
        }
    }
    end_parents(&mut records);
    end_overtaken(&mut records);
    (LineageGraph::from_records(records), aliases)
}

/// The earlier of two ends.
fn first(a: Option<Hlc>, b: Option<Hlc>) -> Option<Hlc> {
    a.into_iter().chain(b).min()
}

/// What two nodes say of one lineage.
fn join(held: &mut LineageRecord, other: &LineageRecord) {
    let is_lost = |record: &LineageRecord| record.cause == Cause::Recovered;
    match (is_lost(held), is_lost(other)) {
        (true, false) => held.clone_from(other),
        (false, true) => {}
        // What blocks tell of a life: as far as any node has some.
        (true, true) => {
            held.valid_from = held.valid_from.min(other.valid_from);
            held.valid_to = held.valid_to.max(other.valid_to);
        }
        (false, false) => {
            held.valid_to = first(held.valid_to, other.valid_to);
            held.successor = held.successor.max(other.successor);
            if other.parents.len() > held.parents.len() {
                held.parents.clone_from(&other.parents);
            }
        }
    }
}

/// Which id stands for which other: of lineages of the same keys and group that lived at the same time
/// and that no node knows both of, the one that a host decided, else the eldest, gives its name.
fn aliases(known: &BTreeMap<LineageId, Known>) -> HashMap<LineageId, LineageId> {
    let mut alike: HashMap<(GroupId, &KeyRange), Vec<&Known>> = HashMap::new();
    for known in known.values().filter(|(record, _)| record.cause != Cause::Recovered) {
        alike.entry((known.0.group, &known.0.range)).or_default().push(known);
    }
    let mut found = HashMap::new();
    for mut same in alike.into_values().filter(|same| same.len() > 1) {
        same.sort_unstable_by_key(|(r, _)| (r.cause == Cause::Backfill, r.valid_from, r.id));
        let end = |record: &LineageRecord| record.valid_to.map_or(u64::MAX, |end| end.0);
        let mut names: Vec<Known> = Vec::new();
        for (record, nodes) in same {
            let name = names.iter_mut().find(|(held, by)| {
                let meet = record.valid_from.0 < end(held) && held.valid_from.0 < end(record);
                meet && by & nodes == 0
            });
            match name {
                Some((name, by)) => {
                    *by |= nodes;
                    found.insert(record.id, name.id);
                }
                None => names.push((record.clone(), *nodes)),
            }
        }
    }
    found
}

/// L2: what somebody names as a parent has ended, where that ends it.
fn end_parents(records: &mut [LineageRecord]) {
    let mut ends: HashMap<LineageId, Hlc> = HashMap::new();
    for record in records.iter() {
        if matches!(record.cause, Cause::Split | Cause::Merge | Cause::Move) {
            for parent in &record.parents {
                let held = ends.entry(parent.id).or_insert(record.valid_from);
                *held = record.valid_from.min(*held);
            }
        }
    }
    for record in records.iter_mut().filter(|record| record.is_live()) {
        record.valid_to = ends.get(&record.id).copied().map(|end| end.max(record.valid_from));
    }
}

/// L1: of two that live on the same keys of a group, the younger has taken over. By birth.
fn end_overtaken(records: &mut [LineageRecord]) {
    let mut live: HashMap<GroupId, BTreeMap<Vec<u8>, usize>> = HashMap::new();
    for at in 0..records.len() {
        if !records[at].is_live() {
            continue;
        }
        let (group, range) = (records[at].group, records[at].range.clone());
        let held = live.entry(group).or_default();
        let before = held.range(..=range.start().to_vec()).next_back();
        let inside = held
            .range(range.start().to_vec()..)
            .take_while(|(start, _)| range.bounded_end().is_none_or(|end| start.as_slice() < end));
        let mut gone: Vec<usize> = before.into_iter().chain(inside).map(|(_, &at)| at).collect();
        gone.retain(|&other| records[other].range.overlaps(&range));
        gone.dedup();
        for other in gone {
            held.remove(records[other].range.start());
            records[other].valid_to = Some(records[at].valid_from);
        }
        held.insert(range.start().to_vec(), at);
    }
}
