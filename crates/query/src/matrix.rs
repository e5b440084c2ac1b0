//! The matrix: plans a question, evaluates every row, sums the columns.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use keyviz_lineage::{
    Flags, GroupId, HOUR_MS, KeyRange, LineageGraph, LineageId, LineageRecord, Step, unix_hour,
};
use keyviz_store::History;

use crate::cells::{self, Recorded};
use crate::coarsen::coarsen;
use crate::flow::{Flow, Share};
use crate::presence::{self, Presence};
use crate::rows::{self, Draft};
use crate::span::{self, Span};
use crate::{
    CellState, ColumnTotals, Continuity, MAX_LISTED_ROUTES, Matrix, MatrixCell, MatrixRequest,
    MatrixRow, QueryError, virtual_id,
};

/// Answers a question about `graph` and `history`.
///
/// # Errors
/// See [`QueryError`]. What is merely damaged becomes a warning in the answer.
pub fn matrix(
    history: &dyn History,
    graph: &LineageGraph,
    request: &MatrixRequest,
) -> Result<Matrix, QueryError> {
    let mut groups: BTreeSet<GroupId> = graph.records().map(|record| record.group).collect();
    groups.insert(keyviz_codec::key_layout::NODE_GROUP);
    let now_ms = history.now_ms();
    let mut spans = Vec::new();
    for &group in &groups {
        spans.extend(history.members(group)?.into_iter().flat_map(|(_, member)| member.spans));
    }
    let expected = span::Expected::over(spans);
    let (from_ms, to_ms) = span::bounds(request, now_ms, history.oldest_ms(), expected)?;
    // The answer's step, which is not known yet, rounds outwards by no more than this.
    let coarsest =
        request.step.unwrap_or_else(|| Step::auto(Step::HOUR, from_ms, to_ms)).ms().max(HOUR_MS);
    let hours =
        unix_hour(from_ms.saturating_sub(coarsest))..=unix_hour(to_ms.saturating_add(coarsest));
    let coverage = presence::read(history, &groups, &hours)?;
    let mut recorded = presence::recorded_steps(&coverage, from_ms, to_ms);
    let cut = |recorded: &BTreeSet<Step>| {
        let silent = BTreeSet::from([history.default_step()]);
        let units = if recorded.is_empty() { &silent } else { recorded };
        span::cut((from_ms, to_ms), request.step, units)
    };
    let mut span = cut(&recorded)?;
    loop {
        // Rounding outwards can take in windows of a further step.
        let known = recorded.len();
        recorded.extend(presence::recorded_steps(&coverage, span.from_ms, span.to_ms));
        if recorded.len() == known {
            break;
        }
        span = cut(&recorded)?;
    }
    let damaged = coverage.values().flat_map(|group| &group.damaged);
    let warnings = damaged
        .filter(|(hour, _)| span.hours().contains(hour))
        .map(|(_, error)| error.clone())
        .collect();
    let presence = coverage
        .iter()
        .map(|(&group, coverage)| (group, presence::of_group(coverage, &span, now_ms)))
        .collect();
    let at_ms = rows::instant(request.row_set, &span, to_ms);
    let mut evaluation = Evaluation::new(history, graph, request, span, presence, at_ms, warnings);
    let drafts = evaluation.drafts();
    let rows = drafts.iter().map(|draft| evaluation.row(draft)).collect();
    Ok(evaluation.finish(rows))
}

struct Evaluation<'a> {
    history: &'a dyn History,
    graph: &'a LineageGraph,
    request: &'a MatrixRequest,
    span: Span,
    presence: BTreeMap<GroupId, Presence>,
    at_ms: Option<u64>,
    warnings: Vec<String>,
    totals: Vec<ColumnTotals>,
    /// Q1: which row (by its first member) counts a source that lies inside it.
    owners: HashMap<LineageId, LineageId>,
    flow: Option<Flow<'a>>,
    /// Rows outside the asked range; they take their shares of what the rows inside show too.
    hidden: Vec<Draft>,
    hidden_members: HashSet<LineageId>,
    /// Sources that are in `totals` already.
    summed: HashSet<LineageId>,
    /// Sums of the row in work, by unit; all zero between rows.
    scratch: Vec<u64>,
}

