//! The power of the disk: cut, cut under a device whose fsync lies, or gone while the node goes on.
//!
//! A cut: SIGSTOP, so that the count of what was acknowledged stands still (on a busy machine that takes a
//! moment, and ext4 may tell a sync that it worked while it is being shut down); the filesystem is shut down
//! without writing anything more; SIGKILL; it is mounted again from what had reached its image. The
//! control does the same without syncing and must lose something: else the method proves nothing.

use std::time::Duration;

use super::rig::Rig;
use super::{Size, Tally};
use crate::disk::PowerDisk;
use crate::http;
use crate::process::Node;
use crate::rng::Rng;
use crate::strace::{self, Fate, Injection};

/// RocksDB reserves room ahead.
const DISK_MIB: u64 = 192;

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Cuts the power under load; `None` where the machine cannot.
fn cut_under_load(rig: &mut Rig, node: Node, disk: &PowerDisk, after_ms: u64) -> Option<()> {
    let load = rig.start_load(&node.http);
    sleep(after_ms);
    node.process.freeze();
    let is_cut = disk.cut();
    node.process.kill();
    rig.sources = load.stop();
    rig.tally.strikes += 1;
    disk.power_up();
    is_cut.then_some(())
}

fn on_a_disk(rng: &mut Rng, flags: &[&str]) -> Option<(PowerDisk, Rig)> {
    let disk = PowerDisk::mount(DISK_MIB)?;
    let mut rig = Rig::new(rng, 3, 8, flags);
    rig.spec.data_dir = disk.path.join("node");
    Some((disk, rig))
}

pub(super) fn cut(rng: &mut Rng, size: Size) -> Tally {
    let persist = ["--persist-interval=1s", "--persist-interval=1h"][rng.below(2) as usize];
    let Some((disk, mut rig)) = on_a_disk(rng, &[persist]) else {
        return Tally::skip("no ext4 on a loop device here");
    };
    for _ in 0..if size == Size::Short { 1 } else { 4 } {
        let node = rig.spec.start();
        if cut_under_load(&mut rig, node, &disk, rng.between(100, 2_500)).is_none() {
            return Tally::skip("no EXT4_IOC_SHUTDOWN here");
        }
        let node = rig.spec.start();
        rig.compare(&node, "after a power cut");
        rig.settle(&node);
        node.process.kill();
    }
    let node = rig.spec.start();
    rig.compare(&node, "after a kill with nothing in flight");
    drop(node);
    rig.finish()
}

pub(super) fn control(rng: &mut Rng, _size: Size) -> Tally {
    let flags = ["--persist-interval=1h", "--wal-sync=os"];
    let Some((disk, mut rig)) = on_a_disk(rng, &flags) else {
        return Tally::skip("no ext4 on a loop device here");
    };
    let node = rig.spec.start();
    if cut_under_load(&mut rig, node, &disk, rng.between(400, 1_500)).is_none() {
        return Tally::skip("no EXT4_IOC_SHUTDOWN here");
    }
    let node = rig.spec.start();
    let gone = rig.gone(&node, "after a power cut without syncing");
    assert!(!gone.is_empty(), "the control lost nothing: a cut that loses nothing proves nothing");
    rig.tally.excused += gone.len() as u64;
    // The sources go on, those that are forgotten under a new boot id; what is gone is drawn as such.
    for (at, source) in rig.sources.iter_mut().enumerate() {
        if gone.iter().any(|(of, _)| *of == at) {
            source.in_flight = false;
            source.poster.boot_again();
        }
    }
    rig.settle(&node);
    rig.post(&node, 5);
    rig.assert_missing(&node, &gone);
    drop(node);
    rig.finish()
}

pub(super) fn lie(rng: &mut Rng, _size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let Some((disk, mut rig)) = on_a_disk(rng, &["--persist-interval=1s"]) else {
        return Tally::skip("no ext4 on a loop device here");
    };
    // A life that was honest, so that there is something to lose.
    let node = rig.spec.start();
    rig.post(&node, 20);
    node.process.kill();
    let calls = ["fsync", "fdatasync", "sync_file_range", "msync"];
    rig.spec.under = Injection::always(&calls, Fate::Lie).from_the_start();
    let node = rig.spec.start();
    if cut_under_load(&mut rig, node, &disk, rng.between(300, 2_500)).is_none() {
        return Tally::skip("no EXT4_IOC_SHUTDOWN here");
    }
    rig.spec.under.clear();
    match rig.spec.try_start() {
        Ok(node) => {
            let gone = rig.gone(&node, "after a power cut under a lying fsync");
            rig.tally.excused += gone.len() as u64;
        }
        Err(mut process) => {
            // It says what it cannot read, and what to do.
            assert_eq!(process.wait().code(), Some(1));
            let text = rig.spec.log_text();
            let line = text.lines().find(|line| line.starts_with("keyviz: "));
            let line = line.unwrap_or_else(|| panic!("it says nothing: {text}"));
            eprintln!("after a lying fsync: {line}");
            rig.tally.excused += rig.acknowledged();
        }
    }
    rig.finish()
}

pub(super) fn gone(rng: &mut Rng, _size: Size) -> Tally {
    let Some((disk, mut rig)) = on_a_disk(rng, &["--persist-interval=1s"]) else {
        return Tally::skip("no ext4 on a loop device here");
    };
    let node = rig.spec.start();
    rig.load(&node, rng.between(200, 1_500));
    rig.settle(&node);
    if !disk.cut() {
        return Tally::skip("no EXT4_IOC_SHUTDOWN here");
    }
    rig.tally.strikes += 1;
    // It lives, takes nothing, and goes on answering from memory and the page cache.
    for source in &mut rig.sources {
        assert!(!source.post(&node.http), "acknowledged although the disk is gone");
        assert!(source.refusal.contains("unavailable"), "{}", source.refusal);
    }
    sleep(1_500);
    assert_eq!(http::get(&node.http, "/healthz").status, 200);
    assert_eq!(http::get(&node.http, "/readyz").status, 503);
    node.process.kill();
    disk.power_up();
    let node = rig.spec.start();
    rig.compare(&node, "with the disk back");
    rig.settle(&node);
    rig.load(&node, 300);
    super::kills::kill_and_compare(&mut rig, node);
    rig.finish()
}
