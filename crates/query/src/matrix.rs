//! The matrix: plans a question, evaluates every row, sums the columns.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use keyviz_lineage::{Flags, GroupId, KeyRange, LineageGraph, LineageRecord, Slot};
use keyviz_store::History;

use crate::cast::Cast;
use crate::cells::{self, Recorded};
use crate::coarsen::coarsen;
use crate::flow::{Flow, Share};
use crate::presence::{self, Presence};
use crate::question::Question;
use crate::rows::{Draft, Drafting};
use crate::span::Span;
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
    let (question, cast) = Question::read(history, graph, request)?;
    let mut evaluation = Evaluation::new(history, &cast, request, question);
    let drafts = evaluation.drafts();
    let rows = drafts.iter().map(|draft| evaluation.row(draft)).collect();
    Ok(evaluation.finish(rows))
}

/// How much a question takes, without reading a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Columns of the answer.
    pub columns: usize,
    /// Rows before they are fitted into the budget.
    pub rows: usize,
    /// Pairs of a row and a lineage that it shows.
    pub sources: usize,
}

/// Plans a question and says how much it takes: which rows, and which lineages they show.
///
/// # Errors
/// See [`QueryError`].
pub fn explain(
    history: &dyn History,
    graph: &LineageGraph,
    request: &MatrixRequest,
) -> Result<Explained, QueryError> {
    let (question, cast) = Question::read(history, graph, request)?;
    let evaluation = Evaluation::new(history, &cast, request, question);
    let drafts = evaluation.draft_all();
    let sources = drafts.iter().map(|draft| draft.sources.len()).sum();
    Ok(Explained { columns: evaluation.span.columns(), rows: drafts.len(), sources })
}

