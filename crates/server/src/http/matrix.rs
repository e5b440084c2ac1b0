//! `GET .../matrix` and `GET .../buckets/{id}`: the fields are those of elastickv's key visualizer (contract section 10), with
//! keyviz's own added.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use keyviz_lineage::{Flags, KeyRange, LineageId, Series, Step};
use keyviz_query::{
    CellState, ColumnTotals, Continuity, MAX_LISTED_ROUTES, MAX_ROWS, Matrix, MatrixCell,
    MatrixRequest, MatrixRow, RowSet,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::HttpError;
use super::format::Format;
use super::long::Long;
use super::long_body;
use crate::fan_out::{Answered, Report};
use crate::node::{Node, NodeError, rfc3339};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    series: Option<String>,
    from_unix_ms: Option<i64>,
    to_unix_ms: Option<i64>,
    rows: Option<i64>,
    step_ms: Option<u64>,
    as_of: Option<String>,
    continuity: Option<String>,
    start: Option<String>,
    end: Option<String>,
    fanout: Option<bool>,
    format: Option<String>,
}

pub(super) async fn matrix(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Query(params) = params?;
    let format = Format::asked(params.format.as_deref(), &headers)?;
    let answered = params.ask(&node, params.request()?).await?;
    respond(&node, answered, format).await
}

/// `GET .../buckets/{id}`: the rows of that name, or the one of that lineage.
pub(super) async fn bucket(
    State(node): State<Arc<Node>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Path(id) = id?;
    let Query(params) = params?;
    if params.rows.is_some() || params.start.is_some() || params.end.is_some() {
        return Err(HttpError::invalid_query(
            "rows, start and end choose among rows; a bucket is asked for by its id alone",
        ));
    }
    let format = Format::asked(params.format.as_deref(), &headers)?;
    let mut request = params.request()?;
    let lineage = id.parse::<LineageId>().ok();
    if let Some(lineage) = lineage
        && let Some(record) = node.recorder()?.graph().get(lineage)
    {
        // Fewer rows to read.
        request.range = record.range.clone();
    }
    // A bucket of the widest question has its id from what it joins, so it is found only there.
    let is_virtual = id.starts_with("virtual:");
    for rows in [None, is_virtual.then_some(MAX_ROWS)] {
        let row_set = if lineage.is_some() { RowSet::Union } else { request.row_set };
        let request = MatrixRequest { rows, row_set, ..request.clone() };
        let mut answered = params.ask(&node, request).await?;
        let matrix = &mut *answered.matrix;
        matrix
            .rows
            .retain(|row| row.bucket_id == id || lineage.is_some() && row.lineage == lineage);
        if !matrix.rows.is_empty() {
            // Those of all rows say nothing of this one.
            matrix.totals.clear();
            return respond(&node, answered, format).await;
        }
        if !is_virtual {
            break;
        }
    }
    let message = format!(
        "no row of that span is called {id:?}; use a bucket_id of the matrix of the same span, such as route:1, or a lineage id"
    );
    Err(HttpError::with_status(StatusCode::NOT_FOUND, "not_found", message))
}

