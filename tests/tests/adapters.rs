//! Property: what clients ask of hosts is what the node's adapter summary and the host's metrics say,
//! to the request and to the byte, as long as the host is there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::time::Duration;

use keyviz_tests::http;
use keyviz_tests::process::{Host, HostSpec, Node, NodeSpec};
use keyviz_tests::wait_for;
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const PATH: &str = "/admin/api/v1/adapters/summary";

/// `*2 $3 GET $1 k`, each with its line end; `$-1`.
const GET_BYTES: u64 = 4 + 4 + 5 + 4 + 3;
const NONE_BYTES: u64 = 5;

fn ask(host: &Host, count: u64, words: &[&[u8]]) {
    let mut client = host.connect();
    for _ in 0..count {
        client.ask(words);
    }
}

/// The summary of one operation, once it tells of so many requests.
fn summary(node: &Node, operation: &str, requests: u64) -> Value {
    wait_for(&format!("{requests} {operation} in the summary"), LIMIT, || {
        let answer = http::get(&node.http, PATH);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let summaries = answer.ok()["summaries"].as_array().unwrap().clone();
        summaries.into_iter().find(|one| {
            one["adapter"] == "redis"
                && one["operation"] == operation
                && one["requests"] == requests
                && one["in_flight"] == 0
        })
    })
}

fn names(node: &Node) -> Vec<String> {
    let live = http::get(&node.http, PATH).ok();
    let nodes = live["nodes"].as_array().unwrap().clone();
    nodes.iter().map(|node| node["node"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_clients_ask_is_in_the_summary_while_their_host_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).start();
    let empty = http::get(&node.http, PATH).ok();
    assert_eq!(empty["summaries"].as_array().unwrap().len(), 0);
    assert_eq!(empty["covered_ms"], 300_000);

    let start = |name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut spec = HostSpec::new(&folder, &node.grpc);
        spec.node_id = name.to_owned();
        spec.flags.push("--metrics=127.0.0.1:0".to_owned());
        spec.start()
    };
    let (a, b) = (start("host-a"), start("host-b"));
    ask(&a, 30, &[b"GET", b"k"]);
    ask(&b, 12, &[b"GET", b"k"]);
    ask(&a, 5, &[b"INCRBY", b"n", b"x"]);
    ask(&a, 2, &[b"ZADD", b"z", b"1", b"m"]);

    let gets = summary(&node, "get", 42);
    assert_eq!(
        (&gets["bytes_in"], &gets["bytes_out"]),
        (&Value::from(42 * GET_BYTES), &Value::from(42 * NONE_BYTES))
    );
    let quantiles = ["p50_ns", "p95_ns", "p99_ns"].map(|name| gets[name].as_f64().unwrap());
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{quantiles:?}");
    summary(&node, "incrby", 5);
    summary(&node, "_other", 2);
    wait_for("both hosts are named", LIMIT, || {
        (names(&node) == ["host-a", "host-b"]).then_some(())
    });

    let metrics = http::get(&a.connect().info_field("keyviz_metrics"), "/metrics");
    assert_eq!(metrics.status, 200);
    let metrics = metrics.text();
    for line in [
        "keyviz_host_redis_requests_total{command=\"get\",outcome=\"success\"} 30",
        "keyviz_host_redis_requests_total{command=\"get\",outcome=\"error\"} 0",
        "keyviz_host_redis_requests_total{command=\"incrby\",outcome=\"error\"} 5",
        "keyviz_host_redis_request_duration_seconds_count{command=\"get\"} 30",
        "keyviz_host_redis_unsupported_commands_total{command=\"zadd\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }

    assert!(b.process.stop(Signal::SIGTERM).success());
    summary(&node, "get", 30);
    a.process.kill();
    wait_for("the killed host's summary goes", LIMIT, || names(&node).is_empty().then_some(()));
}
