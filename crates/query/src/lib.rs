//! Answers time x key range from the stored history and the open hour.
//!
//! ```text
//! MatrixRequest -> question (times, step, who recorded) -> rows (who is drawn) -> shown (who shows
//!   which source) -> coarsen -> reading (from which tier) -> sums (tile by tile) -> states -> Matrix
//! ```
//! Responsible for: the rules of contract section 8: which lineages a row shows, what is counted and
//! what is only inherited, what an empty cell means.
//! Invariants: Q1 every source is counted in at most one row, so that in each column
//! counted + each inherited source once = recorded (`inherit`), and counted = recorded
//! (`apportion`); Q2 no flag keeps a cell out of its sum; Q3 a window that nobody recorded is never
//! drawn as zero.
//! Must not: do I/O but through [`keyviz_store::History`], read a clock, or know the wire.
//! Proof: `matrix_test.rs`, against a slow and obvious model; `rules_test.rs` and
//! `loose_test.rs`, one rule at a time.

pub mod biography;
mod cast;
mod cells;
mod coarsen;
pub mod fan_out;
mod flow;
mod matrix;
mod parallel;
mod presence;
mod question;
mod reading;
mod rows;
mod shown;
mod span;
mod states;
mod sums;
mod tile;
pub mod top;
mod totals;

use keyviz_codec::rollup::Tier;
use keyviz_lineage::id::virtual_id;
use keyviz_lineage::{Flags, GroupId, KeyRange, LineageId, RouteId, Series, Step};
use thiserror::Error;

pub use cells::RowCells;
pub use matrix::{Explained, Extent, explain, matrix, matrix_admitted};
pub use span::MAX_COLUMNS;

/// Rows of an answer: the default and the most.
pub const MAX_ROWS: usize = 1_024;
/// Member routes that a virtual row lists; the true count is always given.
pub const MAX_LISTED_ROUTES: usize = 256;

/// Which rows are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowSet {
    /// Those alive at the end of the span.
    #[default]
    AsOfTo,
    /// Those alive at its start.
    AsOfFrom,
    /// Those alive at a time, Unix milliseconds.
    AsOf(u64),
    /// One for each lineage alive in the span; they may overlap in keys.
    Union,
}

/// What a row shows of a source that is wider than the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Continuity {
    /// The whole, flagged and not counted.
    #[default]
    Inherit,
    /// Its share, flagged and counted.
    Apportion,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixRequest {
    /// Which series.
    pub series: Series,
    /// Unix milliseconds; `None` = from the first column that is retained.
    pub from_ms: Option<u64>,
    /// Unix milliseconds, exclusive; `None` = now.
    pub to_ms: Option<u64>,
    /// Rows that overlap it stay whole.
    pub range: KeyRange,
    /// Row budget; `None` = no cap.
    pub rows: Option<usize>,
    /// `None` = automatic.
    pub step: Option<Step>,
    /// Which rows are drawn.
    pub row_set: RowSet,
    /// What a row shows of a wider source.
    pub continuity: Continuity,
}

impl MatrixRequest {
    /// Everything that is retained of one series, with the defaults of the contract.
    pub fn new(series: Series) -> Self {
        Self {
            series,
            from_ms: None,
            to_ms: None,
            range: KeyRange::all(),
            rows: Some(MAX_ROWS),
            step: None,
            row_set: RowSet::default(),
            continuity: Continuity::default(),
        }
    }
}

/// What a cell is, apart from its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CellState {
    /// Recorded, with traffic.
    Measured = 0,
    /// Recorded, no traffic.
    Idle = 1,
    /// No expected source recorded it.
    #[default]
    Missing = 2,
    /// Some expected source did not record (all of) it.
    Partial = 3,
    /// It ended less than two steps ago, or has not ended, and a source is still out.
    Pending = 4,
    /// No lineage of the row's range was alive.
    Nonexistent = 5,
}

impl CellState {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Idle => "idle",
            Self::Missing => "missing",
            Self::Partial => "partial",
            Self::Pending => "pending",
            Self::Nonexistent => "nonexistent",
        }
    }
}

/// One cell of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatrixCell {
    /// The part that is counted.
    pub counted: u64,
    /// The part that is shown from a wider source, not counted.
    pub inherited: u64,
    /// The largest recorded window in it (counted and inherited). From roll-ups ([`Matrix::tier`]):
    /// the largest window of one source, a lower bound of the row's own.
    pub max: u64,
    /// Why it is not exact.
    pub flags: Flags,
    /// What it is.
    pub state: CellState,
}

