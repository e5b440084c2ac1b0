//! `GET .../top`: the ranges with the most traffic, or that changed the most.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;

use super::error::HttpError;
use super::matrix::{key_range, open_time, series};
use crate::node::Node;
use crate::top::{Question, to_json, to_wire};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    series: Option<String>,
    from_unix_ms: Option<i64>,
    to_unix_ms: Option<i64>,
    against_from_unix_ms: Option<i64>,
    against_to_unix_ms: Option<i64>,
    start: Option<String>,
    end: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn top(
    State(node): State<Arc<Node>>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(params) = params?;
    Ok(Json(to_json(&to_wire(&node.top(params.question()?).await?))))
}

impl Params {
    fn question(&self) -> Result<Question, HttpError> {
        let against_from_ms = open_time("against_from_unix_ms", self.against_from_unix_ms)?;
        let against_to_ms = open_time("against_to_unix_ms", self.against_to_unix_ms)?;
        Ok(Question {
            series: series(self.series.as_deref())?,
            from_ms: open_time("from_unix_ms", self.from_unix_ms)?,
            to_ms: open_time("to_unix_ms", self.to_unix_ms)?,
            against_ms: Question::against(against_from_ms, against_to_ms)
                .map_err(HttpError::invalid_query)?,
            range: key_range(self.start.as_deref(), self.end.as_deref())?,
            limit: Question::limit(self.limit.unwrap_or(0)),
        })
    }
}
