//! A biography as text for people.
//!
//! Each record has one line: under its first parent that is drawn, with its keys, its route and group,
//! how and when it was born, and when and how it ended. What has several parents (a merge) is drawn
//! under the first of them, and the others' lines say where.
//! A long history would drift to the right for ever, so the largest branch, once it holds
//! [`TRUNK_RECORDS`], goes on at its parent's indent, marked `▼`. Hence no line is indented by more than
//! the logarithm of the records (and [`TRUNK_RECORDS`]), and the text is linear in them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use keyviz_lineage::{Cause, GroupId, KeyRange, LineageGraph, LineageId, LineageRecord, RouteId};

use super::Relation;

/// Records that are drawn when nobody says how many.
const AUTO_RECORDS: usize = 200;
/// A branch of so many records is drawn at its parent's indent.
const TRUNK_RECORDS: usize = 16;
/// Wider ranges do not push the facts of the others to the right.
const MAX_ALIGNED: usize = 64;
/// Routes that a line lists.
const MAX_NAMES: usize = 8;

/// How far from the subject the drawing reaches, in generations up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// As far as some 200 lines allow, but one generation at least.
    #[default]
    Auto,
    /// So many generations.
    Generations(u32),
    /// Everything.
    All,
}

/// How keys and times are written.
pub struct Words<'a> {
    /// A bound that is not infinite.
    pub key: &'a dyn Fn(&[u8]) -> String,
    /// Unix milliseconds; the second is a time that stands on the same line before it.
    pub time: &'a dyn Fn(u64, Option<u64>) -> String,
}

/// A drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// One line a record, and one at the end that says what was left out.
    pub text: String,
    /// How many records are farther away than the drawing reaches.
    pub left_out: usize,
}

/// Draws the `records` of a biography, which are sorted by birth; those of the subject are marked `*`.
pub fn tree(
    graph: &LineageGraph,
    records: &[(&LineageRecord, Relation)],
    depth: Depth,
    words: &Words<'_>,
) -> Tree {
    let family = Family::of(records);
    let limit = family.limit(depth);
    let drawing = Drawing::new(graph, &family, limit, words);
    let lines = drawing.lines();
    let mut text = String::new();
    let aligned = |width: &dyn Fn(&Line) -> usize, most: usize| {
        lines.iter().map(width).filter(|&width| width <= most).max().unwrap_or(0)
    };
    let keys = aligned(&|line| line.keys.chars().count(), MAX_ALIGNED);
    let routes = aligned(&|line| line.route.len(), usize::MAX);
    for Line { keys: range, route, facts } in &lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{range:<keys$}  {route:<routes$}  {facts}");
    }
    let left_out = records.len() - lines.len();
    if left_out > 0 {
        let _ = writeln!(
            text,
            "… {left_out} of {} records are more than {limit} generation{} away, and not drawn",
            records.len(),
            if limit == 1 { "" } else { "s" },
        );
    }
    Tree { text, left_out }
}

/// The edges among the records of a biography, by their places in it.
struct Family<'a> {
    records: &'a [(&'a LineageRecord, Relation)],
    place: HashMap<LineageId, usize>,
    children: Vec<Vec<usize>>,
    /// Generations, up or down, from the newest that the subject was.
    distance: Vec<u32>,
}

impl<'a> Family<'a> {
    fn of(records: &'a [(&'a LineageRecord, Relation)]) -> Self {
        let place: HashMap<LineageId, usize> =
            records.iter().enumerate().map(|(at, (record, _))| (record.id, at)).collect();
        let mut children = vec![Vec::new(); records.len()];
        for (at, (record, _)) in records.iter().enumerate() {
            for parent in record.parents.iter().filter_map(|parent| place.get(&parent.id)) {
                children[*parent].push(at);
            }
        }
        let mut family = Self { records, place, children, distance: vec![u32::MAX; records.len()] };
        family.measure();
        family
    }

    fn parents(&self, at: usize) -> impl Iterator<Item = usize> {
        self.records[at].0.parents.iter().filter_map(|parent| self.place.get(&parent.id).copied())
    }

    /// A key has had one owner after the other: the last of them is where the distance begins.
    fn measure(&mut self) {
        let is_subject = |&at: &usize| self.records[at].1 == Relation::Itself;
        let newest = (0..self.records.len())
            .filter(is_subject)
            .filter(|&at| !self.children[at].iter().any(is_subject));
        let mut open: VecDeque<usize> = newest.collect();
        open.iter().for_each(|&at| self.distance[at] = 0);
        while let Some(at) = open.pop_front() {
            let farther = self.distance[at].saturating_add(1);
            let near: Vec<usize> =
                self.parents(at).chain(self.children[at].iter().copied()).collect();
            for next in near {
                if self.distance[next] == u32::MAX {
                    self.distance[next] = farther;
                    open.push_back(next);
                }
            }
        }
    }

    fn limit(&self, depth: Depth) -> u32 {
        match depth {
            Depth::All => u32::MAX,
            Depth::Generations(generations) => generations,
            Depth::Auto => {
                let mut distances = self.distance.clone();
                distances.sort_unstable();
                // The generation of the first record that is too many is not drawn.
                distances.get(AUTO_RECORDS).map_or(u32::MAX, |&at| at.saturating_sub(1).max(1))
            }
        }
    }
}