/// One row in work, by column.
struct RowWork {
    cells: Vec<MatrixCell>,
    /// Whether anything was counted.
    traffic: Vec<bool>,
    /// Whether some of it is damaged in the store.
    unread: Vec<bool>,
    /// The units that are in `scratch`.
    touched: Vec<usize>,
}

/// How a row takes part in a source.
enum Take {
    Counted,
    Inherited,
    Apportioned(Share),
}

impl<'a> Evaluation<'a> {
    fn new(
        history: &'a dyn History,
        graph: &'a LineageGraph,
        request: &'a MatrixRequest,
        span: Span,
        presence: BTreeMap<GroupId, Presence>,
        at_ms: Option<u64>,
        warnings: Vec<String>,
    ) -> Self {
        let mut totals = vec![ColumnTotals::default(); span.columns()];
        for of_group in presence.values() {
            for (total, unattributed) in totals.iter_mut().zip(&of_group.unattributed) {
                total.unattributed = total.unattributed.saturating_add(*unattributed);
            }
        }
        Self {
            history,
            graph,
            request,
            span,
            presence,
            at_ms,
            warnings,
            totals,
            owners: HashMap::new(),
            flow: None,
            hidden: Vec::new(),
            hidden_members: HashSet::new(),
            summed: HashSet::new(),
            scratch: vec![0; span.units()],
        }
    }

    /// The rows, fitted into the budget.
    fn drafts(&mut self) -> Vec<Draft> {
        let series = self.request.series;
        let had_traffic = |record: &LineageRecord| {
            // Damage is reported when the row is evaluated.
            !cells::read(self.history, record, series, &self.span, &mut Vec::new()).is_empty()
        };
        // Shares do not depend on what else is asked for: they are cut among all rows there are.
        let apportions = self.at_ms.filter(|_| self.request.continuity == Continuity::Apportion);
        let range = apportions.map_or_else(|| self.request.range.clone(), |_| KeyRange::all());
        let all = rows::draft(self.graph, &range, &self.span, self.at_ms, &had_traffic);
        self.flow = apportions.map(|at_ms| Flow::new(self.graph, at_ms, &all));
        let (drafts, hidden) =
            all.into_iter().partition(|draft| draft.range.overlaps(&self.request.range));
        self.hidden = hidden;
        self.hidden_members =
            self.hidden.iter().flat_map(|draft| draft.members.iter().copied()).collect();
        self.assign(&drafts);
        let budget = match self.request.rows {
            Some(rows) if drafts.len() > rows => rows,
            _ => return drafts,
        };
        let totals: Vec<u128> = drafts.iter().map(|draft| self.counted(draft)).collect();
        let drafts = coarsen(drafts, &totals, budget);
        self.assign(&drafts);
        drafts
    }

    /// What a row counts over the whole span.
    fn counted(&mut self, draft: &Draft) -> u128 {
        let mut sum = 0;
        for record in draft.sources.iter().filter_map(|&id| self.graph.get(id)) {
            let share = match self.take(draft, record) {
                Take::Counted => None,
                Take::Inherited => continue,
                Take::Apportioned(share) => Some(share),
            };
            let recorded =
                cells::read(self.history, record, self.request.series, &self.span, &mut Vec::new());
            let counted = |value: u64| share.as_ref().map_or(value, |share| share.of(value));
            sum += recorded
                .values
                .iter()
                .map(|&(_, value, _)| u128::from(counted(value)))
                .sum::<u128>();
        }
        sum
    }

    /// Q1: a row counts its own lineages; a source inside several (overlapping) rows is counted by
    /// the first.
    fn assign(&mut self, drafts: &[Draft]) {
        self.owners.clear();
        let mut all: Vec<&Draft> = drafts.iter().chain(&self.hidden).collect();
        all.sort_by(|a, b| (a.range.start(), &a.members).cmp(&(b.range.start(), &b.members)));
        for draft in &all {
            self.owners.extend(draft.members.iter().map(|&member| (member, draft.members[0])));
        }
        for draft in all {
            for record in draft.sources.iter().filter_map(|&id| self.graph.get(id)) {
                if draft.range.covers(&record.range) {
                    self.owners.entry(record.id).or_insert(draft.members[0]);
                }
            }
        }
    }

