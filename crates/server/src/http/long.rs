//! The matrix in long format, one line a cell, for tools that read tables: NDJSON, an Arrow IPC stream
//! and Parquet.
//!
//! ```text
//! ts, start, end, start_text, end_text, series, value, max, inherited, state, flags, bucket_id, lineage_id
//! ```
//! Responsible for: which cells there are and what the columns say, in all three formats alike.
//! Invariants: cells of ranges that did not exist are left out; a window that nobody recorded has null
//! numbers, not zeros; what a cell is and why it is not exact stands beside its value. An answer is
//! encoded as fast as it is read, a chunk at a time.
//! Must not: decide what is asked.
//! Proof: `tests/tests/formats.rs`, every cell against the JSON answer of the same node.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt64Array, types::Int32Type,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_lineage::Flags;
use keyviz_query::{CellState, Matrix, MatrixCell};
use serde::Serialize;

use crate::node::rfc3339;
use crate::query_cli::key_text;
use crate::queue::Held;

/// Cells that are encoded at a time.
const CHUNK_CELLS: usize = 32_768;
/// The states, each at its number.
const STATES: [CellState; 6] = [
    CellState::Measured,
    CellState::Idle,
    CellState::Missing,
    CellState::Partial,
    CellState::Pending,
    CellState::Nonexistent,
];

/// An answer, and what its cells have in common.
pub(super) struct Long {
    matrix: Held<Matrix>,
    rows: Vec<RowText>,
    /// Every set of flags that a cell has: where its text stands in `flags`.
    flag_keys: BTreeMap<u32, i32>,
    flags: Vec<String>,
    schema: SchemaRef,
    dictionaries: Dictionaries,
}

/// What is the same in all cells of a row.
struct RowText {
    start: Option<String>,
    end: Option<String>,
    start_text: Option<String>,
    end_text: Option<String>,
    lineage: Option<String>,
}

/// The values that cells point at, the same arrays in every chunk: a stream holds them once.
struct Dictionaries {
    start: ArrayRef,
    end: ArrayRef,
    start_text: ArrayRef,
    end_text: ArrayRef,
    series: ArrayRef,
    state: ArrayRef,
    flags: ArrayRef,
    bucket: ArrayRef,
    lineage: ArrayRef,
}

/// A cell, as NDJSON has it.
#[derive(Serialize)]
struct Line<'a> {
    ts: &'a str,
    /// Base64; null where unbounded.
    start: Option<&'a str>,
    end: Option<&'a str>,
    start_text: Option<&'a str>,
    end_text: Option<&'a str>,
    series: &'static str,
    value: Option<u64>,
    max: Option<u64>,
    inherited: Option<u64>,
    state: &'static str,
    flags: &'a str,
    bucket_id: &'a str,
    lineage_id: Option<&'a str>,
}

impl Long {
    pub(super) fn new(matrix: Held<Matrix>, now_ms: u64) -> Self {
        let rows: Vec<RowText> = matrix.rows.iter().map(RowText::of).collect();
        let mut flag_keys = BTreeMap::from([(0, 0)]);
        let mut flags = vec![String::new()];
        for cell in matrix.rows.iter().flat_map(|row| row.cells.iter()) {
            let bits = u32::from(cell.flags.0);
            flag_keys.entry(bits).or_insert_with(|| {
                flags.push(flag_names(cell.flags));
                flags.len() as i32 - 1
            });
        }
        let dictionaries = Dictionaries::of(&matrix, &rows, &flags);
        let schema = Arc::new(schema().with_metadata(metadata(&matrix, now_ms)));
        Self { matrix, rows, flag_keys, flags, schema, dictionaries }
    }

    /// `OK`, or `PARTIAL` where something could not be read.
    pub(super) fn status(&self) -> &'static str {
        self.matrix.status()
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The number of rows of the matrix from `row` on that make up a chunk; 0 at the end.
    pub(super) fn chunk_rows(&self, row: usize) -> usize {
        let at_a_time = (CHUNK_CELLS / self.matrix.columns_ms.len().max(1)).max(1);
        at_a_time.min(self.matrix.rows.len().saturating_sub(row))
    }

