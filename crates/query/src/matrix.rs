//! The matrix: plans a question, reads what its sources recorded, sums it up into rows and columns.

use std::collections::{BTreeMap, HashSet};

use keyviz_codec::rollup::Tier;
use keyviz_lineage::{GroupId, KeyRange, LineageGraph, LineageRecord, Slot};
use keyviz_store::History;

use crate::cast::Cast;
use crate::cells::RowCells;
use crate::coarsen::coarsen;
use crate::flow::Flow;
use crate::presence::Presence;
use crate::question::Question;
use crate::reading::{Asked, Limits, Reading};
use crate::rows::{Draft, Drafting};
use crate::shown::{Owners, Shown};
use crate::span::Span;
use crate::states::States;
use crate::sums::Sums;
use crate::totals::{Busy, RowTotals};
use crate::{
    ColumnTotals, Continuity, MAX_LISTED_ROUTES, Matrix, MatrixRequest, MatrixRow, QueryError,
    virtual_id,
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
    matrix_within(history, graph, request, Limits::default())
}

/// How large an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub columns: usize,
}

/// Like [`matrix()`], but asks `admit` once it is known how large the answer is, before a cell of it is
/// read.
///
/// # Errors
/// That of `admit`, and see [`QueryError`].
pub fn matrix_admitted(
    history: &dyn History,
    graph: &LineageGraph,
    request: &MatrixRequest,
    admit: &mut dyn FnMut(Extent) -> Result<(), QueryError>,
) -> Result<Matrix, QueryError> {
    let (question, cast) = Question::read(history, graph, request)?;
    let evaluation = Evaluation::new(history, &cast, request, &question, Limits::default());
    let drafts = evaluation.draft_all();
    let rows = drafts.len().min(request.rows.unwrap_or(usize::MAX));
    admit(Extent { rows, columns: question.span.columns() })?;
    Ok(evaluation.answer(drafts))
}

/// Like [`matrix()`], read as `limits` say.
pub(crate) fn matrix_within(
    history: &dyn History,
    graph: &LineageGraph,
    request: &MatrixRequest,
    limits: Limits,
) -> Result<Matrix, QueryError> {
    let (question, cast) = Question::read(history, graph, request)?;
    let evaluation = Evaluation::new(history, &cast, request, &question, limits);
    let drafts = evaluation.draft_all();
    Ok(evaluation.answer(drafts))
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
    let evaluation = Evaluation::new(history, &cast, request, &question, Limits::default());
    let drafts = evaluation.draft_all();
    let sources = drafts.iter().map(|draft| draft.sources.len()).sum();
    Ok(Explained { columns: question.span.columns(), rows: drafts.len(), sources })
}

struct Evaluation<'a> {
    cast: &'a Cast<'a>,
    request: &'a MatrixRequest,
    span: &'a Span,
    presence: &'a BTreeMap<GroupId, Presence>,
    at_ms: Option<u64>,
    reading: Reading<'a>,
    warnings: Vec<String>,
}

impl<'a> Evaluation<'a> {
    fn new(
        history: &'a dyn History,
        cast: &'a Cast<'a>,
        request: &'a MatrixRequest,
        question: &'a Question,
        limits: Limits,
    ) -> Self {
        let Question { span, presence, at_ms, warnings } = question;
        let reading = Reading { history, cast, series: request.series, span, limits };
        let (at_ms, warnings) = (*at_ms, warnings.clone());
        Self { cast, request, span, presence, at_ms, reading, warnings }
    }

    /// Every row that the question needs, not yet fitted.
    fn draft_all(&self) -> Vec<Draft> {
        let had_traffic = |sources: &[Slot]| {
            // Damage is reported when the row is evaluated.
            let mut busy = Busy(vec![false; sources.len()]);
            let (hours, tier) = (self.span.hours(), self.reading.tier(sources.len()));
            self.reading.each(hours, tier, &self.asked(sources), &mut busy);
            busy.0
        };
        let (cast, span, at_ms) = (self.cast, self.span, self.at_ms);
        let drafting = Drafting { cast, span, at_ms, had_traffic: &had_traffic };
        // A share does not depend on what else is asked for: it is cut among all rows that show the
        // source.
        match self.apportions() {
            Some(_) => drafting.draft(&drafting.closure(&self.request.range)),
            None => drafting.draft(&self.request.range),
        }
    }