    fn row(&mut self, draft: &Draft) -> MatrixRow {
        let mut work = RowWork {
            cells: vec![MatrixCell::default(); self.span.columns()],
            traffic: vec![false; self.span.columns()],
            unread: vec![false; self.span.columns()],
            touched: Vec::new(),
        };
        let sources: Vec<&LineageRecord> =
            draft.sources.iter().filter_map(|&id| self.graph.get(id)).collect();
        for &record in &sources {
            self.add_source(draft, record, &mut work);
        }
        for &unit in &work.touched {
            let cell = &mut work.cells[unit / self.span.units_per_column()];
            cell.max = cell.max.max(std::mem::take(&mut self.scratch[unit]));
        }
        self.set_states(&sources, &mut work);
        self.describe(draft, work.cells)
    }

    fn add_source(&mut self, draft: &Draft, record: &LineageRecord, work: &mut RowWork) {
        let series = self.request.series;
        let recorded = cells::read(self.history, record, series, &self.span, &mut self.warnings);
        if recorded.is_empty() {
            return;
        }
        self.mark_unread(record, &recorded, &mut work.unread);
        let take = self.take(draft, record);
        let elsewhere = self.summed.insert(record.id).then(|| self.elsewhere(record, &take));
        for (unit, value, flags) in recorded.values {
            let unit = unit as usize;
            let column = unit / self.span.units_per_column();
            let (cell, total) = (&mut work.cells[column], &mut self.totals[column]);
            work.traffic[column] |= value > 0;
            cell.flags = cell.flags.or(flags);
            if let Some(elsewhere) = &elsewhere {
                let here = value - elsewhere.as_ref().map_or(0, |share| share.of(value));
                total.recorded = total.recorded.saturating_add(here);
            }
            let shown = match &take {
                Take::Counted => {
                    cell.counted = cell.counted.saturating_add(value);
                    total.counted = total.counted.saturating_add(value);
                    value
                }
                Take::Inherited => {
                    cell.flags = cell.flags.or(Flags::INHERITED);
                    cell.inherited = cell.inherited.saturating_add(value);
                    if elsewhere.is_some() && !self.owners.contains_key(&record.id) {
                        total.inherited = total.inherited.saturating_add(value);
                    }
                    value
                }
                Take::Apportioned(share) => {
                    let share = share.of(value);
                    cell.flags = cell.flags.or(Flags::APPORTIONED);
                    cell.counted = cell.counted.saturating_add(share);
                    total.counted = total.counted.saturating_add(share);
                    share
                }
            };
            self.scratch[unit] = self.scratch[unit].saturating_add(shown);
            work.touched.push(unit);
        }
    }

    fn take(&mut self, draft: &Draft, record: &LineageRecord) -> Take {
        match (self.owners.get(&record.id), &mut self.flow) {
            (Some(owner), _) if *owner == draft.members[0] => Take::Counted,
            (None, Some(flow)) => {
                let members = draft.members.iter().copied().collect();
                Take::Apportioned(flow.share(record, &members))
            }
            _ => Take::Inherited,
        }
    }

    /// What of a source is counted by rows outside the asked range; `None` = nothing.
    fn elsewhere(&mut self, record: &LineageRecord, take: &Take) -> Option<Share> {
        match (take, &mut self.flow) {
            (Take::Apportioned(_), Some(flow)) if !self.hidden.is_empty() => {
                Some(flow.share(record, &self.hidden_members))
            }
            (Take::Inherited, _) => {
                let owner = self.owners.get(&record.id)?;
                self.hidden_members.contains(owner).then(Share::whole)
            }
            _ => None,
        }
    }

    /// A damaged hour is unknown where its lineage was alive, not idle (Q3).
    fn mark_unread(&self, record: &LineageRecord, recorded: &Recorded, unread: &mut [bool]) {
        let units = recorded.unread.iter().filter_map(|hour| {
            let alive = self.alive_units(record, hour)?;
            Some(alive.start.max(hour.start)..alive.end.min(hour.end))
        });
        units.flatten().for_each(|unit| unread[unit / self.span.units_per_column()] = true);
    }