/// One row of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixRow {
    /// `route:<id>` or `virtual:<id>`.
    pub bucket_id: String,
    /// The keys it stands for.
    pub range: KeyRange,
    /// Whether it stands for several ranges.
    pub aggregate: bool,
    /// Their routes, at most [`MAX_LISTED_ROUTES`].
    pub routes: Vec<RouteId>,
    /// How many routes there are.
    pub route_count: u64,
    /// Their groups.
    pub groups: Vec<GroupId>,
    /// The lineage, for a row of one range.
    pub lineage: Option<LineageId>,
    /// Whether it had ended by the time that the row set is taken at.
    pub closed: bool,
    /// Birth of the (first) range, Unix milliseconds.
    pub valid_from_ms: u64,
    /// End of the (last) range, Unix milliseconds.
    pub valid_to_ms: Option<u64>,
    /// One cell a column.
    pub cells: RowCells,
}

/// The sums of one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnTotals {
    /// Everything that was recorded of the ranges in the answer.
    pub recorded: u64,
    /// What the rows count.
    pub counted: u64,
    /// What they only show, each source once.
    pub inherited: u64,
    /// Operations on routes that their node did not know (not part of `recorded`).
    pub unattributed: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Which series.
    pub series: Series,
    /// Length of a column, in milliseconds.
    pub step_ms: u64,
    /// Length of the recorded windows in the span, in milliseconds.
    pub recorded_step_ms: u64,
    /// The roll-ups that the cells come from; `None` = the finest columns, whose maxima are exact.
    pub tier: Option<Tier>,
    /// Window starts, Unix milliseconds; a true time axis without holes.
    pub columns_ms: Vec<u64>,
    /// By start key, then id.
    pub rows: Vec<MatrixRow>,
    /// One for each column.
    pub totals: Vec<ColumnTotals>,
    /// What could not be read. Not empty: the answer is partial.
    pub warnings: Vec<String>,
}

impl Matrix {
    /// What its cells come from, by its name on every surface.
    pub fn tier_name(&self) -> &'static str {
        self.tier.map_or("finest", Tier::name)
    }

    /// Whether everything could be read, as every surface says it.
    pub fn status(&self) -> &'static str {
        if self.warnings.is_empty() { "OK" } else { "PARTIAL" }
    }
}

/// Why a question has no answer.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum QueryError {
    #[error(
        "from {from_ms} is not before to {to_ms}; times are Unix milliseconds, to is exclusive"
    )]
    EmptySpan { from_ms: u64, to_ms: u64 },
    #[error(
        "the span of {span_ms} ms is longer than the retention of {tier}, {retention_ms} ms; ask for less, or for a step of an hour, or raise --retention or --rollup-retention"
    )]
    SpanTooLong { span_ms: u64, tier: &'static str, retention_ms: u64 },
    #[error(
        "{columns} columns of {step_ms} ms are more than the limit of {limit}; ask for a shorter span or a coarser step"
    )]
    TooManyColumns { columns: u64, step_ms: u64, limit: u64 },
    #[error(
        "the span holds {windows} recorded windows of {unit_ms} ms, more than the limit of {limit}; ask for a shorter span"
    )]
    TooManyWindows { windows: u64, unit_ms: u64, limit: u64 },
    #[error(
        "{rows} rows of {columns} columns would take some {mib} MiB of memory, and one answer may take {limit_mib} MiB; ask for fewer rows, a coarser step, a shorter span or a narrower key range"
    )]
    TooLarge { rows: usize, columns: usize, mib: u64, limit_mib: u64 },
    #[error(
        "the answer would take some {mib} MiB of memory, and others take {held_mib} of {limit_mib} MiB now; ask again in a moment, or for fewer rows, a coarser step, a shorter span or a narrower key range"
    )]
    NoRoom { mib: u64, held_mib: u64, limit_mib: u64 },
    #[error(transparent)]
    Store(#[from] keyviz_store::StoreError),
}

#[cfg(test)]
mod biography_model_test;
#[cfg(test)]
mod loose_test;
#[cfg(test)]
mod matrix_test;
#[cfg(test)]
mod model_cells_test;
#[cfg(test)]
mod model_flow_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod random_test;
#[cfg(test)]
mod rectangles_test;
#[cfg(test)]
mod rules_test;
#[cfg(test)]
mod story_test;
#[cfg(test)]
mod world_test;