    /// Sources that go by their places.
    fn asked(&self, sources: &[Slot]) -> Asked {
        Asked::of(self.cast, sources.iter().copied().zip(0..))
    }

    /// The instant that values are apportioned as of, if they are.
    fn apportions(&self) -> Option<u64> {
        self.at_ms.filter(|_| self.request.continuity == Continuity::Apportion)
    }

    /// `all` are its drafts.
    fn answer(self, all: Vec<Draft>) -> Matrix {
        let mut flow = self.apportions().map(|at_ms| Flow::new(self.cast, at_ms, &all));
        let everything = self.request.range == KeyRange::all();
        let asked =
            |draft: &Draft| everything || draft.range(self.cast).overlaps(&self.request.range);
        // Rows outside the asked range take their shares of what the rows inside show, too.
        let (mut drafts, outside): (Vec<Draft>, Vec<Draft>) = all.into_iter().partition(asked);
        let hidden: HashSet<Slot> =
            outside.iter().flat_map(|draft| draft.members.iter().copied()).collect();
        let show = |drafts: &[Draft], flow: &mut Option<Flow<'_>>| {
            Owners::new(self.cast, drafts, &outside, &hidden).shown(drafts, flow)
        };
        let mut shown = show(&drafts, &mut flow);
        let tier = self.reading.tier(shown.sources.len());
        if let Some(budget) = self.request.rows.filter(|&rows| drafts.len() > rows) {
            let totals = self.row_totals(tier, &shown, drafts.len());
            drafts = coarsen(drafts, &totals, budget);
            shown = show(&drafts, &mut flow);
        }
        let sums = Sums::read(&self.reading, tier, &shown, drafts.len());
        self.finish(tier, &drafts, sums)
    }

    /// What each row counts over the whole span.
    fn row_totals(&self, tier: Option<Tier>, shown: &Shown, rows: usize) -> Vec<u128> {
        let slots: Vec<Slot> = shown.sources.iter().map(|source| source.slot).collect();
        if self.apportions().is_none() {
            return self.reading.totals(tier, &slots).by_row(shown, rows);
        }
        let mut totals = RowTotals { shown, totals: vec![0; rows] };
        self.reading.each(self.span.hours(), tier, &self.asked(&slots), &mut totals);
        totals.totals
    }

    fn describe(&self, draft: &Draft, cells: RowCells) -> MatrixRow {
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

    fn finish(&self, tier: Option<Tier>, drafts: &[Draft], sums: Sums) -> Matrix {
        let Sums { rows, marks, mut totals, strays, mut warnings } = sums;
        let (span, columns) = (self.span, self.span.columns());
        let history = self.reading.history;
        let mut states = States::new(history, self.cast, span, self.presence, tier.is_none());
        states.may_be_full = totals.iter().any(|total| total.counted == u64::MAX);
        let drawn = drafts.iter().zip(rows).zip(&marks).zip(0u32..);
        let drawn = drawn.map(|(((draft, mut cells), marks), row)| {
            let of_cell = |column: usize| strays.get(&(row, column));
            states.set(&draft.sources, &mut cells, marks, of_cell);
            self.describe(draft, cells)
        });
        let rows = drawn.collect();
        self.add_unattributed(&mut totals);
        warnings.extend(self.warnings.iter().cloned());
        Matrix {
            series: self.request.series,
            step_ms: span.step.ms(),
            recorded_step_ms: span.unit.ms(),
            tier,
            columns_ms: (0..columns).map(|column| span.column_ms(column)).collect(),
            rows,
            totals,
            warnings: warnings.into_iter().collect(),
        }
    }

    fn add_unattributed(&self, totals: &mut [ColumnTotals]) {
        for of_group in self.presence.values() {
            for (total, unattributed) in totals.iter_mut().zip(&of_group.unattributed) {
                total.unattributed = total.unattributed.saturating_add(*unattributed);
            }
        }
    }
}
