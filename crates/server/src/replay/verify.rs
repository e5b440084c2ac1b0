//! The comparison of what the node stored with what was read.
//!
//! Responsible for: asking for every cell of the trace (each route, window and series), block by
//! block, and comparing it with the ledger.
//! What is compared: for each route, the sum over the rows of the answer that have its bounds and
//! its group (one for each lineage that ever had them), without what they inherit from wider
//! ranges. A window without traffic must be known as recorded, not missing.
//! A node that recorded other steps in the same span answers in coarser columns; then their sums
//! are compared. Rows that the node has coarsened are asked for again with fewer routes.
//! State: one answer at a time.
//! Must not: trust the answer's shape.
//! Proved by: `verify_test.rs`, `replay_test.rs`.

use std::ops::Range;
use std::time::Duration;

use indicatif::ProgressBar;
use keyviz_api::wire::history as wire;
use keyviz_api::wire::history::history_service_client::HistoryServiceClient;
use keyviz_lineage::{KeyRange, Series};
use tonic::{Code, Status};

use super::error::ReplayError;
use super::ledger::Ledger;
use super::plan::Plan;
use crate::query_cli::ask::HistoryClient;
use crate::shown_token::ShownToken;

#[cfg(test)]
#[path = "verify_test.rs"]
mod tests;

/// Columns of one question.
const COLUMNS_PER_QUESTION: usize = 1_500;
/// Routes of one question; others may lie in the same keys, and an answer has 1,024 rows at most.
const ROUTES_PER_QUESTION: usize = 256;
/// The largest answer that is accepted.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// How many differences are kept.
const SHOWN_DIFFERENCES: usize = 10;
/// Between two attempts to reach the node.
const RETRY: Duration = Duration::from_millis(500);

/// States of a cell that stand for "nobody recorded it" (see `MatrixRow.states`).
const UNRECORDED: [u8; 2] = [2, 5];

/// A cell that is not what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Start of the window, Unix milliseconds.
    pub(crate) window_ms: u64,
    /// The route's keys.
    pub(crate) range: KeyRange,
    /// Which series.
    pub(crate) series: Series,
    /// What was read.
    pub(crate) expected: u64,
    /// What is stored; `None` if the node has no record of the window there.
    pub(crate) stored: Option<u64>,
}

/// The outcome of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Cells compared.
    pub(crate) cells: u64,
    /// How many of them differ.
    pub(crate) different: u64,
    /// The first of these.
    pub(crate) differences: Vec<Difference>,
    /// Cells that are equal but flagged as inexact by the node.
    pub(crate) flagged: u64,
    /// Columns that stand for several windows, because the node answers in this step.
    pub(crate) coarser_step_ms: Option<u64>,
}

/// Some windows of some routes, in one series.
#[derive(Clone, Debug)]
struct Block<'a> {
    plan: &'a Plan,
    ledger: &'a Ledger,
    series: Series,
    windows: Range<usize>,
    routes: Range<usize>,
}

/// One cell of an answer, all rows of its route together.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    value: u64,
    recorded: bool,
    flagged: bool,
}

/// An answer by route (of the block) and column.
#[derive(Debug)]
struct Grid {
    /// The place of each compared column in the answer, and the windows that it stands for.
    columns: Vec<(usize, Range<usize>)>,
    /// The first window of the block that no column of the block before reaches.
    begin: usize,
    /// By route, then by place in the answer; `None` for a route without a row.
    rows: Vec<Option<Vec<Stored>>>,
    step_ms: u64,
}

/// Compares everything.
///
/// # Errors
/// [`ReplayError::Compare`] when the node cannot be asked or answers nonsense. Differences are no
/// error here.
pub(super) async fn verify(
    (address, token): (&str, &ShownToken),
    plan: &Plan,
    ledger: &Ledger,
    patience: Duration,
    bar: &ProgressBar,
) -> Result<Verified, ReplayError> {
    let failed = |reason: String| ReplayError::Compare { address: address.to_owned(), reason };
    let mut asker = Asker::new(address, token, patience).map_err(failed)?;
    let mut verified = Verified::default();
    bar.set_length((plan.windows * plan.routes.len() * Series::ALL.len()) as u64);
    for first in (0..plan.windows).step_by(COLUMNS_PER_QUESTION) {
        let windows = first..plan.windows.min(first + COLUMNS_PER_QUESTION);
        for series in Series::ALL {
            let mut open = Vec::new();
            open.push(0..plan.routes.len());
            while let Some(routes) = open.pop() {
                let middle = routes.start + routes.len() / 2;
                let halves = [middle..routes.end, routes.start..middle];
                if routes.len() > ROUTES_PER_QUESTION {
                    open.extend(halves);
                    continue;
                }
                let block = Block { plan, ledger, series, windows: windows.clone(), routes };
                let answer = asker.ask(block.question()).await.map_err(failed)?;
                let grid = Grid::read(&answer, &block).map_err(failed)?;
                if block.routes.len() > 1 && grid.lacks_rows(&block) {
                    open.extend(halves);
                    continue;
                }
                grid.compare(&block, &mut verified);
                bar.inc((block.windows.len() * block.routes.len()) as u64);
            }
        }
    }
    Ok(verified)
}

