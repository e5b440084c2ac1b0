//! DynamoDB-style operations and the tables that they work on.
//!
//! | metric | labels |
//! |---|---|
//! | `dynamodb_in_flight_requests` | `operation` |
//! | `dynamodb_requests_total`, `dynamodb_request_duration_seconds` | `operation`, `outcome` |
//! | `dynamodb_request_size_bytes`, `dynamodb_response_size_bytes` | `operation` |
//! | `dynamodb_table_requests_total` | `operation`, `table`, `outcome` |
//! | `dynamodb_returned_items_total`, `..._scanned_...`, `..._written_...` | `operation`, `table` |
//! | `dynamodb_conditional_check_failed_total` | `operation`, `table` |
//!
//! `outcome` is `success`, `user_error`, `system_error`, `conditional_check_failed` or `abandoned` (the
//! request ended without an answer). Operations that are not in [`OPERATIONS`] and tables beyond 256
//! are `_other`.
//! Proof: `dynamodb_test.rs`, `tests/examples.rs`.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

use crate::labels::{Names, OTHER};
use crate::{SECONDS, registered};

/// Operations with a label of their own.
pub const OPERATIONS: [&str; 16] = [
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeTable",
    "GetItem",
    "ListTables",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
    "UpdateTable",
    "UpdateTimeToLive",
];
const MAX_TABLES: usize = 256;
const BYTES: [f64; 9] =
    [128.0, 512.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 524_288.0, 1_048_576.0];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Outcome {
    Success,
    UserError,
    SystemError,
    ConditionalCheckFailed,
    Abandoned,
}

impl Outcome {
    /// Its label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::UserError => "user_error",
            Self::SystemError => "system_error",
            Self::ConditionalCheckFailed => "conditional_check_failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// That of an HTTP status and the error type in the answer.
    pub fn of(status: u16, error_type: Option<&str>) -> Self {
        // It may come with its namespace: `com.amazonaws...#ConditionalCheckFailedException`.
        let name = error_type.map(|name| name.rsplit('#').next().unwrap_or(name).trim());
        match status {
            _ if name == Some("ConditionalCheckFailedException") => Self::ConditionalCheckFailed,
            200..300 => Self::Success,
            500.. => Self::SystemError,
            _ => Self::UserError,
        }
    }
}

/// What a request did to one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableWork<'a> {
    /// Its name.
    pub table: &'a str,
    /// Items in the answer.
    pub returned_items: u64,
    /// Items that were looked at.
    pub scanned_items: u64,
    /// Items that were put, updated or deleted.
    pub written_items: u64,
}

/// A request that has been answered.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// How.
    pub outcome: Outcome,
    /// From the whole request to the whole answer.
    pub took: Duration,
    /// Bytes of its body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// One for each table that it names.
    pub tables: &'a [TableWork<'a>],
}

/// Counts requests.
#[derive(Debug)]
pub struct DynamoDbObserver {
    in_flight: IntGaugeVec,
    requests: IntCounterVec,
    duration: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
    table_requests: IntCounterVec,
    returned: IntCounterVec,
    scanned: IntCounterVec,
    written: IntCounterVec,
    conditional: IntCounterVec,
    tables: Names,
}

impl DynamoDbObserver {
    /// An observer whose metrics are in `registry`.
    ///
    /// # Errors
    /// Something in the registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(registry, HistogramVec::new(opts, labels))
        };
        let (by_outcome, by_table) = (["operation", "outcome"], ["operation", "table"]);
        let in_flight = Opts::new("dynamodb_in_flight_requests", "Requests being served.");
        Ok(Self {
            in_flight: registered(registry, IntGaugeVec::new(in_flight, &["operation"]))?,
            requests: counter("dynamodb_requests_total", "Requests.", &by_outcome)?,
            duration: histogram(
                "dynamodb_request_duration_seconds",
                "From the whole request to the whole answer.",
                &SECONDS,
                &by_outcome,
            )?,
            request_size: histogram(
                "dynamodb_request_size_bytes",
                "Bytes of requests.",
                &BYTES,
                &["operation"],
            )?,
            response_size: histogram(
                "dynamodb_response_size_bytes",
                "Bytes of answers.",
                &BYTES,
                &["operation"],
            )?,
            table_requests: counter(
                "dynamodb_table_requests_total",
                "Requests by the tables that they name.",
                &["operation", "table", "outcome"],
            )?,
            returned: counter("dynamodb_returned_items_total", "Items in answers.", &by_table)?,
            scanned: counter("dynamodb_scanned_items_total", "Items looked at.", &by_table)?,
            written: counter("dynamodb_written_items_total", "Items written.", &by_table)?,
            conditional: counter(
                "dynamodb_conditional_check_failed_total",
                "Writes whose condition was not met.",
                &by_table,
            )?,
            tables: Names::new(MAX_TABLES),
        })
    }

    /// A request begins. Dropped without [`Request::finish`] it counts as abandoned.
    pub fn begin(&self, operation: &str) -> Request<'_> {
        let known = OPERATIONS.iter().find(|&&known| known == operation);
        let operation = known.copied().unwrap_or(OTHER);
        let in_flight = self.in_flight.with_label_values(&[operation]);
        in_flight.inc();
        Request { observer: self, operation, in_flight, is_answered: false }
    }
}

/// A request that is being served.
#[derive(Debug)]
#[must_use = "dropping it at once ends the request"]
pub struct Request<'a> {
    observer: &'a DynamoDbObserver,
    operation: &'static str,
    in_flight: IntGauge,
    is_answered: bool,
}

impl Request<'_> {
    /// The request is answered.
    pub fn finish(mut self, report: &Report<'_>) {
        self.is_answered = true;
        let (observer, operation, outcome) = (self.observer, self.operation, report.outcome);
        let name = outcome.name();
        let took = report.took.as_secs_f64();
        observer.requests.with_label_values(&[operation, name]).inc();
        observer.duration.with_label_values(&[operation, name]).observe(took);
        let sizes = [
            (&observer.request_size, report.request_bytes),
            (&observer.response_size, report.response_bytes),
        ];
        for (histogram, bytes) in sizes {
            histogram.with_label_values(&[operation]).observe(bytes as f64);
        }
        for work in report.tables {
            let table = observer.tables.label(work.table);
            observer.table_requests.with_label_values(&[operation, table, name]).inc();
            if outcome == Outcome::ConditionalCheckFailed {
                observer.conditional.with_label_values(&[operation, table]).inc();
            }
            let items = [
                (&observer.returned, work.returned_items),
                (&observer.scanned, work.scanned_items),
                (&observer.written, work.written_items),
            ];
            for (counter, items) in items.into_iter().filter(|&(_, items)| items > 0) {
                counter.with_label_values(&[operation, table]).inc_by(items);
            }
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let abandoned = Outcome::Abandoned.name();
            self.observer.requests.with_label_values(&[self.operation, abandoned]).inc();
        }
        self.in_flight.dec();
    }
}

#[cfg(test)]
#[path = "dynamodb_test.rs"]
mod dynamodb_test;
