//! Property: what the node and the host export is what Prometheus's own linter wants; a real Prometheus
//! scrapes it, takes the alert rules, and answers every question of rules and dashboard from metrics that
//! there are.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keyviz_tests::columns::Poster;
use keyviz_tests::process::{HostSpec, NodeSpec, free_address};
use keyviz_tests::{PATIENCE, http, now_ms, wait_for};
use serde_json::Value;

fn monitoring(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring").join(file)
}

/// What Prometheus's linter has to say of metrics: nothing.
fn lint(text: &str) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus (make setup installs it)");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}

/// Names of keyviz's metrics in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("keyviz_") || word.starts_with("process_"))
}

struct Prometheus {
    process: Child,
    address: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(folder: &Path, node: &str, host: &str) -> Self {
        let (address, config) = (free_address(), folder.join("prometheus.yml"));
        let rules = monitoring("alerts.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n\
             - {{job_name: keyviz, static_configs: [{{targets: [{node:?}]}}]}}\n\
             - {{job_name: keyviz-host, static_configs: [{{targets: [{host:?}]}}]}}\n"
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus, of Debian's package of that name (make setup installs it)");
        Self { process, address }
    }

    fn get(&self, path: &str, question: &[(&str, &str)]) -> Option<Value> {
        let escaped =
            |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let pairs: Vec<_> =
            question.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let path = format!("/api/v1/{path}?{}", pairs.join("&"));
        let answer = http::request(&self.address, "GET", &path, &[], b"").ok()?;
        if answer.status == 503 {
            // It is starting.
            return None;
        }
        let answer = answer.json();
        assert_eq!(answer["status"], "success", "{question:?}: {answer}");
        Some(answer["data"].clone())
    }
}

fn expressions() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_slice(&std::fs::read(monitoring("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let ask = |target: &Value| target["expr"].as_str().unwrap().replace("$instance", ".*");
    let mut found: Vec<String> = targets.map(ask).collect();
    let rules = std::fs::read_to_string(monitoring("alerts.yml")).unwrap();
    found.extend(
        rules.lines().filter_map(|line| Some(line.trim().strip_prefix("expr: ")?.to_owned())),
    );
    assert!(found.len() > 50, "{found:?}");
    found
}

#[test]
fn prometheus_takes_the_metrics_the_rules_and_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).with("--persist-interval=1s");
    let node = spec.start();
    let (step, metrics) = (1_000, free_address());
    let mut host = HostSpec::new(folder.path(), &node.grpc);
    host.flags = vec![format!("--metrics={metrics}")];
    let host = host.start();
    host.connect().ask(&[b"SET", b"a", b"1"]);
    host.settle(PATIENCE);
    let mut poster = Poster::new("poster", now_ms() / step * step - 60 * step);
    poster.group = 2;
    http::post_json(&node.http, "/admin/api/v1/keyviz/columns", &poster.column(3).to_string())
        .unwrap()
        .ok();
    http::get(&node.http, "/admin/api/v1/keyviz/matrix").ok();
    // Something of each kind is on disk.
    wait_for("a checkpoint", PATIENCE, || {
        (node.metric("keyviz_persist_batches_total") > 0).then_some(())
    });

    let exported = [&node.http, &metrics].map(|address| http::get(address, "/metrics").text());
    exported.iter().for_each(|text| lint(text));
    let known: BTreeSet<&str> = exported
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    // Those of levels are there once RocksDB has a file.
    let later = ["keyviz_store_level_files", "keyviz_store_level_bytes"];
    for expression in expressions() {
        let missing =
            names(&expression).find(|name| !known.contains(name) && !later.contains(name));
        assert_eq!(missing, None, "{expression}");
    }

    let prometheus = Prometheus::start(folder.path(), &node.http, &metrics);
    wait_for("both are scraped", PATIENCE, || {
        let up = prometheus.get("query", &[("query", "sum(up)")])?;
        (up["result"][0]["value"][1] == "2").then_some(())
    });
    for expression in expressions() {
        prometheus.get("query", &[("query", &expression)]).unwrap();
    }
    wait_for("the rules are evaluated", PATIENCE, || {
        let groups = prometheus.get("rules", &[])?["groups"].clone();
        let rules = groups[0]["rules"].as_array()?.clone();
        assert_eq!(rules.len(), 12);
        rules.iter().all(|rule| rule["health"] == "ok").then_some(())
    });
    // On a slow machine one may be pending; none has been true for long enough to fire.
    let alerts = prometheus.get("alerts", &[]).unwrap()["alerts"].as_array().unwrap().clone();
    let firing: Vec<_> = alerts.iter().filter(|alert| alert["state"] == "firing").collect();
    assert!(firing.is_empty(), "nothing is wrong here: {firing:?}");
}

#[test]
fn a_running_node_is_profiled_for_as_long_as_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).start();
    let profile =
        |seconds: &str| http::get(&node.http, &format!("/debug/pprof/profile?seconds={seconds}"));
    let taken = profile("1");
    assert_eq!(taken.status, 200, "{}", taken.brief());
    // gzip's magic number.
    assert_eq!(taken.body[..2], [0x1f, 0x8b]);
    for wrong in ["0", "61", "-1", "x", "1&second=2"] {
        profile(wrong).refusal(400, "invalid_query");
    }
    let heap = http::get(&node.http, "/debug/pprof/heap").text();
    assert!(heap.lines().any(|line| line.starts_with("heap_in_use_bytes ")), "{heap}");
}
