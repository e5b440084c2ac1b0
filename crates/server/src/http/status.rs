//! `GET .../status`: how the node is, for people and scripts.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keyviz_replica::{GcStatus, GroupState, Recorder};
use serde_json::{Value, json};

use super::error::HttpError;
use super::health::unready;
use super::keep::gc_json;
use crate::node::{Node, rfc3339};

/// Steps after which a source that says nothing is worth a word.
const SILENT_STEPS: u64 = 5;

pub(super) async fn status(State(node): State<Arc<Node>>) -> Result<Json<Value>, HttpError> {
    let now_ms = node.clock.unix_ms();
    let mut status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "generated_at": rfc3339(now_ms),
        "uptime_ms": node.clock.monotonic_ms().saturating_sub(node.started_ms),
        "ready": false,
    });
    let recorder = match node.recorder() {
        Ok(recorder) => recorder,
        // What it waits for is all that there is to say.
        Err(error) => {
            status["warnings"] = json!([error.to_string()]);
            return Ok(Json(status));
        }
    };
    let unready = unready(&node);
    status["ready"] = json!(unready.is_none());
    let mut warnings: Vec<String> = Vec::new();
    warnings.extend(unready.map(|text| text.trim_end().to_owned()));
    let gc = node.gc(false).await?;
    let (_, groups) = node.group_states().await?;
    figures(&mut status, &recorder);
    let leader = |group: &GroupState| {
        group.leaders.last().map(|leader| json!({ "node": leader.node, "term": leader.term }))
    };
    status["groups"] = groups
        .iter()
        .map(
            |group| json!({ "id": group.group, "leader": leader(group), "members": group.members }),
        )
        .collect();
    status["sources"] = sources(&node, &groups, now_ms, &mut warnings);
    warnings.extend(losses(&recorder, &gc));
    status["gc"] = gc_json(&gc);
    status["warnings"] = json!(warnings);
    Ok(Json(status))
}

fn figures(status: &mut Value, recorder: &Recorder) {
    let counted = recorder.counters();
    let (records, live) = recorder.graph().len();
    let (_, store_bytes) = recorder.store_health();
    status["wal"] = json!({
        "bytes": counted.wal_bytes,
        "max_bytes": counted.wal_cap_bytes,
        "shed_records": counted.shed_records,
        "shed_lost_columns": counted.shed_lost_columns,
    });
    status["store"] = json!({ "live_bytes": store_bytes, "damage_met": recorder.store_damage() });
    status["lineages"] = json!({ "live": live, "closed": records - live });
    status["ingest"] = json!({
        "columns": counted.columns,
        "refused_rows": counted.refused_rows,
        "late_columns": counted.late_columns,
        "future_columns": counted.future_columns,
    });
}

/// Who is expected to send columns, and since when nobody has.
fn sources(node: &Node, groups: &[GroupState], now_ms: u64, warnings: &mut Vec<String>) -> Value {
    let members: BTreeSet<&String> = groups.iter().flat_map(|group| &group.members).collect();
    let silent_ms = node.default_step.ms().saturating_mul(SILENT_STEPS);
    let mut sources = Vec::new();
    for name in members {
        let heard_ms = node.cluster.heard_ms(name);
        let age_ms = heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms));
        if let Some(silent_ms) = age_ms.filter(|&age_ms| age_ms > silent_ms) {
            let silent = std::time::Duration::from_secs(silent_ms / 1_000);
            let silent = humantime::format_duration(silent);
            warnings.push(format!("{name} has sent no column for {silent}"));
        }
        let is_in = |group: &&GroupState| group.members.contains(name);
        let of: Vec<u64> = groups.iter().filter(is_in).map(|group| group.group).collect();
        sources.push(json!({ "node": name, "last_column_age_ms": age_ms, "groups": of }));
    }
    json!(sources)
}

/// What is gone, or kept from going.
fn losses(recorder: &Recorder, gc: &GcStatus) -> Vec<String> {
    let counted = recorder.counters();
    let counts = [
        (counted.shed_lost_columns, "acknowledged columns were shed from the log and are lost"),
        (gc.damaged_pins, "pins cannot be read, so nothing is dropped"),
        (counted.lost_lineages, "lineages have lost their record and cannot be shown"),
        (recorder.store_damage(), "times something damaged in the store was met and passed by"),
    ];
    let mut losses: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if gc.frozen.is_some() {
        losses.push(
            "garbage collection is frozen after a jump of the clock: see keyviz gc".to_owned(),
        );
    }
    losses
}
