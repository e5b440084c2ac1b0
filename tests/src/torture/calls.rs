//! One system call of a write path fails once, or is the last one: by number.
//!
//! From the first call on (opening, replaying), or of a running node under load. `write` and `openat`
//! are met on the files of the log and of RocksDB only: the same calls serve sockets and libraries.

use std::time::Duration;

use super::kills::kill_and_compare;
use super::rig::{Rig, files};
use super::{Size, Tally};
use crate::http;
use crate::process::Node;
use crate::rng::Rng;
use crate::strace::{self, Attached, Fate, Injection};

/// Calls that only files see.
const FROM_THE_START: [&str; 9] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fallocate",
    "unlink",
    "rename",
    "mkdir",
    "sync_file_range",
];
const LATER: [&str; 8] =
    ["pwrite64", "write", "fdatasync", "fsync", "ftruncate", "fallocate", "unlink", "openat"];

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.below(from.len() as u64) as usize]
}

fn new_rig(rng: &mut Rng) -> Rig {
    let persist = pick(rng, &["--persist-interval=1s", "--persist-interval=2s"]);
    let mut rig = Rig::new(rng, 3, 8, &[persist]);
    // Something to open and to replay.
    let node = rig.spec.start();
    rig.load(&node, 300);
    node.process.kill();
    rig
}

/// One call of a running node.
fn attach(rig: &Rig, node: &Node, rng: &mut Rng, fate: Fate) -> Attached {
    let call = pick(rng, &LATER);
    let mut injection = Injection::nth(call, rng.between(1, 9), fate);
    if call == "write" {
        let mut written = rig.segments();
        written.extend(files(&rig.spec.data_dir.join("db"), |name| {
            name.ends_with(".log") || name.starts_with("MANIFEST")
        }));
        injection = injection.on(&written);
    }
    eprintln!("{injection:?}, of a running node");
    injection.attach(node.process.pid())
}

fn from_the_start(rng: &mut Rng, fate: Fate) -> Vec<String> {
    let injection = Injection::nth(pick(rng, &FROM_THE_START), rng.between(1, 13), fate);
    eprintln!("{injection:?}, from the start");
    injection.from_the_start()
}

fn rounds(size: Size) -> u64 {
    if size == Size::Short { 2 } else { 6 }
}

pub(super) fn kill(rng: &mut Rng, size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let mut rig = new_rig(rng);
    for round in 0..rounds(size) {
        let mut attached = None;
        if round % 2 == 0 {
            rig.spec.under = from_the_start(rng, Fate::Kill);
        }
        let started = rig.spec.try_start();
        rig.spec.under.clear();
        rig.tally.strikes += 1;
        let Ok(mut node) = started else { continue };
        let load = rig.start_load(&node.http);
        if round % 2 == 1 {
            attached = Some(attach(&rig, &node, rng, Fate::Kill));
        }
        for _ in 0..40 {
            if !node.process.is_running() {
                break;
            }
            sleep(50);
        }
        // What was not met by then is killed like this.
        node.process.kill();
        drop(attached);
        rig.sources = load.stop();
        let node = rig.spec.start();
        rig.compare(&node, "after a kill at a call");
        node.process.kill();
    }
    let node = rig.spec.start();
    kill_and_compare(&mut rig, node);
    rig.finish()
}

pub(super) fn error(rng: &mut Rng, size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let mut rig = new_rig(rng);
    for round in 0..rounds(size) {
        let fate = Fate::Error(pick(rng, &["EIO", "ENOSPC"]));
        let is_first = round % 2 == 0;
        if is_first {
            rig.spec.under = from_the_start(rng, fate);
        }
        let started = rig.spec.try_start();
        rig.spec.under.clear();
        rig.tally.strikes += 1;
        let node = match started {
            Ok(node) => node,
            Err(mut process) => {
                // Only what a store cannot do without, and it is said.
                assert_eq!(process.wait().code(), Some(1));
                let text = rig.spec.log_text();
                let line = text.lines().rfind(|line| line.starts_with("keyviz: "));
                eprintln!("{}", line.unwrap_or_else(|| panic!("it says nothing: {text}")));
                continue;
            }
        };
        let load = rig.start_load(&node.http);
        let attached = (!is_first).then(|| attach(&rig, &node, rng, fate));
        sleep(rng.between(1_500, 3_000));
        drop(attached);
        assert_eq!(http::get(&node.http, "/healthz").status, 200, "it lives");
        rig.sources = load.stop();
        rig.compare(&node, "after an error at a call");
        node.process.kill();
        let node = rig.spec.start();
        rig.compare(&node, "after an error at a call and a kill");
        rig.settle(&node);
        node.process.kill();
    }
    let node = rig.spec.start();
    kill_and_compare(&mut rig, node);
    rig.finish()
}
