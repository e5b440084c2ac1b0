//! The whole answer as one JSON document.
//!
//! Responsible for: the names and shapes of its fields, which follow `history.proto` and the HTTP
//! answer: u64 as numbers, keys in base64 (null when open), flags as bits, states run-length coded.
//! Invariants: nothing is rounded or left out; `start_text` and `end_text` can be given back to
//! `--start` and `--end`.
//! Must not: build the document in memory; it is written as it goes.
//! Proof: `json_test.rs`.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_api::wire::history::{ColumnTotals, GetMatrixResponse, MatrixRow};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::grid::State;
use super::{key_text, words};

/// Writes `matrix` as one line.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(matrix: &GetMatrixResponse, out: &mut dyn Write) -> std::io::Result<()> {
    let sums = words::totals(matrix);
    let document = Document {
        series: words::series(matrix),
        step_ms: matrix.step_ms,
        recorded_step_ms: matrix.recorded_step_ms,
        tier: &matrix.tier,
        column_unix_ms: &matrix.column_unix_ms,
        rows: matrix.rows.iter().map(Row::new).collect(),
        column_totals: matrix.column_totals.as_ref().map(Columns::new),
        totals: Totals {
            values: sums.values,
            recorded: sums.recorded,
            counted: sums.counted,
            inherited: sums.inherited,
            unattributed: sums.unattributed,
        },
        flag_bits: FlagBits(&matrix.flag_names),
        status: &matrix.status,
        warnings: &matrix.warnings,
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Document<'a> {
    series: &'a str,
    step_ms: u64,
    recorded_step_ms: u64,
    tier: &'a str,
    column_unix_ms: &'a [i64],
    rows: Vec<Row<'a>>,
    column_totals: Option<Columns<'a>>,
    totals: Totals,
    flag_bits: FlagBits<'a>,
    status: &'a str,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    bucket_id: &'a str,
    #[serde(serialize_with = "base64_or_null")]
    start: &'a [u8],
    #[serde(serialize_with = "base64_or_null")]
    end: &'a [u8],
    start_text: Option<String>,
    end_text: Option<String>,
    aggregate: bool,
    route_ids: &'a [u64],
    route_count: u64,
    lineage_id: &'a str,
    raft_group_ids: &'a [u64],
    closed: bool,
    valid_from_unix_ms: i64,
    valid_to_unix_ms: i64,
    values: &'a [u64],
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    max: &'a [u64],
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    inherited: &'a [u64],
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    flags: &'a [u32],
    states: Runs<'a>,
}

impl<'a> Row<'a> {
    fn new(row: &'a MatrixRow) -> Self {
        let text = |key: &[u8]| (!key.is_empty()).then(|| key_text::exact(key));
        Self {
            bucket_id: &row.bucket_id,
            start: &row.start,
            end: &row.end,
            start_text: text(&row.start),
            end_text: text(&row.end),
            aggregate: row.aggregate,
            route_ids: &row.route_ids,
            route_count: row.route_count,
            lineage_id: &row.lineage_id,
            raft_group_ids: &row.raft_group_ids,
            closed: row.closed,
            valid_from_unix_ms: row.valid_from_unix_ms,
            valid_to_unix_ms: row.valid_to_unix_ms,
            values: &row.values,
            max: &row.max,
            inherited: &row.inherited,
            flags: &row.flags,
            states: Runs(&row.states),
        }
    }
}

#[derive(Serialize)]
struct Columns<'a> {
    recorded: &'a [u64],
    counted: &'a [u64],
    inherited: &'a [u64],
    unattributed: &'a [u64],
}

impl<'a> Columns<'a> {
    fn new(totals: &'a ColumnTotals) -> Self {
        Self {
            recorded: &totals.recorded,
            counted: &totals.counted,
            inherited: &totals.inherited,
            unattributed: &totals.unattributed,
        }
    }
}

/// Sums over the whole answer; `values` is what the rows counted.
#[derive(Serialize)]
struct Totals {
    values: u128,
    recorded: u128,
    counted: u128,
    inherited: u128,
    unattributed: u128,
}

/// `{"sampled": 1, "soft": 2, ...}`
struct FlagBits<'a>(&'a [String]);

impl Serialize for FlagBits<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (bit, name) in self.0.iter().enumerate().take(32) {
            map.serialize_entry(name, &(1_u32 << bit))?;
        }
        map.end()
    }
}

/// `[["idle", 3], ["measured", 57]]`
struct Runs<'a>(&'a [u8]);

impl Serialize for Runs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for run in self.0.chunk_by(|left, right| left == right) {
            seq.serialize_element(&(State::from_wire(run[0]).name(), run.len()))?;
        }
        seq.end()
    }
}

fn base64_or_null<S: Serializer>(key: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if key.is_empty() {
        serializer.serialize_none()
    } else {
        serializer.collect_str(&STANDARD.encode(key))
    }
}

#[cfg(test)]
#[path = "json_test.rs"]
mod json_test;
