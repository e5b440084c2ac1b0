//! A disk without space, a disk that takes its time, and a store that takes nothing while the log does.

use std::time::{Duration, Instant};

use super::rig::Rig;
use super::{Size, Tally};
use crate::disk::SmallDisk;
use crate::http;
use crate::ledger::Ledger;
use crate::matrix::{Recorded, differences};
use crate::process::{Host, HostSpec, NodeSpec};
use crate::rng::Rng;
use crate::strace::{self, Fate, Injection};

/// How long each fsync takes.
const DELAY_MS: u64 = 500;

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

pub(super) fn full(rng: &mut Rng, size: Size) -> Tally {
    // On the first the log meets the end of the disk, on the second RocksDB does, too.
    let (size_mib, left_mib) = [(160, 160), (60, 10)][rng.below(2) as usize];
    let Some(disk) = SmallDisk::mount(size_mib, left_mib) else {
        return Tally::skip("no tmpfs can be mounted here");
    };
    let mut rig = Rig::new(rng, 3, 60, &["--persist-interval=1s", "--wal-max-bytes=8MiB"]);
    rig.spec.data_dir = disk.path.join("node");
    let node = rig.spec.start();
    let load = rig.start_load(&node.http);
    for _ in 0..if size == Size::Short { 1 } else { 4 } {
        sleep(rng.between(100, 1_200));
        disk.fill();
        rig.tally.strikes += 1;
        sleep(rng.between(500, 3_500));
        assert_eq!(http::get(&node.http, "/healthz").status, 200, "it lives");
        disk.free();
        crate::wait_for("it is ready again", crate::PATIENCE, || {
            (http::get(&node.http, "/readyz").status == 200).then_some(())
        });
    }
    rig.sources = load.stop();
    rig.compare(&node, "with space again");
    rig.settle(&node);
    super::kills::kill_and_compare(&mut rig, node);
    rig.finish()
}

/// Latencies of single writes to a host for so long, in ms, ascending.
fn latencies(host: &Host, ms: u64) -> Vec<f64> {
    let (mut client, started, mut found) = (host.connect(), Instant::now(), Vec::new());
    while started.elapsed() < Duration::from_millis(ms) {
        let key = format!("key:{:06}", found.len() % 20_000);
        let asked = Instant::now();
        client.ask(&[b"SET", key.as_bytes(), b"value"]);
        found.push(asked.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_micros(200));
    }
    found.sort_by(f64::total_cmp);
    found
}

pub(super) fn slow(_rng: &mut Rng, size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).on_fixed_ports().with("--persist-interval=2s");
    let node = spec.start();
    let host_spec = HostSpec::new(folder.path(), &node.grpc);
    let host = host_spec.start();
    let ms = if size == Size::Short { 1_500 } else { 6_000 };
    let quick = latencies(&host, ms);
    let calls = ["fsync", "fdatasync"];
    let attached = Injection::always(&calls, Fate::Delay(DELAY_MS)).attach(node.process.pid());
    let slow = latencies(&host, ms);
    let at = |found: &[f64], part: f64| found[(found.len() as f64 * part) as usize];
    let say = |what: &str, found: &[f64]| {
        let (half, most) = (at(found, 0.5), at(found, 0.99));
        eprintln!("{what}: {} writes, median {half:.3} ms, p99 {most:.3} ms", found.len());
    };
    say("each fsync of the node as it is", &quick);
    say(&format!("each fsync of the node takes {DELAY_MS} ms more"), &slow);
    // A write that waited for an fsync would take all of it.
    assert!(at(&slow, 0.99) < DELAY_MS as f64 / 2.0, "the hot path waits for the node");
    host.settle(crate::PATIENCE);
    drop(attached);
    let ledger = Ledger::read(&host_spec.ledger());
    node.process.kill();
    let node = spec.start();
    let (from_ms, to_ms) = ledger.span();
    let recorded = Recorded::ask(&node.http, (from_ms - 1_000, to_ms + 1_000), 1_000);
    assert_eq!(differences(&ledger.cells, &recorded.cells), None);
    spec.assert_no_panic();
    Tally { acknowledged: ledger.columns as u64, strikes: 1, ..Tally::default() }
}

pub(super) fn shed(rng: &mut Rng, _size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let flags = ["--persist-interval=1s", "--wal-max-bytes=8MiB", "--wal-sync=os"];
    let mut rig = Rig::new(rng, 1, 8, &flags);
    rig.sources[0].poster.padding = 2_048;
    let node = rig.spec.start();
    rig.post(&node, 20);
    crate::wait_for("a checkpoint", crate::PATIENCE, || {
        (node.metric("keyviz_persist_batches_total") > 0).then_some(())
    });
    // From now on RocksDB cannot write its log: no checkpoint. Ours works. It is not opened anew.
    let probe = rig.spec.data_dir.join(super::reopens::PROBE);
    std::fs::create_dir(&probe).unwrap();
    let logs = super::kills::store_logs(&rig.spec);
    let failing = Injection::always(&["write", "fdatasync"], Fate::Error("EIO")).on(&logs);
    let attached = failing.attach(node.process.pid());
    let started = Instant::now();
    while node.metric("keyviz_wal_shed_total") < 40 {
        assert!(started.elapsed() < Duration::from_secs(600), "nothing is shed");
        rig.post(&node, 20);
    }
    rig.tally.strikes += 1;
    rig.compare(&node, "while the store takes nothing");
    node.process.kill();
    drop(attached);
    std::fs::remove_dir(&probe).unwrap();
    let node = rig.spec.start();
    let (gone, flagged) = rig.seen(&node, "after a kill");
    assert!(!gone.is_empty(), "what was shed is gone");
    let windows: std::collections::BTreeSet<u64> = gone.iter().map(|(_, window)| *window).collect();
    let empty = std::collections::BTreeSet::new();
    assert_eq!(&windows, flagged.get("shed").unwrap_or(&empty), "what is gone is flagged shed");
    rig.tally.excused += gone.len() as u64;
    // What was shed is not taken a second time, and what is new is.
    let mut again = rig.sources[0].clone();
    again.poster.sequence = 30;
    let first_ms = again.poster.first_ms;
    again.poster.window_ms = first_ms + 29_000;
    assert!(again.post(&node.http), "{}", again.refusal);
    rig.post(&node, 20);
    assert_eq!(rig.seen(&node, "later"), (gone.clone(), flagged.clone()));
    crate::wait_for("a checkpoint", crate::PATIENCE, || {
        (node.metric("keyviz_persist_batches_total") > 0).then_some(())
    });
    node.process.kill();
    let node = rig.spec.start();
    assert_eq!(rig.seen(&node, "after a checkpoint and a kill"), (gone, flagged));
    drop(node);
    rig.finish()
}
