//! The biography of a range: every ancestor and descendant, as records and as a tree for people.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use keyviz_lineage::{GroupId, LineageGraph, LineageId, LineageRecord, RouteId};

/// Whose biography.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One lineage.
    Lineage(LineageId),
    /// Every lineage that had this route number, in any group.
    Route(RouteId),
    /// Every lineage alive in the span that owns this key.
    Key(Vec<u8>),
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

/// The records of a biography, oldest first.
pub fn records<'a>(
    graph: &'a LineageGraph,
    subject: &Subject,
    from_ms: u64,
    to_ms: u64,
) -> Vec<(&'a LineageRecord, Relation)> {
    let is_subject = |record: &LineageRecord| match subject {
        Subject::Lineage(id) => record.id == *id,
        Subject::Route(route) => record.route == *route && record.alive_within(from_ms, to_ms),
        Subject::Key(key) => record.range.contains(key) && record.alive_within(from_ms, to_ms),
    };
    let own: Vec<LineageId> =
        graph.records().filter(|record| is_subject(record)).map(|record| record.id).collect();
    let mut found: BTreeMap<LineageId, Relation> =
        own.iter().map(|&id| (id, Relation::Itself)).collect();
    let parents = |record: &LineageRecord| record.parents.iter().map(|parent| parent.id).collect();
    let children = |record: &LineageRecord| graph.children(record.id).to_vec();
    reach(graph, &own, Relation::Ancestor, &parents, &mut found);
    reach(graph, &own, Relation::Descendant, &children, &mut found);
    let mut records: Vec<_> =
        found.into_iter().filter_map(|(id, relation)| Some((graph.get(id)?, relation))).collect();
    records.sort_by(|(a, _), (b, _)| {
        (a.valid_from, a.range.start(), a.id).cmp(&(b.valid_from, b.range.start(), b.id))
    });
    records
}

fn reach(
    graph: &LineageGraph,
    from: &[LineageId],
    relation: Relation,
    next: &dyn Fn(&LineageRecord) -> Vec<LineageId>,
    found: &mut BTreeMap<LineageId, Relation>,
) {
    let mut seen: HashSet<LineageId> = from.iter().copied().collect();
    let mut open: Vec<LineageId> =
        from.iter().filter_map(|&id| graph.get(id)).flat_map(next).collect();
    while let Some(id) = open.pop() {
        if let Some(record) = graph.get(id).filter(|_| seen.insert(id)) {
            found.entry(id).or_insert(relation);
            open.extend(next(record));
        }
    }
}

/// The biography as a tree: each lineage under its first parent, with bounds, times and cause.
/// `time` writes Unix milliseconds for people.
pub fn tree(records: &[(&LineageRecord, Relation)], time: &dyn Fn(u64) -> String) -> String {
    let ids: HashSet<LineageId> = records.iter().map(|(record, _)| record.id).collect();
    let parent_of =
        |record: &LineageRecord| record.parents.iter().map(|p| p.id).find(|id| ids.contains(id));
    let mut text = String::new();
    let roots = records.iter().filter(|(record, _)| parent_of(record).is_none());
    for &(root, relation) in roots {
        branch(records, (root, relation), &parent_of, time, "", "", &mut text);
    }
    text
}

fn branch(
    records: &[(&LineageRecord, Relation)],
    (record, relation): (&LineageRecord, Relation),
    parent_of: &dyn Fn(&LineageRecord) -> Option<LineageId>,
    time: &dyn Fn(u64) -> String,
    lead: &str,
    indent: &str,
    text: &mut String,
) {
    let end = record.valid_to.map_or_else(|| "now".to_owned(), |end| time(end.unix_ms()));
    let mark = if relation == Relation::Itself { "*" } else { " " };
    let also: Vec<String> =
        record.parents.iter().skip(1).map(|parent| parent.range.to_string()).collect();
    let also = if also.is_empty() { String::new() } else { format!(" (with {})", also.join(", ")) };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{lead}{mark} {} route {} group {}: {} {}{also} .. {end}  {}",
        record.range,
        record.route,
        record.group,
        record.cause.name(),
        time(record.valid_from.unix_ms()),
        record.id
    );
    let children: Vec<_> =
        records.iter().filter(|(child, _)| parent_of(child) == Some(record.id)).collect();
    for (at, &&child) in children.iter().enumerate() {
        let last = at + 1 == children.len();
        let (knee, rail) = if last { ("└─", "  ") } else { ("├─", "│ ") };
        branch(
            records,
            child,
            parent_of,
            time,
            &format!("{indent}{knee}"),
            &format!("{indent}{rail}"),
            text,
        );
    }
}

/// The groups that a biography passes through.
pub fn groups(records: &[(&LineageRecord, Relation)]) -> Vec<GroupId> {
    let mut groups: Vec<GroupId> = records.iter().map(|(record, _)| record.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
