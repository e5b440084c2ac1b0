//! Property: a folder of every older schema version is taken over: this version answers everything that
//! the one that wrote it answered, also after a restart, and however often its upgrade is killed.
//!
//! `tests/examples/make_golden.rs` writes the folder of one version with the binary of that version.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use keyviz_tests::golden::{self, Teller, compare, copy, spec};
use keyviz_tests::http;
use keyviz_tests::process::NodeSpec;
use keyviz_tests::rng::{Rng, seed};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Every folder that is kept: `v<version>/<how it was left>`, and what was answered about it.
fn kept() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for version in fs::read_dir(golden::folder()).unwrap() {
        let version = version.unwrap().path();
        if !version.is_dir() {
            continue;
        }
        let expected = fs::read_to_string(version.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for name in ["killed", "stopped"] {
            found.push((version.join(name), expected.clone()));
        }
    }
    assert!(found.len() >= 2, "no golden folder in {}", golden::folder().display());
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// What lies in the data folder of `spec`.
fn names(spec: &NodeSpec) -> Vec<String> {
    let entries = fs::read_dir(&spec.data_dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_answer_of_an_older_version_is_still_given() {
    for (golden, expected) in kept() {
        let name = golden.display().to_string();
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path());
        copy(&golden, &spec.data_dir);
        for round in ["first start", "after a kill", "after a stop", "once more"] {
            let node = spec.start();
            compare(&node.http, &expected, &format!("{name}, {round}"));
            assert_eq!(http::get(&node.http, "/readyz").status, 200, "{name}");
            assert_eq!(node.metric("keyviz_wal_unusable_records_total"), 0, "{name}");
            match round {
                "first start" => node.process.kill(),
                _ => assert!(node.process.stop(Signal::SIGTERM).success()),
            }
        }
        // A stop persists what is open; where nothing was, the way back is kept for now.
        let held = names(&spec);
        assert!(held.len() <= 4, "{name}: {held:?}");
        spec.assert_no_panic();
    }
}

#[test]
fn what_an_upgrade_keeps_goes_once_the_new_version_has_written() {
    for (golden, expected) in kept() {
        let name = golden.display().to_string();
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path()).with("--persist-interval=1s");
        copy(&golden, &spec.data_dir);
        let node = spec.start();
        // Something to write, in a later hour.
        Teller { http: &node.http }.later();
        let limit = keyviz_tests::PATIENCE;
        keyviz_tests::wait_for("the older folder goes", limit, || {
            (names(&spec) == ["LOCK", "db", "wal"]).then_some(())
        });
        compare(&node.http, &expected, &name);
    }
}

#[test]
fn an_upgrade_that_is_killed_again_and_again_ends_with_every_answer() {
    let mut rng = Rng::new(seed());
    for (golden, expected) in kept() {
        let name = golden.display().to_string();
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path());
        copy(&golden, &spec.data_dir);
        for _ in 0..12 {
            let starting = spec.spawn();
            std::thread::sleep(Duration::from_millis(rng.below(120)));
            starting.kill();
        }
        let node = spec.start();
        compare(&node.http, &expected, &name);
        let held = names(&spec);
        assert!(held.len() <= 4 && !held.iter().any(|name| name.ends_with(".tmp")), "{held:?}");
        spec.assert_no_panic();
    }
}
