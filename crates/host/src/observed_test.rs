use keyviz_lineage::clock::ManualClock;
use keyviz_sampler::live_summary::quantiles_ns;

use super::*;

fn observed() -> (Arc<ManualClock>, Observed) {
    let clock = Arc::new(ManualClock::at(0));
    let observed = Observed::new(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    (clock, observed)
}

#[test]
fn a_command_is_measured_under_its_name() {
    let (clock, observed) = observed();
    for (word, took_ms) in [(&b"GET"[..], 4), (b"get", 8)] {
        let request = observed.request(word);
        clock.advance(took_ms);
        request.answered(took_ms == 8, 20, 5);
    }
    let _waiting = observed.request(b"Get");
    let summaries = observed.summaries();
    assert_eq!(summaries.len(), COMMANDS.len() + 1, "every command, and the unknown ones");
    let get = summaries.iter().find(|one| one.operation == "get").unwrap();
    assert_eq!((get.adapter.as_str(), get.requests, get.in_flight), (ADAPTER, 2, 1));
    assert_eq!((get.bytes_in, get.bytes_out), (40, 10));
    let [p50_ns, _, p99_ns] = quantiles_ns(&get.latencies);
    assert!(
        (p50_ns - 4e6).abs() < 4e6 / 32.0 && (p99_ns - 8e6).abs() < 8e6 / 32.0,
        "{p50_ns} {p99_ns}"
    );
    let metrics = observed.metrics().unwrap();
    for line in [
        "keyviz_host_redis_requests_total{command=\"get\",outcome=\"success\"} 1",
        "keyviz_host_redis_requests_total{command=\"get\",outcome=\"error\"} 1",
        "keyviz_host_redis_request_duration_seconds_sum{command=\"get\"} 0.012",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[test]
fn unknown_commands_share_one_name() {
    let (_, observed) = observed();
    observed.request(b"ZADD").answered(true, 30, 40);
    observed.request(&[b'x'; 100]).answered(true, 30, 40);
    let summaries = observed.summaries();
    let other = summaries.iter().find(|one| one.operation == OTHER).unwrap();
    assert_eq!((other.requests, other.bytes_out), (2, 80));
    let metrics = observed.metrics().unwrap();
    let line = "keyviz_host_redis_unsupported_commands_total{command=\"zadd\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[test]
fn a_request_that_is_never_answered_is_no_longer_in_flight() {
    let (_, observed) = observed();
    drop(observed.request(b"SET"));
    let summaries = observed.summaries();
    let set = summaries.iter().find(|one| one.operation == "set").unwrap();
    assert_eq!((set.requests, set.in_flight), (1, 0));
}
