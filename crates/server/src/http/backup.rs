//! `POST .../backup`: the node backs itself up into the folder that `--backup-dir` names, and nowhere
//! else. The answer is the manifest, once everything is on disk.
//!
//! Proof: `tests/tests/backup.rs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HttpError;
use crate::node::Node;

/// Nothing can be chosen from outside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupBody {}

pub(super) async fn backup(
    State(node): State<Arc<Node>>,
    body: Result<Json<BackupBody>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    let Json(BackupBody {}) = body.map_err(|rejection| {
        HttpError::with_status(rejection.status(), "invalid_body", rejection.body_text())
    })?;
    let taken = node.backup().await?;
    tracing::info!(id = taken.id, db_bytes = taken.db_bytes, "a backup was taken");
    Ok(Json(json!(taken)))
}
