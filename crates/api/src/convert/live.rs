//! Live summaries, both ways.
//!
//! Invariant: what comes out passes [`keyviz_lineage::summary::check`].
//! Proof: `live_test.rs`.

use keyviz_lineage::OperationSummary;
use keyviz_lineage::summary::{SummaryError, check};

use crate::wire::ingest as wire;

/// The message for these summaries; at most `most` of them.
pub fn live_to_wire(summaries: &[OperationSummary], most: usize) -> wire::LiveSummary {
    let operation = |summary: &OperationSummary| wire::LiveOperation {
        adapter: summary.adapter.clone(),
        operation: summary.operation.clone(),
        requests: summary.requests,
        in_flight: summary.in_flight,
        bytes_in: summary.bytes_in,
        bytes_out: summary.bytes_out,
        latency_bucket: summary.latencies.iter().map(|&(bucket, _)| bucket).collect(),
        latency_count: summary.latencies.iter().map(|&(_, count)| count).collect(),
    };
    wire::LiveSummary { operations: summaries.iter().take(most).map(operation).collect() }
}

/// Checks and takes over what a source says of its adapters.
///
/// # Errors
/// The first thing that is wrong.
pub fn live_from_wire(live: wire::LiveSummary) -> Result<Vec<OperationSummary>, SummaryError> {
    let summaries: Result<Vec<_>, _> = live.operations.into_iter().map(operation).collect();
    let summaries = summaries?;
    check(&summaries)?;
    Ok(summaries)
}

fn operation(live: wire::LiveOperation) -> Result<OperationSummary, SummaryError> {
    let (adapter, operation) = (live.adapter, live.operation);
    let (buckets, counts) = (live.latency_bucket.len(), live.latency_count.len());
    if buckets != counts {
        return Err(SummaryError::Lengths { adapter, operation, buckets, counts });
    }
    Ok(OperationSummary {
        adapter,
        operation,
        requests: live.requests,
        in_flight: live.in_flight,
        bytes_in: live.bytes_in,
        bytes_out: live.bytes_out,
        latencies: live.latency_bucket.into_iter().zip(live.latency_count).collect(),
    })
}

#[cfg(test)]
#[path = "live_test.rs"]
mod live_test;