    fn cells(
        &self,
        rows: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (usize, usize, MatrixCell)> + '_ {
        rows.flat_map(move |row| {
            let cells = self.matrix.rows[row].cells.iter().enumerate();
            cells.map(move |(column, cell)| (row, column, cell))
        })
        .filter(|(_, _, cell)| cell.state != CellState::Nonexistent || shown(*cell) > 0)
    }

    fn flag_key(&self, cell: MatrixCell) -> i32 {
        // Every set of flags was entered when the answer came.
        self.flag_keys.get(&u32::from(cell.flags.0)).copied().unwrap_or(0)
    }

    /// Lines of JSON.
    pub(super) fn ndjson(&self, rows: std::ops::Range<usize>) -> serde_json::Result<Vec<u8>> {
        let mut out = Vec::new();
        let times: Vec<String> = self.matrix.columns_ms.iter().map(|&ms| rfc3339(ms)).collect();
        for (row, column, cell) in self.cells(rows) {
            let text = &self.rows[row];
            let line = Line {
                ts: &times[column],
                start: text.start.as_deref(),
                end: text.end.as_deref(),
                start_text: text.start_text.as_deref(),
                end_text: text.end_text.as_deref(),
                series: self.matrix.series.name(),
                value: known(cell, shown(cell)),
                max: known(cell, cell.max),
                inherited: known(cell, cell.inherited),
                state: cell.state.name(),
                flags: &self.flags[self.flag_key(cell) as usize],
                bucket_id: &self.matrix.rows[row].bucket_id,
                lineage_id: text.lineage.as_deref(),
            };
            serde_json::to_writer(&mut out, &line)?;
            out.push(b'\n');
        }
        Ok(out)
    }

    /// The same as columns.
    pub(super) fn batch(&self, rows: std::ops::Range<usize>) -> Result<RecordBatch, ArrowError> {
        let cells: Vec<(usize, usize, MatrixCell)> = self.cells(rows).collect();
        let numbers = |of: &dyn Fn(MatrixCell) -> u64| -> ArrayRef {
            let values = cells.iter().map(|(_, _, cell)| known(*cell, of(*cell)));
            Arc::new(values.collect::<UInt64Array>())
        };
        let keyed = |values: &ArrayRef, key: &dyn Fn(usize, MatrixCell) -> Option<i32>| {
            let keys = cells.iter().map(|(row, _, cell)| key(*row, *cell));
            let keys: Int32Array = keys.collect();
            let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values))?;
            Ok::<ArrayRef, ArrowError>(Arc::new(array))
        };
        // A row's own values stand at its number.
        let of_row = |values: &ArrayRef, has: &dyn Fn(&RowText) -> bool| {
            keyed(values, &|row, _| has(&self.rows[row]).then_some(row as i32))
        };
        let at = cells.iter().map(|(_, column, _)| self.matrix.columns_ms[*column] as i64);
        let at = TimestampMillisecondArray::from_iter_values(at).with_timezone("UTC");
        let values = &self.dictionaries;
        RecordBatch::try_new(
            self.schema(),
            vec![
                Arc::new(at),
                of_row(&values.start, &|row| row.start.is_some())?,
                of_row(&values.end, &|row| row.end.is_some())?,
                of_row(&values.start_text, &|row| row.start.is_some())?,
                of_row(&values.end_text, &|row| row.end.is_some())?,
                keyed(&values.series, &|_, _| Some(0))?,
                numbers(&shown),
                numbers(&|cell| cell.max),
                numbers(&|cell| cell.inherited),
                keyed(&values.state, &|_, cell| Some(cell.state as i32))?,
                keyed(&values.flags, &|_, cell| Some(self.flag_key(cell)))?,
                of_row(&values.bucket, &|_| true)?,
                of_row(&values.lineage, &|row| row.lineage.is_some())?,
            ],
        )
    }
}

