//! `GET /admin/api/v1/adapters/summary`: what the hosts' adapters did over the last five minutes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keyviz_lineage::OperationSummary;
use keyviz_sampler::live_summary::quantiles_ns;
use serde_json::{Value, json};

use crate::adapters::COVERED_MS;
use crate::node::{Node, rfc3339};

pub(super) async fn summary(State(node): State<Arc<Node>>) -> Json<Value> {
    let live = node.adapters.live(node.clock.monotonic_ms());
    let nodes: Vec<Value> =
        live.nodes.iter().map(|(name, age_ms)| json!({ "node": name, "age_ms": age_ms })).collect();
    Json(json!({
        "summaries": live.summaries.iter().map(to_json).collect::<Vec<_>>(),
        "covered_ms": COVERED_MS,
        "nodes": nodes,
        "generated_at": rfc3339(node.clock.unix_ms()),
    }))
}

fn to_json(summary: &OperationSummary) -> Value {
    let [p50_ns, p95_ns, p99_ns] = quantiles_ns(&summary.latencies);
    json!({
        "adapter": summary.adapter,
        "operation": summary.operation,
        "requests": summary.requests,
        "in_flight": summary.in_flight,
        "bytes_in": summary.bytes_in,
        "bytes_out": summary.bytes_out,
        "p50_ns": p50_ns,
        "p95_ns": p95_ns,
        "p99_ns": p99_ns,
    })
}
