//! The one shape of an error: `{"error": code, "message": text}`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use keyviz_query::QueryError;
use keyviz_replica::{BackupError, PinError};
use keyviz_store::StoreError;
use serde_json::json;

use crate::hot_keys::NoHotKeys;
use crate::node::NodeError;

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl HttpError {
    pub(super) fn invalid_query(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid_query", message: message.into() }
    }

    pub(super) fn invalid_body(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid_body", message: message.into() }
    }

    /// Something that cannot happen has.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            message: format!(
                "the answer could not be encoded: {error}; this is a bug, please report it"
            ),
        }
    }

    pub(super) fn with_status(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl From<QueryRejection> for HttpError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid_query(rejection.body_text())
    }
}

impl From<PathRejection> for HttpError {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid_query(rejection.body_text())
    }
}

impl From<NodeError> for HttpError {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            NodeError::Starting { .. } | NodeError::Reopening { .. } | NodeError::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "keyviz_disabled")
            }
            NodeError::Busy | NodeError::Waited | NodeError::Query(QueryError::NoRoom { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy")
            }
            NodeError::Query(QueryError::Store(_)) | NodeError::Store(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "storage")
            }
            NodeError::Query(_) => (StatusCode::BAD_REQUEST, "invalid_query"),
            NodeError::NoBackupDir => (StatusCode::NOT_FOUND, "invalid_request"),
            NodeError::Backup(BackupError::Store(StoreError::BackupLocked { .. })) => {
                (StatusCode::CONFLICT, "busy")
            }
            NodeError::Backup(BackupError::Store(_) | BackupError::Wal(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "storage")
            }
            NodeError::Backup(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            NodeError::Unknown { .. } | NodeError::Pin(PinError::Unknown { .. }) => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            NodeError::Pin(PinError::TooMany | PinError::TooLarge { .. }) => {
                (StatusCode::CONFLICT, "pin_limit")
            }
            NodeError::Pin(PinError::Store(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "storage"),
            NodeError::Pin(
                PinError::NotLeader { .. } | PinError::Unheld { .. } | PinError::Recorder(_),
            ) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            NodeError::Pin(_) => (StatusCode::BAD_REQUEST, "invalid_body"),
            NodeError::HotKeys(NoHotKeys::Off) => {
                (StatusCode::SERVICE_UNAVAILABLE, "hotkeys_disabled")
            }
            NodeError::HotKeys(NoHotKeys::OtherWindows { .. }) => {
                (StatusCode::BAD_REQUEST, "out_of_snapshot_window")
            }
            NodeError::HotKeys(NoHotKeys::NoSuchRoute) => (StatusCode::NOT_FOUND, "no_snapshot"),
            NodeError::HotKeys(NoHotKeys::Series { .. }) => {
                (StatusCode::BAD_REQUEST, "invalid_query")
            }
            NodeError::Panicked { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self { status, code, message }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.code, "message": self.message }))).into_response()
    }
}

pub(super) async fn not_found(uri: Uri) -> HttpError {
    let message = format!("there is nothing at {}; the page is at /", uri.path());
    HttpError::with_status(StatusCode::NOT_FOUND, "not_found", message)
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> HttpError {
    let message = format!("{} does not take {method}", uri.path());
    HttpError::with_status(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