async fn respond(node: &Node, answered: Answered, format: Format) -> Result<Response, HttpError> {
    let now_ms = node.clock.unix_ms();
    let mut answer = match format {
        Format::Json => {
            let written = node.written(answered, move |answered| body(answered, now_ms)).await?;
            ([(header::CONTENT_TYPE, "application/json")], written).into_response()
        }
        Format::Ndjson | Format::Arrow | Format::Parquet => {
            long_body::respond(Long::new(answered.matrix, now_ms), format)?
        }
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

/// The answer as JSON. What is set aside for it is given up once it is sent.
fn body(answered: Answered, now_ms: u64) -> Bytes {
    let mut json = to_json(&answered.matrix, now_ms);
    if let Some(report) = &answered.fan_out {
        add_fan_out(&mut json, &answered.matrix, report);
    }
    Bytes::from_owner(answered.matrix.replaced(json.to_string()))
}

impl Params {
    /// Asks all nodes, unless only this one is to answer.
    async fn ask(&self, node: &Node, request: MatrixRequest) -> Result<Answered, NodeError> {
        match self.fanout {
            Some(false) => node.own_matrix(request).await,
            None | Some(true) => node.matrix(request).await,
        }
    }

    fn request(&self) -> Result<MatrixRequest, HttpError> {
        let series = series(self.series.as_deref())?;
        let row_set = match self.as_of.as_deref() {
            None | Some("to") => RowSet::AsOfTo,
            Some("from") => RowSet::AsOfFrom,
            Some("union") => RowSet::Union,
            Some(time) => RowSet::AsOf(time.parse().map_err(|_| {
                HttpError::invalid_query(format!(
                    "as_of {time:?}: use to, from, union or Unix milliseconds"
                ))
            })?),
        };
        let continuity = match self.continuity.as_deref() {
            None | Some("inherit") => Continuity::Inherit,
            Some("apportion") => Continuity::Apportion,
            Some(other) => {
                return Err(HttpError::invalid_query(format!(
                    "continuity {other:?}: use inherit or apportion"
                )));
            }
        };
        let range = key_range(self.start.as_deref(), self.end.as_deref())?;
        Ok(MatrixRequest {
            series,
            from_ms: open_time("from_unix_ms", self.from_unix_ms)?,
            to_ms: open_time("to_unix_ms", self.to_unix_ms)?,
            range,
            rows: Some(match self.rows.map(usize::try_from) {
                Some(Ok(rows @ 1..=MAX_ROWS)) => rows,
                _ => MAX_ROWS,
            }),
            step: match self.step_ms {
                None | Some(0) => None,
                Some(ms) => Some(
                    Step::from_ms(ms)
                        .map_err(|error| HttpError::invalid_query(error.to_string()))?,
                ),
            },
            row_set,
            continuity,
        })
    }
}

/// Absent = writes.
pub(super) fn series(name: Option<&str>) -> Result<Series, HttpError> {
    let Some(name) = name else { return Ok(Series::Writes) };
    Series::from_name(name).ok_or_else(|| {
        HttpError::invalid_query(format!(
            "series {name:?} is unknown; use reads, writes, read_bytes or write_bytes"
        ))
    })
}

/// The keys from `start` to `end`, each as [`key`] reads it.
pub(super) fn key_range(start: Option<&str>, end: Option<&str>) -> Result<KeyRange, HttpError> {
    KeyRange::new(key("start", start)?, key("end", end)?)
        .map_err(|error| HttpError::invalid_query(error.to_string()))
}

/// 0 or absent = open.
pub(super) fn open_time(field: &str, unix_ms: Option<i64>) -> Result<Option<u64>, HttpError> {
    match unix_ms.map(u64::try_from) {
        None | Some(Ok(0)) => Ok(None),
        Some(Ok(ms)) => Ok(Some(ms)),
        Some(Err(_)) => Err(HttpError::invalid_query(format!(
            "{field} is negative; use Unix milliseconds, 0 = open"
        ))),
    }
}

/// A key in URL-safe base64 without padding; absent or empty = unbounded.
pub(super) fn key(field: &str, text: Option<&str>) -> Result<Vec<u8>, HttpError> {
    let text = text.unwrap_or_default().trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).map_err(|error| {
        HttpError::invalid_query(format!("{field} {text:?} is not URL-safe base64: {error}"))
    })
}

fn to_json(matrix: &Matrix, now_ms: u64) -> Value {
    let totals = &matrix.totals;
    let coarse = matrix.step_ms > matrix.recorded_step_ms;
    let span_end = matrix.columns_ms.last().map_or(0, |ms| ms + matrix.step_ms);
    let flag_bits: Map<String, Value> =
        Flags::NAMES.iter().map(|(flag, name)| ((*name).to_owned(), json!(flag.0))).collect();
    json!({
        "series": matrix.series.name(),
        "step_ms": matrix.step_ms,
        "recorded_step_ms": matrix.recorded_step_ms,
        "tier": matrix.tier_name(),
        "generated_at": rfc3339(now_ms),
        "from_unix_ms": matrix.columns_ms.first(),
        "to_unix_ms": span_end,
        "column_unix_ms": matrix.columns_ms,
        "rows": matrix.rows.iter().map(|row| row_to_json(row, coarse)).collect::<Vec<_>>(),
        "column_totals": (!totals.is_empty()).then(|| totals_to_json(totals)),
        "flag_bits": flag_bits,
        "status": matrix.status(),
        "warnings": matrix.warnings,
    })
}

/// What became of the peers, and of the rows that they may have recorded.
fn add_fan_out(json: &mut Value, matrix: &Matrix, report: &Report) {
    let nodes = report.nodes.iter().map(|node| match &node.error {
        None => json!({ "node": node.node, "ok": true }),
        Some(error) => json!({ "node": node.node, "ok": false, "error": error }),
    });
    json["fanout"] = json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "responded": report.responded(),
        "expected": report.nodes.len(),
    });
    json["all_groups_healthy"] = json!(report.degraded_groups.is_empty());
    json["degraded_groups"] = json!(report.degraded_groups);
    let rows = json["rows"].as_array_mut().into_iter().flatten().zip(&matrix.rows);
    for (json, _) in rows.filter(|(_, row)| report.is_degraded(&row.groups)) {
        json["degraded"] = json!(true);
    }
}

