//! What a host's adapters are doing now: the words of a live summary.
//!
//! A summary is about the last five minutes and is never stored. Latencies travel as counts by
//! bucket, so that those of several nodes add up before a quantile is taken:
//!
//! | latency, ns | bucket |
//! |---|---|
//! | below 64 | one for each nanosecond: its number is the latency |
//! | `[2^k, 2^(k+1))`, k from 6 to 39 | 32 of equal width, numbered from `32 * (k - 4)` |
//! | 2^40 (18 minutes) and more | the last one, 1,151 |
//!
//! Invariant: within its bucket a latency is known to 1 part in 32.
//! Must not: count (`keyviz_sampler::LiveSummary` does).
//! Proof: `summary_test.rs`; the layout against the histogram that counts, in the sampler's
//! `live_summary_test.rs`.

use thiserror::Error;

/// Operations (pairs of adapter and operation) that one host tells apart.
pub const MAX_OPERATIONS: usize = 256;
/// The longest name of an adapter or an operation.
pub const MAX_NAME_BYTES: usize = 64;
/// Buckets of latencies.
pub const LATENCY_BUCKETS: u32 = 1_152;
/// Where operations beyond [`MAX_OPERATIONS`] are counted, as adapter and as operation.
pub const OTHER: &str = "_other";

/// One operation of one adapter, over the last windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationSummary {
    /// The protocol, for example `redis`.
    pub adapter: String,
    /// The operation, for example `get`.
    pub operation: String,
    /// Requests that have ended.
    pub requests: u64,
    /// Requests that are being served now.
    pub in_flight: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Counts of latencies by bucket, ascending; buckets without one are left out.
    pub latencies: Vec<(u32, u64)>,
}

/// Why something is not a summary.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages name the fields
pub enum SummaryError {
    #[error("{count} operations; use at most {MAX_OPERATIONS} and count the rest under {OTHER:?}")]
    TooMany { count: usize },
    #[error("a name of {bytes} bytes; use 1 to {MAX_NAME_BYTES}")]
    Name { bytes: usize },
    #[error(
        "{adapter} {operation}: latency bucket {bucket} is not ascending, or not below {LATENCY_BUCKETS}"
    )]
    Bucket { adapter: String, operation: String, bucket: u32 },
    #[error("{adapter} {operation}: {buckets} latency buckets with {counts} counts")]
    Lengths { adapter: String, operation: String, buckets: usize, counts: usize },
}

/// Checks summaries that come from elsewhere.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(summaries: &[OperationSummary]) -> Result<(), SummaryError> {
    if summaries.len() > MAX_OPERATIONS {
        return Err(SummaryError::TooMany { count: summaries.len() });
    }
    for summary in summaries {
        for name in [&summary.adapter, &summary.operation] {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                return Err(SummaryError::Name { bytes: name.len() });
            }
        }
        let mut least = 0;
        for &(bucket, _) in &summary.latencies {
            if bucket < least || bucket >= LATENCY_BUCKETS {
                let (adapter, operation) = (summary.adapter.clone(), summary.operation.clone());
                return Err(SummaryError::Bucket { adapter, operation, bucket });
            }
            least = bucket + 1;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "summary_test.rs"]
mod summary_test;
