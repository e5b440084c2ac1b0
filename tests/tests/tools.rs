//! Property: `check`, `stats`, `repair` and `compact` say what is so about a folder that a real node has
//! left, and the ones that only look change no byte of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use keyviz_tests::columns::Poster;
use keyviz_tests::now_ms;
use keyviz_tests::process::{NodeSpec, command};
use nix::sys::signal::Signal;
use serde_json::Value;

fn keyviz(words: &[&str], data_dir: &Path) -> (i32, String, String) {
    let output = command("keyviz").args(words).arg("--data-dir").arg(data_dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn json(words: &[&str], data_dir: &Path, expected: i32) -> Value {
    let words = [words, &["-o", "json"]].concat();
    let (code, out, errors) = keyviz(&words, data_dir);
    assert_eq!(code, expected, "{words:?}: {out}{errors}");
    serde_json::from_str(&out).unwrap()
}

fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

/// The folder of a node that took some minutes of columns of `rows` rows and ended as `signal` says.
fn folder_of_a_node(folder: &Path, rows: u64, signal: Signal) -> PathBuf {
    let spec = NodeSpec::new(folder).with("--persist-interval=1s");
    let node = spec.start();
    let mut poster = Poster::new("n1", (now_ms() - 1_200_000) / 1_000 * 1_000);
    (0..100).for_each(|_| poster.post_next(&node.http, rows));
    node.process.stop(signal);
    folder.join("node")
}

#[test]
fn a_node_leaves_nothing_to_find_however_it_ends_and_looking_changes_no_byte() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder_of_a_node(folder.path(), 300, signal);
        let before = files(&data);
        let checked = json(&["check"], &data, 0);
        assert_eq!(checked["is_clean"], true, "{checked}");
        // A node that was killed may not have written its columns yet: they are in the WAL.
        let keys = if signal == Signal::SIGTERM { 600 } else { 300 };
        assert!(checked["keys"].as_u64().unwrap() >= keys, "{checked}");
        let (code, out, _) = keyviz(&["check"], &data);
        assert!(code == 0 && out.contains("0 errors, 0 warnings"), "{out}");
        let stats = json(&["stats"], &data, 0);
        let (code, table, _) = keyviz(&["stats"], &data);
        assert!(code == 0 && table.contains("bytes a cell"), "{table}");
        let (code, plan, _) = keyviz(&["repair", "--dry-run"], &data);
        assert!(code == 0 && plan.contains("nothing to set aside"), "{plan}");
        assert_eq!(files(&data), before, "{signal}: looking changed something");
        if signal == Signal::SIGTERM {
            assert_eq!(stats["cells"], 100 * 300, "{stats}");
            let (code, out, errors) = keyviz(&["compact"], &data);
            assert!(code == 0 && out.contains("nothing was dropped by age"), "{out}{errors}");
            assert_eq!(json(&["stats"], &data, 0)["cells"], 100 * 300);
            assert_eq!(json(&["check"], &data, 0)["is_clean"], true);
        }
    }
}

/// Flips a bit in the middle of every SST, one after the other.
#[test]
fn damage_on_the_disk_is_named_with_its_file_and_a_flipped_wal_with_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder_of_a_node(folder.path(), 300, Signal::SIGKILL);
    let is_damageable = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".sst") || path.parent().unwrap().ends_with("wal")
    };
    let targets: Vec<_> =
        files(&data).into_iter().filter(|(path, _)| is_damageable(path)).collect();
    assert!(!targets.is_empty());
    for (path, good) in targets {
        let mut bad = good.clone();
        bad[good.len() / 3] ^= 1;
        fs::write(&path, &bad).unwrap();
        let before = files(&data);
        let checked = json(&["check"], &data, 1);
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = checked["findings"].to_string();
        assert!(said.contains(name), "{name}: {said}");
        assert_eq!(files(&data), before);
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn the_log_of_a_killed_node_is_dumped_record_by_record_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).with("--persist-interval=1h");
    let node = spec.start();
    let mut poster = Poster::new("n1", (now_ms() - 1_200_000) / 1_000 * 1_000);
    (0..30).for_each(|_| poster.post_next(&node.http, 4));
    node.process.kill();
    let data = folder.path().join("node");
    let before = files(&data);
    let (code, out, errors) = keyviz(&["wal", "dump", "-o", "json"], &data);
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 30);
    for (at, line) in (0u64..).zip(&lines) {
        assert_eq!((&line["node_id"], &line["sequence"]), (&"n1".into(), &(at + 1).into()));
        assert_eq!(line["entry"]["rows"], 4, "{line}");
        assert_eq!(line["entry"]["window_unix_ms"], poster.first_ms + at * 1_000);
    }
    let (code, table, _) = keyviz(&["wal", "dump"], &data);
    assert!(code == 0 && table.lines().count() == 30 && table.contains("4 rows"), "{table}");
    let verified = json(&["wal", "verify"], &data, 0);
    assert_eq!(verified["segments"][0]["records"], 30, "{verified}");
    assert_eq!(files(&data), before, "looking changed something");
    let segment = data.join("wal").join(verified["segments"][0]["file"].as_str().unwrap());
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let verified = json(&["wal", "verify"], &data, 1);
    assert!(verified["findings"][0]["what"].as_str().unwrap().contains("no intact record"));
    assert_eq!(keyviz(&["wal", "dump"], &data).1.lines().count(), 29);
}

#[test]
fn what_cannot_be_checked_says_why_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("photo.jpg"), b"x").unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    for (path, what) in [
        (folder.path().join("none"), "nothing at this path"),
        (empty.clone(), "no db/CURRENT"),
        (foreign, "photo.jpg"),
        (folder.path().join("node"), "a running node uses this folder"),
    ] {
        for tool in ["check", "stats", "repair", "compact"] {
            let (code, out, errors) = keyviz(&[tool], &path);
            assert!(code == 2 && out.is_empty() && errors.contains(what), "{tool}: {out}{errors}");
        }
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "looking made a file");
    assert!(!folder.path().join("none").exists());
    node.process.kill();
    assert_eq!(keyviz(&["check"], &folder.path().join("node")).0, 0);
}
