//! `GET .../lineage` (the biography of a range) and `GET .../events` (what happened to the ranges).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use keyviz_lineage::LineageId;
use keyviz_query::biography::{Depth, Subject};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HttpError;
use super::matrix::{key, open_time};
use crate::biography;
use crate::node::Node;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineageParams {
    id: Option<LineageId>,
    route: Option<u64>,
    key: Option<String>,
    from_unix_ms: Option<i64>,
    to_unix_ms: Option<i64>,
    depth: Option<String>,
}

pub(super) async fn lineage(
    State(node): State<Arc<Node>>,
    params: Result<Query<LineageParams>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(params) = params?;
    let subject = match (params.id, params.route, params.key.as_deref()) {
        (Some(id), None, None) => Subject::Lineage(id),
        (None, Some(route), None) => Subject::Route(route),
        (None, None, Some(text)) => Subject::Key(key("key", Some(text))?),
        _ => {
            return Err(HttpError::invalid_query(
                "give one of id (a UUID), route (a number) or key (URL-safe base64)",
            ));
        }
    };
    let from_ms = open_time("from_unix_ms", params.from_unix_ms)?.unwrap_or(0);
    let to_ms = open_time("to_unix_ms", params.to_unix_ms)?.unwrap_or(u64::MAX);
    let depth = depth(params.depth.as_deref())?;
    let biography = node.biography(subject, (from_ms, to_ms), depth).await?;
    Ok(Json(biography::to_json(&biography.into_wire(false))))
}

fn depth(text: Option<&str>) -> Result<Depth, HttpError> {
    match text {
        None => Ok(Depth::Auto),
        Some("all") => Ok(Depth::All),
        Some(number) => number.parse().map(Depth::Generations).map_err(|_| {
            HttpError::invalid_query(format!(
                "depth {number:?}: use a number of generations, or all"
            ))
        }),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventParams {
    from_unix_ms: Option<i64>,
    to_unix_ms: Option<i64>,
}

pub(super) async fn events(
    State(node): State<Arc<Node>>,
    params: Result<Query<EventParams>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(params) = params?;
    let from_ms = open_time("from_unix_ms", params.from_unix_ms)?.unwrap_or(0);
    let to_ms = open_time("to_unix_ms", params.to_unix_ms)?.unwrap_or_else(|| node.clock.unix_ms());
    let events = node.events(from_ms, to_ms).await?;
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({
                "unix_ms": event.unix_ms,
                "kind": event.kind.name(),
                "group_id": event.group,
                "lineage_ids": event.lineages,
                "route_ids": event.routes,
                "text": event.text,
            })
        })
        .collect();
    Ok(Json(json!({ "events": events })))
}