struct Line {
    /// Rails, mark and range.
    keys: String,
    route: String,
    facts: String,
}

/// Which record is drawn under which, and in which words.
struct Drawing<'a> {
    graph: &'a LineageGraph,
    family: &'a Family<'a>,
    words: &'a Words<'a>,
    is_drawn: Vec<bool>,
    /// The parent under which a record is drawn.
    under: Vec<Option<usize>>,
    /// What is drawn under a record.
    branches: Vec<Vec<usize>>,
    /// Route numbers that several of the records have had.
    twice: HashSet<(GroupId, RouteId)>,
}

impl<'a> Drawing<'a> {
    fn new(
        graph: &'a LineageGraph,
        family: &'a Family<'a>,
        limit: u32,
        words: &'a Words<'a>,
    ) -> Self {
        let count = family.records.len();
        let is_drawn: Vec<bool> = family.distance.iter().map(|&far| far <= limit).collect();
        let (mut under, mut branches) = (vec![None; count], vec![Vec::new(); count]);
        for at in (0..count).filter(|&at| is_drawn[at]) {
            under[at] = family.parents(at).find(|&parent| is_drawn[parent]);
            if let Some(parent) = under[at] {
                branches[parent].push(at);
            }
        }
        let mut seen = HashSet::new();
        let names = family.records.iter().map(|(record, _)| (record.group, record.route));
        let twice = names.filter(|&name| !seen.insert(name)).collect();
        Self { graph, family, words, is_drawn, under, branches, twice }
    }

