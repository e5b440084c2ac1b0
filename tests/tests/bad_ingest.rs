//! Property: whatever is posted as a column or a transition, what is wrong is refused with an
//! error that says why, the process stays up, nothing of it is stored, and a good column is stored
//! exactly.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use keyviz_tests::columns::{BOOT, COLUMNS, Poster, TRANSITIONS};
use keyviz_tests::http::{self, Response, post_json, request};
use keyviz_tests::matrix::{MATRIX, Recorded, check_conservation, numbers};
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Bench {
    _folder: TempDir,
    spec: NodeSpec,
    node: Node,
    window_ms: u64,
}

impl Bench {
    fn new(flag: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = NodeSpec::new(folder.path()).with(flag);
        let node = spec.start();
        let window_ms = now_ms() / 1_000 * 1_000 - 300_000;
        Self { _folder: folder, spec, node, window_ms }
    }

    fn column(&self, body: &Value) -> Response {
        post_json(&self.node.http, COLUMNS, &body.to_string()).unwrap()
    }

    fn transition(&self, body: &Value) -> Response {
        post_json(&self.node.http, TRANSITIONS, &body.to_string()).unwrap()
    }

    /// A column of source `hostile` with one row, changed by `change`.
    fn hostile(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut body = json!({
            "node_id": "hostile", "boot_id": BOOT, "sequence": 1, "window_unix_ms": self.window_ms,
            "rows": [{ "route_id": 1, "group_id": 9, "start": "a", "end": "b", "reads": 1_000_000_007 }],
        });
        change(&mut body);
        body
    }

    /// The node is alive, ready, shows nothing hostile, and stores a good column exactly.
    #[track_caller]
    fn is_well(&self) {
        assert_eq!(http::get(&self.node.http, "/healthz").status, 200);
        assert_eq!(http::get(&self.node.http, "/readyz").status, 200);
        let mut poster = Poster::new("good", self.window_ms);
        for _ in 0..3 {
            poster.post_next(&self.node.http, 7);
        }
        assert_eq!(poster.differences(&self.node.http), None);
        self.spec.assert_no_panic();
    }
}

type Change = Box<dyn Fn(&mut Value)>;

/// Each of these changes makes a column that is refused with this status and a message that holds
/// this word.
#[track_caller]
fn refuses(bench: &Bench, wrong: &[(Change, u16, &str)]) {
    let mut taken = Vec::new();
    for (change, status, name) in wrong {
        let body = bench.hostile(|body| change(body));
        let answer = bench.column(&body);
        if answer.status == 200 {
            taken.push(body.to_string());
            continue;
        }
        let message = answer.refusal(*status, "invalid_body");
        assert!(message.to_lowercase().contains(name), "{name:?} is not in {message:?} for {body}");
    }
    assert!(taken.is_empty(), "taken although malformed:\n{}", taken.join("\n"));
}

