//! Property: a backup of a running node holds every column that was acknowledged before it began, cell
//! by cell, whatever happens to the node then; and what is wrong with a backup is said.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use keyviz_tests::columns::Poster;
use keyviz_tests::http::{post_json, request};
use keyviz_tests::ledger::Cells;
use keyviz_tests::matrix::{Recorded, differences};
use keyviz_tests::process::{Node, NodeSpec, command};
use keyviz_tests::{now_ms, wait_for};
use serde_json::Value;

const BACKUP: &str = "/admin/api/v1/keyviz/backup";
const ROWS: u64 = 40;

/// Exit code, stdout, stderr.
fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn keyviz(words: &[&str]) -> (i32, String, String) {
    run(command("keyviz").args(words))
}

fn restore(from: &Path, into: &Path, further: &[&str]) -> (i32, String, String) {
    let mut command = command("keyviz");
    command.arg("restore").arg("--from").arg(from).arg("--data-dir").arg(into).args(further);
    run(&mut command)
}

fn spec(folder: &Path, backups: &Path) -> NodeSpec {
    NodeSpec::new(folder)
        .with("--persist-interval=1s")
        .with(&format!("--backup-dir={}", backups.display()))
}

fn first_ms() -> u64 {
    (now_ms() - 21_600_000) / 1_000 * 1_000
}

/// Cells of windows before `until_ms`.
fn until(cells: &Cells, until_ms: u64) -> Cells {
    let cells = cells.iter().filter(|((_, _, window, _), _)| *window < until_ms);
    cells.map(|(key, value)| (key.clone(), *value)).collect()
}

