//! Property: a full disk is said clearly, the process stays up, nothing that was acknowledged is
//! lost, and work goes on by itself once there is space.
//!
//! The data folder lies on a small tmpfs of its own. Mounting one needs root; without it these
//! tests say so and prove nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::path::Path;
use std::time::{Duration, Instant};

use keyviz_tests::columns::Poster;
use keyviz_tests::disk::SmallDisk;
use keyviz_tests::http;
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec};

/// RocksDB reserves space ahead for its log when it opens. On the first disk it gets it, so that the
/// write-ahead log alone meets the end of the disk; on the second it starts with little left, and
/// both do.
const DISKS: [Disk; 2] =
    [Disk { size_mib: 160, left_at_start_mib: 160 }, Disk { size_mib: 60, left_at_start_mib: 8 }];
/// From free space to the first column that is taken.
const RECOVERY: Duration = keyviz_tests::PATIENCE;
const ROWS: u64 = 200;

#[derive(Clone, Copy, Debug)]
struct Disk {
    size_mib: u64,
    left_at_start_mib: u64,
}

impl Disk {
    fn mount(self) -> Option<SmallDisk> {
        SmallDisk::mount(self.size_mib, self.left_at_start_mib)
    }

    fn is_tight(self) -> bool {
        self.left_at_start_mib < self.size_mib
    }
}

fn on(disk: &SmallDisk, log_folder: &Path) -> (NodeSpec, Node, Poster) {
    let mut spec =
        NodeSpec::new(log_folder).with("--persist-interval=1s").with("--wal-max-bytes=8MiB");
    spec.data_dir = disk.path.join("node");
    let node = spec.start();
    (spec, node, Poster::new("poster", now_ms() / 1_000 * 1_000 - 1_800_000))
}