#[test]
fn malformed_buckets_are_refused_whole() {
    let bench = Bench::new("--retention=1h");
    let bucket = |name: &'static str, value: Value| -> Change {
        Box::new(move |body| {
            body["buckets"] = json!([{
                "group_id": 9, "start": "b", "end": "c", "members": [3, 4], "parts": [{ "group_id": 9 }],
            }]);
            body["buckets"][0][name] = value.clone();
        })
    };
    let part = |value: Value| bucket("parts", json!([value]));
    let wrong: Vec<(Change, u16, &str)> = vec![
        (bucket("group_id", json!(0)), 400, "non-zero"),
        (bucket("end", json!("A")), 400, "bucket 0: range"),
        (bucket("start_base64", json!("YQ==")), 400, "bucket 0: give start"),
        (bucket("members", json!([3, 3])), 400, "bucket 0: member 3"),
        (bucket("members", json!([0])), 400, "bucket 0: member 0"),
        (bucket("members", json!(vec![1; 300])), 400, "bucket 0: it lists 300"),
        (bucket("member_count", json!(1)), 400, "bucket 0: its member count is 1"),
        (bucket("member_count", json!(-1)), 422, "member_count"),
        (bucket("mebmers", json!([3])), 422, "mebmers"),
        (part(json!({ "group_id": 0 })), 400, "non-zero"),
        (part(json!({ "group_id": 9, "writse": 1 })), 422, "writse"),
        (bucket("parts", json!([{ "group_id": 9 }, { "group_id": 9 }])), 400, "bucket 0: part 1"),
    ];
    refuses(&bench, &wrong);
    let twice = bench.hostile(|body| {
        let bucket = json!({ "group_id": 9, "start": "b", "members": [3], "parts": [] });
        body["buckets"] = json!([bucket, bucket]);
    });
    assert!(bench.column(&twice).refusal(400, "invalid_body").contains("bucket 1: it is out of"));
    assert_eq!(bench.node.metric("keyviz_ingest_buckets_total"), 0);
    bench.is_well();
}

#[test]
fn malformed_columns_are_refused_whole() {
    let bench = Bench::new("--max-message-bytes=64KiB");
    let window = bench.window_ms;
    let set = |path: &'static str, value: Value| -> Change {
        Box::new(move |body| {
            *body.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value.clone();
        })
    };
    let add = |name: &'static str, value: Value| -> Change {
        Box::new(move |body| body[name] = value.clone())
    };
    let row = |name: &'static str, value: Value| -> Change {
        Box::new(move |body| body["rows"][0][name] = value.clone())
    };
    let wrong: Vec<(Change, u16, &str)> = vec![
        (set("/window_unix_ms", json!(window + 1)), 400, "not a multiple"),
        (add("step_ms", json!(7_000)), 400, "step"),
        (add("step_ms", json!(0)), 400, "step"),
        (add("step_ms", json!(1_800_000)), 400, "step"),
        (add("covered_from_unix_ms", json!(window + 2_000)), 400, "inverted"),
        (add("groups", json!([0])), 400, "non-zero"),
        (row("route_id", json!(0)), 400, "route 0"),
        (row("group_id", json!(0)), 400, "non-zero"),
        (row("end", json!("A")), 400, "route 1"),
        (row("end", json!("a")), 400, "route 1"),
        (row("start_base64", json!("YQ==")), 400, "start_base64"),
        (row("reads", json!(-1)), 422, "reads"),
        (row("reads", json!(1.5)), 422, "reads"),
        (row("reads", json!("many")), 422, "reads"),
        (row("raeds", json!(1)), 422, "raeds"),
        (set("/rows", json!({})), 422, "rows"),
        (set("/node_id", json!("")), 400, "node"),
        (set("/node_id", json!("n".repeat(300))), 400, "node"),
        (set("/boot_id", json!("not-a-uuid")), 422, "uuid"),
    ];
    refuses(&bench, &wrong);
    // Rows given twice.
    let twice = bench.hostile(|body| body["rows"] = json!([body["rows"][0], body["rows"][0]]));
    assert!(bench.column(&twice).refusal(400, "invalid_body").contains("twice"));
    // A key beyond the limit is within a body of the size that this node takes? No: 64 KiB of body.
    let big = bench.hostile(|body| body["rows"][0]["end"] = json!("b".repeat(70_000)));
    assert!(!bench.column(&big).refusal(413, "invalid_body").is_empty());
    assert_eq!(bench.node.metric("keyviz_ingest_columns_total"), 0);
    bench.is_well();
}

