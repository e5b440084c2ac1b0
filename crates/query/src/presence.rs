//! Which windows were recorded, by group: what tells idle from missing (contract section 5).
//!
//! For each unit window of the span: how many sources were expected, how many covered all of it, some
//! of it, or more than it. Built once a question, from the coverage of each group, and kept as runs of
//! equal units, because a span may hold half a million of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use keyviz_codec::marks::Member;
use keyviz_codec::{Coverage, WindowCover};
use keyviz_lineage::{Flags, GroupId, HOUR_MS, Step};
use keyviz_store::{History, StoreError};

use crate::CellState;
use crate::span::Span;

/// One group's coverage over the hours of a question.
pub(crate) struct GroupCoverage {
    pub(crate) hours: Vec<(u64, Coverage)>,
    pub(crate) members: Vec<(String, Member)>,
    /// Hours that cannot be read, and why.
    pub(crate) damaged: Vec<(u64, String)>,
}

/// Reads the coverage of every group.
pub(crate) fn read(
    history: &dyn History,
    groups: &BTreeSet<GroupId>,
    hours: &RangeInclusive<u64>,
) -> Result<BTreeMap<GroupId, GroupCoverage>, StoreError> {
    let mut found = BTreeMap::new();
    for &group in groups {
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        for (hour, coverage) in history.coverage(group, hours.clone()) {
            match coverage {
                Ok(coverage) => good.push((hour, coverage)),
                Err(error) => damaged.push((hour, error.to_string())),
            }
        }
        found.insert(
            group,
            GroupCoverage { hours: good, members: history.members(group)?, damaged },
        );
    }
    Ok(found)
}

/// The steps that were recorded within `[from_ms, to_ms)`.
pub(crate) fn recorded_steps(
    groups: &BTreeMap<GroupId, GroupCoverage>,
    from_ms: u64,
    to_ms: u64,
) -> BTreeSet<Step> {
    let mut steps = BTreeSet::new();
    for (hour, coverage) in groups.values().flat_map(|group| &group.hours) {
        for (step, _, windows) in coverage.iter() {
            let start = |index: u16| hour * HOUR_MS + u64::from(index) * step.ms();
            let inside = |&(index, _): &(u16, WindowCover)| {
                start(index) < to_ms && start(index) + step.ms() > from_ms
            };
            if windows.iter().any(inside) {
                steps.insert(step);
            }
        }
        let lost = coverage.shed().filter(|(step, _, at)| {
            let start_ms = hour * HOUR_MS + u64::from(*at) * step.ms();
            start_ms < to_ms && start_ms + step.ms() > from_ms
        });
        steps.extend(lost.map(|(step, ..)| step));
    }
    steps
}

/// A state, and whether any of it is stretched or shed.
pub(crate) type Seen = (CellState, Flags);

/// One group's presence over the span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence {
    /// `(first unit, state of it and those after it)`; `Measured` stands for "fully recorded" here.
    runs: Vec<(usize, CellState)>,
    /// Units in which some source covered more than a window's time, ascending.
    stretched: Vec<usize>,
    /// Units in which some source's column was shed and lost, ascending.
    shed: Vec<usize>,
    /// Operations on unknown routes, by column.
    pub(crate) unattributed: Vec<u64>,
}

impl Presence {
    /// The state of a stretch of units as one, and whether any of it is stretched or shed.
    pub(crate) fn over(&self, units: &Range<usize>) -> Seen {
        let first = self.runs.partition_point(|&(start, _)| start <= units.start).saturating_sub(1);
        let runs = self.runs[first..].iter().take_while(|&&(start, _)| start < units.end);
        let state = runs.map(|&(_, state)| state).reduce(combine).unwrap_or_default();
        let any = |held: &[usize]| {
            let first = held.partition_point(|&unit| unit < units.start);
            held.get(first).is_some_and(|&unit| unit < units.end)
        };
        let flag = |is_set: bool, flag: Flags| if is_set { flag } else { Flags::NONE };
        let stretched = flag(any(&self.stretched), Flags::STRETCHED);
        (state, stretched.or(flag(any(&self.shed), Flags::SHED)))
    }
}