    /// The units among `units` in any part of which a lineage was alive.
    fn alive_units(&self, record: &LineageRecord, units: &Range<usize>) -> Option<Range<usize>> {
        let ms = |unit: usize| self.span.from_ms + unit as u64 * self.span.unit.ms();
        let (from_ms, to_ms) =
            rows::alive_part(self.graph, record, ms(units.start), ms(units.end))?;
        Some(self.span.units_within(from_ms, to_ms))
    }

    /// What each cell is, from who was alive and who recorded.
    fn set_states(&self, sources: &[&LineageRecord], work: &mut RowWork) {
        for (column, cell) in work.cells.iter_mut().enumerate() {
            let first = column * self.span.units_per_column();
            let units = first..first + self.span.units_per_column();
            let alive = sources
                .iter()
                .filter_map(|record| Some((record.group, self.alive_units(record, &units)?)));
            let mut stretches: Vec<(GroupId, Range<usize>)> = alive.collect();
            if stretches.is_empty() && work.traffic[column] {
                stretches = sources.iter().map(|record| (record.group, units.clone())).collect();
            }
            stretches.sort_unstable_by_key(|(group, units)| (*group, units.start, units.end));
            stretches.dedup();
            let states = stretches
                .iter()
                .filter_map(|(group, units)| Some(self.presence.get(group)?.over(units)));
            let combined = states.reduce(|a, b| (presence::combine(a.0, b.0), a.1 || b.1));
            cell.state = match combined {
                None => CellState::Nonexistent,
                Some((CellState::Measured, _)) if work.unread[column] => CellState::Partial,
                Some((CellState::Measured, _)) if !work.traffic[column] => CellState::Idle,
                Some((CellState::Missing, _)) if work.traffic[column] => CellState::Partial,
                Some((state, _)) => state,
            };
            if cell.state == CellState::Partial {
                cell.flags = cell.flags.or(Flags::PARTIAL);
            }
            if combined.is_some_and(|(_, stretched)| stretched) {
                cell.flags = cell.flags.or(Flags::STRETCHED);
            }
            if cell.counted == u64::MAX || cell.inherited == u64::MAX {
                cell.flags = cell.flags.or(Flags::SATURATED);
            }
        }
    }

    fn describe(&self, draft: &Draft, cells: Vec<MatrixCell>) -> MatrixRow {
        let records: Vec<&LineageRecord> =
            draft.members.iter().filter_map(|&id| self.graph.get(id)).collect();
        let aggregate = records.len() > 1;
        let mut groups: Vec<GroupId> = records.iter().map(|record| record.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let ends: Option<Vec<u64>> =
            records.iter().map(|record| record.valid_to.map(|end| end.unix_ms())).collect();
        MatrixRow {
            bucket_id: if aggregate {
                format!("virtual:{}", virtual_id(&draft.range))
            } else {
                format!("route:{}", records.first().map_or(0, |record| record.route))
            },
            range: draft.range.clone(),
            aggregate,
            routes: records.iter().map(|record| record.route).take(MAX_LISTED_ROUTES).collect(),
            route_count: records.len() as u64,
            groups,
            lineage: (!aggregate).then(|| draft.members[0]),
            closed: draft.closed,
            valid_from_ms: records
                .iter()
                .map(|record| record.valid_from.unix_ms())
                .min()
                .unwrap_or(0),
            valid_to_ms: ends.and_then(|ends| ends.into_iter().max()),
            cells,
        }
    }

    fn finish(mut self, rows: Vec<MatrixRow>) -> Matrix {
        self.warnings.sort();
        self.warnings.dedup();
        Matrix {
            series: self.request.series,
            step_ms: self.span.step.ms(),
            recorded_step_ms: self.span.unit.ms(),
            columns_ms: (0..self.span.columns())
                .map(|column| self.span.column_ms(column))
                .collect(),
            rows,
            totals: self.totals,
            warnings: self.warnings,
        }
    }
}