struct Evaluation<'a> {
    history: &'a dyn History,
    cast: &'a Cast<'a>,
    request: &'a MatrixRequest,
    span: Span,
    presence: BTreeMap<GroupId, Presence>,
    at_ms: Option<u64>,
    warnings: Vec<String>,
    totals: Vec<ColumnTotals>,
    /// Q1: which row (by its first member) counts a source that lies inside it, by the source's slot.
    owners: Vec<Option<Slot>>,
    flow: Option<Flow<'a>>,
    /// Rows outside the asked range; they take their shares of what the rows inside show too.
    hidden: Vec<Draft>,
    hidden_members: HashSet<Slot>,
    /// Sources that are in `totals` already.
    summed: HashSet<Slot>,
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
    /// How many units of its sources' lives have expired.
    expired: Vec<usize>,
    /// The units that are in `scratch`.
    touched: Vec<usize>,
    /// Groups that recorded in a column in which their lineage did not live.
    strays: BTreeMap<usize, BTreeSet<GroupId>>,
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
        cast: &'a Cast<'a>,
        request: &'a MatrixRequest,
        question: Question,
    ) -> Self {
        let Question { span, presence, at_ms, warnings } = question;
        let mut totals = vec![ColumnTotals::default(); span.columns()];
        for of_group in presence.values() {
            for (total, unattributed) in totals.iter_mut().zip(&of_group.unattributed) {
                total.unattributed = total.unattributed.saturating_add(*unattributed);
            }
        }
        Self {
            history,
            cast,
            request,
            span,
            presence,
            at_ms,
            warnings,
            totals,
            owners: Vec::new(),
            flow: None,
            hidden: Vec::new(),
            hidden_members: HashSet::new(),
            summed: HashSet::new(),
            scratch: vec![0; span.units()],
        }
    }

    /// Every row that the question needs, not yet fitted.
    fn draft_all(&self) -> Vec<Draft> {
        let had_traffic = |record: &LineageRecord| {
            // Damage is reported when the row is evaluated.
            let warnings = &mut Vec::new();
            !cells::read(self.history, record, self.request.series, &self.span, warnings).is_empty()
        };
        let (cast, span, at_ms) = (self.cast, &self.span, self.at_ms);
        let drafting = Drafting { cast, span, at_ms, had_traffic: &had_traffic };
        // A share does not depend on what else is asked for: it is cut among all rows that show the
        // source.
        match self.apportions() {
            Some(_) => drafting.draft(&drafting.closure(&self.request.range)),
            None => drafting.draft(&self.request.range),
        }
    }

    /// The instant that values are apportioned as of, if they are.
    fn apportions(&self) -> Option<u64> {
        self.at_ms.filter(|_| self.request.continuity == Continuity::Apportion)
    }

    /// The rows, fitted into the budget.
    fn drafts(&mut self) -> Vec<Draft> {
        let all = self.draft_all();
        self.flow = self.apportions().map(|at_ms| Flow::new(self.cast, at_ms, &all));
        let asked = |draft: &Draft| draft.range(self.cast).overlaps(&self.request.range);
        let (drafts, hidden) = all.into_iter().partition(asked);
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
        for &source in &draft.sources {
            let Some(record) = self.cast.record(source) else { continue };
            let share = match self.take(draft, source) {
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
        self.owners = vec![None; self.cast.slots() as usize];
        let mut all: Vec<(KeyRange, &Draft)> = drafts
            .iter()
            .chain(&self.hidden)
            .map(|draft| (draft.range(self.cast), draft))
            .collect();
        let id = |draft: &Draft| self.cast.record(draft.members[0]).map(|record| record.id);
        all.sort_by(|(a_range, a), (b_range, b)| {
            (a_range.start(), id(a)).cmp(&(b_range.start(), id(b)))
        });
        for (_, draft) in &all {
            for &member in &draft.members {
                self.owners[member as usize] = Some(draft.members[0]);
            }
        }
        for (range, draft) in all {
            for &source in &draft.sources {
                let inside = |record: &LineageRecord| range.covers(&record.range);
                if self.owner(source).is_none() && self.cast.record(source).is_some_and(inside) {
                    self.owners[source as usize] = Some(draft.members[0]);
                }
            }
        }
    }

    fn owner(&self, source: Slot) -> Option<Slot> {
        self.owners.get(source as usize).copied().flatten()
    }

    fn row(&mut self, draft: &Draft) -> MatrixRow {
        let mut work = RowWork {
            cells: vec![MatrixCell::default(); self.span.columns()],
            traffic: vec![false; self.span.columns()],
            unread: vec![false; self.span.columns()],
            expired: vec![0; self.span.columns()],
            touched: Vec::new(),
            strays: BTreeMap::new(),
        };
        for &source in &draft.sources {
            self.add_source(draft, source, &mut work);
        }
        for &unit in &work.touched {
            let cell = &mut work.cells[unit / self.span.units_per_column()];
            cell.max = cell.max.max(std::mem::take(&mut self.scratch[unit]));
        }
        self.set_states(&draft.sources, &mut work);
        self.describe(draft, work.cells)
    }

    fn add_source(&mut self, draft: &Draft, source: Slot, work: &mut RowWork) {
        let Some(record) = self.cast.record(source) else { return };
        let series = self.request.series;
        let recorded = cells::read(self.history, record, series, &self.span, &mut self.warnings);
        self.mark_expired(source, &recorded, &mut work.expired);
        if recorded.is_empty() {
            return;
        }
        self.mark_unread(source, &recorded, &mut work.unread);
        let take = self.take(draft, source);
        let elsewhere = self.summed.insert(source).then(|| self.elsewhere(source, &take));
        let is_ownerless = self.owner(source).is_none();
        let alive = self.alive_units(source, &(0..self.span.units())).unwrap_or_default();
        for (unit, value, flags) in recorded.values {
            let unit = unit as usize;
            let column = unit / self.span.units_per_column();
            if !alive.contains(&unit) {
                work.strays.entry(column).or_default().extend(self.cast.groups_of(source));
            }
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
                    if elsewhere.is_some() && is_ownerless {
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

    fn take(&mut self, draft: &Draft, source: Slot) -> Take {
        match (self.owner(source), &mut self.flow) {
            (Some(owner), _) if owner == draft.members[0] => Take::Counted,
            (None, Some(flow)) => {
                let members = draft.members.iter().copied().collect();
                Take::Apportioned(flow.share(source, &members))
            }
            _ => Take::Inherited,
        }
    }

    /// What of a source is counted by rows outside the asked range; `None` = nothing.
    fn elsewhere(&mut self, source: Slot, take: &Take) -> Option<Share> {
        match (take, &mut self.flow) {
            (Take::Apportioned(_), Some(flow)) if !self.hidden.is_empty() => {
                Some(flow.share(source, &self.hidden_members))
            }
            (Take::Inherited, _) => {
                let owner = self.owner(source)?;
                self.hidden_members.contains(&owner).then(Share::whole)
            }
            _ => None,
        }
    }

    /// A damaged hour is unknown where its lineage was alive, not idle (Q3).
    fn mark_unread(&self, source: Slot, recorded: &Recorded, unread: &mut [bool]) {
        let units = self.alive_within(source, &recorded.unread);
        units.for_each(|unit| unread[unit / self.span.units_per_column()] = true);
    }

    /// So is an expired one (Q3).
    fn mark_expired(&self, source: Slot, recorded: &Recorded, expired: &mut [usize]) {
        let units = self.alive_within(source, &recorded.expired);
        units.for_each(|unit| expired[unit / self.span.units_per_column()] += 1);
    }

    fn alive_within(&self, source: Slot, units: &[Range<usize>]) -> impl Iterator<Item = usize> {
        let alive = units.iter().filter_map(move |units| {
            let alive = self.alive_units(source, units)?;
            Some(alive.start.max(units.start)..alive.end.min(units.end))
        });
        alive.flatten()
    }

    /// The units among `units` in any part of which a lineage was alive.
    fn alive_units(&self, source: Slot, units: &Range<usize>) -> Option<Range<usize>> {
        let ms = |unit: usize| self.span.from_ms + unit as u64 * self.span.unit.ms();
        let (from_ms, to_ms) = self.cast.life(source).part(ms(units.start), ms(units.end))?;
        Some(self.span.units_within(from_ms, to_ms))
    }

    /// What each cell is, from who was alive and who recorded.
    fn set_states(&self, sources: &[Slot], work: &mut RowWork) {
        for (column, cell) in work.cells.iter_mut().enumerate() {
            let first = column * self.span.units_per_column();
            let units = first..first + self.span.units_per_column();
            let mut stretches: Vec<(GroupId, Range<usize>)> = Vec::new();
            let mut alive_units = 0;
            for &source in sources {
                if let Some(alive) = self.alive_units(source, &units) {
                    alive_units += alive.len();
                    let groups = self.cast.groups_of(source).iter();
                    stretches.extend(groups.map(|&group| (group, alive.clone())));
                }
            }
            if stretches.is_empty() && work.traffic[column] {
                let groups = work.strays.get(&column).into_iter().flatten();
                stretches = groups.map(|&group| (group, units.clone())).collect();
            }
            stretches.sort_unstable_by_key(|(group, units)| (*group, units.start, units.end));
            stretches.dedup();
            let states = stretches
                .iter()
                .filter_map(|(group, units)| Some(self.presence.get(group)?.over(units)));
            let combined = states.reduce(|a, b| (presence::combine(a.0, b.0), a.1 || b.1));
            cell.state = match combined {
                None => CellState::Nonexistent,
                Some(_) if work.expired[column] > 0 => {
                    match work.expired[column] >= alive_units && !work.traffic[column] {
                        true => CellState::Missing,
                        false => CellState::Partial,
                    }
                }
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
        let (members, range) = (&draft.members, draft.range(self.cast));
        let records: Vec<&LineageRecord> =
            members.iter().filter_map(|&slot| self.cast.record(slot)).collect();
        let is_bucket = members.first().is_some_and(|&slot| self.cast.is_bucket(slot));
        let aggregate = records.len() > 1 || is_bucket;
        let mut groups: Vec<GroupId> =
            members.iter().flat_map(|&slot| self.cast.groups_of(slot)).copied().collect();
        groups.sort_unstable();
        groups.dedup();
        let routes = members.iter().flat_map(|&slot| self.cast.routes_of(slot).0).copied();
        let ends: Option<Vec<u64>> =
            records.iter().map(|record| record.valid_to.map(|end| end.unix_ms())).collect();
        MatrixRow {
            bucket_id: if aggregate {
                format!("virtual:{}", virtual_id(&range))
            } else {
                format!("route:{}", records.first().map_or(0, |record| record.route))
            },
            range,
            aggregate,
            routes: routes.take(MAX_LISTED_ROUTES).collect(),
            route_count: members.iter().map(|&slot| self.cast.routes_of(slot).1).sum(),
            groups,
            lineage: records.first().filter(|_| records.len() == 1).map(|record| record.id),
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