impl Presence {
    /// [`Presence::over`] of each column: stretches of columns of which it says the same, all columns of
    /// the span.
    pub(crate) fn by_column(&self, span: &Span) -> Vec<(Range<usize>, Seen)> {
        let per_column = span.units_per_column();
        let runs = self.runs.iter().map(|&(first, _)| first);
        let alone = self.stretched.iter().chain(&self.shed).copied();
        // A column that is not like the one before it holds one of these units, or the one before does.
        let mut starts: Vec<usize> = runs
            .chain(alone)
            .map(|unit| unit / per_column)
            .flat_map(|column| [column, column + 1])
            .filter(|&column| column < span.columns())
            .collect();
        starts.extend([0, span.columns()]);
        starts.sort_unstable();
        starts.dedup();
        let stretches = starts.windows(2).map(|pair| pair[0]..pair[1]);
        stretches
            .map(|columns| {
                let first = columns.start * per_column;
                let seen = self.over(&(first..first + per_column));
                (columns, seen)
            })
            .collect()
    }
}

pub(crate) fn of_group(group: &GroupCoverage, span: &Span, now_ms: u64) -> Presence {
    let mut presence = Presence { unattributed: vec![0; span.columns()], ..Presence::default() };
    let mut hours =
        group.hours.iter().skip_while(|(hour, _)| hour < span.hours().start()).peekable();
    for hour in span.hours() {
        let units = span.units_within(hour * HOUR_MS, (hour + 1) * HOUR_MS);
        let (first, unit_ms) = (units.start, span.unit.ms());
        let mut covered = Covered { first, units: units.len(), unit_ms, ..Covered::default() };
        while let Some((_, coverage)) = hours.next_if(|(held, _)| *held == hour) {
            presence.add(hour, coverage, span, &mut covered);
        }
        if covered.is_whole(&group.members, hour) {
            presence.push(units.start, CellState::Measured);
            continue;
        }
        covered.spread();
        let members: Vec<(&Member, Option<&[u64]>)> = group
            .members
            .iter()
            .map(|(node, member)| (member, covered.nodes.get(node.as_str()).map(Vec::as_slice)))
            .collect();
        for unit in units {
            presence.push(unit, unit_state(&members, span, (unit, first), now_ms));
        }
    }
    for units in [&mut presence.stretched, &mut presence.shed] {
        units.sort_unstable();
        units.dedup();
    }
    presence
}

/// What the nodes covered of each unit of one hour, in milliseconds.
#[derive(Default)]
struct Covered<'a> {
    first: usize,
    units: usize,
    unit_ms: u64,
    nodes: BTreeMap<&'a str, Vec<u64>>,
    /// The only node so far, where it covered all of the hour: it is not among `nodes` yet.
    only: Option<&'a str>,
    /// Some window of some node is not wholly covered, or more than that.
    is_uneven: bool,
}

impl Covered<'_> {
    /// Whether everybody who is expected covered all of the hour. The rule: then nobody needs to look at
    /// its windows.
    fn is_whole(&self, members: &[(String, Member)], hour: u64) -> bool {
        let (from_ms, to_ms) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        let mut full = 0;
        !self.is_uneven
            && members.iter().all(|(node, member)| {
                let is_covered = self.only == Some(node) || self.nodes.contains_key(node.as_str());
                full += usize::from(is_covered);
                is_covered || !member.expected_within(from_ms, to_ms)
            })
            && full > 0
    }

    /// Puts everybody among `nodes`.
    fn spread(&mut self) {
        if let Some(node) = self.only.take() {
            self.nodes.insert(node, vec![self.unit_ms; self.units]);
        }
    }
}

impl Presence {
    fn push(&mut self, unit: usize, state: CellState) {
        if self.runs.last().is_none_or(|&(_, last)| last != state) {
            self.runs.push((unit, state));
        }
    }

