//! Property: what is as large, as little or as strange as it can be is counted like everything else:
//! counts at 2^64 - 1 saturate and are flagged on every step, an hour with one cell is kept, and a
//! column of a group that nobody has heard of is stored.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use keyviz_tests::columns::COLUMNS;
use keyviz_tests::http::{get, post_json};
use keyviz_tests::ledger::SERIES;
use keyviz_tests::matrix::{MATRIX, numbers};
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

fn post(node: &Node, source: &str, window_ms: u64, row: &Value) {
    let body =
        json!({ "node_id": source, "window_unix_ms": window_ms, "step_ms": 1_000, "rows": [row] });
    let answer = post_json(&node.http, COLUMNS, &body.to_string()).unwrap().ok();
    assert_eq!(
        (&answer["outcome"], &answer["rows_stored"]),
        (&json!("stored"), &json!(1)),
        "{answer}"
    );
}

fn row(route: u64, group: u64, count: u64) -> Value {
    json!({ "route_id": route, "group_id": group, "term": 1,
        "reads": count, "writes": count, "read_bytes": count, "write_bytes": count })
}

/// The sum of a row's values, and whether a cell with a value is flagged as saturated.
fn ask(
    node: &Node,
    (from, to): (u64, u64),
    step_ms: u64,
    series: &str,
    route: u64,
) -> (Vec<u64>, bool) {
    let path = format!(
        "{MATRIX}?as_of=union&step_ms={step_ms}&series={series}&from_unix_ms={from}&to_unix_ms={to}"
    );
    let answer = get(&node.http, &path).ok();
    assert_eq!(answer["status"], "OK", "{}", answer["warnings"]);
    let id = format!("route:{route}");
    let rows = answer["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["bucket_id"] == id.as_str());
    let found = found.unwrap_or_else(|| panic!("no {id} in {answer}"));
    let values = numbers(&found["values"]);
    let bit = answer["flag_bits"]["saturated"].as_u64().unwrap();
    let flags = match found["flags"].is_null() {
        true => vec![0; values.len()],
        false => numbers(&found["flags"]),
    };
    let flagged = values.iter().zip(&flags).filter(|(value, _)| **value > 0);
    let is_flagged =
        flagged.clone().count() > 0 && flagged.clone().all(|(_, flags)| flags & bit != 0);
    (values.into_iter().filter(|value| *value > 0).collect(), is_flagged)
}

#[test]
fn the_largest_the_least_and_the_unknown_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let first_ms = now_ms() / HOUR_MS * HOUR_MS - 4 * HOUR_MS;
    let node = spec.start();
    // Reads of different nodes add; writes of one term are one value.
    post(&node, "a", first_ms, &row(1, 1, u64::MAX));
    post(&node, "b", first_ms, &row(1, 1, u64::MAX));
    // Two windows that only saturate together.
    post(&node, "a", first_ms + HOUR_MS, &row(1, 1, u64::MAX - 5));
    post(&node, "a", first_ms + HOUR_MS + 1_000, &row(1, 1, u64::MAX - 5));
    // One cell in an hour; a group that nobody has heard of.
    post(&node, "c", first_ms + 2 * HOUR_MS + 1_799_000, &row(7, 999, 1));
    post(&node, "d", first_ms + 2 * HOUR_MS, &row(8, u64::MAX, 3));
    let check = |node: &Node, when: &str| {
        let hour = |at: u64| (first_ms + at * HOUR_MS, first_ms + (at + 1) * HOUR_MS);
        for series in SERIES {
            for step_ms in [1_000, HOUR_MS] {
                let found = ask(node, hour(0), step_ms, series, 1);
                assert_eq!(found, (vec![u64::MAX], true), "{when}: {series}, {step_ms}");
            }
            let found = ask(node, hour(1), 1_000, series, 1);
            assert_eq!(found, (vec![u64::MAX - 5; 2], false), "{when}: {series}");
            let found = ask(node, hour(1), HOUR_MS, series, 1);
            assert_eq!(found, (vec![u64::MAX], true), "{when}: {series}");
            for step_ms in [1_000, HOUR_MS] {
                assert_eq!(ask(node, hour(2), step_ms, series, 7), (vec![1], false), "{when}");
                assert_eq!(ask(node, hour(2), step_ms, series, 8), (vec![3], false), "{when}");
            }
        }
    };
    check(&node, "in memory");
    node.process.kill();
    let node = spec.start();
    check(&node, "replayed");
    assert!(node.process.stop(Signal::SIGTERM).success());
    let node = spec.start();
    check(&node, "stored");
    spec.assert_no_panic();
}
