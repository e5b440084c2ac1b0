//! The biography of a range: every ancestor and descendant of it, as records and (in `tree`) as text
//! for people.
//!
//! Invariants: the edges make a DAG, and a history is as deep as it is long: nothing here recurses, and
//! all of it is linear in the records that it looks at. A parent that is no longer kept ends the walk.
//! Must not: do I/O, or know how keys and times are written (see [`Words`]).
//! Proof: `biography_test.rs`.

mod tree;

use std::collections::{HashMap, HashSet};

use keyviz_lineage::{LineageGraph, LineageId, LineageRecord, RouteId};

pub use tree::{Depth, Tree, Words, tree};

/// Whose biography.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One lineage.
    Lineage(LineageId),
    /// Every lineage that had this route number, in any group.
    Route(RouteId),
    /// Every lineage that owned this key.
    Key(Vec<u8>),
}

impl Subject {
    fn is(&self, record: &LineageRecord) -> bool {
        match self {
            Self::Lineage(id) => record.id == *id,
            Self::Route(route) => record.route == *route,
            Self::Key(key) => record.range.contains(key),
        }
    }
}

/// How a record belongs to the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// It is the subject.
    Itself,
    /// The subject's keys came from it.
    Ancestor,
    /// It got keys of the subject.
    Descendant,
}

impl Relation {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::Ancestor => "ancestor",
            Self::Descendant => "descendant",
        }
    }
}

/// The records of a biography, oldest first: what the subject was in any part of `[from_ms, to_ms)`
/// (Unix milliseconds), all that came before it and all that became of it. Empty: nothing is known of
/// the subject in that span.
pub fn records<'a>(
    graph: &'a LineageGraph,
    subject: &Subject,
    from_ms: u64,
    to_ms: u64,
) -> Vec<(&'a LineageRecord, Relation)> {
    let own: Vec<&LineageRecord> = candidates(graph, subject)
        .filter(|record| subject.is(record) && record.alive_within(from_ms, to_ms))
        .collect();
    let mut found: HashMap<LineageId, (&LineageRecord, Relation)> =
        own.iter().map(|&record| (record.id, (record, Relation::Itself))).collect();
    let parents = |record: &'a LineageRecord, open: &mut Vec<LineageId>| {
        open.extend(record.parents.iter().map(|parent| parent.id));
    };
    let children = |record: &'a LineageRecord, open: &mut Vec<LineageId>| {
        open.extend(graph.children(record.id));
    };
    reach(graph, &own, Relation::Ancestor, &parents, &mut found);
    reach(graph, &own, Relation::Descendant, &children, &mut found);
    let mut records: Vec<_> = found.into_values().collect();
    records.sort_unstable_by(|(a, _), (b, _)| {
        (a.valid_from, a.range.start(), a.id).cmp(&(b.valid_from, b.range.start(), b.id))
    });
    records
}

/// From the first birth to the last end (`None`: it lives) of all that the subject ever was, Unix
/// milliseconds; `None` when nothing is known of it at all.
pub fn lifetime(graph: &LineageGraph, subject: &Subject) -> Option<(u64, Option<u64>)> {
    let own = candidates(graph, subject).filter(|record| subject.is(record));
    let lives = own.map(|record| {
        (record.valid_from.unix_ms(), record.valid_to.map(keyviz_lineage::Hlc::unix_ms))
    });
    lives.reduce(|a, b| (a.0.min(b.0), a.1.zip(b.1).map(|(a, b)| a.max(b))))
}

/// The records among which the subject is.
fn candidates<'a>(
    graph: &'a LineageGraph,
    subject: &Subject,
) -> Box<dyn Iterator<Item = &'a LineageRecord> + 'a> {
    match subject {
        Subject::Lineage(id) => Box::new(graph.get(*id).into_iter()),
        Subject::Route(_) | Subject::Key(_) => Box::new(graph.records()),
    }
}

/// Adds what can be reached from `own` by `next`, as far as it is kept.
fn reach<'a>(
    graph: &'a LineageGraph,
    own: &[&'a LineageRecord],
    relation: Relation,
    next: &dyn Fn(&'a LineageRecord, &mut Vec<LineageId>),
    found: &mut HashMap<LineageId, (&'a LineageRecord, Relation)>,
) {
    let mut seen: HashSet<LineageId> = own.iter().map(|record| record.id).collect();
    let mut open = Vec::new();
    own.iter().for_each(|record| next(record, &mut open));
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        if let Some(record) = graph.get(id) {
            found.entry(id).or_insert((record, relation));
            next(record, &mut open);
        }
    }
}

#[cfg(test)]
#[path = "biography_test.rs"]
mod biography_test;