/// Posts until a column is refused for want of space; that one is not acknowledged.
fn post_until_full(node: &Node, poster: &mut Poster) -> String {
    let started = Instant::now();
    loop {
        assert!(
            started.elapsed() < keyviz_tests::PATIENCE,
            "a full disk takes columns without end"
        );
        let column = poster.column(ROWS);
        let answer = Poster::post(&node.http, &column).unwrap();
        if answer.status == 200 {
            poster.acknowledge(&column);
        } else {
            return answer.refusal(503, "unavailable");
        }
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_without_a_restart() {
    for disk in DISKS {
        eprintln!("{disk:?}");
        let Some(mounted) = disk.mount() else { return };
        refuses_and_recovers(&mounted, disk.is_tight());
    }
}

fn refuses_and_recovers(disk: &SmallDisk, is_tight: bool) {
    let logs = tempfile::tempdir().unwrap();
    let (spec, node, mut poster) = on(disk, logs.path());
    for _ in 0..20 {
        poster.post_next(&node.http, ROWS);
    }
    let mut failures = 0;
    // What had been persisted just before leaves a checkpoint nothing to fail with.
    for round in 1.. {
        if round > 6 || round > 2 && (failures > 0 || !is_tight) {
            break;
        }
        disk.fill();
        let message = post_until_full(&node, &mut poster);
        assert!(message.contains("space"), "it says what is wrong: {message:?}");
        // Several checkpoints fail meanwhile.
        for _ in 0..10 {
            let column = poster.column(ROWS);
            let answer = Poster::post(&node.http, &column).unwrap();
            match answer.status {
                200 => poster.acknowledge(&column),
                _ => drop(answer.refusal(503, "unavailable")),
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(http::get(&node.http, "/healthz").status, 200, "it lives");
        assert_eq!(poster.differences(&node.http), None, "round {round}: while the disk is full");

        disk.free();
        let started = Instant::now();
        poster.post_until_taken(&node.http, ROWS, RECOVERY);
        eprintln!(
            "round {round}: {} columns acknowledged, taken again {:.1} s after there was space ({message})",
            poster.sequence - 1,
            started.elapsed().as_secs_f64()
        );
        for _ in 0..10 {
            poster.post_next(&node.http, ROWS);
        }
        assert_eq!(poster.differences(&node.http), None, "round {round}: with space again");
        failures = node.metric("keyviz_persist_failures_total");
    }
    assert!(!is_tight || failures > 0, "the store met the end of the disk, too");
    eprintln!("{failures} checkpoints failed meanwhile");
    // They work again, too.
    let before = node.metric("keyviz_persist_batches_total");
    poster.post_next(&node.http, ROWS);
    keyviz_tests::wait_for("a checkpoint", RECOVERY, || {
        (node.metric("keyviz_persist_batches_total") > before).then_some(())
    });
    keyviz_tests::wait_for("readiness", RECOVERY, || {
        (http::get(&node.http, "/readyz").status == 200).then_some(())
    });

    node.process.kill();
    let node = spec.start();
    assert_eq!(poster.differences(&node.http), None, "after SIGKILL");
    poster.post_next(&node.http, ROWS);
    assert_eq!(poster.differences(&node.http), None);
    spec.assert_no_panic();
}

#[test]
fn a_kill_on_a_full_disk_loses_nothing() {
    for disk in DISKS {
        let Some(disk) = disk.mount() else { return };
        is_killed_when_full(&disk);
    }
}

fn is_killed_when_full(disk: &SmallDisk) {
    let logs = tempfile::tempdir().unwrap();
    let (spec, node, mut poster) = on(disk, logs.path());
    for _ in 0..20 {
        poster.post_next(&node.http, ROWS);
    }
    disk.fill();
    post_until_full(&node, &mut poster);
    std::thread::sleep(Duration::from_millis(1_500));
    node.process.kill();
    // It may start, or say why it cannot; it must not harm what is there.
    match spec.try_start() {
        Ok(node) => {
            assert_eq!(poster.differences(&node.http), None, "started on the full disk");
            node.process.kill();
        }
        Err(mut process) => {
            assert_eq!(process.wait().code(), Some(1));
            let text = spec.log_text();
            let last = text.lines().next_back().unwrap_or("");
            assert!(last.starts_with("keyviz: ") && last.contains("space"), "{last}");
            assert!(last.contains(spec.data_dir.to_str().unwrap()), "{last}");
        }
    }
    disk.free();
    let node = spec.start();
    assert_eq!(poster.differences(&node.http), None, "with space again");
    poster.post_until_taken(&node.http, ROWS, RECOVERY);
    assert_eq!(poster.differences(&node.http), None);
    spec.assert_no_panic();
}

#[test]
fn readiness_says_that_the_store_takes_no_writes() {
    let [_, tight] = DISKS;
    let Some(disk) = tight.mount() else { return };
    let logs = tempfile::tempdir().unwrap();
    let (_spec, node, mut poster) = on(&disk, logs.path());
    for _ in 0..20 {
        poster.post_next(&node.http, ROWS);
    }
    disk.fill();
    post_until_full(&node, &mut poster);
    keyviz_tests::wait_for("a checkpoint that fails", RECOVERY, || {
        (node.metric("keyviz_persist_failures_total") > 1).then_some(())
    });
    let answer = http::get(&node.http, "/readyz");
    assert_eq!(answer.status, 503, "no checkpoint can be written: {}", answer.brief());
    assert!(answer.text().contains("space"), "{}", answer.brief());
}

/// What a backup needs first: the memtable written out.
fn back_up(node: &Node) -> http::Response {
    http::post_json(&node.http, "/admin/api/v1/keyviz/backup", "{}").unwrap()
}

/// A node that takes backups to another disk, and has `rows` rows of each column in RocksDB's memtable.
fn that_takes_backups(disk: &SmallDisk, folder: &Path) -> (NodeSpec, Node, Poster) {
    let backups = format!("--backup-dir={}", folder.join("backups").display());
    let mut spec = NodeSpec::new(folder).with("--persist-interval=1s").with(&backups);
    spec = spec.with("--wal-max-bytes=64MiB");
    spec.data_dir = disk.path.join("node");
    let node = spec.start();
    (spec, node, Poster::new("poster", now_ms() / 3_600_000 * 3_600_000 - 20 * 3_600_000))
}

/// Has some columns taken and persisted.
fn persisted(node: &Node, poster: &mut Poster, columns: u64, rows: u64) {
    for _ in 0..columns {
        poster.post_next(&node.http, rows);
    }
    // A round that began after the last column.
    for _ in 0..2 {
        let before = node.metric("keyviz_persist_batches_total");
        poster.post_next(&node.http, rows);
        keyviz_tests::wait_for("a checkpoint", RECOVERY * 4, || {
            (node.metric("keyviz_persist_batches_total") > before).then_some(())
        });
    }
}

fn wait_until_ready(node: &Node) {
    keyviz_tests::wait_for("readiness", RECOVERY * 4, || {
        (http::get(&node.http, "/readyz").status == 200).then_some(())
    });
}

#[test]
fn a_flush_that_meets_the_end_of_the_disk_is_said_and_made_later() {
    // With more, RocksDB reserves room for its log, and gives it back before it writes the memtable.
    let Some(disk) = SmallDisk::mount(192, 20) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (spec, node, mut poster) = that_takes_backups(&disk, folder.path());
    persisted(&node, &mut poster, 20, ROWS);
    disk.fill();
    let answer = back_up(&node);
    assert_eq!(answer.status, 500, "{}", answer.brief());
    assert!(answer.text().contains("No space left"), "{}", answer.brief());
    assert!(node.metric("keyviz_store_background_errors_total") > 0);
    let said = keyviz_tests::wait_for("it is not ready", RECOVERY * 4, || {
        let answer = http::get(&node.http, "/readyz");
        (answer.status == 503).then(|| answer.text())
    });
    assert!(said.contains("free disk space"), "{said}");
    assert_eq!(http::get(&node.http, "/healthz").status, 200);
    assert_eq!(poster.differences(&node.http), None, "while the disk is full");
    disk.free();
    wait_until_ready(&node);
    poster.post_until_taken(&node.http, ROWS, RECOVERY * 4);
    persisted(&node, &mut poster, 3, ROWS);
    let answer = back_up(&node);
    assert_eq!(answer.status, 200, "{}", answer.brief());
    assert_eq!(poster.differences(&node.http), None, "with space again");
    node.process.kill();
    let node = spec.start();
    assert_eq!(poster.differences(&node.http), None, "after SIGKILL");
    spec.assert_no_panic();
}
