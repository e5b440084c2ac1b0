//! Property: a question to any of several nodes is answered as by one node that recorded everything; while
//! nodes are killed and frozen every answer comes, says who is missing, and equals that of one node which
//! recorded what the others did; and when they are back, answers are whole again.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use keyviz_tests::columns::{COLUMNS, TRANSITIONS};
use keyviz_tests::http::{get, post_json, request};
use keyviz_tests::matrix::{MATRIX, check_conservation};
use keyviz_tests::process::{Node, NodeSpec, command};
use keyviz_tests::{PATIENCE, Stop, now_ms, put_private, wait_for};
use serde_json::{Value, json};

const WINDOWS: u64 = 40;
const NAMES: [&str; 3] = ["A", "B", "C"];

/// What is sent, in this order, and to which of the nodes.
struct Told {
    path: &'static str,
    body: Value,
    to: &'static str,
}

fn column(
    source: &str,
    boot: u64,
    (window, first_ms): (u64, u64),
    sequence: u64,
    rows: &[Value],
    to: &'static str,
) -> Told {
    let body = json!({
        "node_id": source, "boot_id": format!("00000000-0000-8000-8000-{boot:012x}"),
        "sequence": sequence, "window_unix_ms": first_ms + window * 1_000, "step_ms": 1_000,
        "groups": [1, 2], "rows": rows,
    });
    Told { path: COLUMNS, body, to }
}

/// A row of route `route`: 1 and 2 become 3 at the half.
fn row(route: u64, term: u64, count: u64) -> Value {
    let (group, start, end) = match route {
        1 => (1, "", "f"),
        2 => (1, "f", "m"),
        3 => (1, "", "m"),
        _ => (2, "m", ""),
    };
    let bound = |key: &str| (!key.is_empty()).then(|| key.to_owned());
    json!({
        "route_id": route, "group_id": group, "term": term, "start": bound(start), "end": bound(end),
        "reads": count, "writes": if term > 0 { 3 * count } else { 0 }, "read_bytes": 10 * count,
        "write_bytes": if term > 0 { 30 * count } else { 0 },
    })
}

/// The same routes everywhere; then each source's columns, to some of the nodes.
fn story(first_ms: u64) -> Vec<Told> {
    let half = WINDOWS / 2;
    let transition = |number: u64, at_ms: u64, change: Value| {
        let mut body = json!({
            "node_id": "catalogue", "group_id": 1, "hlc": at_ms << 16,
            "proposal_id": format!("00000000-0000-4000-8000-{number:012x}"),
        });
        let fields = body.as_object_mut().unwrap();
        fields.extend(change.as_object().unwrap().clone());
        Told { path: TRANSITIONS, body, to: "ABC" }
    };
    let routes = json!({ "change": "create", "routes": [
        { "route_id": 1, "end": "f" }, { "route_id": 2, "start": "f", "end": "m" } ] });
    let far =
        json!({ "change": "create", "group_id": 2, "routes": [{ "route_id": 4, "start": "m" }] });
    let merge = json!({ "change": "merge", "route_ids": [1, 2],
        "survivor": { "route_id": 3, "end": "m" } });
    let mut told =
        vec![transition(1, first_ms - 60_000, routes), transition(2, first_ms - 60_000, far)];
    for window in 0..WINDOWS {
        if window == half {
            told.push(transition(3, first_ms + half * 1_000, merge.clone()));
        }
        let (at, routes) =
            ((window, first_ms), if window < half { &[1, 2, 4][..] } else { &[3, 4] });
        let rows = |term: u64, seed: u64| -> Vec<Value> {
            routes.iter().map(|&route| row(route, term, seed + 7 * route + window)).collect()
        };
        // Two leaders of one term say the same; its writes count once. One source is heard by two nodes.
        told.push(column("leader-1", 1, at, window + 1, &rows(5, 100), "AB"));
        told.push(column("leader-2", 2, at, window + 1, &rows(5, 100), "C"));
        told.push(column("follower-b", 3, at, window + 1, &rows(0, 2_000), "B"));
        if window % 5 != 3 {
            told.push(column(
                "follower-c",
                4,
                at,
                window + 1 - (window + 1) / 5,
                &rows(0, 40_000),
                "C",
            ));
        }
        // One that moves from one node to the other, in the middle of a window.
        let (mine, boot) = if window < half { (window + 1, 6) } else { (window + 1 - half, 7) };
        let to = if window < half { "A" } else { "C" };
        if window == half {
            told.push(column("mover", 6, at, half + 1, &rows(0, 3), "A"));
        }
        told.push(column("mover", boot, at, mine, &rows(0, 600_000), to));
    }
    told
}

