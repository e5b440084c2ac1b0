//! Golden folders: a scripted history that any version can be given, what is asked about it, and the
//! comparison of two versions' answers. `migrations/golden/README.md` says how a folder is made.
//!
//! The history lies at fixed times, so a node that reads it needs a retention that reaches there
//! ([`FOREVER`]); so does the one that writes it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::columns::{COLUMNS, TRANSITIONS};
use crate::http::{get, post_json};
use crate::ledger::SERIES;
use crate::matrix::MATRIX;
use crate::process::NodeSpec;

/// The flag without which what is asked would have expired by now.
const FOREVER: &str = "--retention=36500d";
/// 20 November 2026, 08:00 UTC.
const FIRST_MS: u64 = 1_795_161_600_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const API: &str = "/admin/api/v1/keyviz";
/// What says when it was asked, or depends on it.
const OF_THE_MOMENT: [&str; 1] = ["generated_at"];

/// RocksDB's own log, and the lock: of no use to anybody else.
const NOT_KEPT: [&str; 2] = ["LOG", "LOCK"];

/// Copies a data folder, but for RocksDB's own log and the locks.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if !NOT_KEPT.iter().any(|other| name.to_str().unwrap().starts_with(other)) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// How a node runs that writes or reads a golden folder.
pub fn spec(folder: &Path) -> NodeSpec {
    NodeSpec::new(folder).with(FOREVER).with("--step=60s").with("--persist-interval=1h")
}

/// `migrations/golden`.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("migrations/golden")
}

/// A source that tells the scripted history to a node.
#[derive(Debug)]
pub struct Teller<'a> {
    /// The node's HTTP port.
    pub http: &'a str,
}

impl Teller<'_> {
    fn post(&self, path: &str, mut body: Value, node: &str) {
        body["node_id"] = json!(node);
        let answer = post_json(self.http, path, &body.to_string()).unwrap().ok();
        assert_eq!(answer["outcome"], "stored", "{body}: {answer}");
        assert_eq!(answer["refused_rows"], json!([]), "{body}: {answer}");
    }

    /// `minute` counts from the beginning; the proposal and the HLC follow from it.
    fn change(&self, minute: u64, group: u64, mut change: Value) {
        let ms = FIRST_MS + minute * MINUTE_MS + 7;
        change["group_id"] = json!(group);
        change["hlc"] = json!(ms << 16);
        change["proposal_id"] = json!(format!("00000000-0000-4000-8000-{group:02x}{minute:010x}"));
        self.post(TRANSITIONS, change, "node-a");
    }

    fn column(&self, node: &str, window_ms: u64, step_ms: u64, rows: &[Value], more: &Value) {
        let mut body = json!({ "window_unix_ms": window_ms, "step_ms": step_ms, "rows": rows });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post(COLUMNS, body, node);
    }

    /// The first two hours: births, traffic of two groups in steps of a minute and of a second, a
    /// split, a merge, a move, a virtual bucket, idle and missing windows, a change of leader.
    pub fn closed_hours(&self) {
        let route = |id: u64, start: Option<&str>, end: Option<&str>| json!({ "route_id": id, "start": start, "end": end });
        let routes = [
            route(1, None, Some("g")),
            route(2, Some("g"), Some("n")),
            route(3, Some("n"), Some("t")),
        ];
        self.change(0, 1, json!({ "change": "create", "routes": routes }));
        self.change(0, 2, json!({ "change": "create", "routes": [route(4, Some("t"), None)] }));
        self.change(1, 1, json!({ "change": "leader", "leader_node_id": "node-a", "term": 1 }));
        for minute in 1..120 {
            match minute {
                30 => self.change(30, 1, json!({ "change": "split", "route_id": 2,
                    "children": [route(10, Some("g"), Some("j")), route(11, Some("j"), Some("n"))] })),
                50 => self.change(50, 1, json!({ "change": "merge", "route_ids": [11, 3], "survivor": route(12, Some("j"), Some("t")) })),
                80 => self.change(80, 1, json!({ "change": "move", "route_id": 12, "to_group_id": 2, "to_route_id": 20 })),
                90 => self.change(90, 1, json!({ "change": "leader", "leader_node_id": "node-b", "term": 2 })),
                _ => {}
            }
            // 15 to 17: nobody recorded. 20 to 24: nothing happened.
            if !(15..18).contains(&minute) {
                self.minute(minute);
            }
        }
        for second in 0..90 {
            let row = row(4, 2, (Some("t"), None), 5_000 + second);
            let window_ms = FIRST_MS + 10 * MINUTE_MS + second * 1_000;
            self.column("node-b", window_ms, 1_000, &[row], &json!({ "groups": [2] }));
        }
    }

    /// Twenty minutes of the third hour.
    pub fn open_hour(&self) {
        (120..140).for_each(|minute| self.minute(minute));
    }

    /// A column of a day later, in which nobody asks.
    pub fn later(&self) {
        self.minute(24 * 60);
    }

    fn minute(&self, minute: u64) {
        let mut rows =
            vec![row(1, 1, (None, Some("g")), minute * 3), row(4, 2, (Some("t"), None), minute)];
        match minute {
            0..30 => rows.push(row(2, 1, (Some("g"), Some("n")), minute * 1_000)),
            _ => rows.push(row(10, 1, (Some("g"), Some("j")), minute * 500)),
        }
        match minute {
            0..30 => rows.push(row(3, 1, (Some("n"), Some("t")), 1 << (minute + 20))),
            30..50 => {
                rows.push(row(11, 1, (Some("j"), Some("n")), minute * 501));
                rows.push(row(3, 1, (Some("n"), Some("t")), minute));
            }
            50..80 => rows.push(row(12, 1, (Some("j"), Some("t")), minute * 7)),
            _ => rows.push(row(20, 2, (Some("j"), Some("t")), minute * 7)),
        }
        let mut more = json!({ "groups": [1, 2], "unattributed": minute % 3 });
        match minute {
            20..25 => rows.clear(),
            // Two routes that were counted together.
            60..65 => {
                rows.retain(|row| row["route_id"] != 10 && row["route_id"] != 1);
                more["buckets"] = json!([{ "group_id": 1, "start": "", "end": "j", "members": [1, 10],
                    "parts": [{ "group_id": 1, "term": 1, "reads": 40 + minute, "writes": 9, "read_bytes": 4_000, "write_bytes": 99 }] }]);
            }
            _ => {}
        }
        self.column("node-a", FIRST_MS + minute * MINUTE_MS, MINUTE_MS, &rows, &more);
    }
}