#[test]
fn what_is_not_json_is_refused() {
    let bench = Bench::new("--max-message-bytes=64KiB");
    let post = |kind: &str, body: &[u8]| {
        request(&bench.node.http, "POST", COLUMNS, &[("Content-Type", kind)], body).unwrap()
    };
    let deep = format!("{{\"x\":{}", "[".repeat(50_000));
    for body in [&b"{"[..], b"", b"window", b"\xff\xfe{}", deep.as_bytes()] {
        post("application/json", body).refusal(400, "invalid_body");
    }
    for body in [&b"[]"[..], b"null", b"{}", b"{}{}"] {
        post("application/json", body).refusal(422, "invalid_body");
    }
    let good = bench.hostile(|_| ()).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        post(kind, good.as_bytes()).refusal(415, "invalid_body");
    }
    request(&bench.node.http, "POST", COLUMNS, &[], good.as_bytes())
        .unwrap()
        .refusal(415, "invalid_body");
    // Over the limit, on both paths, much over the limit, too.
    for (path, bytes) in [(COLUMNS, 65_537), (TRANSITIONS, 65_537), (COLUMNS, 4 << 20)] {
        let large = format!("{{\"node_id\":\"{}\"}}", "n".repeat(bytes));
        // A server may close before it has read all of it; then there is no answer to look at.
        if let Ok(answer) = post_json(&bench.node.http, path, &large) {
            answer.refusal(413, "invalid_body");
        }
    }
    assert_eq!(bench.node.metric("keyviz_ingest_columns_total"), 0);
    bench.is_well();
}

#[test]
fn sequences_count_once_and_in_order() {
    let bench = Bench::new("--retention=1h");
    let mut poster = Poster::new("source", bench.window_ms);
    for _ in 0..3 {
        poster.post_next(&bench.node.http, 2);
    }
    // The same again: nothing changes.
    let mut again = Poster::new("source", bench.window_ms);
    let first = again.column(2);
    assert_eq!(Poster::post(&bench.node.http, &first).unwrap().ok()["outcome"], "duplicate");
    // The same sequence with other bytes.
    again.acknowledge(&first);
    let mut other = again.column(2);
    other["rows"][0]["reads"] = json!(1);
    let message = bench.column(&other).refusal(409, "refused");
    assert!(
        message.contains("sequence 2 of source") && message.contains("other content"),
        "{message}"
    );
    // Too early: to be sent again, in order.
    let mut early = poster.column(2);
    early["sequence"] = json!(9);
    let message = bench.column(&early).refusal(503, "unavailable");
    assert!(message.contains("sequence 9 of source") && message.contains('4'), "{message}");
    // Numbers begin at 1: "duplicate" would say that it is held.
    let mut zeroth = poster.column(2);
    zeroth["sequence"] = json!(0);
    let answer = bench.column(&zeroth);
    assert!([400, 409].contains(&answer.status), "sequence 0 was answered with {}", answer.brief());
    // A column that is refused for its time consumes its sequence.
    for (window, reason) in [
        (bench.window_ms - 3 * 3_600_000, "older than the retention"),
        (now_ms() / 1_000 * 1_000 + 330_000, "ahead of this node's clock"),
    ] {
        let mut untimely = poster.column(2);
        untimely["window_unix_ms"] = json!(window);
        let message = bench.column(&untimely).refusal(409, "refused");
        assert!(message.contains(reason) && message.contains(&window.to_string()), "{message}");
        poster.sequence += 1;
    }
    poster.post_next(&bench.node.http, 2);
    assert_eq!(poster.differences(&bench.node.http), None);
    // All of it again after a kill.
    bench.node.process.kill();
    let bench = Bench { node: bench.spec.start(), ..bench };
    assert_eq!(poster.differences(&bench.node.http), None);
    bench.column(&other).refusal(409, "refused");
    bench.column(&early).refusal(503, "unavailable");
    poster.post_next(&bench.node.http, 2);
    assert_eq!(poster.differences(&bench.node.http), None);
    bench.spec.assert_no_panic();
}

