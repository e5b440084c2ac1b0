//! Property: what the stock `redis-benchmark` issues appears in the matrix exactly, without an error
//! on the way.
//!
//! `KEYVIZ_BENCHMARK_REQUESTS` (default 10,000) requests a test, over as many keys. Without
//! redis-benchmark the test says so and proves nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::process::Command;

use keyviz_tests::ledger::{Ledger, SERIES, total};
use keyviz_tests::matrix::{Recorded, differences};
use keyviz_tests::process::{HostSpec, NodeSpec};
use keyviz_tests::resp::Client;
use keyviz_tests::{number_from_env, skipped};

/// `key:000000001234`, `counter:000000001234`, and the value `xxx`.
const KEY: u64 = 16;
const COUNTER: u64 = 20;
const VALUE: u64 = 3;

#[test]
fn what_redis_benchmark_issues_is_what_the_matrix_shows() {
    if Command::new("redis-benchmark").arg("--version").output().is_err() {
        return skipped("redis-benchmark is not installed (apt-get install redis-tools)");
    }
    let requests = number_from_env("KEYVIZ_BENCHMARK_REQUESTS", 10_000);
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let mut host = HostSpec::new(folder.path(), &node.grpc);
    let split = format!("--initial-splits=counter:000000005000,key:{:012},mylist", requests / 2);
    host.flags = vec![split];
    let ledger = host.ledger();
    let host = host.start();

    let (_, port) = host.address.rsplit_once(':').unwrap();
    let count = requests.to_string();
    let output = Command::new("redis-benchmark")
        .args(["-p", port, "-t", "set,get,incr,mset", "-n", &count, "-r", &count, "-c", "50", "-q"])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).replace('\r', "\n");
    assert!(output.status.success(), "{said}");
    for word in ["error", "err:", "warn", "fail", "could not"] {
        assert!(!said.to_lowercase().contains(word), "{said}");
    }
    for line in said.lines().filter(|line| line.contains("requests per second")) {
        eprintln!("{line}");
    }
    host.settle(keyviz_tests::PATIENCE);

    // The host's own statistics: every request was answered, none with an error.
    let mut client = host.connect();
    for name in ["set", "get", "incr", "mset"] {
        assert_eq!(command_calls(&mut client, name), requests, "{name}");
    }

    let ledger = Ledger::read(&ledger);
    let recorded = Recorded::ask(&node.http, ledger.span(), 1_000);
    assert_eq!(differences(&ledger.cells, &recorded.cells), None);
    let [reads, writes, read_bytes, write_bytes] =
        SERIES.map(|series| total(&recorded.cells, series));
    assert_eq!(reads, requests, "get");
    assert_eq!(writes, requests * (1 + 1 + 10), "set, incr and 10 keys of mset");
    assert_eq!(write_bytes, requests * (11 * (KEY + VALUE) + COUNTER));
    // Some keys that are read were never set.
    assert!((requests * KEY..=requests * (KEY + VALUE)).contains(&read_bytes), "{read_bytes}");
    eprintln!(
        "{requests} requests of each: {reads} reads, {writes} writes, {read_bytes} + {write_bytes} bytes"
    );
    spec.assert_no_panic();
}

/// `cmdstat_get:calls=100,...,failed_calls=0`
fn command_calls(client: &mut Client, name: &str) -> u64 {
    let line = client.info_field(&format!("cmdstat_{name}"));
    let number = |field: &str| {
        let found = line.split(',').find_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
        found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {field} in {line}"))
    };
    let errors: [u64; 2] = ["failed_calls", "rejected_calls"].map(number);
    assert_eq!(errors, [0, 0], "{line}");
    number("calls")
}
