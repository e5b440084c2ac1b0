//! Writes the golden folder of one schema version, with the binary of that version: see
//! `migrations/golden/README.md`.
//!
//! `KEYVIZ_BIN_DIR=<its binaries> make_golden v<schema version>`

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, clippy::print_stderr)] // like a test

use std::fs;

use keyviz_tests::golden::{self, Teller, ask_all, compare, copy, spec};
use nix::sys::signal::Signal;

fn main() {
    let Some(version) = std::env::args().nth(1) else {
        eprintln!("make_golden: say which version: make_golden v<schema version>");
        std::process::exit(2);
    };
    let target = golden::folder().join(version);
    assert!(!target.exists(), "{} is there already", target.display());
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path());
    let node = spec.start();
    Teller { http: &node.http }.closed_hours();
    assert!(node.process.stop(Signal::SIGTERM).success());
    let node = spec.start();
    Teller { http: &node.http }.open_hour();
    let answers = ask_all(&node.http);
    node.process.kill();
    copy(&spec.data_dir, &target.join("killed"));
    let node = spec.start();
    assert!(node.metric("keyviz_wal_replayed_records_total") > 0, "something is in the WAL alone");
    compare(&node.http, &answers, "after the kill");
    assert!(node.process.stop(Signal::SIGTERM).success());
    copy(&spec.data_dir, &target.join("stopped"));
    let text = serde_json::to_string(&answers).unwrap().replace("{\"answer\"", "\n{\"answer\"");
    fs::write(target.join("expected.json"), text + "\n").unwrap();
}
