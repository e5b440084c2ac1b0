//! Why a replay failed, and what to do about it.
//!
//! Must not: hold what a successful replay would report (that is `report.rs`).
//! Proved by: the tests of the modules that return these errors.

use std::io;
use std::path::PathBuf;

use keyviz_api::client::SendError;
use keyviz_api::convert::ConvertError;
use keyviz_lineage::KeyRangeError;

use super::input::InputError;

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages name the fields
pub(crate) enum ReplayError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(
        "cannot keep {name} in a temporary file in {}: {source}; free some space there, or point \
         TMPDIR elsewhere",
        folder.display()
    )]
    Spool { name: String, folder: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    RoutesFile { path: PathBuf, source: io::Error },
    #[error("{} line {line}: {reason}", path.display())]
    RoutesLine { path: PathBuf, line: usize, reason: String },
    #[error("the routes do not follow each other: {0}")]
    Routes(#[from] KeyRangeError),
    #[error("--node-id `{node}`: {source}")]
    NodeId { node: String, source: ConvertError },
    #[error("{name} holds no access that could be used: {refused} lines were refused{first}")]
    Empty { name: String, refused: u64, first: String },
    #[error(
        "line {line}: the time of {time_ms} ms is behind the year 9999; check --time-column and \
         --time-unit"
    )]
    TimeTooLarge { line: u64, time_ms: u64 },
    #[error(
        "the trace spans {windows} windows, more than the {limit} that are replayed at once: line \
         {first_line} is at {first_ms} ms and line {last_line} at {last_ms} ms (Unix time); check \
         --time-column and --time-unit, choose a longer --step, or split the file"
    )]
    TooManyWindows {
        windows: u64,
        limit: u64,
        first_line: u64,
        first_ms: u64,
        last_line: u64,
        last_ms: u64,
    },
    #[error(
        "the trace has more than {limit} cells (windows x routes with traffic), which are kept \
         for the comparison at the end; choose a longer --step or fewer --routes, or split the file"
    )]
    TooManyCells { limit: usize },
    #[error("the trace is longer than the time since 1970 and cannot be moved to end now")]
    CannotShift,
    #[error(
        "line {line}: the time of {time_ms} ms (Unix time) is in the future, and no node takes that; \
         check --time-unit, or pass --shift-to-now"
    )]
    Future { line: u64, time_ms: u64 },
    #[error(
        "{name} changed while it was read; replay it when nothing writes to it any more (what was \
         sent so far stays stored)"
    )]
    Changed { name: String },
    #[error("the reader of the trace ended unexpectedly: {0}")]
    Reader(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(
        "keyviz at {address} refused {entries} entries and {rows} rows, the last one because: \
         {reason}{hint}"
    )]
    Refused { address: String, entries: u64, rows: u64, reason: String, hint: &'static str },
    #[error(
        "keyviz at {address} could not be reached for {seconds} s: {reason}; check --to, and that \
         `keyviz serve` runs there"
    )]
    Unreachable { address: String, seconds: u64, reason: String },
    #[error(
        "keyviz at {address} acknowledged nothing for {seconds} s while {waiting} entries wait{reason}; \
         look at its log. Replaying the same file again goes on where this ended"
    )]
    Stalled { address: String, seconds: u64, waiting: usize, reason: String },
    #[error("cannot compare what keyviz at {address} stored with what was read: {reason}")]
    Compare { address: String, reason: String },
    #[error(
        "{different} of {cells} cells differ from what was read (listed above); if other traffic \
         or an earlier replay with other options or another shift is in the same group, use \
         another --group"
    )]
    Different { different: u64, cells: u64 },
}
