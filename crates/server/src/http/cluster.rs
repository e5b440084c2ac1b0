//! `GET /admin/api/v1/cluster/overview`, `raft/groups` (the same numbers as `Admin`) and `routes` (the
//! ranges that are alive).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_lineage::{KeyRange, LineageRecord};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HttpError;
use crate::node::{Node, rfc3339};
use crate::overview;
use crate::query_cli::key_text;

/// No parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteParams {
    group_id: Option<u64>,
}

pub(super) async fn cluster(
    State(node): State<Arc<Node>>,
    params: Result<Query<Nothing>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    params?;
    let address = node.cluster.grpc_address.get().map_or("", String::as_str);
    let answer = overview::cluster(&node, address).await?;
    let identity = |id: &keyviz_api::wire::admin::NodeIdentity| {
        let address = Some(&id.grpc_address).filter(|address| !address.is_empty());
        json!({ "node_id": id.node_id, "grpc_address": address })
    };
    let leaders = answer.group_leaders.iter().map(|leader| {
        json!({
            "raft_group_id": leader.raft_group_id,
            "leader_node_id": leader.leader_node_id,
            "leader_term": leader.leader_term,
        })
    });
    Ok(Json(json!({
        "self": answer.self_.as_ref().map(identity),
        "members": answer.members.iter().map(identity).collect::<Vec<_>>(),
        "group_leaders": leaders.collect::<Vec<_>>(),
        "aggregate_qps": answer.aggregate_qps,
        "capabilities": answer.capabilities,
        "generated_at": rfc3339(node.clock.unix_ms()),
    })))
}

pub(super) async fn raft_groups(
    State(node): State<Arc<Node>>,
    params: Result<Query<Nothing>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    params?;
    let answer = overview::raft_groups(&node).await?;
    let groups = answer.groups.iter().map(|group| {
        json!({
            "raft_group_id": group.raft_group_id,
            "leader_node_id": Some(&group.leader_node_id).filter(|node| !node.is_empty()),
            "leader_term": group.leader_term,
            "commit_index": group.commit_index,
            "applied_index": group.applied_index,
            "last_contact_unix_ms": group.last_contact_unix_ms,
        })
    });
    let groups: Vec<Value> = groups.collect();
    Ok(Json(json!({ "groups": groups, "generated_at": rfc3339(node.clock.unix_ms()) })))
}

pub(super) async fn routes(
    State(node): State<Arc<Node>>,
    params: Result<Query<RouteParams>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(params) = params?;
    let graph = node.recorder()?.graph();
    let everything = KeyRange::all();
    let groups = graph.groups().filter(|group| params.group_id.is_none_or(|asked| asked == *group));
    let alive = groups.flat_map(|group| graph.live_overlapping(group, &everything));
    let mut alive: Vec<&LineageRecord> = alive.collect();
    alive.sort_by(|a, b| (a.range.start(), a.group).cmp(&(b.range.start(), b.group)));
    let routes: Vec<Value> = alive.into_iter().map(route).collect();
    Ok(Json(json!({ "routes": routes, "generated_at": rfc3339(node.clock.unix_ms()) })))
}

fn route(record: &LineageRecord) -> Value {
    let start = Some(record.range.start()).filter(|start| !start.is_empty());
    let end = record.range.bounded_end();
    json!({
        "route_id": record.route,
        "group_id": record.group,
        "start": start.map(|key| STANDARD.encode(key)),
        "end": end.map(|key| STANDARD.encode(key)),
        "start_text": start.map(key_text::exact),
        "end_text": end.map(key_text::exact),
        "lineage_id": record.id,
        "valid_from_unix_ms": record.valid_from.unix_ms(),
    })
}
