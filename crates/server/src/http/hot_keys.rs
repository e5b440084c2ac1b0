//! `GET .../hotkeys`: the most frequent keys of the last windows. The fields are those of elastickv's
//! key visualizer, with keyviz's own added.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{KeyRange, LineageId, Series};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HttpError;
use super::matrix::{key, open_time};
use crate::hot_keys::{DEFAULT_TOP, MAX_TOP, Question, Routes};
use crate::node::{Node, rfc3339};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    series: Option<String>,
    route_id: Option<u64>,
    group_id: Option<u64>,
    lineage_id: Option<LineageId>,
    start: Option<String>,
    end: Option<String>,
    top: Option<usize>,
    from_unix_ms: Option<i64>,
    to_unix_ms: Option<i64>,
}

pub(super) async fn hot_keys(
    State(node): State<Arc<Node>>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(params) = params?;
    let answer = node.hot_keys(params.question()?, params.lineage_id).await?;
    Ok(Json(to_json(&answer, params.route_id)))
}

impl Params {
    fn question(&self) -> Result<Question, HttpError> {
        let invalid = |error: &dyn std::fmt::Display| HttpError::invalid_query(error.to_string());
        let series = match self.series.as_deref() {
            None => Series::Writes,
            Some(name) => Series::from_name(name).ok_or_else(|| {
                invalid(&format!("series {name:?} is unknown; use reads or writes"))
            })?,
        };
        let start = key("start", self.start.as_deref())?;
        let range = KeyRange::new(start, key("end", self.end.as_deref())?);
        let from_ms = open_time("from_unix_ms", self.from_unix_ms)?;
        let to_ms = open_time("to_unix_ms", self.to_unix_ms)?;
        let has_span = from_ms.is_some() || to_ms.is_some();
        Ok(Question {
            series,
            routes: Routes { route: self.route_id, group: self.group_id, bounds: None },
            range: range.map_err(|error| invalid(&error))?,
            top: match self.top {
                None | Some(0) => DEFAULT_TOP,
                Some(top) => top.min(MAX_TOP),
            },
            span_ms: has_span.then(|| (from_ms.unwrap_or(0), to_ms.unwrap_or(u64::MAX))),
        })
    }
}

/// The message as JSON.
pub(crate) fn to_json(answer: &wire::GetHotKeysResponse, route: Option<u64>) -> Value {
    let sum = |of: fn(&wire::HotKeysSource) -> u64| {
        answer.sources.iter().map(of).fold(0, u64::saturating_add)
    };
    let ends = answer.sources.iter().map(|source| source.window_unix_ms as u64 + source.step_ms);
    let keys = answer.keys.iter();
    json!({
        "route_id": route,
        "series": if answer.series() == wire::Series::Reads { "reads" } else { "writes" },
        "keys": keys
            .map(|hot| json!({ "key_b64": STANDARD.encode(&hot.key), "count": hot.count }))
            .collect::<Vec<_>>(),
        "approximate": true,
        "sample_rate": answer.sample_rate,
        "sampled_n": answer.sampled,
        "dropped_samples": sum(|source| source.dropped_samples),
        "skipped_long_keys": sum(|source| source.skipped_long_keys),
        "left_out_samples": sum(|source| source.left_out_samples),
        "degraded": answer.degraded,
        "error_bound": answer.error_bound,
        "snapshot_at": ends.max().map(rfc3339),
        "route_count": answer.route_count,
        "sources": answer
            .sources
            .iter()
            .map(|source| json!({
                "node": source.node_id,
                "boot_id": source.boot_id,
                "window_unix_ms": source.window_unix_ms,
                "step_ms": source.step_ms,
                "sample_rate": source.sample_rate,
                "dropped_samples": source.dropped_samples,
                "skipped_long_keys": source.skipped_long_keys,
                "left_out_samples": source.left_out_samples,
            }))
            .collect::<Vec<_>>(),
    })
}