fn send(http: &str, told: &Told) {
    let answer = post_json(http, told.path, &told.body.to_string()).unwrap().ok();
    assert_eq!(answer["outcome"], "stored", "{answer} of {}", told.body);
}

/// What is the same whoever has recorded it.
fn essence(mut answer: Value, with_states: bool) -> Value {
    check_conservation(&answer);
    let fields = answer.as_object_mut().unwrap();
    for own in
        ["generated_at", "fanout", "all_groups_healthy", "degraded_groups", "warnings", "status"]
    {
        fields.remove(own);
    }
    for row in fields["rows"].as_array_mut().unwrap() {
        let row = row.as_object_mut().unwrap();
        row.remove("degraded");
        if !with_states {
            row.remove("states");
            row.remove("flags");
        }
    }
    answer
}

fn paths(first_ms: u64) -> Vec<String> {
    let span = format!("from_unix_ms={first_ms}&to_unix_ms={}", first_ms + WINDOWS * 1_000);
    let mut paths = Vec::new();
    for series in ["reads", "writes", "read_bytes", "write_bytes"] {
        for how in ["step_ms=1000", "step_ms=1000&as_of=union", "step_ms=10000&as_of=from"] {
            paths.push(format!("{MATRIX}?series={series}&{span}&{how}"));
        }
        let hour = first_ms - first_ms % 3_600_000;
        let wide = format!("from_unix_ms={hour}&to_unix_ms={}", hour + 7_200_000);
        for how in ["step_ms=300000&rows=2", "step_ms=3600000&continuity=apportion"] {
            paths.push(format!("{MATRIX}?series={series}&{wide}&{how}"));
        }
    }
    paths
}

struct Cluster {
    specs: Vec<NodeSpec>,
    nodes: Vec<Option<Node>>,
    /// One node for each set of nodes with A, which recorded what they did.
    models: BTreeMap<String, Node>,
    first_ms: u64,
}

impl Cluster {
    fn start(folder: &Path) -> Self {
        // The widest question is about what has been: no column of it changes while it is asked.
        let first_ms = now_ms() / 1_000 * 1_000 - 4 * 3_600_000;
        let own = |name: &str| {
            let folder = folder.join(name);
            std::fs::create_dir(&folder).unwrap();
            NodeSpec::new(&folder).on_fixed_ports()
        };
        let specs: Vec<NodeSpec> = NAMES.map(own).into();
        let peers: Vec<&str> = specs.iter().map(|spec| spec.grpc.as_str()).collect();
        // The same list for all of them: a node knows itself.
        let peers = format!("--peers={}", peers.join(","));
        let specs: Vec<NodeSpec> =
            specs.into_iter().map(|spec| spec.with(&peers).with("--peer-timeout=1s")).collect();
        let nodes: Vec<Option<Node>> = specs.iter().map(|spec| Some(spec.start())).collect();
        let sets = ["A", "AB", "AC", "ABC"].map(str::to_owned);
        let models: BTreeMap<String, Node> = sets
            .map(|set| {
                let node = own(&format!("of-{set}")).start();
                (set, node)
            })
            .into();
        for told in story(first_ms) {
            let has = |set: &str| told.to.chars().any(|name| set.contains(name));
            for (name, node) in NAMES.iter().zip(&nodes).filter(|(name, _)| has(name)) {
                assert!(told.to.contains(name));
                send(&node.as_ref().unwrap().http, &told);
            }
            models.iter().filter(|(set, _)| has(set)).for_each(|(_, node)| send(&node.http, &told));
        }
        Self { specs, nodes, models, first_ms }
    }

    fn http(&self, at: usize) -> &str {
        &self.specs[at].http
    }
}

