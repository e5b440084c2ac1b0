//! `GET /debug/pprof/profile?seconds=10` and `GET /debug/pprof/heap`.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::HttpError;
use crate::profile::{self, ProfileError};

const DEFAULT_SECONDS: u64 = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    seconds: Option<u64>,
}

pub(super) async fn cpu(
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Query(params) = params?;
    match profile::take(params.seconds.unwrap_or(DEFAULT_SECONDS)).await {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"keyviz.pb.gz\""),
            ];
            Ok((headers, bytes).into_response())
        }
        Err(error @ ProfileError::Seconds { .. }) => {
            Err(HttpError::invalid_query(error.to_string()))
        }
        Err(error @ ProfileError::Busy) => {
            Err(HttpError::with_status(StatusCode::CONFLICT, "busy", error.to_string()))
        }
        Err(error) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(HttpError::with_status(status, "internal", error.to_string()))
        }
    }
}

pub(super) async fn heap() -> String {
    profile::heap().iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}
