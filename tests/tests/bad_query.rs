//! Property: whatever is asked over HTTP, what is wrong is answered with its status and one shape,
//! `{"error": code, "message": text}`, never cached, and the process stays up.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use keyviz_tests::columns::Poster;
use keyviz_tests::http::{get, request};
use keyviz_tests::matrix::MATRIX;
use keyviz_tests::now_ms;
use keyviz_tests::process::NodeSpec;

const API: &str = "/admin/api/v1/keyviz";
const GETS: [&str; 7] = ["/", "/healthz", "/readyz", "/metrics", "matrix", "lineage", "events"];

fn path(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("{API}/{name}") }
}

#[test]
fn wrong_questions_are_refused_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let now = now_ms();
    let wrong = [
        ("matrix?series=nonsense", "nonsense"),
        ("matrix?series=", "series"),
        ("matrix?sereis=writes", "sereis"),
        ("matrix?series=writes&series=reads", "series"),
        ("matrix?rows=many", "rows"),
        ("matrix?from_unix_ms=yesterday", "from_unix_ms"),
        ("matrix?from_unix_ms=-1", "from_unix_ms"),
        ("matrix?to_unix_ms=99999999999999999999", "to_unix_ms"),
        ("matrix?from_unix_ms=2000&to_unix_ms=1000", "2000"),
        ("matrix?step_ms=7000", "7000"),
        ("matrix?step_ms=-1", "step_ms"),
        ("matrix?as_of=sometime", "sometime"),
        ("matrix?continuity=sometimes", "sometimes"),
        ("matrix?start=%21%21", "start"),
        ("matrix?start=Yg&end=YQ", "inverted"),
        ("matrix?from_unix_ms=1&to_unix_ms=9223372036854775807", "retention"),
        ("lineage", "id"),
        ("lineage?id=1", "id"),
        ("lineage?id=01977420-dc00-7000-83cb-469d7667bba3&route=1", "one of"),
        ("lineage?route=all", "route"),
        ("lineage?key=%21", "key"),
        ("lineage?keys=YQ", "keys"),
        ("events?from=1", "from"),
        ("events?from_unix_ms=-5", "from_unix_ms"),
    ];
    for (question, name) in wrong {
        let message = get(&node.http, &path(question)).refusal(400, "invalid_query");
        assert!(message.contains(name), "{name:?} is not in {message:?} for {question}");
    }
    // Six days of seconds are more columns than an answer holds.
    Poster::new("poster", now / 1_000 * 1_000 - 60_000).post_next(&node.http, 1);
    let question = format!("matrix?step_ms=1000&from_unix_ms={}", now - 6 * 86_400_000);
    let message = get(&node.http, &path(&question)).refusal(400, "invalid_query");
    assert!(message.contains("columns") || message.contains("coarser"), "{message}");
    // Not mistakes: what is absent, open or out of the cap has a meaning.
    for fine in [
        "rows=0",
        "rows=-5",
        "rows=100000",
        "from_unix_ms=0&to_unix_ms=0",
        "step_ms=0",
        "as_of=union",
    ] {
        get(&node.http, &format!("{MATRIX}?{fine}")).ok();
    }
    // The very end of time.
    for (from, to) in [(i64::MAX - 1, i64::MAX), (i64::MAX - 3_600_000, i64::MAX)] {
        let answer = get(&node.http, &format!("{MATRIX}?from_unix_ms={from}&to_unix_ms={to}"));
        assert!([200, 400].contains(&answer.status), "{}", answer.brief());
        let answer = get(&node.http, &path(&format!("events?from_unix_ms={from}&to_unix_ms={to}")));
        assert!([200, 400].contains(&answer.status), "{}", answer.brief());
    }
    assert_eq!(get(&node.http, "/readyz").status, 200);
    spec.assert_no_panic();
}

/// `--step` says so: "... and of answers where nothing was recorded".
#[test]
fn a_node_without_history_answers_in_its_own_step() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).with("--step=10s").start();
    assert_eq!(get(&node.http, MATRIX).ok()["recorded_step_ms"], 10_000);
}

#[test]
fn unknown_paths_and_methods_have_their_own_answers() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let unknown = [
        "/nothing",
        "/admin",
        "/admin/api/v1/keyviz",
        "/admin/api/v1/keyviz/",
        "/admin/api/v1/keyviz/matrix/",
        "/admin/api/v2/keyviz/matrix",
        "/assets/nothing.js",
        "/assets/../../../etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "//",
    ];
    for unknown in unknown {
        get(&node.http, unknown).refusal(404, "not_found");
    }
    let json = [("Content-Type", "application/json")];
    for name in GETS {
        for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
            let answer = request(&node.http, method, &path(name), &json, b"{}").unwrap();
            answer.refusal(405, "method_not_allowed");
            assert!(
                answer.header("allow").is_some_and(|allow| allow.contains("GET")),
                "{:?}",
                answer.headers
            );
        }
    }
    for name in ["columns", "transitions"] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = request(&node.http, method, &path(name), &[], b"").unwrap();
            answer.refusal(405, "method_not_allowed");
        }
    }
    spec.assert_no_panic();
}

#[test]
fn what_is_not_http_is_cut_off_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1_000_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Header: 1\r\n".repeat(2_000));
    for port in [&node.http, &node.grpc] {
        for bytes in
            [&b"\x00\xff\x16\x03\x01"[..], b"NONSENSE\r\n\r\n", long.as_bytes(), many.as_bytes()]
        {
            let mut stream = TcpStream::connect(port).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            // It may close while we write, or say nothing to an unfinished greeting.
            let _ = stream.write_all(bytes);
            let _ = stream.read(&mut [0; 1_024]);
        }
    }
    assert_eq!(get(&node.http, "/healthz").status, 200);
    get(&node.http, MATRIX).ok();
    spec.assert_no_panic();
}