fn row(route: u64, group: u64, (start, end): (Option<&str>, Option<&str>), count: u64) -> Value {
    json!({
        "route_id": route, "group_id": group, "term": 1, "start": start, "end": end,
        "reads": count, "writes": count / 2, "read_bytes": count * 50 + count % 7, "write_bytes": count * 9,
    })
}

/// Everything that is asked, and what a node answers: `[{"path", "answer"}]`.
pub fn ask_all(http: &str) -> Value {
    let mut paths = Vec::new();
    let (from, to) = (FIRST_MS - 10 * MINUTE_MS, FIRST_MS + 3 * HOUR_MS);
    for series in SERIES {
        for more in
            ["as_of=union", "as_of=from", "continuity=apportion", "step_ms=3600000", "rows=2"]
        {
            let span = format!("from_unix_ms={from}&to_unix_ms={to}");
            paths.push(format!("{MATRIX}?series={series}&{span}&{more}"));
        }
        let (from, to) = (FIRST_MS + 10 * MINUTE_MS, FIRST_MS + 12 * MINUTE_MS);
        let span = format!("from_unix_ms={from}&to_unix_ms={to}&step_ms=1000&as_of=union");
        paths.push(format!("{MATRIX}?series={series}&{span}"));
    }
    for route in [1, 2, 3, 4, 10, 11, 12, 20] {
        paths.push(format!("{API}/lineage?route={route}&depth=all"));
    }
    paths.push(format!("{API}/events?from_unix_ms={from}&to_unix_ms={to}"));
    let asked = paths.into_iter().map(|path| {
        let mut answer = get(http, &path).ok();
        OF_THE_MOMENT.iter().for_each(|name| drop(answer.as_object_mut().unwrap().remove(*name)));
        json!({ "path": path, "answer": answer })
    });
    Value::Array(asked.collect())
}

/// Where an answer lacks something of what was expected, or says it otherwise; what it says besides is
/// ignored.
pub fn difference(expected: &Value, answer: &Value) -> Option<String> {
    match (expected, answer) {
        (Value::Object(expected), Value::Object(answer)) => {
            expected.iter().find_map(|(name, value)| {
                let found = answer.get(name).unwrap_or(&Value::Null);
                difference(value, found).map(|what| format!(".{name}{what}"))
            })
        }
        (Value::Array(expected), Value::Array(answer)) if expected.len() == answer.len() => {
            let pairs = expected.iter().zip(answer).enumerate();
            pairs.into_iter().find_map(|(at, (expected, answer))| {
                difference(expected, answer).map(|what| format!("[{at}]{what}"))
            })
        }
        _ if expected == answer => None,
        _ => Some(format!(": expected {expected}, answered {answer}")),
    }
}

/// Asks everything that `expected` holds, and compares.
pub fn compare(http: &str, expected: &Value, when: &str) {
    let asked = expected.as_array().unwrap();
    assert!(asked.len() > 30, "{when}: {} questions", asked.len());
    for question in asked {
        let path = question["path"].as_str().unwrap();
        let answer = get(http, path).ok();
        if let Some(what) = difference(&question["answer"], &answer) {
            panic!("{when}: {path}{what}");
        }
    }
}