#[test]
fn a_column_with_buckets_counts_once_over_a_kill() {
    let bench = Bench::new("--retention=1h");
    let column = bench.hostile(|body| {
        body["buckets"] = json!([
            // In no order, and the members too: JSON is for people.
            { "group_id": 9, "start": "m", "members": [8], "member_count": 70, "parts": [] },
            { "group_id": 4, "start": "b", "end": "m", "members": [9, 3], "parts": [
                { "group_id": 9, "term": 2, "reads": 5 }, { "group_id": 4, "term": 7, "writes": 6 },
            ] },
        ]);
    });
    assert_eq!(bench.column(&column).ok()["rows_stored"], 1);
    assert_eq!(bench.node.metric("keyviz_ingest_buckets_total"), 2);
    let mut other = column.clone();
    other["buckets"][1]["parts"][0]["reads"] = json!(6);
    let check = |bench: &Bench| {
        assert_eq!(bench.column(&column).ok()["outcome"], "duplicate");
        let message = bench.column(&other).refusal(409, "refused");
        assert!(message.contains("other content"), "{message}");
    };
    check(&bench);
    bench.node.process.kill();
    let bench = Bench { node: bench.spec.start(), ..bench };
    check(&bench);
    assert_eq!(bench.node.metric("keyviz_wal_unusable_records_total"), 0);
    bench.spec.assert_no_panic();
}

#[test]
fn contradicting_bounds_refuse_that_row_by_name_and_store_the_rest() {
    let bench = Bench::new("--step=1s");
    let row = |route: u64, start: &str, end: &str, reads: u64| json!({ "route_id": route, "group_id": 1, "start": start, "end": end, "reads": reads });
    let column = |sequence: u64, rows: Value| json!({ "node_id": "n", "boot_id": BOOT, "sequence": sequence, "window_unix_ms": bench.window_ms, "rows": rows });
    let good = column(1, json!([row(1, "a", "m", 10), row(2, "m", "z", 20)]));
    assert_eq!(bench.column(&good).ok()["rows_stored"], 2);
    // Route 1 is known with other bounds; route 3 overlaps route 2; route 4 is new and fits.
    let mixed = column(
        2,
        json!([
            row(1, "a", "n", 1),
            row(2, "m", "z", 2),
            row(3, "y", "zz", 4),
            row(4, "zzz", "", 8)
        ]),
    );
    let answer = bench.column(&mixed).ok();
    assert_eq!((&answer["outcome"], &answer["rows_stored"]), (&json!("stored"), &json!(2)));
    let refused = answer["refused_rows"].as_array().unwrap();
    let routes: Vec<u64> = refused.iter().map(|row| row["route_id"].as_u64().unwrap()).collect();
    assert_eq!(routes, [1, 3], "{answer}");
    for row in refused {
        assert!(row["reason"].as_str().unwrap().contains("contradict"), "{row}");
    }
    let recorded =
        Recorded::ask(&bench.node.http, (bench.window_ms, bench.window_ms + 1_000), 1_000);
    let found: Vec<(String, u64)> =
        recorded.cells.into_iter().map(|((start, ..), value)| (start, value)).collect();
    let hex = |key: &str| hex::encode(key);
    assert_eq!(found, [(hex("a"), 10), (hex("m"), 22), (hex("zzz"), 8)]);
    // Sent again it is a duplicate, although part of it was refused.
    assert_eq!(bench.column(&mixed).ok()["outcome"], "duplicate");
    bench.spec.assert_no_panic();
}