fn totals_to_json(totals: &[ColumnTotals]) -> Value {
    json!({
        "recorded": totals.iter().map(|total| total.recorded).collect::<Vec<_>>(),
        "counted": totals.iter().map(|total| total.counted).collect::<Vec<_>>(),
        "inherited": totals.iter().map(|total| total.inherited).collect::<Vec<_>>(),
        "unattributed": totals.iter().map(|total| total.unattributed).collect::<Vec<_>>(),
    })
}

fn row_to_json(row: &MatrixRow, coarse: bool) -> Value {
    let column = |of: &dyn Fn(MatrixCell) -> u64| row.cells.iter().map(of).collect::<Vec<u64>>();
    let mut json = json!({
        "bucket_id": row.bucket_id,
        "start": STANDARD.encode(row.range.start()),
        "end": row.range.bounded_end().map(|end| STANDARD.encode(end)),
        "aggregate": row.aggregate,
        "route_ids": row.routes,
        "route_count": row.route_count,
        "values": column(&|cell| cell.counted.saturating_add(cell.inherited)),
        "states": run_lengths(row.cells.states()),
        "raft_group_ids": row.groups,
        "lineage_id": row.lineage,
        "closed": row.closed,
        "valid_from_unix_ms": row.valid_from_ms,
        "valid_to_unix_ms": row.valid_to_ms,
    });
    if row.range.start().is_empty() {
        json["start"] = Value::Null;
    }
    if row.route_count > MAX_LISTED_ROUTES as u64 {
        json["route_ids_truncated"] = json!(true);
    }
    if coarse {
        json["max"] = json!(column(&|cell| cell.max));
    }
    if row.cells.has_inherited() {
        json["inherited"] = json!(column(&|cell| cell.inherited));
    }
    let flags = row.cells.flags();
    if !flags.is_none() {
        json["flags"] = json!(column(&|cell| u64::from(cell.flags.0)));
    }
    if flags.has(Flags::CONFLICT) {
        json["conflict"] = json!(true);
    }
    json
}

/// `[["idle", 12], ["measured", 3], ...]`
fn run_lengths(states: &[CellState]) -> Vec<(&'static str, usize)> {
    states.chunk_by(|a, b| a == b).map(|run| (run[0].name(), run.len())).collect()
}
