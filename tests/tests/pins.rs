//! Property: an operator's commands (`keyviz gc`, `pin`, `pins`, `unpin`) do on a running node what
//! they say, alike over HTTP, and over a kill -9; what cannot be done is refused in one line.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use keyviz_tests::columns::{COLUMNS, TRANSITIONS};
use keyviz_tests::http::{get, post_json, request};
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec, command};
use serde_json::{Value, json};

const API: &str = "/admin/api/v1/keyviz";
const HOUR_MS: u64 = 3_600_000;

/// Exit code, stdout and stderr of `keyviz <words>` at a node.
fn keyviz(node: &Node, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command("keyviz");
    command.env_remove("RUST_LOG").args(words).args(["--endpoint", &node.http]);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn said(node: &Node, words: &[&str]) -> String {
    let (code, out, err) = keyviz(node, words);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{words:?}: {out}");
    out
}

fn refused(node: &Node, words: &[&str]) -> String {
    let (code, out, err) = keyviz(node, words);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{words:?}: {err}");
    assert!(!err.contains("panicked") && err.trim_end().lines().count() == 1, "{err}");
    err
}

/// Two ranges, and a column of each three hours ago.
fn record(node: &Node, at_ms: u64) {
    let create = json!({
        "node_id": "host", "group_id": 1, "change": "create", "hlc": (at_ms - HOUR_MS) << 16,
        "routes": [{ "route_id": 1, "end": "m" }, { "route_id": 2, "start": "m" }],
    });
    post_json(&node.http, TRANSITIONS, &create.to_string()).unwrap().ok();
    let row = |route: u64, start: Value, end: Value| json!({ "route_id": route, "group_id": 1, "term": 1, "start": start, "end": end, "writes": 5 });
    let column = json!({
        "node_id": "host", "window_unix_ms": at_ms, "step_ms": 60_000, "groups": [1],
        "rows": [row(1, Value::Null, "m".into()), row(2, "m".into(), Value::Null)],
    });
    post_json(&node.http, COLUMNS, &column.to_string()).unwrap().ok();
}

#[test]
fn a_window_is_pinned_listed_exported_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).with("--pin-max-bytes=64KiB").on_fixed_ports();
    let node = spec.start();
    let at_ms = now_ms() / HOUR_MS * HOUR_MS - 3 * HOUR_MS;
    record(&node, at_ms);
    assert_eq!(said(&node, &["pins"]), "nothing is pinned\n");
    let (from, to) = (at_ms.to_string(), (at_ms + 60_000).to_string());
    let window = ["--from", &from, "--to", &to];
    let words =
        [&["pin"], &window[..], &["--start", "p", "--note", "why\u{1b}[31m 2?", "-o", "json"]];
    let pin: Value = serde_json::from_str(&said(&node, &words.concat())).unwrap();
    assert_eq!(
        (pin["from_unix_ms"].as_u64(), pin["to_unix_ms"].as_u64()),
        (Some(at_ms), Some(at_ms + HOUR_MS))
    );
    assert_eq!((&pin["lineage_count"], &pin["start"]), (&json!(1), &json!("cA==")));
    let id = pin["id"].as_str().unwrap();
    let check = |node: &Node| {
        let listed: Value = serde_json::from_str(&said(node, &["pins", "-o", "json"])).unwrap();
        assert_eq!(listed, get(&node.http, &format!("{API}/pins")).ok());
        assert_eq!(listed["pins"], json!([pin.clone()]));
        let text = said(node, &["pins"]);
        assert!(
            text.starts_with(id) && text.contains("+inf") && !text.contains('\u{1b}'),
            "{text:?}"
        );
        assert_eq!(node.metric("keyviz_pins"), 1);
    };
    check(&node);
    let exported: Value =
        serde_json::from_str(&said(&node, &["pins", "--export", id, "-o", "json"])).unwrap();
    assert_eq!(exported["pin"], pin);
    let series: Vec<&Value> = exported["matrices"].as_array().unwrap().iter().collect();
    assert_eq!(series.len(), 4);
    assert_eq!(series[1]["rows"].as_array().unwrap().len(), 1, "one range overlaps the keys");
    let csv = said(&node, &["pins", "--export", id, "-o", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines.len() == 2 && lines[1].starts_with("writes,") && lines[1].ends_with(",5"),
        "{csv}"
    );
    node.process.kill();
    let node = spec.start();
    check(&node);
    assert!(said(&node, &["unpin", id]).contains(id));
    assert!(refused(&node, &["unpin", id]).contains("keyviz pins"));
    assert_eq!(get(&node.http, &format!("{API}/pins")).ok()["pins"], json!([]));
    refusals(&node, &from, &to);
    spec.assert_no_panic();
}

fn refusals(node: &Node, from: &str, to: &str) {
    let pin =
        |from: &str, to: &str| refused(node, &["pin", "--from", from, "--to", to, "--note", "x"]);
    assert!(pin(to, from).contains("empty"));
    assert!(pin(from, "2999-01-01T00:00:00Z").contains("past"));
    assert!(pin("1000", "2000").contains("no longer") || pin("1000", "2000").contains("retained"));
    let last = (0..200).find_map(|_| {
        let (code, _, err) = keyviz(node, &["pin", "--from", from, "--to", to, "--note", "x"]);
        (code != Some(0)).then_some(err)
    });
    let last = last.unwrap();
    assert!(last.contains("--pin-max-bytes") || last.contains("64 pins"), "{last}");
    let path = format!("{API}/pins");
    let post = |body: &str| post_json(&node.http, &path, body).unwrap();
    post(&json!({ "from_unix_ms": from.parse::<u64>().unwrap(), "to_unix_ms": to.parse::<u64>().unwrap(), "note": "x" }).to_string())
        .refusal(409, "pin_limit");
    post(r#"{"from_unix_ms":5,"to_unix_ms":5,"note":""}"#).refusal(400, "invalid_body");
    post(r#"{"from_unix_ms":5}"#).refusal(400, "invalid_body");
    post(r#"{"from_unix_ms":1,"to_unix_ms":5,"note":"","start":"b","end":"a"}"#)
        .refusal(400, "invalid_body");
    let delete =
        |id: &str| request(&node.http, "DELETE", &format!("{path}/{id}"), &[], b"").unwrap();
    delete("soon").refusal(400, "invalid_query");
    delete("00000000-0000-7000-8000-000000000000").refusal(404, "not_found");
    let lost = command("keyviz").args(["pins", "--endpoint", "127.0.0.1:1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&lost.stderr).contains("keyviz serve"));
}

#[test]
fn garbage_collection_says_how_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).start();
    let at_ms = now_ms() / HOUR_MS * HOUR_MS - 3 * HOUR_MS;
    let text = said(&node, &["gc"]);
    assert!(text.starts_with("garbage collection: not frozen\n"), "{text}");
    record(&node, at_ms);
    let status: Value =
        serde_json::from_str(&said(&node, &["gc", "--accept-clock", "-o", "json"])).unwrap();
    assert_eq!((&status["frozen"], &status["dropped_rows"]), (&Value::Null, &json!(0)));
    assert!(
        status["cutoff_unix_ms"]["fine"].as_u64() > status["cutoff_unix_ms"]["rollup"].as_u64()
    );
    node.metric("keyviz_oldest_row_timestamp_seconds");
    assert_eq!(get(&node.http, &format!("{API}/gc")).ok()["frozen"], Value::Null);
    post_json(&node.http, &format!("{API}/gc"), r#"{"accept":1}"#)
        .unwrap()
        .refusal(400, "invalid_body");
}
