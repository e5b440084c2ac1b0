//! The slow, obvious model: the rules of contract section 8 word by word over plain lists, with no
//! index, no cache and no cleverness. Every answer of [`crate::matrix`] must equal the model's.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_codec::rollup::Tier;
use keyviz_lineage::{
    Cause, Flags, GroupId, HOUR_MS, Hlc, KeyRange, LineageId, LineageRecord, RouteId, Step,
    unix_hour,
};
use keyviz_store::History;

use crate::model_cells_test::{Answer, fits};
use crate::rectangles_test::Rectangles;
use crate::world_test::World;
use crate::{Continuity, Matrix, MatrixRequest, RowSet};

/// The times of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) step_ms: u64,
    pub(crate) unit_ms: u64,
}

/// A row: the lineages that stand together, and what they show.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) range: KeyRange,
    pub(crate) members: Vec<LineageId>,
    pub(crate) sources: BTreeSet<LineageId>,
    pub(crate) closed: bool,
}

/// What is known of a virtual bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucketed {
    pub(crate) groups: BTreeSet<GroupId>,
    pub(crate) members: BTreeSet<RouteId>,
    pub(crate) member_count: u64,
}

/// What was recorded in one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) start_ms: u64,
    pub(crate) value: u64,
    /// The largest finest cell.
    pub(crate) max: u64,
    pub(crate) flags: Flags,
}

/// How a row shows a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Counted,
    Inherited,
    Apportioned,
}

pub(crate) struct Model<'a> {
    pub(crate) world: &'a World,
    pub(crate) request: &'a MatrixRequest,
    pub(crate) records: Vec<LineageRecord>,
    /// Virtual buckets of the hours of the span, by id; each has a record among `records`.
    pub(crate) buckets: BTreeMap<LineageId, Bucketed>,
    pub(crate) axis: Axis,
    /// The instant of the row set; `None` = union.
    pub(crate) at_ms: Option<u64>,
    /// The roll-ups that are read.
    pub(crate) tier: Option<Tier>,
    /// What each lineage recorded of the series, window by window of what is read.
    pub(crate) values: BTreeMap<LineageId, Vec<Recorded>>,
    /// Every row as of the instant, before coarsening.
    pub(crate) all: Vec<Row>,
    /// The rows of the answer.
    pub(crate) drawn: Vec<Row>,
    /// Which row counts a source whole, by the row's first member.
    pub(crate) owners: BTreeMap<LineageId, LineageId>,
}

/// What the model answers, from roll-ups where the step allows that if it `rolls_up`; `None` where the
/// question is refused.
pub(crate) fn answer(world: &World, request: &MatrixRequest, rolls_up: bool) -> Option<Matrix> {
    let (axis, at_ms) = axis(world, request)?;
    let tier = rolls_up.then(|| tier(world, &axis)).flatten();
    let records = world.rectangles.list.clone();
    let graphs = world.graph.records().cloned().collect();
    assert_eq!(Rectangles::sorted(graphs), Rectangles::sorted(records.clone()));
    let mut model = Model {
        world,
        request,
        records,
        buckets: BTreeMap::new(),
        axis,
        at_ms,
        tier,
        values: BTreeMap::new(),
        all: Vec::new(),
        drawn: Vec::new(),
        owners: BTreeMap::new(),
    };
    model.add_buckets();
    for record in model.records.clone() {
        let cells = model.recorded(&record);
        model.values.insert(record.id, model.rolled_up(cells));
    }
    model.all = model.rows();
    model.drawn =
        model.all.iter().filter(|row| row.range.overlaps(&request.range)).cloned().collect();
    model.owners = model.ownership();
    model.coarsen();
    model.owners = model.ownership();
    Some(Answer(&model).matrix())
}

/// The coarsest tier whose windows fit into the columns, and hold the recorded ones.
fn tier(world: &World, axis: &Axis) -> Option<Tier> {
    let fits = |tier: &Tier| {
        let holds_all = *tier == Tier::Hour || tier.step_ms().is_multiple_of(axis.unit_ms);
        axis.step_ms.is_multiple_of(tier.step_ms()) && holds_all
    };
    let is_kept = |tier: &Tier| match tier {
        Tier::Hour => true,
        Tier::FiveMinutes => axis.from_ms >= world.oldest_ms(),
    };
    Tier::ALL.into_iter().find(fits).filter(is_kept)
}

