//! SIGKILL at random moments.
//!
//! Proof: `tests/tests/torture.rs`; with a host, splits, merges and moves: `kill_and_compare.rs`; in a
//! migration: `golden_folders.rs`.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::rig::{Rig, files};
use super::{Size, Tally};
use crate::process::{Node, NodeSpec, command};
use crate::rng::Rng;
use crate::strace::{self, Fate, Injection};

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn times(rng: &mut Rng, size: Size) -> u64 {
    match size {
        Size::Short => 2,
        Size::Long => rng.between(3, 7),
    }
}

fn sync_flag(rng: &mut Rng) -> &'static str {
    ["--wal-sync=every-column", "--wal-sync=os"][rng.below(2) as usize]
}

/// Kills, starts again, and compares: first as it is, then with what was in flight, then after a kill
/// with nothing in flight.
pub(super) fn kill_and_compare(rig: &mut Rig, node: Node) {
    node.process.kill();
    let node = rig.spec.start();
    rig.compare(&node, "after the last kill");
    rig.settle(&node);
    node.process.kill();
    let node = rig.spec.start();
    rig.compare(&node, "after a kill with nothing in flight");
    assert_eq!(node.metric("keyviz_wal_unusable_records_total"), 0);
}

pub(super) fn under_load(rng: &mut Rng, size: Size) -> Tally {
    let persist = ["--persist-interval=1s", "--persist-interval=2s"][rng.below(2) as usize];
    let flags = [persist, sync_flag(rng)];
    let mut rig = Rig::new(rng, 3, 8, &flags);
    let mut node = rig.spec.start();
    let load = rig.start_load(&node.http);
    for _ in 0..times(rng, size) {
        sleep(rng.between(50, 900));
        node.process.kill();
        rig.tally.strikes += 1;
        node = rig.spec.start();
    }
    sleep(rng.between(50, 300));
    rig.sources = load.stop();
    kill_and_compare(&mut rig, node);
    rig.finish()
}

pub(super) fn in_replay(rng: &mut Rng, size: Size) -> Tally {
    // Nothing is persisted: each start replays all of it.
    let flags = ["--persist-interval=1h", sync_flag(rng)];
    let mut rig = Rig::new(rng, 3, 200, &flags);
    let node = rig.spec.start();
    rig.load(&node, if size == Size::Short { 700 } else { 4_000 });
    node.process.kill();
    for _ in 0..2 * times(rng, size) {
        let starting = rig.spec.spawn();
        sleep(rng.below(150));
        starting.kill();
        rig.tally.strikes += 1;
    }
    let node = rig.spec.start();
    assert!(node.metric("keyviz_wal_replayed_records_total") > 0);
    rig.compare(&node, "after kills while starting");
    rig.load(&node, 200);
    kill_and_compare(&mut rig, node);
    rig.finish()
}

/// RocksDB's log, which every checkpoint writes and syncs.
pub(super) fn store_logs(spec: &NodeSpec) -> Vec<std::path::PathBuf> {
    files(&spec.data_dir.join("db"), |name| name.ends_with(".log"))
}

pub(super) fn in_checkpoint(rng: &mut Rng, size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let flags = ["--persist-interval=1s", sync_flag(rng)];
    let mut rig = Rig::new(rng, 3, 8, &flags);
    let mut node = rig.spec.start();
    let load = rig.start_load(&node.http);
    for _ in 0..times(rng, size) {
        sleep(rng.between(50, 500));
        let call = ["write", "fdatasync"][rng.below(2) as usize];
        let injection = Injection::nth(call, rng.between(1, 4), Fate::Kill);
        let attached = injection.on(&store_logs(&rig.spec)).attach(node.process.pid());
        crate::wait_for("a checkpoint that is killed", crate::PATIENCE, || {
            (!node.process.is_running()).then_some(())
        });
        drop(attached);
        rig.tally.strikes += 1;
        node = rig.spec.start();
    }
    rig.sources = load.stop();
    kill_and_compare(&mut rig, node);
    rig.finish()
}

pub(super) fn in_stop(rng: &mut Rng, size: Size) -> Tally {
    // The stop persists, closes hours, flushes, and releases the log.
    let flags = ["--persist-interval=1h", sync_flag(rng)];
    let mut rig = Rig::new(rng, 3, 30, &flags);
    let mut node = rig.spec.start();
    for _ in 0..times(rng, size) {
        rig.load(&node, rng.between(200, 700));
        node.process.signal(Signal::SIGTERM);
        sleep(rng.below(60));
        node.process.kill();
        rig.tally.strikes += 1;
        node = rig.spec.start();
        rig.compare(&node, "after a kill while stopping");
    }
    kill_and_compare(&mut rig, node);
    rig.finish()
}

pub(super) fn in_compaction(rng: &mut Rng, size: Size) -> Tally {
    let mut rig = Rig::new(rng, 3, 60, &["--persist-interval=1h"]);
    // A file of RocksDB for each life.
    for _ in 0..3 {
        let node = rig.spec.start();
        rig.load(&node, if size == Size::Short { 300 } else { 1_500 });
        rig.settle(&node);
        assert!(node.process.stop(Signal::SIGTERM).success());
    }
    for _ in 0..2 * times(rng, size) {
        let mut compact = command("keyviz");
        compact.arg("compact").arg("--data-dir").arg(&rig.spec.data_dir);
        let mut child = compact.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(rng.below(120));
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
        rig.tally.strikes += 1;
    }
    let node = rig.spec.start();
    rig.compare(&node, "after kills of compactions");
    rig.load(&node, 200);
    kill_and_compare(&mut rig, node);
    rig.finish()
}
