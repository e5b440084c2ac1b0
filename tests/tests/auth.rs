//! Property: with token files, nobody reads without a read token or writes without a write token, on
//! either port; tokens are rotated under load without a refused request; none is ever logged.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keyviz_tests::columns::Poster;
use keyviz_tests::http::{Response, request};
use keyviz_tests::process::{HostSpec, NodeSpec, binary, failing};
use keyviz_tests::{PATIENCE, now_ms, put_private, wait_for};
use nix::sys::signal::Signal;

const READ: &str = "reading-0123456789abcdef0123456789abcdef";
const WRITE: &str = "writing-0123456789abcdef0123456789abcdef";
const NEXT: &str = "afterwards-0123456789abcdef0123456789abcdef";
const API: &str = "/admin/api/v1/keyviz";

fn token_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    put_private(&path, text);
    path
}

fn protected(folder: &Path) -> (NodeSpec, PathBuf, PathBuf) {
    let read = token_file(folder, "read-tokens", &format!("grafana {READ}\n"));
    let write = token_file(folder, "write-tokens", &format!("host-a {WRITE}\n"));
    let spec = NodeSpec::new(folder)
        .with(&format!("--read-token-file={}", read.display()))
        .with(&format!("--write-token-file={}", write.display()));
    (spec, read, write)
}

fn ask(http: &str, method: &str, path: &str, token: Option<&str>, body: &str) -> Response {
    let shown = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(shown.iter().map(|shown| ("Authorization", shown.as_str())));
    request(http, method, path, &headers, body.as_bytes()).unwrap()
}

fn keyviz(args: &[&str], token_file: Option<&Path>) -> (bool, String) {
    let mut command = Command::new(binary("keyviz"));
    command.args(args).env_remove("KEYVIZ_TOKEN_FILE");
    if let Some(file) = token_file {
        command.arg("--token-file").arg(file);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_bind_beyond_loopback_wants_tokens_and_a_word_about_encryption() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spec, ..) = protected(folder.path());
    spec.http = "0.0.0.0:0".to_owned();
    let mut open = NodeSpec::new(folder.path());
    open.http = "0.0.0.0:0".to_owned();
    for (spec, expected) in [(&open, "--write-token-file"), (&spec, "--allow-plaintext")] {
        let (code, said) = failing(spec.command());
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
    }
    let node = spec.with("--allow-plaintext").start();
    assert!(node.process.stop(Signal::SIGTERM).success());
}

#[test]
fn a_token_file_that_cannot_be_trusted_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, read, write) = protected(folder.path());
    std::fs::set_permissions(&write, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = failing(spec.command());
    assert!(code == Some(1) && said.contains("mode 644"), "{said}");
    token_file(folder.path(), "write-tokens", "too-short");
    let (code, said) = failing(spec.command());
    assert!(code == Some(1) && said.contains("write-tokens, line 1"), "{said}");
    assert!(!said.contains("too-short"), "{said}");
    let alone = NodeSpec::new(folder.path()).with(&format!("--read-token-file={}", read.display()));
    let (code, said) = failing(alone.command());
    assert!(code == Some(1) && said.contains("nobody could send a column"), "{said}");
}

#[test]
fn without_a_token_there_is_nothing_to_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, ..) = protected(folder.path());
    let node = spec.start();
    let paths = [
        format!("{API}/matrix"),
        format!("{API}/lineage?route=1"),
        format!("{API}/events"),
        format!("{API}/gc"),
        format!("{API}/pins"),
        format!("{API}/pins/1"),
        format!("{API}/columns"),
        format!("{API}/transitions"),
        format!("{API}/backup"),
        "/metrics".to_owned(),
        "/debug/pprof/profile".to_owned(),
        "/nothing/here".to_owned(),
        "/healthz/..".to_owned(),
        "//healthz".to_owned(),
    ];
    let mut refused = 0;
    for path in &paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let answer = ask(&node.http, method, path, None, "");
            let is_refused = matches!(answer.status, 401 | 404 | 429);
            assert!(is_refused, "{method} {path}: {}", answer.brief());
            refused += 1;
        }
    }
    // The page is there to ask for a token; it holds no data. Probes need none.
    for (path, status) in [("/", 200), ("/assets/app.js", 200), ("/healthz", 200), ("/readyz", 200)]
    {
        assert_eq!(ask(&node.http, "GET", path, None, "").status, status, "{path}");
    }
    let metrics = ask(&node.http, "GET", "/metrics", Some(READ), "").text();
    let counted: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("keyviz_auth_refusals_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(counted, refused, "{metrics}");
}