    /// Adds what one stored coverage says.
    fn add<'a>(
        &mut self,
        hour: u64,
        coverage: &'a Coverage,
        span: &Span,
        covered: &mut Covered<'a>,
    ) {
        let lost = coverage.shed().map(|(step, _, at)| hour * HOUR_MS + u64::from(at) * step.ms());
        self.shed.extend(lost.filter_map(|start_ms| span.unit_of(start_ms)));
        let mut sources = coverage.iter();
        if let (Some((step, source, windows)), None) = (sources.next(), sources.next()) {
            let whole = WindowCover { covered_ms: step.ms(), unattributed: 0 };
            let is_whole = windows.len() == step.columns_per_hour()
                && windows.iter().all(|&(_, cover)| cover == whole);
            if is_whole && covered.only.is_none() && covered.nodes.is_empty() {
                // The rule: one boot of one node, all of the hour.
                covered.only = Some(&source.node);
                return;
            }
        }
        covered.spread();
        let sources: Vec<_> = coverage.iter().collect();
        for boots in sources.chunk_by(|a, b| (a.0, &a.1.node) == (b.0, &b.1.node)) {
            let (step, source, _) = boots[0];
            let mut of_window = vec![0u64; step.columns_per_hour()];
            for &(index, cover) in boots.iter().flat_map(|(_, _, windows)| *windows) {
                let Some(unit) = span.unit_of(hour * HOUR_MS + u64::from(index) * step.ms()) else {
                    continue;
                };
                let Some(held) = of_window.get_mut(usize::from(index)) else { continue };
                *held = held.saturating_add(cover.covered_ms);
                if cover.covered_ms.saturating_mul(10) > step.ms() * 11 {
                    self.stretched.push(unit);
                }
                if cover.unattributed > 0 {
                    let unattributed = &mut self.unattributed[unit / span.units_per_column()];
                    *unattributed = unattributed.saturating_add(cover.unattributed);
                }
            }
            covered.is_uneven |= covered.nodes.contains_key(source.node.as_str())
                || of_window.iter().any(|&ms| ms < step.ms());
            let units = covered.units;
            let node = covered.nodes.entry(&source.node).or_insert_with(|| vec![0; units]);
            for (index, ms) in of_window.into_iter().enumerate().filter(|&(_, ms)| ms > 0) {
                if let Some(unit) = span.unit_of(hour * HOUR_MS + index as u64 * step.ms()) {
                    // A stretched window does not stand in for a missing neighbour.
                    node[unit - covered.first] += ms.min(step.ms());
                }
            }
        }
    }
}

/// `members`: each with what it covered of every unit from `first` on, in milliseconds.
fn unit_state(
    members: &[(&Member, Option<&[u64]>)],
    span: &Span,
    (unit, first): (usize, usize),
    now_ms: u64,
) -> CellState {
    let start_ms = span.from_ms + unit as u64 * span.unit.ms();
    let (mut full, mut some, mut out) = (0, 0, 0);
    for (member, covered) in members {
        match covered.map_or(0, |units| units[unit - first]) {
            0 if member.expected_at(start_ms) => out += 1,
            0 => {}
            ms if ms < span.unit.ms() => some += 1,
            _ => full += 1,
        }
    }
    let late = start_ms + span.unit.ms() + 2 * span.unit.ms() > now_ms;
    match (full, some, out) {
        (_, 0, 0) if full > 0 => CellState::Measured,
        _ if late && (some > 0 || out > 0 || start_ms + span.unit.ms() > now_ms) => {
            CellState::Pending
        }
        (0, 0, _) => CellState::Missing,
        _ => CellState::Partial,
    }
}

/// Two stretches of time, or two groups, as one.
pub(crate) fn combine(a: CellState, b: CellState) -> CellState {
    use CellState::{Measured, Missing, Partial, Pending};
    match (a, b) {
        (a, b) if a == b => a,
        (Measured, Pending) | (Pending, Measured) => Pending,
        (Missing, Pending) | (Pending, Missing) | (Partial, _) | (_, Partial) => Partial,
        (Measured, Missing) | (Missing, Measured) => Partial,
        (a, _) => a,
    }
}