/// Numbers at the end of their range must not break the answers of everyone else.
#[test]
fn enormous_numbers_are_stored_saturated_or_refused() {
    let bench = Bench::new("--step=1s");
    let max = u64::MAX;
    let bodies = [
        bench.hostile(|body| body["rows"][0]["reads"] = json!(max)),
        bench.hostile(|body| body["rows"][0]["reads"] = json!(max)),
        bench.hostile(|body| body["unattributed"] = json!(max)),
        bench.hostile(|body| body["unattributed"] = json!(max)),
        bench.hostile(|body| body["covered_to_unix_ms"] = json!(max)),
        bench.hostile(|body| body["covered_from_unix_ms"] = json!(0)),
        bench.hostile(|body| body["window_unix_ms"] = json!(max / 1_000 * 1_000)),
        bench.hostile(|body| body["window_unix_ms"] = json!(0)),
        bench.hostile(|body| body["rows"][0]["term"] = json!(max)),
        bench.hostile(|body| body["rows"][0]["route_id"] = json!(max)),
        bench.hostile(|body| body["rows"][0]["group_id"] = json!(max)),
    ];
    let mut sequence = 1;
    for mut body in bodies {
        body["sequence"] = json!(sequence);
        let answer = bench.column(&body);
        assert!([200, 400, 409].contains(&answer.status), "{body}: {}", answer.brief());
        // 409 is a verdict on what was understood, and consumes its sequence as well.
        sequence += u64::from(answer.status != 400);
        let (from, to) = (bench.window_ms, bench.window_ms + 1_000);
        let path =
            format!("{MATRIX}?series=reads&step_ms=1000&from_unix_ms={from}&to_unix_ms={to}");
        let answer = http::get(&bench.node.http, &path).ok();
        let totals = numbers(&answer["column_totals"]["recorded"]);
        assert!(totals[0] >= 1_000_000_007, "never wrapping: {answer}");
        for coarse in ["reads&step_ms=3600000", "writes", "reads&continuity=apportion&as_of=from"] {
            let answer = http::get(&bench.node.http, &format!("{MATRIX}?series={coarse}")).ok();
            if coarse == "writes" {
                check_conservation(&answer);
            }
        }
    }
    bench.spec.assert_no_panic();
    bench.node.process.kill();
    let node = bench.spec.start();
    http::get(&node.http, &format!("{MATRIX}?series=reads")).ok();
    bench.spec.assert_no_panic();
}

/// A node with route 1 up to `m` and route 2 from there, both in group 1.
fn two_routes() -> Bench {
    let bench = Bench::new("--step=1s");
    let routes = json!([{ "route_id": 1, "end": "m" }, { "route_id": 2, "start": "m" }]);
    let create = transition(1, &json!({ "change": "create", "routes": routes }));
    assert_eq!(bench.transition(&create).ok()["outcome"], "stored");
    bench
}

