//! Property: after an incident, a real node names the range that had the traffic and what it came from
//! had before, alike over HTTP, gRPC and in every output; says what happened and what nobody recorded; and
//! writes a report that needs nothing but itself.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use keyviz_tests::columns::{COLUMNS, TRANSITIONS};
use keyviz_tests::http::{get, post_json};
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec, command};
use serde_json::{Value, json};

const API: &str = "/admin/api/v1/keyviz";
const MINUTE_MS: u64 = 60_000;

/// Exit code and stdout of `keyviz <words>`; stderr must be empty.
fn keyviz(endpoint: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut command = command("keyviz");
    command.env_remove("RUST_LOG").args(words).args(["--endpoint", endpoint]);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn told(node: &Node, at_ms: u64, rows: &[(u64, &str, &str, u64)]) {
    let row = |&(route, start, end, writes): &(u64, &str, &str, u64)| json!({ "route_id": route, "group_id": 1, "term": 1, "start": start, "end": end, "writes": writes });
    let column = json!({
        "node_id": "host", "window_unix_ms": at_ms, "step_ms": MINUTE_MS, "groups": [1],
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    });
    post_json(&node.http, COLUMNS, &column.to_string()).unwrap().ok();
}

fn changed(node: &Node, change: &Value) {
    post_json(&node.http, TRANSITIONS, &change.to_string()).unwrap().ok();
}

/// `[a, z)` for ten minutes; then `[a, m)` and `[m, z)`, of which the first is hot. The minute after the
/// split is recorded by nobody.
fn incident(node: &Node, from_ms: u64) -> u64 {
    changed(
        node,
        &json!({
            "node_id": "host", "group_id": 1, "change": "create", "hlc": from_ms << 16,
            "routes": [{ "route_id": 1, "start": "a", "end": "z" }],
        }),
    );
    let split_ms = from_ms + 10 * MINUTE_MS;
    for minute in 0..10 {
        told(node, from_ms + minute * MINUTE_MS, &[(1, "a", "z", 100)]);
    }
    changed(
        node,
        &json!({
            "node_id": "host", "group_id": 1, "change": "split", "route_id": 1,
            "hlc": split_ms << 16,
            "children": [{ "route_id": 2, "start": "a", "end": "m" }, { "route_id": 3, "start": "m", "end": "z" }],
        }),
    );
    for minute in 1..10 {
        let hot = if minute == 4 { 9_000 } else { 1_000 };
        let rows = [(2, "a", "m", hot), (3, "m", "z", 20)];
        told(node, split_ms + minute * MINUTE_MS, &rows);
    }
    split_ms
}

#[test]
fn the_first_questions_after_an_incident_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).with("--step=60s").start();
    let from_ms = now_ms() / 3_600_000 * 3_600_000 - 2 * 3_600_000;
    let split_ms = incident(&node, from_ms);
    let to_ms = split_ms + 10 * MINUTE_MS;
    let path = format!(
        "{API}/top?from_unix_ms={split_ms}&to_unix_ms={to_ms}&against_from_unix_ms={from_ms}&against_to_unix_ms={split_ms}"
    );
    let answer = get(&node.http, &path).ok();
    let (from, to) = (split_ms.to_string(), to_ms.to_string());
    let against = format!("{from_ms}..{split_ms}");
    let window = ["top", "--from", &from, "--to", &to, "--against", &against];
    let (code, json) = keyviz(&node.grpc, &[&window[..], &["-o", "json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json), (Some(0), &answer), "both ports say the same");
    let hot = &answer["rows"][0];
    assert_eq!((&hot["route_ids"], &hot["now"]["total"]), (&json!([2]), &json!(17_000)));
    assert_eq!(hot["before"]["total"], 500, "half of what it came from: {hot}");
    assert_eq!(hot["before"]["apportioned"], 500);
    assert_eq!(hot["now"]["missing_ms"], MINUTE_MS, "{hot}");
    assert_eq!(hot["peak"]["from_unix_ms"], split_ms + 4 * MINUTE_MS);
    assert_eq!((&hot["peak"]["value"], &hot["change"]), (&json!(9_000), &json!("grew")));
    assert_eq!(
        answer["now"]["gaps"],
        json!([{ "from_unix_ms": split_ms, "to_unix_ms": split_ms + MINUTE_MS }])
    );
    assert_eq!(
        (&answer["now"]["total"], &answer["before"]["total"]),
        (&json!(17_180), &json!(1_000))
    );
    let (_, table) = keyviz(&node.grpc, &window);
    for words in ["[a, m)", "17,000", "its share of a wider range", "nobody recorded", "x 37.8"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let (_, csv) = keyviz(&node.grpc, &[&window[..], &["-o", "csv"]].concat());
    assert_eq!(csv.lines().count(), 3, "{csv}");

    let begin = from_ms.to_string();
    let (_, events) = keyviz(&node.http, &["events", "--from", &begin, "--to", &to]);
    let kinds: Vec<&str> =
        events.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(kinds, ["create", "split", "gap"], "{events}");
    let only = ["events", "--from", &begin, "--to", &to, "--kind", "split", "-o", "csv"];
    assert_eq!(keyviz(&node.http, &only).1.lines().count(), 2);

    let (code, status) = keyviz(&node.http, &["status"]);
    assert!(
        status.contains("ready, up") && status.contains("source    host: last column"),
        "{status}"
    );
    assert_eq!(code, Some(0), "{status}");
    reports(&node, folder.path(), &["--from", &begin, "--to", &to]);
}

fn reports(node: &Node, folder: &std::path::Path, window: &[&str]) {
    let file = folder.join("incident.html");
    let output = ["report", "-o", file.to_str().unwrap()];
    let (code, _) = keyviz(&node.grpc, &[&output[..], window].concat());
    let page = std::fs::read_to_string(&file).unwrap();
    assert_eq!(code, Some(0));
    for words in ["<svg", "split at m into routes 2, 3", "Nobody recorded anything", "[a, m)"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("<script") && !page.contains("://"), "nothing is fetched or run");
    let picture = folder.join("incident.png");
    let output = ["report", "-o", picture.to_str().unwrap()];
    keyviz(&node.grpc, &[&output[..], window].concat());
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn what_cannot_be_asked_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).start();
    for (query, words) in [
        ("series=deletes", "deletes"),
        ("from_unix_ms=2000&to_unix_ms=1000", "2000"),
        ("against_from_unix_ms=1000", "go together"),
        ("limit=-1", "limit"),
        ("against=yesterday", "against"),
    ] {
        let answer = get(&node.http, &format!("{API}/top?{query}")).refusal(400, "invalid_query");
        assert!(answer.contains(words), "{query}: {answer}");
    }
    let mut absent = command("keyviz");
    absent.args(["status", "--endpoint", "127.0.0.1:1"]);
    let output = absent.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a script can tell that nobody is there");
}