#[test]
fn each_token_does_what_it_is_for_and_the_log_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, read, write) = protected(folder.path());
    let node = spec.start();
    let poster = Poster::new("poster", now_ms() / 1_000 * 1_000 - 60_000);
    let (columns, body) = (format!("{API}/columns"), poster.column(3).to_string());
    let matrix = format!("{API}/matrix");

    ask(&node.http, "POST", &columns, None, &body).refusal(401, "unauthorized");
    ask(&node.http, "POST", &columns, Some(NEXT), &body).refusal(401, "unauthorized");
    let said = ask(&node.http, "POST", &columns, Some(READ), &body).refusal(403, "forbidden");
    assert!(said.contains("write token"), "{said}");
    assert_eq!(ask(&node.http, "POST", &columns, Some(WRITE), &body).ok()["outcome"], "stored");
    for token in [READ, WRITE] {
        let rows = ask(&node.http, "GET", &matrix, Some(token), "").ok()["rows"].clone();
        assert_eq!(rows.as_array().unwrap().len(), 3);
    }

    let query = ["query", "--endpoint", &node.grpc, "-o", "json"];
    let (is_ok, said) = keyviz(&query, None);
    assert!(!is_ok && said.contains("asks for a token") && said.contains("--token-file"), "{said}");
    let (is_ok, said) = keyviz(&query, Some(&read));
    assert!(is_ok, "{said}");
    let (is_ok, said) = keyviz(&["pins", "--endpoint", &node.http], Some(&read));
    assert!(is_ok, "{said}");
    let pin = ["pin", "--from", "-2m", "--to", "now", "--note", "x", "--endpoint", &node.http];
    let (is_ok, said) = keyviz(&pin, Some(&read));
    assert!(!is_ok && said.contains("may only read"), "{said}");
    let (is_ok, said) = keyviz(&pin, Some(&write));
    assert!(is_ok, "{said}");

    let log = spec.log_text();
    let audit: Vec<&str> = log.lines().filter(|line| line.contains("keyviz::audit")).collect();
    let told =
        |words: &[&str]| audit.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(told(&["refused", "missing", "POST", "/columns"]), "{audit:#?}");
    assert!(told(&["refused", "read_only", "127.0.0.1"]), "{audit:#?}");
    assert!(told(&["write", "host-a", "POST", "/columns"]), "{audit:#?}");
    assert!(told(&["write", "host-a", "/pins"]), "{audit:#?}");
    for token in [READ, WRITE, NEXT] {
        assert!(!log.contains(token), "a token is in the log");
    }
}

#[test]
fn a_host_shows_its_token_and_goes_on_after_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, _, write) = protected(folder.path());
    let spec = spec.on_fixed_ports();
    let node = spec.start();
    let shown = token_file(folder.path(), "shown", WRITE);
    let mut host = HostSpec::new(folder.path(), &node.grpc);
    host.flags = vec![format!("--keyviz-token-file={}", shown.display())];
    let host = host.start();
    let mut client = host.connect();
    client.ask(&[b"SET", b"a", b"1"]);
    host.settle(PATIENCE);
    // The node is restarted with another token only; the host is given that one.
    token_file(folder.path(), "write-tokens", NEXT);
    assert!(node.process.stop(Signal::SIGTERM).success());
    let node = spec.start();
    client.ask(&[b"SET", b"b", b"1"]);
    wait_for("the host is refused", PATIENCE, || {
        client.info_field("keyviz_last_error").contains("not one of this node's").then_some(())
    });
    std::fs::copy(&write, &shown).unwrap();
    host.settle(PATIENCE);
    assert!(host.process.stop(Signal::SIGTERM).success());
    assert!(node.process.stop(Signal::SIGTERM).success());
}

#[test]
fn a_rotation_under_load_refuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, ..) = protected(folder.path());
    let node = spec.start();
    let (http, matrix) = (node.http.as_str(), format!("{API}/matrix"));
    let (stop, is_new) = (AtomicBool::new(false), AtomicBool::new(false));
    // With the old token and with the new one.
    let asked = [AtomicU64::new(0), AtomicU64::new(0)];
    let rotate = |text: &str, expected: &str| {
        token_file(folder.path(), "read-tokens", text);
        // The node says so once it has read them.
        wait_for("the tokens are read again", PATIENCE, || {
            spec.log_text().contains(expected).then_some(())
        });
    };
    std::thread::scope(|scope| {
        // Asks all the time, with the old token until it is told to take the new one.
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let token = if is_new.load(Ordering::SeqCst) { NEXT } else { READ };
                ask(http, "GET", &matrix, Some(token), "").ok();
                asked[usize::from(token == NEXT)].fetch_add(1, Ordering::SeqCst);
            }
        });
        let asks = |which: usize| {
            let before = asked[which].load(Ordering::SeqCst);
            wait_for("a question with that token", PATIENCE, || {
                (asked[which].load(Ordering::SeqCst) > before).then_some(())
            });
        };
        asks(0);
        rotate(&format!("grafana {READ}\nfirst-new {NEXT}"), "\"first-new\"");
        asks(0);
        is_new.store(true, Ordering::SeqCst);
        asks(1);
        rotate(&format!("only-new {NEXT}"), "\"only-new\"");
        asks(1);
        stop.store(true, Ordering::SeqCst);
    });
    ask(http, "GET", &matrix, Some(READ), "").refusal(401, "unauthorized");
    ask(http, "GET", &matrix, Some(NEXT), "").ok();
}