impl Block<'_> {
    fn question(&self) -> wire::GetMatrixRequest {
        let ranges = &self.plan.routes.ranges()[self.routes.clone()];
        let bound = |range: Option<&KeyRange>, of: fn(&KeyRange) -> &[u8]| {
            range.map(|range| of(range).to_vec()).unwrap_or_default().into()
        };
        let series = match self.series {
            Series::Reads => wire::Series::Reads,
            Series::Writes => wire::Series::Writes,
            Series::ReadBytes => wire::Series::ReadBytes,
            Series::WriteBytes => wire::Series::WriteBytes,
        };
        wire::GetMatrixRequest {
            series: series.into(),
            from_unix_ms: self.plan.start_ms(self.windows.start) as i64,
            to_unix_ms: self.plan.start_ms(self.windows.end) as i64,
            start: bound(ranges.first(), KeyRange::start),
            end: bound(ranges.last(), KeyRange::end),
            rows: 1_024,
            step_ms: self.plan.step.ms(),
            row_set: wire::RowSet::Union.into(),
            as_of_unix_ms: 0,
            continuity: wire::Continuity::Inherit.into(),
        }
    }

    fn sums(&self, windows: Range<usize>) -> Vec<u64> {
        self.ledger.sums(windows, &self.routes, self.series)
    }
}

impl Grid {
    /// Takes the rows of the block's routes out of an answer. The error says what is wrong with it.
    fn read(answer: &wire::GetMatrixResponse, block: &Block<'_>) -> Result<Grid, String> {
        let plan = block.plan;
        let step_ms = answer.step_ms;
        if step_ms == 0 || !step_ms.is_multiple_of(plan.step.ms()) {
            return Err(format!(
                "it answers in steps of {step_ms} ms, which {} ms windows do not fit into",
                plan.step.ms()
            ));
        }
        let (columns, begin) = compared_columns(answer, block);
        let mut rows = vec![None; block.routes.len()];
        for row in &answer.rows {
            let width = answer.column_unix_ms.len();
            let optional = |length: usize| length == 0 || length == width;
            if row.values.len() != width
                || !optional(row.inherited.len())
                || !optional(row.flags.len())
                || !optional(row.states.len())
            {
                return Err(format!("row {} is not as long as its answer", row.bucket_id));
            }
            let ours = row.raft_group_ids.is_empty() || row.raft_group_ids.contains(&plan.group);
            let index = plan.routes.index_of_range(&row.start, &row.end);
            let index = index.filter(|index| block.routes.contains(index));
            if let (true, false, Some(index)) = (ours, row.aggregate, index) {
                let cells = rows[index - block.routes.start]
                    .get_or_insert_with(|| vec![Stored::default(); width]);
                add_row(cells, row);
            }
        }
        Ok(Grid { columns, begin, rows, step_ms })
    }

    /// Whether a route with traffic has no row: the node has joined it with others.
    fn lacks_rows(&self, block: &Block<'_>) -> bool {
        let sums = block.sums(block.windows.clone());
        self.rows.iter().zip(sums).any(|(row, sum)| row.is_none() && sum > 0)
    }

    fn compare(&self, block: &Block<'_>, verified: &mut Verified) {
        if self.step_ms != block.plan.step.ms() {
            verified.coarser_step_ms = Some(self.step_ms);
        }
        let mut next = self.begin;
        for (place, windows) in &self.columns {
            // What the answer leaves out is not stored.
            for window in next..windows.start {
                self.compare_column(block, None, window..window + 1, verified);
            }
            self.compare_column(block, Some(*place), windows.clone(), verified);
            next = windows.end;
        }
        for window in next..block.windows.end {
            self.compare_column(block, None, window..window + 1, verified);
        }
    }