fn transition(sequence: u64, change: &Value) -> Value {
    let mut body = json!({ "node_id": "n", "boot_id": BOOT, "sequence": sequence, "group_id": 1 });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

fn route(route_id: u64, start: &str, end: &str) -> Value {
    json!({ "route_id": route_id, "start": start, "end": end })
}

fn split(route_id: u64, children: &[Value]) -> Value {
    json!({ "change": "split", "route_id": route_id, "children": children })
}

fn merge(route_ids: &[u64], survivor: &Value) -> Value {
    json!({ "change": "merge", "route_ids": route_ids, "survivor": survivor })
}

/// The host has to decide again; the sequence is consumed.
#[test]
fn a_transition_decided_on_a_stale_catalogue_is_aborted() {
    let bench = two_routes();
    let decided = |version: u64, change: Value| {
        let mut change = change;
        change["catalogue_version"] = json!(version);
        change
    };
    let cut = decided(7, split(1, &[route(5, "", "f"), route(6, "f", "m")]));
    assert_eq!(bench.transition(&transition(2, &cut)).ok()["outcome"], "stored");
    assert_eq!(bench.transition(&transition(3, &cut)).ok()["outcome"], "stored", "the same event");
    let late = decided(7, merge(&[5, 6], &route(8, "", "m")));
    let message = bench.transition(&transition(4, &late)).refusal(409, "aborted");
    assert!(message.contains("route 5") && message.contains("version 7"), "{message}");
    let gone = decided(8, json!({ "change": "drop", "route_id": 1 }));
    let message = bench.transition(&transition(5, &gone)).refusal(409, "aborted");
    assert!(message.contains("route 1") && message.contains("decide again"), "{message}");
    let again = decided(8, merge(&[5, 6], &route(8, "", "m")));
    assert_eq!(bench.transition(&transition(6, &again)).ok()["outcome"], "stored");
    assert_eq!(bench.node.metric("keyviz_ingest_aborted_total"), 2);
    assert_eq!(bench.node.metric("keyviz_ingest_refused_total"), 0);
    bench.spec.assert_no_panic();
}

/// Nothing of it is numbered.
#[test]
fn transitions_that_are_not_understood_are_refused() {
    let bench = two_routes();
    let create = |route: Value| json!({ "change": "create", "routes": [route] });
    let leader = |name: &str| json!({ "change": "leader", "leader_node_id": name, "term": 1 });
    for (change, status) in [
        (json!({ "change": "explode" }), 422),
        (json!({ "change": "split" }), 422),
        (json!({}), 422),
        (create(route(5, "b", "a")), 400),
        (create(json!({ "route_id": 5, "start": "a", "start_base64": "YQ==" })), 400),
        (create(json!({ "route_id": 5, "start_base64": "!" })), 400),
        (leader(""), 400),
        (leader(&"n".repeat(300)), 400),
    ] {
        bench.transition(&transition(2, &change)).refusal(status, "invalid_body");
    }
    let good = transition(2, &json!({ "change": "drop", "route_id": 2 }));
    assert_eq!(bench.transition(&good).ok()["outcome"], "stored");
    bench.spec.assert_no_panic();
}

/// Each is refused with its ids, and consumes its sequence.
#[test]
fn transitions_that_contradict_the_catalogue_are_refused_by_name() {
    let bench = two_routes();
    let create = |routes: Value| json!({ "change": "create", "routes": routes });
    let moved = |group: u64| json!({ "change": "move", "route_id": 1, "to_group_id": group, "to_route_id": 5 });
    let whole = route(5, "", "m");
    let far = (now_ms() + 400_000) << 16;
    let refused = [
        (json!({ "group_id": 0, "change": "drop", "route_id": 1 }), "group"),
        (create(json!([])), "no route"),
        (create(json!([route(0, "a", "b")])), "route 0"),
        (create(json!([route(1, "a", "b")])), "route 1"),
        (create(json!([route(5, "a", "b")])), "route 1"),
        (split(77, &[route(5, "a", "b"), route(6, "b", "c")]), "77"),
        (split(1, &[route(5, "", "m")]), "two or more"),
        (split(1, &[route(5, "", "f"), route(5, "f", "m")]), "twice"),
        (split(1, &[route(5, "", "g"), route(6, "f", "m")]), "overlap"),
        (split(1, &[route(5, "", "f"), route(6, "f", "x")]), "outside"),
        (merge(&[1], &whole), "two or more"),
        (merge(&[1, 1], &whole), "adjacent"),
        (merge(&[1, 2], &whole), "union"),
        (moved(1), "another group"),
        (moved(0), "non-zero"),
        (json!({ "change": "drop", "route_id": 77 }), "77"),
        (json!({ "change": "drop", "route_id": 1, "hlc": far }), "ahead"),
        (json!({ "change": "drop", "route_id": 1, "hlc": u64::MAX }), "ahead"),
    ];
    let mut sequence = 2;
    for (change, name) in refused {
        let body = transition(sequence, &change);
        let message = bench.transition(&body).refusal(409, "refused");
        assert!(message.contains(name), "{name:?} is not in {message:?} for {body}");
        sequence += 1;
    }
    // The catalogue is what it was: this split fits it.
    let good = transition(sequence, &split(1, &[route(5, "", "f"), route(6, "f", "m")]));
    assert_eq!(bench.transition(&good).ok()["outcome"], "stored");
    bench.spec.assert_no_panic();
}