/// Who answered, by name.
fn who(specs: &[NodeSpec], answer: &Value) -> String {
    let nodes = answer["fanout"]["nodes"].as_array().unwrap();
    assert_eq!(answer["fanout"]["expected"], nodes.len(), "{}", answer["fanout"]);
    let ok = nodes.iter().filter(|node| node["ok"] == true);
    let ok: BTreeSet<&str> = ok.map(|node| node["node"].as_str().unwrap()).collect();
    assert_eq!(answer["fanout"]["responded"], ok.len(), "{}", answer["fanout"]);
    let names = NAMES.iter().zip(specs);
    names.filter(|(_, spec)| ok.contains(spec.grpc.as_str())).map(|(name, _)| *name).collect()
}

/// The same, of an answer that says so in every other place, too.
fn said_by(specs: &[NodeSpec], answer: &Value) -> String {
    let who = who(specs, answer);
    let is_whole = who == "ABC";
    let status = if is_whole { "OK" } else { "PARTIAL" };
    assert_eq!(answer["status"], status, "{}", answer["fanout"]);
    assert_eq!(answer["all_groups_healthy"], is_whole);
    let rows = answer["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["degraded"].is_null() == is_whole));
    let nodes = answer["fanout"]["nodes"].as_array().unwrap().iter();
    let mut errors = nodes.filter(|node| node["ok"] == false);
    assert!(errors.all(|node| node["error"].as_str().unwrap().len() > 5));
    who
}

#[test]
fn nodes_answer_as_one_through_a_storm_in_which_others_are_killed_and_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path());
    let paths = paths(cluster.first_ms);
    let whole = |cluster: &Cluster, at: usize, path: &str| {
        wait_for("all nodes answer within the deadline", PATIENCE, || {
            let answer = get(cluster.http(at), path).ok();
            (who(&cluster.specs, &answer) == "ABC").then_some(answer)
        })
    };
    let everything = |cluster: &Cluster| {
        for path in &paths {
            let expected = essence(get(&cluster.models["ABC"].http, path).ok(), true);
            for (at, name) in NAMES.iter().enumerate() {
                let answer = whole(cluster, at, path);
                assert_eq!((&answer["status"], &answer["warnings"]), (&json!("OK"), &json!([])));
                assert_eq!(answer["all_groups_healthy"], true);
                assert_eq!(essence(answer, true), expected, "{name} of {path}");
            }
        }
    };
    everything(&cluster);

    let (is_over, seen) = (AtomicBool::new(false), Mutex::new(BTreeMap::<String, u64>::new()));
    let saw = |who: &str| seen.lock().unwrap().get(who).copied().unwrap_or(0);
    // What each set of nodes has to say, asked while nobody is disturbed.
    let mut expected: BTreeMap<(&str, &String), Value> = BTreeMap::new();
    for (set, model) in &cluster.models {
        for path in &paths {
            expected.insert((set, path), essence(get(&model.http, path).ok(), false));
        }
    }
    let (b, c) = (cluster.nodes[1].take().unwrap(), cluster.nodes[2].take().unwrap());
    let http = cluster.http(0).to_owned();
    let restarted = std::thread::scope(|scope| {
        for asker in 0..3 {
            let (specs, expected, paths, http) = (&cluster.specs, &expected, &paths, &http);
            let (is_over, seen) = (&is_over, &seen);
            scope.spawn(move || {
                for path in paths.iter().cycle().skip(asker * 5) {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = get(http, path).ok();
                    let who = said_by(specs, &answer);
                    *seen.lock().unwrap().entry(who.clone()).or_default() += 1;
                    assert_eq!(
                        &essence(answer, false),
                        &expected[&(who.as_str(), path)],
                        "{who} {path}"
                    );
                }
            });
        }
        let over = Stop(&is_over);
        wait_for("answers of all", PATIENCE, || (saw("ABC") >= 5).then_some(()));
        b.process.kill();
        c.process.freeze();
        let before = saw("A");
        wait_for("answers of the one that is left", PATIENCE, || {
            (saw("A") >= before + 5).then_some(())
        });
        let b = cluster.specs[1].start();
        c.process.thaw();
        let before = saw("ABC");
        wait_for("answers of all again", PATIENCE, || (saw("ABC") >= before + 5).then_some(()));
        drop(over);
        b
    });
    (cluster.nodes[1], cluster.nodes[2]) = (Some(restarted), Some(c));
    eprintln!("answers by who was in them: {:?}", seen.lock().unwrap());
    everything(&cluster);
    cluster.specs.iter().for_each(NodeSpec::assert_no_panic);
}

