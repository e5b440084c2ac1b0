//! What happened to the ranges, for the time axis: births and ends of lineages, changes of leader.

use keyviz_lineage::{Cause, GroupId, LineageGraph, LineageId, LineageRecord, RouteId};

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum EventKind {
    Create,
    Split,
    Merge,
    Move,
    Drop,
    Backfill,
    Leader,
}

impl EventKind {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Split => "split",
            Self::Merge => "merge",
            Self::Move => "move",
            Self::Drop => "drop",
            Self::Backfill => "backfill",
            Self::Leader => "leader",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, Unix milliseconds.
    pub unix_ms: u64,
    /// What.
    pub kind: EventKind,
    /// Where.
    pub group: GroupId,
    /// The lineages that it opened, or closed for a drop.
    pub lineages: Vec<LineageId>,
    /// Their route numbers.
    pub routes: Vec<RouteId>,
    /// In words.
    pub text: String,
}

/// The births and ends in `[from_ms, to_ms)`, oldest first.
pub(crate) fn of_graph(graph: &LineageGraph, from_ms: u64, to_ms: u64) -> Vec<Event> {
    let within = |ms: u64| (from_ms..to_ms).contains(&ms);
    // Of what was recovered from its blocks, neither birth nor end is known.
    let records = || graph.records().filter(|record| record.cause != Cause::Recovered);
    let mut born: Vec<&LineageRecord> =
        records().filter(|record| within(record.valid_from.unix_ms())).collect();
    born.sort_by(|a, b| birth_key(a).cmp(&birth_key(b)));
    let mut events: Vec<Event> = born.chunk_by(|a, b| same_birth(a, b)).map(birth).collect();
    for record in records() {
        let Some(end) = record.valid_to.filter(|end| within(end.unix_ms())) else { continue };
        if graph.children(record.id).is_empty() && record.successor.is_none() {
            events.push(Event {
                unix_ms: end.unix_ms(),
                kind: EventKind::Drop,
                group: record.group,
                lineages: vec![record.id],
                routes: vec![record.route],
                text: format!("drop route {} {}", record.route, record.range),
            });
        }
    }
    events.sort_by_key(|event| (event.unix_ms, event.kind, event.group));
    events
}

type BirthKey<'a> = (u64, GroupId, [u8; 16], &'a [u8]);

fn birth_key(record: &LineageRecord) -> BirthKey<'_> {
    (record.valid_from.0, record.group, record.proposal, record.range.start())
}

fn same_birth(a: &LineageRecord, b: &LineageRecord) -> bool {
    (a.valid_from, a.group, a.proposal) == (b.valid_from, b.group, b.proposal)
}

fn birth(records: &[&LineageRecord]) -> Event {
    let first = records[0];
    let routes: Vec<RouteId> = records.iter().map(|record| record.route).collect();
    let list =
        |routes: &[RouteId]| routes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let (kind, text) = match first.cause {
        Cause::Create => (EventKind::Create, format!("create route {}", list(&routes))),
        Cause::Backfill | Cause::Recovered => {
            let text = format!("{} route {} {}", first.cause.name(), first.route, first.range);
            (EventKind::Backfill, text)
        }
        Cause::Split => {
            let keys: Vec<String> = records
                .iter()
                .skip(1)
                .map(|record| record.range.start().escape_ascii().to_string())
                .collect();
            (
                EventKind::Split,
                format!("split at {} into routes {}", keys.join(", "), list(&routes)),
            )
        }
        Cause::Merge => {
            let text = format!(
                "merge of {} ranges into route {} {}",
                first.parents.len(),
                first.route,
                first.range
            );
            (EventKind::Merge, text)
        }
        Cause::Move => {
            let from = first.parents.first().map_or(0, |parent| parent.group);
            (
                EventKind::Move,
                format!("move from group {from} to route {} of group {}", first.route, first.group),
            )
        }
    };
    Event {
        unix_ms: first.valid_from.unix_ms(),
        kind,
        group: first.group,
        lineages: records.iter().map(|record| record.id).collect(),
        routes,
        text,
    }
}
