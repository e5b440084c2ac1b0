//! RocksDB takes nothing more although the disk is well again; and a disk that has gone read-only.
//!
//! After a failed fsync of its log RocksDB refuses every write until it is opened anew. The node says so,
//! goes on answering and taking columns into its own log, and opens it anew by itself.

use std::time::Duration;

use super::rig::Rig;
use super::{Size, Tally};
use crate::disk::PowerDisk;
use crate::http;
use crate::rng::Rng;
use crate::strace::{self, Fate, Injection};

/// Keeps the node from finding out that the disk is well: it writes a file of this name.
pub(super) const PROBE: &str = "db/keyviz.probe";
const LIMIT: Duration = Duration::from_secs(120);
const DISK_MIB: u64 = 192;

pub(super) fn refused(rng: &mut Rng, _size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let mut rig = Rig::new(rng, 3, 20, &["--persist-interval=1s"]);
    let node = rig.spec.start();
    rig.load(&node, rng.between(100, 1_500));
    rig.settle(&node);
    let probe = rig.spec.data_dir.join(PROBE);
    std::fs::create_dir(&probe).unwrap();
    let logs = super::kills::store_logs(&rig.spec);
    let failing = Injection::always(&["fdatasync"], Fate::Error("EIO")).on(&logs);
    let attached = failing.attach(node.process.pid());
    let load = rig.start_load(&node.http);
    let says = || http::get(&node.http, "/readyz").text();
    crate::wait_for("it says that the store takes no writes", LIMIT, || {
        says().contains("the store takes no writes").then_some(())
    });
    drop(attached);
    rig.tally.strikes += 1;
    // The disk is well again, and RocksDB refuses still.
    let failures = node.metric("keyviz_persist_failures_total");
    crate::wait_for("another checkpoint that fails", LIMIT, || {
        (node.metric("keyviz_persist_failures_total") > failures).then_some(())
    });
    assert_eq!(node.metric("keyviz_store_read_only"), 1);
    assert_eq!(http::get(&node.http, "/healthz").status, 200);
    rig.sources = load.stop();
    rig.settle(&node);
    rig.compare(&node, "while the store takes nothing");
    let load = rig.start_load(&node.http);
    std::fs::remove_dir(&probe).unwrap();
    crate::wait_for("it is opened anew", LIMIT, || {
        (node.metric("keyviz_store_reopened_total") > 0).then_some(())
    });
    crate::wait_for("it is ready again", LIMIT, || {
        (http::get(&node.http, "/readyz").status == 200).then_some(())
    });
    rig.sources = load.stop();
    rig.settle(&node);
    rig.compare(&node, "with the store opened anew");
    crate::wait_for("a checkpoint", LIMIT, || {
        (node.metric("keyviz_persist_batches_total") > 0).then_some(())
    });
    rig.compare(&node, "after a checkpoint");
    super::kills::kill_and_compare(&mut rig, node);
    rig.finish()
}

pub(super) fn read_only(rng: &mut Rng, _size: Size) -> Tally {
    let Some(disk) = PowerDisk::mount_strict(DISK_MIB) else {
        return Tally::skip("no ext4 on a loop device here");
    };
    let mut rig = Rig::new(rng, 3, 8, &["--persist-interval=1s"]);
    rig.spec.data_dir = disk.path.join("node");
    let node = rig.spec.start();
    rig.load(&node, rng.between(200, 1_500));
    rig.settle(&node);
    let load = rig.start_load(&node.http);
    // No sync may be under way: ext4 tells one that it worked whose journal is aborted meanwhile.
    node.process.freeze();
    let is_read_only = disk.go_read_only();
    node.process.thaw();
    rig.sources = load.stop();
    if !is_read_only {
        return Tally::skip("no trigger_fs_error of ext4 here");
    }
    rig.tally.strikes += 1;
    // It lives, takes nothing, says so, and goes on answering.
    crate::wait_for("columns are refused", LIMIT, || {
        let taken: Vec<bool> = rig.sources.iter_mut().map(|s| s.post(&node.http)).collect();
        (!taken.contains(&true)).then_some(())
    });
    for source in &rig.sources {
        assert!(source.refusal.contains("unavailable"), "{}", source.refusal);
    }
    crate::wait_for("it is not ready", LIMIT, || {
        (http::get(&node.http, "/readyz").status == 503).then_some(())
    });
    assert_eq!(http::get(&node.http, "/healthz").status, 200);
    rig.compare(&node, "while the disk is read-only");
    node.process.kill();
    // It may start and take nothing, or say why it cannot; it must not harm what is there.
    if let Err(mut process) = rig.spec.try_start() {
        assert_eq!(process.wait().code(), Some(1));
        let text = rig.spec.log_text();
        assert!(text.contains("Read-only file system"), "{text}");
    }
    disk.power_up();
    let node = rig.spec.start();
    rig.compare(&node, "with the disk writable again");
    rig.settle(&node);
    rig.load(&node, 300);
    super::kills::kill_and_compare(&mut rig, node);
    rig.finish()
}
