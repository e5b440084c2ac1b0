//! In which format an answer is wanted.
//!
//! Responsible for: `format=` (for people, and it wins) and `Accept` (for programs).
//! Invariants: what cannot be given is refused with a list of what can; who says nothing, or what is
//! not an `Accept` (RFC 9110 lets a server disregard it), gets JSON.
//! Proof: `tests/tests/formats.rs`, against a node.

use std::str::FromStr as _;

use axum::http::{HeaderMap, StatusCode, header};
use headers_accept::Accept;
use mediatype::MediaType;

use super::error::HttpError;

/// The media type of Parquet.
pub(super) const PARQUET: &str = "application/vnd.apache.parquet";

/// A format of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Ndjson,
    Arrow,
    Parquet,
}

impl Format {
    /// The first is the default.
    const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Arrow, Self::Parquet];

    /// What `format=` calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// What `Accept` and `Content-Type` call it.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => PARQUET,
        }
    }

    /// # Errors
    /// An unknown `format` is a bad request; an `Accept` that takes none of them is 406.
    pub(super) fn asked(parameter: Option<&str>, headers: &HeaderMap) -> Result<Self, HttpError> {
        if let Some(name) = parameter {
            return Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
                HttpError::invalid_query(format!(
                    "format {name:?} is unknown; use json, ndjson, arrow or parquet"
                ))
            });
        }
        let accepts: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let accepts = accepts.join(", ");
        let Some(accept) = Some(&accepts)
            .filter(|text| !text.trim().is_empty())
            .and_then(|text| Accept::from_str(text).ok())
        else {
            return Ok(Self::Json);
        };
        let available: Vec<MediaType<'_>> = Self::ALL
            .iter()
            .filter_map(|format| MediaType::parse(format.media_type()).ok())
            .collect();
        let chosen = accept.negotiate(&available);
        let at = chosen.and_then(|chosen| available.iter().position(|held| held == chosen));
        at.map(|at| Self::ALL[at]).ok_or_else(|| {
            let list: Vec<&str> = Self::ALL.into_iter().map(Self::media_type).collect();
            HttpError::with_status(
                StatusCode::NOT_ACCEPTABLE,
                "not_acceptable",
                format!(
                    "Accept {accepts:?} takes none of the formats that there are: {}",
                    list.join(", ")
                ),
            )
        })
    }
}