    fn compare_column(
        &self,
        block: &Block<'_>,
        place: Option<usize>,
        windows: Range<usize>,
        verified: &mut Verified,
    ) {
        for (row, expected) in block.sums(windows.clone()).into_iter().enumerate() {
            verified.cells += 1;
            let stored = match (place, &self.rows[row]) {
                (Some(place), Some(cells)) => cells[place],
                // A route that never had traffic need not be drawn.
                (Some(_), None) => Stored { recorded: expected == 0, ..Stored::default() },
                (None, _) => Stored::default(),
            };
            let value = (stored.recorded || stored.value > 0).then_some(stored.value);
            if value == Some(expected) {
                verified.flagged += u64::from(stored.flagged);
                continue;
            }
            verified.different += 1;
            if verified.differences.len() < SHOWN_DIFFERENCES {
                verified.differences.push(Difference {
                    window_ms: block.plan.start_ms(windows.start),
                    range: block.plan.routes.ranges()[block.routes.start + row].clone(),
                    series: block.series,
                    expected,
                    stored: value,
                });
            }
        }
    }
}

/// Which columns of an answer are compared for a block, and which windows they stand for. A coarse
/// one may reach over the block's edges: it belongs to the block that holds its first window. So
/// some of the block's windows may belong to the block before; the first that does not is returned
/// too.
fn compared_columns(
    answer: &wire::GetMatrixResponse,
    block: &Block<'_>,
) -> (Vec<(usize, Range<usize>)>, usize) {
    let plan = block.plan;
    let per_column = i128::from(answer.step_ms / plan.step.ms());
    let (mut columns, mut begin) = (Vec::new(), block.windows.start);
    for (place, &start_ms) in answer.column_unix_ms.iter().enumerate() {
        let since_ms = i128::from(start_ms) - i128::from(plan.first_ms);
        let first = since_ms.div_euclid(i128::from(plan.step.ms()));
        let clamp = |at: i128| at.clamp(0, plan.windows as i128) as usize;
        let windows = clamp(first)..clamp(first + per_column);
        if windows.start < block.windows.start {
            begin = begin.max(windows.end.min(block.windows.end));
        } else if !windows.is_empty() && windows.start < block.windows.end {
            columns.push((place, windows));
        }
    }
    (columns, begin)
}

fn add_row(cells: &mut [Stored], row: &wire::MatrixRow) {
    for (place, cell) in cells.iter_mut().enumerate() {
        let inherited = row.inherited.get(place).copied().unwrap_or(0);
        let counted = row.values[place].saturating_sub(inherited);
        cell.value = cell.value.saturating_add(counted);
        cell.recorded |= row.states.get(place).is_none_or(|state| !UNRECORDED.contains(state));
        cell.flagged |= row.flags.get(place).is_some_and(|flags| *flags != 0);
    }
}

/// Puts questions to the node, again while it cannot be reached.
struct Asker {
    client: HistoryClient,
    patience: Duration,
}

impl Asker {
    fn new(address: &str, token: &ShownToken, patience: Duration) -> Result<Asker, String> {
        let endpoint = token
            .tls()
            .endpoint(address)
            .map_err(|error| error.to_string())?
            .connect_timeout(Duration::from_secs(2))
            .timeout(patience.max(Duration::from_secs(1)));
        let bearer = token.bearer().map_err(|error| error.to_string())?;
        let client = HistoryServiceClient::with_interceptor(endpoint.connect_lazy(), bearer)
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Asker { client, patience })
    }

    async fn ask(
        &mut self,
        question: wire::GetMatrixRequest,
    ) -> Result<wire::GetMatrixResponse, String> {
        let mut waited = Duration::ZERO;
        loop {
            match self.client.get_matrix(question.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_passing(&status) && waited < self.patience => {
                    tokio::time::sleep(RETRY).await;
                    waited += RETRY;
                }
                Err(status) => return Err(reason_of(&status)),
            }
        }
    }
}

/// Not reachable, still starting, busy, or gone in the middle of an answer.
fn is_passing(status: &Status) -> bool {
    use Code::{Aborted, Cancelled, ResourceExhausted, Unavailable, Unknown};
    matches!(status.code(), Unavailable | ResourceExhausted | Unknown | Cancelled | Aborted)
}

fn reason_of(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
