//! `GET .../status`: how the node is, for people and scripts.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
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
    let mut warnings: Vec<String> = Vec::new();
    let unready = unready(&node);
    status["ready"] = json!(unready.is_none());
    warnings.extend(unready.map(|text| text.trim_end().to_owned()));
    let counted = recorder.counters();
    let (records, live) = recorder.graph().len();
    let (_, store_bytes) = recorder.store_health();
    let gc = node.gc(false).await?;
    let (_, groups) = node.group_states().await?;
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
    let leader = |group: &keyviz_replica::GroupState| {
        group.leaders.last().map(|leader| json!({ "node": leader.node, "term": leader.term }))
    };
    status["groups"] = groups
        .iter()
        .map(
            |group| json!({ "id": group.group, "leader": leader(group), "members": group.members }),
        )
        .collect();
    let members: BTreeSet<&String> = groups.iter().flat_map(|group| &group.members).collect();
    let silent_ms = node.default_step.ms().saturating_mul(SILENT_STEPS);
    let mut sources = Vec::new();
    for name in members {
        let heard_ms = node.cluster.heard_ms(name);
        let age_ms = heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms));
        if age_ms.is_some_and(|age_ms| age_ms > silent_ms) {
            warnings.push(format!(
                "{name} has sent no column for {}",
                humantime::format_duration(std::time::Duration::from_secs(
                    age_ms.unwrap_or(0) / 1_000
                ))
            ));
        }
        let of: Vec<u64> = groups
            .iter()
            .filter(|group| group.members.contains(name))
            .map(|group| group.group)
            .collect();
        sources.push(json!({ "node": name, "last_column_age_ms": age_ms, "groups": of }));
    }
    status["sources"] = json!(sources);
    for (count, what) in [
        (counted.shed_lost_columns, "acknowledged columns were shed from the log and are lost"),
        (gc.damaged_pins, "pins cannot be read, so nothing is dropped"),
        (counted.lost_lineages, "lineages have lost their record and cannot be shown"),
        (recorder.store_damage(), "times something damaged in the store was met and passed by"),
    ] {
        if count > 0 {
            warnings.push(format!("{count} {what}"));
        }
    }
    if gc.frozen.is_some() {
        warnings.push(
            "garbage collection is frozen after a jump of the clock: see keyviz gc".to_owned(),
        );
    }
    status["gc"] = gc_json(&gc);
    status["warnings"] = json!(warnings);
    Ok(Json(status))
}
