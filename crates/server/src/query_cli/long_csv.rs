//! The answer as CSV, one line a cell.
//!
//! Responsible for: the columns of the file, in the order of [`HEADER`].
//! Invariants: cells of ranges that did not exist are left out; a window that nobody recorded has
//! empty numbers, not zeros; keys can be given back to `--start` and `--end`, and none is a formula
//! for a spreadsheet.
//! Must not: hold more than a line.
//! Proof: `long_csv_test.rs`.

use std::io::{self, Write};

use keyviz_api::wire::history::GetMatrixResponse;

use super::grid::{Grid, State};
use super::time_text::iso;
use super::{key_text, words};

/// The first line.
const HEADER: [&str; 12] = [
    "window_start",
    "window_unix_ms",
    "start",
    "end",
    "bucket_id",
    "lineage_id",
    "series",
    "value",
    "max",
    "inherited",
    "state",
    "flags",
];

/// Writes `matrix`, row by row, each in time order.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(matrix: &GetMatrixResponse, out: &mut dyn Write) -> io::Result<()> {
    let grid = Grid::new(matrix);
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(HEADER).map_err(io_error)?;
    let times: Vec<(String, String)> =
        matrix.column_unix_ms.iter().map(|&unix_ms| (iso(unix_ms), unix_ms.to_string())).collect();
    let series = words::series(matrix);
    for (index, row) in matrix.rows.iter().enumerate() {
        let (start, end) = (key(&row.start), key(&row.end));
        for (cell, (window, unix_ms)) in grid.cells(index).zip(&times) {
            if cell.state == State::Nonexistent && cell.value == 0 {
                continue;
            }
            let number =
                |value: u64| if cell.has_value() { value.to_string() } else { String::new() };
            csv.write_record([
                window,
                unix_ms,
                &start,
                &end,
                &row.bucket_id,
                &row.lineage_id,
                series,
                &number(cell.value),
                &number(cell.max),
                &number(cell.inherited),
                cell.state.name(),
                &flag_names(matrix, cell.flags),
            ])
            .map_err(io_error)?;
        }
    }
    csv.flush()
}

/// The error below, so that a reader that went away is told apart.
pub(crate) fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A key as text or hex; what a spreadsheet would run as a formula is hex too.
pub(crate) fn key(key: &[u8]) -> String {
    match key.first() {
        Some(b'=' | b'+' | b'-' | b'@') => format!("0x{}", hex::encode(key)),
        _ => key_text::exact(key),
    }
}

/// Names of the bits that are set, with `|` between them.
fn flag_names(matrix: &GetMatrixResponse, flags: u32) -> String {
    let name =
        |bit: usize| matrix.flag_names.get(bit).cloned().unwrap_or_else(|| format!("bit_{bit}"));
    let names: Vec<String> = (0..32).filter(|bit| flags & (1 << bit) != 0).map(name).collect();
    names.join("|")
}

#[cfg(test)]
#[path = "long_csv_test.rs"]
mod long_csv_test;
