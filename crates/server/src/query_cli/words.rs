//! What an answer's numbers are, in words, and their sums.
//!
//! Responsible for: the name and unit of a series, and the totals of a whole answer.
//! Invariants: sums are wider than their parts, so they never wrap or saturate.
//! Must not: know how anything is drawn or written.
//! Proof: `words_test.rs`.

use keyviz_api::wire::history::{GetMatrixResponse, Series as WireSeries};
use keyviz_lineage::Series;

/// Sums over a whole answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Over all rows: values minus their inherited part.
    pub(crate) values: u128,
    /// Recorded by the sources.
    pub(crate) recorded: u128,
    /// Counted in exactly one row.
    pub(crate) counted: u128,
    /// Inherited, once for each source.
    pub(crate) inherited: u128,
    /// On routes that the sampler did not know.
    pub(crate) unattributed: u128,
}

/// The totals of an answer. Without column totals, what the rows say stands in.
pub(crate) fn totals(matrix: &GetMatrixResponse) -> Totals {
    let sum = |values: &[u64]| values.iter().map(|&value| u128::from(value)).sum::<u128>();
    let values = matrix
        .rows
        .iter()
        .map(|row| {
            let inherited = row.inherited.iter().copied().chain(std::iter::repeat(0));
            let counted = row.values.iter().zip(inherited);
            counted
                .map(|(&value, inherited)| u128::from(value.saturating_sub(inherited)))
                .sum::<u128>()
        })
        .sum();
    match &matrix.column_totals {
        Some(columns) => Totals {
            values,
            recorded: sum(&columns.recorded),
            counted: sum(&columns.counted),
            inherited: sum(&columns.inherited),
            unattributed: sum(&columns.unattributed),
        },
        None => Totals { values, recorded: values, counted: values, ..Totals::default() },
    }
}

/// The series of an answer.
pub(crate) fn series_of(matrix: &GetMatrixResponse) -> Series {
    match matrix.series() {
        WireSeries::Reads => Series::Reads,
        WireSeries::Writes | WireSeries::Unspecified => Series::Writes,
        WireSeries::ReadBytes => Series::ReadBytes,
        WireSeries::WriteBytes => Series::WriteBytes,
    }
}

/// Its name.
pub(crate) fn series(matrix: &GetMatrixResponse) -> &'static str {
    series_of(matrix).name()
}

/// What one of it is.
pub(crate) fn unit(matrix: &GetMatrixResponse) -> &'static str {
    match series_of(matrix) {
        Series::Reads => "reads",
        Series::Writes => "writes",
        Series::ReadBytes => "bytes read",
        Series::WriteBytes => "bytes written",
    }
}

/// What happened to bytes that already bear their unit.
pub(crate) fn verb(matrix: &GetMatrixResponse) -> &'static str {
    match series_of(matrix) {
        Series::Reads | Series::ReadBytes => "read",
        Series::Writes | Series::WriteBytes => "written",
    }
}

/// Whether it counts bytes.
pub(crate) fn is_bytes(matrix: &GetMatrixResponse) -> bool {
    matches!(series_of(matrix), Series::ReadBytes | Series::WriteBytes)
}

#[cfg(test)]
#[path = "words_test.rs"]
mod words_test;