fn axis(world: &World, request: &MatrixRequest) -> Option<(Axis, Option<u64>)> {
    let members = world.members.iter().filter(|(group, _)| world.groups().contains(group));
    let spans: Vec<_> =
        members.flat_map(|(_, of_group)| of_group.values()).flat_map(|m| m.spans.clone()).collect();
    let first = spans.iter().map(|span| span.0).min();
    // An open end is now, or where recording ended if every source has left.
    let someone_stays = spans.iter().any(|span| span.1.is_none());
    let last = spans.iter().filter_map(|span| span.1).max().filter(|_| !someone_stays);
    let last = last.filter(|&left_ms| request.from_ms.unwrap_or(world.oldest_ms()) < left_ms);
    let to_ms = request.to_ms.or(last).unwrap_or(world.now_ms);
    let earliest = first.unwrap_or(to_ms.saturating_sub(HOUR_MS));
    let from_ms = request.from_ms.unwrap_or(earliest.max(world.oldest_ms()).min(to_ms - 1));
    if from_ms >= to_ms {
        return None;
    }
    // The windows that the answer takes in decide its unit, and the unit decides what it takes in.
    let mut steps: BTreeSet<u64> = BTreeSet::new();
    let (mut wide_from, mut wide_to) = (from_ms, to_ms);
    for round in 0.. {
        let read = |group, ms| {
            world.groups().contains(&group)
                && !world.damaged_coverage.contains(&(group, unix_hour(ms)))
        };
        let covers = world.covers.iter().filter(|c| read(c.group, c.start_ms));
        let taken = covers.filter(|c| c.start_ms < wide_to && c.start_ms + c.step_ms > wide_from);
        let before = steps.len();
        steps.extend(taken.map(|cover| cover.step_ms));
        let divisors =
            (1..=3_600).map(|seconds| seconds * 1_000).filter(|ms| HOUR_MS.is_multiple_of(*ms));
        let unit_ms = match steps.is_empty() {
            true => 60_000,
            false => divisors.clone().find(|ms| steps.iter().all(|step| ms % step == 0)).unwrap(),
        };
        let days =
            (1..=24).map(|hours| hours * HOUR_MS).filter(|ms| (24 * HOUR_MS).is_multiple_of(*ms));
        let step_ms = match request.step {
            None => {
                // Of what is older, nothing finer is kept.
                let finest_ms = if from_ms < world.oldest_ms() { HOUR_MS } else { unit_ms };
                Step::auto(Step::from_ms(finest_ms).unwrap(), from_ms, to_ms).ms()
            }
            Some(asked) => {
                divisors.chain(days).find(|ms| *ms >= asked.ms() && ms % unit_ms == 0).unwrap()
            }
        };
        (wide_from, wide_to) = (from_ms / step_ms * step_ms, to_ms.div_ceil(step_ms) * step_ms);
        if round > 0 && steps.len() == before {
            let at_ms = match request.row_set {
                RowSet::AsOfTo => Some(to_ms - 1),
                RowSet::AsOfFrom => Some(wide_from),
                RowSet::AsOf(at_ms) => Some(at_ms),
                RowSet::Union => None,
            };
            return Some((Axis { from_ms: wide_from, to_ms: wide_to, step_ms, unit_ms }, at_ms));
        }
    }
    None
}

