//! `.../gc` (how garbage collection stands, and that the clock is right) and `.../pins` (what is kept
//! beyond the retention).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_codec::marks::FreezeReason;
use keyviz_lineage::HOUR_MS;
use keyviz_replica::{GcStatus, PinSummary};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::HttpError;
use super::ingest::range;
use crate::node::Node;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GcBody {
    accept_clock: bool,
}

pub(super) async fn gc(State(node): State<Arc<Node>>) -> Result<Json<Value>, HttpError> {
    Ok(Json(gc_json(&node.gc(false).await?)))
}

pub(super) async fn order_gc(
    State(node): State<Arc<Node>>,
    body: Result<Json<GcBody>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    let Json(body) = body.map_err(|rejection| HttpError::invalid_body(rejection.body_text()))?;
    Ok(Json(gc_json(&node.gc(body.accept_clock).await?)))
}

pub(super) fn gc_json(status: &GcStatus) -> Value {
    // An hour that is none of a row.
    let ms = |hour: u64| (hour != u64::MAX).then(|| hour.saturating_mul(HOUR_MS));
    let frozen = status.frozen.map(|freeze| {
        let (why, by_ms) = match freeze.why {
            FreezeReason::Parted(by_ms) => ("clocks_parted", by_ms),
            FreezeReason::Behind(by_ms) => ("nothing_recorded", by_ms),
        };
        json!({
            "since_unix_ms": freeze.since_ms,
            "until_unix_ms": status.now_ms.saturating_add(freeze.left_ms),
            "left_ms": freeze.left_ms,
            "reason": why,
            "by_ms": by_ms,
        })
    });
    json!({
        "now_unix_ms": status.now_ms,
        "frozen": frozen,
        "damaged_pins": status.damaged_pins,
        "dropped_rows": status.dropped,
        "cutoff_unix_ms": {
            "fine": ms(status.cutoffs.fine_hour),
            "rollup": ms(status.cutoffs.longest_hour),
        },
        "oldest_row_unix_ms": {
            "fine": ms(status.oldest.fine_hour),
            "rollup": ms(status.oldest.longest_hour),
        },
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinBody {
    from_unix_ms: u64,
    to_unix_ms: u64,
    start: Option<String>,
    start_base64: Option<String>,
    end: Option<String>,
    end_base64: Option<String>,
    note: String,
}

pub(super) async fn pins(State(node): State<Arc<Node>>) -> Result<Json<Value>, HttpError> {
    let pins: Vec<Value> = node.recorder()?.pins().iter().map(pin_json).collect();
    Ok(Json(json!({ "pins": pins })))
}

pub(super) async fn pin(
    State(node): State<Arc<Node>>,
    body: Result<Json<PinBody>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    let Json(body) = body.map_err(|rejection| HttpError::invalid_body(rejection.body_text()))?;
    let keys = range(&body.start, &body.start_base64, &body.end, &body.end_base64)
        .map_err(HttpError::invalid_body)?;
    let pin = node.pin((body.from_unix_ms, body.to_unix_ms), keys, body.note).await?;
    Ok(Json(pin_json(&pin)))
}

pub(super) async fn unpin(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, HttpError> {
    let id: Uuid = id.parse().map_err(|_| {
        HttpError::invalid_query(format!("{id:?} is not the id of a pin; GET pins lists them"))
    })?;
    Ok(Json(json!({ "removed": node.unpin(id).await?.as_ref().map(pin_json) })))
}

fn pin_json(pin: &PinSummary) -> Value {
    let key = |key: &[u8]| (!key.is_empty()).then(|| STANDARD.encode(key));
    json!({
        "id": pin.id,
        "created_unix_ms": pin.created.unix_ms(),
        "from_unix_ms": pin.from_ms,
        "fine_from_unix_ms": pin.fine_from_ms,
        "to_unix_ms": pin.to_ms,
        "start": key(pin.range.start()),
        "end": key(pin.range.end()),
        "note": pin.note,
        "bytes": pin.bytes,
        "lineage_count": pin.lineages,
        "group_ids": pin.groups,
    })
}