#[test]
fn an_online_backup_under_load_restores_to_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    let node = spec(folder.path(), &backups).start();
    let first_ms = first_ms();
    let stop = AtomicBool::new(false);
    let posted = std::sync::Mutex::new(Poster::new("n1", first_ms));
    // What was acknowledged before each backup began.
    let mut before = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                posted.lock().unwrap().post_next(&node.http, ROWS);
            }
        });
        for round in 1..=4u64 {
            // So that some of it is in the store and released, and some in the WAL alone.
            let persisted = node.metric("keyviz_persist_batches_total");
            wait_for("a checkpoint", keyviz_tests::PATIENCE, || {
                (node.metric("keyviz_persist_batches_total") > persisted).then_some(())
            });
            let held = posted.lock().unwrap().clone();
            before.push((held.acknowledged.clone(), held.window_ms));
            drop(held);
            let endpoint = format!("http://{}", node.http);
            let (code, out, errors) = keyviz(&["backup", "--endpoint", &endpoint, "-o", "json"]);
            assert_eq!(code, 0, "{errors}");
            let manifest: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(manifest["id"], round, "{manifest}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    node.process.kill();
    for (id, (acknowledged, until_ms)) in (1..).zip(&before) {
        let restored = folder.path().join(format!("restored-{id}"));
        let into = restored.join("node");
        fs::create_dir_all(&restored).unwrap();
        let (code, out, errors) = restore(&backups, &into, &["--backup", &id.to_string()]);
        assert_eq!(code, 0, "{out}{errors}");
        assert!(out.contains("OK: every file and every key was read"), "{out}");
        let node = NodeSpec::new(&restored).start();
        let recorded = Recorded::ask(&node.http, (first_ms, *until_ms), 1_000);
        let differ = differences(acknowledged, &until(&recorded.cells, *until_ms));
        assert_eq!(differ, None, "backup {id}");
        // And it goes on: what comes now is kept over the next kill.
        let mut late = Poster::new("n2", (now_ms() - 5_000) / 1_000 * 1_000);
        late.post_next(&node.http, ROWS);
        node.process.kill();
        let node: Node = NodeSpec::new(&restored).start();
        assert_eq!(late.differences(&node.http), None);
    }
}

/// A node with a few columns, stopped; its folder, its backup folder with one backup of it.
fn stopped(folder: &Path) -> (PathBuf, PathBuf) {
    let node = NodeSpec::new(folder).start();
    let mut poster = Poster::new("n1", first_ms());
    (0..20).for_each(|_| poster.post_next(&node.http, ROWS));
    node.process.kill();
    let (data, backups) = (folder.join("node"), folder.join("backups"));
    let (code, out, errors) = keyviz(&[
        "backup",
        "--data-dir",
        data.to_str().unwrap(),
        "--to",
        backups.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.starts_with("backup 1 of "), "{out}");
    (data, backups)
}

#[test]
fn a_backup_of_a_stopped_folder_is_listed_verified_and_refused_once_a_bit_flips() {
    let folder = tempfile::tempdir().unwrap();
    let (_, backups) = stopped(folder.path());
    let to = backups.to_str().unwrap();
    let (code, out, _) = keyviz(&["backup", "--list", "--to", to]);
    assert!(code == 0 && out.starts_with("backup 1 of "), "{out}");
    let (code, out, errors) = keyviz(&["backup", "--verify", "--to", to]);
    assert_eq!(code, 0, "{out}{errors}");
    let ssts = fs::read_dir(backups.join("db/shared_checksum")).unwrap();
    let sst = ssts
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len());
    let wal =
        fs::read_dir(backups.join("1/wal")).unwrap().map(|entry| entry.unwrap().path()).next();
    for path in [sst.unwrap(), wal.unwrap(), backups.join("1/manifest")] {
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).unwrap();
        let (code, _, errors) = keyviz(&["backup", "--verify", "--to", to]);
        assert_eq!(code, 2, "{}: {errors}", path.display());
        let into = folder.path().join("refused");
        let (code, _, errors) = restore(&backups, &into, &[]);
        assert_eq!(code, 2, "{}: {errors}", path.display());
        // What is there of it is not served.
        if into.exists() {
            let (code, _, errors) = keyviz(&["check", "--data-dir", into.to_str().unwrap()]);
            assert!(code == 2 && errors.contains("RESTORE-INCOMPLETE"), "{errors}");
            fs::remove_dir_all(&into).unwrap();
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(restore(&backups, &folder.path().join("well"), &[]).0, 0);
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backups) = stopped(folder.path());
    let (code, _, errors) = restore(&backups, &data, &[]);
    assert!(code == 2 && errors.contains("is not empty"), "{errors}");
    let (code, _, errors) = restore(&backups, &folder.path().join("x"), &["--backup", "7"]);
    assert!(code == 2 && errors.contains("no backup 7"), "{errors}");
    let (code, _, errors) = restore(&data, &folder.path().join("x"), &[]);
    assert!(code == 2 && errors.contains("not a backup folder"), "{errors}");
    let (data, inside) = (data.to_str().unwrap(), data.join("backups"));
    let inside = inside.to_str().unwrap();
    let (code, _, errors) = keyviz(&["backup", "--data-dir", data, "--to", inside]);
    assert!(code == 2 && errors.contains("inside the data folder"), "{errors}");
    // A node that has no folder for backups, and one that runs.
    let node = NodeSpec::new(folder.path()).start();
    let refusal = post_json(&node.http, BACKUP, "{}").unwrap().refusal(404, "invalid_request");
    assert!(refusal.contains("--backup-dir"), "{refusal}");
    let endpoint = format!("http://{}", node.http);
    let (code, _, errors) = keyviz(&["backup", "--endpoint", &endpoint]);
    assert!(code == 2 && errors.contains("--backup-dir"), "{errors}");
    let to = backups.to_str().unwrap();
    let (code, _, errors) = keyviz(&["backup", "--data-dir", data, "--to", to]);
    assert!(code == 2 && errors.contains("--endpoint"), "{errors}");
    node.process.kill();
    let node = spec(folder.path(), &backups).start();
    post_json(&node.http, BACKUP, "{\"to\":\"/etc\"}").unwrap().refusal(422, "invalid_body");
    request(&node.http, "POST", BACKUP, &[], b"{}").unwrap().refusal(415, "invalid_body");
    assert_eq!(post_json(&node.http, BACKUP, "{}").unwrap().ok()["id"], 2);
    let (code, _, errors) = keyviz(&["backup", "--endpoint", "127.0.0.1:1"]);
    assert!(code == 2 && errors.contains("no keyviz answers"), "{errors}");
}