impl Model<'_> {
    pub(crate) fn record(&self, id: LineageId) -> &LineageRecord {
        self.records.iter().find(|record| record.id == id).unwrap()
    }

    /// A bucket stands like a lineage that lived from its first window to its last.
    fn add_buckets(&mut self) {
        let hours = unix_hour(self.axis.from_ms)..=unix_hour(self.axis.to_ms - 1);
        for (window, bucket) in &self.world.buckets {
            let place = (bucket.group, window.hour());
            if !hours.contains(&window.hour()) || self.world.damaged_index.contains(&place) {
                continue;
            }
            let (start, end) = (Hlc::new(window.start_ms, 0), Hlc::new(window.end_ms(), 0));
            match self.records.iter_mut().find(|record| record.id == bucket.id()) {
                Some(record) => {
                    record.valid_from = record.valid_from.min(start);
                    record.valid_to = record.valid_to.max(Some(end));
                }
                None => self.records.push(LineageRecord {
                    id: bucket.id(),
                    range: bucket.range.clone(),
                    route: 0,
                    group: bucket.group,
                    valid_from: start,
                    valid_to: Some(end),
                    parents: vec![],
                    successor: None,
                    proposal: [0; 16],
                    cause: Cause::Recovered,
                    version: 0,
                }),
            }
            let held = self.buckets.entry(bucket.id()).or_default();
            held.groups.extend(bucket.parts.iter().map(|part| part.group).chain([bucket.group]));
            held.members.extend(&bucket.members);
            held.member_count =
                held.member_count.max(bucket.member_count).max(held.members.len() as u64);
        }
    }

    /// Whether no edge leads to a lineage: it is linked by overlap.
    pub(crate) fn is_loose(&self, id: LineageId) -> bool {
        self.record(id).cause == Cause::Recovered
    }

    fn loose_over(&self, range: &KeyRange) -> Vec<LineageId> {
        let loose = self.records.iter().filter(|record| self.is_loose(record.id));
        loose.filter(|record| record.range.overlaps(range)).map(|record| record.id).collect()
    }

    /// Contributions of one node and term add; reads of several add; writes are one value a term.
    fn recorded(&self, record: &LineageRecord) -> Vec<Recorded> {
        let mut windows: BTreeMap<(u64, u64), Vec<_>> = BTreeMap::new();
        for fact in self.world.facts.iter().filter(|fact| fact.lineage == record.id) {
            let is_read = !self.unread(record.id).contains(&unix_hour(fact.start_ms));
            if is_read && (self.axis.from_ms..self.axis.to_ms).contains(&fact.start_ms) {
                windows.entry((fact.start_ms, fact.step_ms)).or_default().push(fact);
            }
        }
        let mut recorded = Vec::new();
        for ((start_ms, _), facts) in windows {
            let mut flags = facts.iter().fold(Flags::NONE, |flags, fact| flags.or(fact.flags));
            let mut value = 0;
            for series in keyviz_lineage::Series::ALL {
                let mut by_term: BTreeMap<(GroupId, u64), BTreeMap<&str, u128>> = BTreeMap::new();
                for fact in &facts {
                    let node = by_term
                        .entry((fact.group, fact.term))
                        .or_default()
                        .entry(&fact.node)
                        .or_default();
                    *node += u128::from(fact.counts.get(series));
                }
                let mut sum = 0;
                for nodes in by_term.values() {
                    let told: BTreeSet<u64> =
                        nodes.values().filter(|&&v| v > 0).map(|&v| fits(v)).collect();
                    if series.is_write() {
                        sum += u128::from(told.last().copied().unwrap_or(0));
                        flags = if told.len() > 1 { flags.or(Flags::CONFLICT) } else { flags };
                    } else {
                        sum += nodes.values().sum::<u128>();
                    }
                }
                flags = if fits(sum) == u64::MAX { flags.or(Flags::SATURATED) } else { flags };
                value = if series == self.request.series { fits(sum) } else { value };
            }
            if value > 0 || !flags.is_none() {
                recorded.push(Recorded { start_ms, value, max: value, flags });
            }
        }
        recorded
    }

    /// Cells, summed up as roll-ups where those are read.
    fn rolled_up(&self, cells: Vec<Recorded>) -> Vec<Recorded> {
        let Some(tier) = self.tier else { return cells };
        let mut windows: BTreeMap<u64, Vec<Recorded>> = BTreeMap::new();
        for cell in cells {
            let start_ms = cell.start_ms / tier.step_ms() * tier.step_ms();
            windows.entry(start_ms).or_default().push(cell);
        }
        let sum_up = |(start_ms, cells): (u64, Vec<Recorded>)| {
            let value = fits(cells.iter().map(|cell| u128::from(cell.value)).sum());
            let max = cells.iter().map(|cell| cell.max).max().unwrap_or(0);
            let flags = cells.iter().fold(Flags::NONE, |flags, cell| flags.or(cell.flags));
            let flags = if value == u64::MAX { flags.or(Flags::SATURATED) } else { flags };
            Recorded { start_ms, value, max, flags }
        };
        windows.into_iter().map(sum_up).collect()
    }

    /// Whether some window of the hour does not fit into those of the tier.
    fn is_uneven(&self, id: LineageId, hour: u64) -> bool {
        let fits = |step_ms| self.tier.is_some_and(|tier| tier.step_ms() % step_ms == 0);
        let mut facts = self.world.facts.iter().filter(|fact| fact.lineage == id);
        facts.any(|fact| unix_hour(fact.start_ms) == hour && !fits(fact.step_ms))
    }

    /// Hours of a lineage in the span that cannot be read. What was rolled up is not lost with its
    /// block.
    pub(crate) fn unread(&self, id: LineageId) -> Vec<u64> {
        let hours = unix_hour(self.axis.from_ms)..=unix_hour(self.axis.to_ms - 1);
        let damaged = self
            .world
            .damaged_blocks
            .iter()
            .filter(|(lineage, hour)| *lineage == id && hours.contains(hour));
        let damaged = damaged.filter(|&&(_, hour)| self.tier.is_none() || self.is_uneven(id, hour));
        damaged.map(|&(_, hour)| hour).collect()
    }

    /// From when to when a lineage owned its keys. A backfilled one owned them since the lineage that
    /// it continues ended, or for ever.
    pub(crate) fn owned(&self, record: &LineageRecord) -> (u64, u64) {
        let born_ms = record.valid_from.unix_ms();
        let parents =
            record.parents.iter().filter_map(|p| self.records.iter().find(|r| r.id == p.id));
        let from_ms = match record.cause {
            Cause::Backfill => {
                parents.map(|p| p.valid_to.map_or(born_ms, |end| end.unix_ms())).max().unwrap_or(0)
            }
            _ => born_ms,
        };
        (from_ms.min(born_ms), record.valid_to.map_or(u64::MAX, |end| end.unix_ms()))
    }

    pub(crate) fn alive_in(&self, record: &LineageRecord, from_ms: u64, to_ms: u64) -> bool {
        let (first_ms, end_ms) = self.owned(record);
        // One that was born and closed within a millisecond was alive in that millisecond.
        first_ms < to_ms && end_ms.max(record.valid_from.unix_ms() + 1) > from_ms
    }

    /// The lineages reached from `row` by lineage edges in one direction, each overlapping the row.
    fn reached(&self, row: &LineageRecord, upwards: bool) -> BTreeSet<LineageId> {
        let mut found = BTreeSet::from([row.id]);
        loop {
            let is_next = |record: &&LineageRecord| {
                let has_edge = |id: &LineageId| found.contains(id) && !self.is_loose(*id);
                let below = record.parents.iter().any(|parent| has_edge(&parent.id));
                let above = !self.is_loose(record.id)
                    && found
                        .iter()
                        .any(|&id| self.record(id).parents.iter().any(|p| p.id == record.id));
                record.range.overlaps(&row.range) && if upwards { above } else { below }
            };
            let more: Vec<LineageId> = self.records.iter().filter(is_next).map(|r| r.id).collect();
            let before = found.len();
            found.extend(more);
            if found.len() == before {
                return found;
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let apportions = self.at_ms.is_some() && self.request.continuity == Continuity::Apportion;
        let range = if apportions { KeyRange::all() } else { self.request.range.clone() };
        let mut candidates: Vec<_> =
            self.records.iter().filter(|r| r.range.overlaps(&range)).collect();
        candidates.sort_by_key(|record| (record.valid_from, record.id));
        candidates.reverse();
        let mut rows: Vec<Row> = Vec::new();
        for &record in &candidates {
            let stands = !self.is_loose(record.id)
                && match self.at_ms {
                    Some(at_ms) => self.owned(record).0 <= at_ms && at_ms < self.owned(record).1,
                    None => self.alive_in(record, self.axis.from_ms, self.axis.to_ms),
                };
            if stands {
                let mut sources = BTreeSet::from([record.id]);
                if self.at_ms.is_some() {
                    sources.extend(self.reached(record, true));
                    sources.extend(self.reached(record, false));
                    sources.extend(self.loose_over(&record.range));
                }
                rows.push(Row {
                    range: record.range.clone(),
                    members: vec![record.id],
                    sources,
                    closed: false,
                });
            }
        }
        for record in candidates {
            let shown = rows.iter().any(|row| row.sources.contains(&record.id));
            let had_traffic =
                !self.values[&record.id].is_empty() || !self.unread(record.id).is_empty();
            if !shown && had_traffic {
                let mut sources = BTreeSet::from([record.id]);
                if self.at_ms.is_some() {
                    sources.extend(self.reached(record, true));
                    sources.extend(self.loose_over(&record.range));
                }
                let closed = self.at_ms.is_some_and(|at_ms| self.owned(record).1 <= at_ms);
                rows.push(Row {
                    range: record.range.clone(),
                    members: vec![record.id],
                    sources,
                    closed,
                });
            }
        }
        rows.sort_by_key(|row| (row.range.start().to_vec(), row.members[0]));
        rows
    }

    /// Rows of the answer, and those outside the asked range that take shares as well.
    fn rows_and_hidden(&self) -> Vec<Row> {
        let hidden = self.all.iter().filter(|row| !row.range.overlaps(&self.request.range));
        let mut rows: Vec<Row> = self.drawn.iter().chain(hidden).cloned().collect();
        rows.sort_by_key(|row| (row.range.start().to_vec(), row.members.clone()));
        rows
    }

    /// A row counts its own lineages, and what lies inside it; the first of several does.
    fn ownership(&self) -> BTreeMap<LineageId, LineageId> {
        let rows = self.rows_and_hidden();
        let own =
            rows.iter().flat_map(|row| row.members.iter().map(|&member| (member, row.members[0])));
        let mut owners: BTreeMap<LineageId, LineageId> = own.collect();
        for row in rows {
            for &id in row.sources.iter().filter(|&&id| row.range.covers(&self.record(id).range)) {
                owners.entry(id).or_insert(row.members[0]);
            }
        }
        owners
    }

    pub(crate) fn part(&self, row: &Row, source: LineageId) -> Part {
        match self.owners.get(&source) {
            Some(owner) if *owner == row.members[0] => Part::Counted,
            None if self.at_ms.is_some() && self.request.continuity == Continuity::Apportion => {
                Part::Apportioned
            }
            _ => Part::Inherited,
        }
    }

    /// The least active adjacent pair becomes one row, ties by key order, until they fit.
    fn coarsen(&mut self) {
        let budget = self.request.rows.filter(|&rows| rows > 0).unwrap_or(usize::MAX);
        if self.drawn.len() <= budget {
            return;
        }
        let mut totals: Vec<u128> = self.drawn.iter().map(|row| self.counted(row)).collect();
        while self.drawn.len() > budget {
            let pairs = 0..self.drawn.len() - 1;
            let Some(at) = pairs.min_by_key(|&at| (totals[at] + totals[at + 1], at)) else { break };
            let joined = self.drawn.remove(at + 1);
            totals[at] += totals.remove(at + 1);
            let row = &mut self.drawn[at];
            row.range = row.range.hull(&joined.range);
            row.members.extend(joined.members);
            row.sources.extend(joined.sources);
            row.closed &= joined.closed;
        }
    }

    fn counted(&self, row: &Row) -> u128 {
        let of_source = |&id: &LineageId| {
            let values = self.values[&id].iter().map(|recorded| recorded.value);
            let counted = values.map(|value| match self.part(row, id) {
                Part::Counted => value,
                Part::Inherited => 0,
                Part::Apportioned => self.share(id, value, &row.members),
            });
            counted.map(u128::from).sum::<u128>()
        };
        row.sources.iter().map(of_source).sum()
    }
}
