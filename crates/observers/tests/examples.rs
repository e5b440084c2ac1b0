//! Property: each example program runs, and says over its metrics what happened to it.
#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running example, told line by line what happens.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Example {
    fn start(name: &str) -> Self {
        // `.../deps/examples-1234` -> `.../examples/name`; cargo builds them with the tests.
        let path: PathBuf = std::env::current_exe().unwrap();
        let path = path.parent().unwrap().parent().unwrap().join("examples").join(name);
        let mut child = Command::new(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build the examples", path.display()));
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    fn tell(&mut self, lines: &[&str]) {
        for line in lines {
            writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        }
    }

    fn metrics(&mut self) -> Vec<String> {
        self.tell(&["metrics"]);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended: {lines:?}");
            match line.trim_end() {
                "# end" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    #[track_caller]
    fn says(&mut self, expected: &[&str]) {
        let metrics = self.metrics();
        for line in expected {
            assert!(metrics.iter().any(|found| found == line), "{line}\n{}", metrics.join("\n"));
        }
    }

    #[track_caller]
    fn says_nothing_of(&mut self, name: &str) {
        let metrics = self.metrics();
        assert!(!metrics.iter().any(|line| line.contains(name)), "{}", metrics.join("\n"));
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn dynamodb_host() {
    let mut host = Example::start("dynamodb_host");
    host.tell(&[
        "PutItem orders 200 512",
        "PutItem orders 400 512 ConditionalCheckFailedException",
        "PutItem stock 503 100",
        "Conjure stock 400 1",
    ]);
    host.says(&[
        "shop_dynamodb_requests_total{operation=\"PutItem\",outcome=\"success\"} 1",
        "shop_dynamodb_requests_total{operation=\"PutItem\",outcome=\"system_error\"} 1",
        "shop_dynamodb_requests_total{operation=\"_other\",outcome=\"user_error\"} 1",
        "shop_dynamodb_conditional_check_failed_total{operation=\"PutItem\",table=\"orders\"} 1",
        "shop_dynamodb_written_items_total{operation=\"PutItem\",table=\"orders\"} 1",
        "shop_dynamodb_in_flight_requests{operation=\"PutItem\"} 0",
        "shop_dynamodb_request_size_bytes_sum{operation=\"PutItem\"} 1124",
    ]);
    host.end();
}

#[test]
fn queue_host() {
    let mut host = Example::start("queue_host");
    host.tell(&["send orders 3", "send orders 3", "delete orders 3", "poll orders=1 mail=4"]);
    let depths = [
        "shop_queue_messages{queue=\"orders\",state=\"visible\"} 1",
        "shop_queue_messages{queue=\"mail\",state=\"visible\"} 4",
    ];
    host.says(&depths);
    // What could not be had is not nothing.
    host.tell(&["poll-failed"]);
    host.says(&depths);
    host.says(&["shop_queue_poll_failures_total 1"]);
    // A queue that is gone is forgotten, its counters are not.
    host.tell(&["poll mail=2"]);
    host.says(&[
        "shop_queue_messages{queue=\"mail\",state=\"visible\"} 2",
        "shop_queue_partition_messages_total{action=\"send\",partition=\"3\",queue=\"orders\"} 2",
    ]);
    host.says_nothing_of("queue_messages{queue=\"orders\"");
    host.tell(&["poll"]);
    host.says_nothing_of("queue_messages{");
    host.end();
}

#[test]
fn script_host() {
    let mut host = Example::start("script_host");
    host.tell(&["ok 750 500 3 125 0", "error 250 250 1 0 2"]);
    host.says(&[
        "shop_script_runs_total{outcome=\"error\"} 1",
        "shop_script_vm_seconds_sum{outcome=\"success\"} 0.25",
        "shop_script_call_seconds_sum{outcome=\"success\"} 0.5",
        "shop_script_commit_seconds_sum{outcome=\"success\"} 0.125",
        "shop_script_retries_sum 2",
    ]);
    host.end();
}

#[test]
fn read_host() {
    let mut host = Example::start("read_host");
    host.tell(&["lease hit", "lease hit", "lease miss", "hget hit", "hget fallback"]);
    host.says(&[
        "shop_lease_reads_total{outcome=\"hit\"} 2",
        "shop_lease_reads_total{outcome=\"miss\"} 1",
        "shop_read_fast_path_total{command=\"hget\",outcome=\"fallback\"} 1",
    ]);
    host.end();
}

#[test]
fn conflict_host() {
    let mut host = Example::start("conflict_host");
    host.tell(&["write 1 user:42:cart", "write 1 user:42:orders", "read 2 user:42:cart"]);
    host.says(&[
        "shop_write_conflicts_total{group=\"1\",key_prefix=\"user:42\",kind=\"write\"} 2",
        "shop_write_conflicts_total{group=\"2\",key_prefix=\"user:42\",kind=\"read\"} 1",
    ]);
    host.end();
}
