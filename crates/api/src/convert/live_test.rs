use keyviz_lineage::summary::{LATENCY_BUCKETS, MAX_OPERATIONS};

use super::*;

fn summary(operation: &str) -> OperationSummary {
    OperationSummary {
        adapter: "redis".to_owned(),
        operation: operation.to_owned(),
        requests: 7,
        in_flight: 1,
        bytes_in: 100,
        bytes_out: 200,
        latencies: vec![(3, 4), (900, 3)],
    }
}

#[test]
fn comes_back_as_it_went() {
    let summaries = [summary("get"), summary("set")];
    assert_eq!(live_from_wire(live_to_wire(&summaries, 256)).unwrap(), summaries);
    assert_eq!(live_from_wire(live_to_wire(&summaries, 1)).unwrap(), summaries[..1]);
}

#[test]
fn what_is_wrong_is_refused() {
    let sent = live_to_wire(&[summary("get")], 256);
    let refused = |change: &dyn Fn(&mut wire::LiveOperation)| {
        let mut live = sent.clone();
        change(&mut live.operations[0]);
        live_from_wire(live).unwrap_err()
    };
    let unequal = refused(&|live| live.latency_count.truncate(1));
    assert!(matches!(unequal, SummaryError::Lengths { buckets: 2, counts: 1, .. }), "{unequal}");
    let bucket = refused(&|live| live.latency_bucket[1] = LATENCY_BUCKETS);
    assert!(matches!(bucket, SummaryError::Bucket { .. }), "{bucket}");
    let name = refused(&|live| live.adapter = String::new());
    assert_eq!(name, SummaryError::Name { bytes: 0 });
    let many = wire::LiveSummary { operations: vec![sent.operations[0].clone(); 257] };
    assert_eq!(live_from_wire(many), Err(SummaryError::TooMany { count: MAX_OPERATIONS + 1 }));
}