    fn roots(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.is_drawn.len()).filter(|&at| self.is_drawn[at] && self.under[at].is_none())
    }

    /// How many records are drawn from each one on.
    fn weights(&self) -> Vec<usize> {
        let mut order: Vec<usize> = self.roots().collect();
        let mut done = 0;
        while let Some(&at) = order.get(done) {
            order.extend(&self.branches[at]);
            done += 1;
        }
        let mut weights = vec![0; self.is_drawn.len()];
        for &at in order.iter().rev() {
            weights[at] += 1;
            if let Some(parent) = self.under[at] {
                weights[parent] += weights[at];
            }
        }
        weights
    }

    fn lines(&self) -> Vec<Line> {
        let weights = self.weights();
        let mut lines = Vec::new();
        let mut open: Vec<(usize, String, String)> =
            self.roots().rev().map(|root| (root, String::new(), String::new())).collect();
        while let Some((at, lead, indent)) = open.pop() {
            lines.push(self.line(at, &lead));
            let heaviest = self.branches[at].iter().copied().rev().max_by_key(|&at| weights[at]);
            let trunk = heaviest.filter(|&branch| weights[branch] >= TRUNK_RECORDS);
            if let Some(trunk) = trunk {
                open.push((trunk, format!("{indent}▼"), indent.clone()));
            }
            let branches = self.branches[at].iter().rev().filter(|&&branch| Some(branch) != trunk);
            for (nth, &branch) in branches.enumerate() {
                let is_last = nth == 0 && trunk.is_none();
                let (knee, rail) = if is_last { ("└─", "  ") } else { ("├─", "│ ") };
                open.push((branch, format!("{indent}{knee}"), format!("{indent}{rail}")));
            }
        }
        lines
    }

    fn line(&self, at: usize, lead: &str) -> Line {
        let (record, relation) = self.family.records[at];
        let mark = if relation == Relation::Itself { '*' } else { ' ' };
        Line {
            keys: format!("{lead}{mark} {}", self.range(&record.range)),
            route: format!("route {} group {}", record.route, record.group),
            facts: format!("{}, {}  {}", self.birth(at), self.end(at), record.id),
        }
    }

    /// `split 2026-11-21T13:05:00.000Z`, and where from when the line above does not say it.
    fn birth(&self, at: usize) -> String {
        let (record, _) = self.family.records[at];
        let above = self.under[at].map(|above| self.family.records[above].0.id);
        let is_merge = record.cause == Cause::Merge;
        let unseen = record.parents.iter().filter(|parent| is_merge || Some(parent.id) != above);
        let from: Vec<String> = unseen
            .map(|parent| match self.graph.get(parent.id) {
                Some(parent) => self.name(parent, record.group),
                None => format!(
                    "{} of group {} (no longer kept)",
                    self.range(&parent.range),
                    parent.group
                ),
            })
            .collect();
        let born = (self.words.time)(record.valid_from.unix_ms(), None);
        let cause = record.cause.name();
        match from.is_empty() {
            true => format!("{cause} {born}"),
            false if is_merge => format!("{cause} {born} of {}", list(&from)),
            false => format!("{cause} {born} from {}", list(&from)),
        }
    }

    /// `alive`, or when it ended and what became of it.
    fn end(&self, at: usize) -> String {
        let (record, _) = self.family.records[at];
        let Some(end) = record.valid_to else { return "alive".to_owned() };
        let when = (self.words.time)(end.unix_ms(), Some(record.valid_from.unix_ms()));
        let children: Vec<&LineageRecord> =
            self.graph.children(record.id).iter().filter_map(|&id| self.graph.get(id)).collect();
        let born_by = |cause: Cause| -> Vec<String> {
            let born = children.iter().filter(|child| child.cause == cause);
            born.map(|child| self.name(child, record.group)).collect()
        };
        let (split, merged) = (born_by(Cause::Split), born_by(Cause::Merge));
        if let Some((group, route)) = record.successor {
            format!("moved {when} to route {route} of group {group}")
        } else if !split.is_empty() {
            format!("split {when} into {}", list(&split))
        } else if !merged.is_empty() {
            format!("merged {when} into {}{}", list(&merged), self.elsewhere(at))
        } else {
            let after: Vec<String> =
                children.iter().map(|child| self.name(child, record.group)).collect();
            match after.is_empty() {
                true => format!("dropped {when}"),
                false => format!("dropped {when}, later {}", list(&after)),
            }
        }
    }

    /// Where the survivor of a merge is drawn, if not below this line.
    fn elsewhere(&self, at: usize) -> String {
        let (record, _) = self.family.records[at];
        let drawn = self.family.children[at].iter().filter_map(|&child| self.under[child]);
        match drawn.into_iter().find(|&above| above != at) {
            None => String::new(),
            Some(above) => {
                let (above, _) = self.family.records[above];
                format!(" (drawn under {})", self.name(above, record.group))
            }
        }
    }

    /// `route 7`, with its group when that is not `beside`, and with its id where the number alone
    /// would not do.
    fn name(&self, record: &LineageRecord, beside: GroupId) -> String {
        let mut name = format!("route {}", record.route);
        if record.group != beside {
            let _ = write!(name, " of group {}", record.group);
        }
        if self.twice.contains(&(record.group, record.route)) {
            let _ = write!(name, " ({})", record.id);
        }
        name
    }

    fn range(&self, range: &KeyRange) -> String {
        let start = match range.start() {
            [] => "(-inf".to_owned(),
            start => format!("[{}", (self.words.key)(start)),
        };
        let end = range.bounded_end().map_or("+inf".to_owned(), self.words.key);
        format!("{start}, {end})")
    }
}

/// `routes 4, 5 and 6`, or the first few and how many more there are.
fn list(names: &[String]) -> String {
    let number = |name: &String| {
        let number = name.strip_prefix("route ")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.to_owned())
    };
    let numbers: Option<Vec<String>> = names.iter().map(number).collect();
    match numbers {
        Some(numbers) if numbers.len() > 1 => format!("routes {}", joined(&numbers)),
        _ => joined(names),
    }
}

fn joined(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        _ if names.len() > MAX_NAMES => {
            let listed = names[..MAX_NAMES].join(", ");
            format!("{listed} and {} more", names.len() - MAX_NAMES)
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