impl RowText {
    fn of(row: &keyviz_query::MatrixRow) -> Self {
        let start = Some(row.range.start()).filter(|start| !start.is_empty());
        let end = row.range.bounded_end();
        Self {
            start: start.map(|key| STANDARD.encode(key)),
            end: end.map(|key| STANDARD.encode(key)),
            start_text: start.map(key_text::exact),
            end_text: end.map(key_text::exact),
            lineage: row.lineage.map(|id| id.to_string()),
        }
    }
}

impl Dictionaries {
    fn of(matrix: &Matrix, rows: &[RowText], flags: &[String]) -> Self {
        let text = |of: &dyn Fn(&RowText) -> Option<&str>| -> ArrayRef {
            let values = rows.iter().map(|row| of(row).unwrap_or_default());
            Arc::new(StringArray::from_iter_values(values))
        };
        let ranges = || matrix.rows.iter().map(|row| &row.range);
        let ends = ranges().map(|range| range.bounded_end().unwrap_or_default());
        Self {
            start: Arc::new(BinaryArray::from_iter_values(ranges().map(|range| range.start()))),
            end: Arc::new(BinaryArray::from_iter_values(ends)),
            start_text: text(&|row| row.start_text.as_deref()),
            end_text: text(&|row| row.end_text.as_deref()),
            series: Arc::new(StringArray::from_iter_values([matrix.series.name()])),
            state: Arc::new(StringArray::from_iter_values(STATES.map(CellState::name))),
            flags: Arc::new(StringArray::from_iter_values(flags)),
            bucket: Arc::new(StringArray::from_iter_values(
                matrix.rows.iter().map(|row| &row.bucket_id),
            )),
            lineage: text(&|row| row.lineage.as_deref()),
        }
    }
}

fn schema() -> Schema {
    let of = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
    let (text, key) = (of(DataType::Utf8), of(DataType::Binary));
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Schema::new(vec![
        Field::new("ts", time, false),
        Field::new("start", key.clone(), true),
        Field::new("end", key, true),
        Field::new("start_text", text.clone(), true),
        Field::new("end_text", text.clone(), true),
        Field::new("series", text.clone(), false),
        Field::new("value", DataType::UInt64, true),
        Field::new("max", DataType::UInt64, true),
        Field::new("inherited", DataType::UInt64, true),
        Field::new("state", text.clone(), false),
        Field::new("flags", text.clone(), false),
        Field::new("bucket_id", text.clone(), false),
        Field::new("lineage_id", text, true),
    ])
}

/// What the answer says besides its cells.
fn metadata(matrix: &Matrix, now_ms: u64) -> HashMap<String, String> {
    let warnings = matrix.warnings.join("\n");
    [
        ("keyviz.series", matrix.series.name().to_owned()),
        ("keyviz.step_ms", matrix.step_ms.to_string()),
        ("keyviz.recorded_step_ms", matrix.recorded_step_ms.to_string()),
        ("keyviz.tier", matrix.tier_name().to_owned()),
        ("keyviz.status", matrix.status().to_owned()),
        ("keyviz.warnings", warnings),
        ("keyviz.generated_at", rfc3339(now_ms)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// What is drawn: counted and inherited.
fn shown(cell: MatrixCell) -> u64 {
    cell.counted.saturating_add(cell.inherited)
}

/// A number of a cell, unless nobody recorded it.
fn known(cell: MatrixCell, number: u64) -> Option<u64> {
    let is_recorded =
        matches!(cell.state, CellState::Measured | CellState::Idle | CellState::Partial);
    (shown(cell) > 0 || is_recorded).then_some(number)
}

/// Names of the flags that are set, with `|` between them.
fn flag_names(flags: Flags) -> String {
    let set = Flags::NAMES.iter().filter(|(flag, _)| flags.has(*flag));
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}