#[test]
fn what_a_peer_that_does_not_answer_may_have_recorded_is_never_drawn_as_idle() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = NodeSpec::new(folder.path()).on_fixed_ports().grpc;
    let spec = NodeSpec::new(folder.path()).with(&format!("--peers={nowhere}"));
    let node = spec.start();
    // The widest question is about what has been: no column of it changes while it is asked.
    let first_ms = now_ms() / 1_000 * 1_000 - 4 * 3_600_000;
    story(first_ms)
        .iter()
        .filter(|told| told.to.contains('A'))
        .for_each(|told| send(&node.http, told));
    let path = &paths(first_ms)[0];
    let answer = get(&node.http, path).ok();
    assert_eq!(answer["status"], "PARTIAL");
    assert_eq!(answer["degraded_groups"], json!([1, 2]));
    let failed = &answer["fanout"]["nodes"][1];
    assert_eq!((&failed["node"], &failed["ok"]), (&json!(nowhere), &json!(false)));
    assert!(answer["warnings"][0].as_str().unwrap().contains(&nowhere));
    for row in answer["rows"].as_array().unwrap() {
        let states = row["states"].as_array().unwrap().iter();
        assert!(states.clone().all(|run| run[0] != "idle" && run[0] != "measured"), "{row}");
    }
    let counted = get(&node.http, "/metrics").text();
    let line = format!("keyviz_peer_failures_total{{peer=\"{nowhere}\",reason=\"unavailable\"}} 1");
    assert!(counted.contains(&line), "{counted}");
    // The same over gRPC.
    let out = command("keyviz")
        .args(["query", "--endpoint", &node.grpc, "--output", "json", "--from"])
        .args([&first_ms.to_string(), "--to", &(first_ms + WINDOWS * 1_000).to_string()])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains("PARTIAL"), "{out:?}");
}

#[test]
fn peers_are_read_again_and_shown_the_token_that_they_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, shown) = (folder.path().join("tokens"), folder.path().join("shown"));
    let token = "0123456789abcdef0123456789abcdef";
    put_private(&tokens, token);
    put_private(&shown, "another-0123456789abcdef0123456789");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let peer =
        NodeSpec::new(&other).with(&format!("--write-token-file={}", tokens.display())).start();
    let list = folder.path().join("peers");
    std::fs::write(&list, "# nobody yet\n").unwrap();
    let node = NodeSpec::new(folder.path())
        .with(&format!("--peers=@{}", list.display()))
        .with("--nodes-refresh-interval=1s")
        .with(&format!("--peer-token-file={}", shown.display()))
        .with("--peer-timeout=30s")
        .start();
    let fan_out = || get(&node.http, MATRIX).ok()["fanout"].clone();
    assert_eq!((&fan_out()["expected"], &fan_out()["responded"]), (&json!(1), &json!(1)));

    let http = peer.http.clone();
    std::fs::write(&list, format!("{}\n{http}\n", peer.grpc)).unwrap();
    let said = wait_for("the peers are read again", PATIENCE, || {
        Some(fan_out()).filter(|said| said["expected"] == 3)
    });
    assert_eq!(said["responded"], 1);
    assert!(said["nodes"][1]["error"].as_str().unwrap().contains("token"), "{said}");
    // Its HTTP port is no peer.
    assert_eq!(said["nodes"][2]["ok"], false, "{said}");

    put_private(&shown, token);
    wait_for("the right token is shown", PATIENCE, || (fan_out()["responded"] == 2).then_some(()));
    let headers = [("Authorization", format!("Bearer {token}"))];
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = request(&http, "GET", "/metrics", &headers, b"").unwrap().text();
    assert!(refused.contains("keyviz_auth_refusals_total{reason=\"unknown\"}"), "{refused}");
}
