//! Property: what fuzzing found stays fixed. Every input that is committed under
//! `fuzz/corpus/wal_segment` passes the check of the fuzz target itself, without libFuzzer, and the
//! seeds among them are what the log writes today.
//!
//! After a change of the format: `KEYVIZ_WRITE_SEEDS=1 cargo test ... --test corpus` writes the new
//! seeds; an old one that still has to be read is kept under another name.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

#[allow(unreachable_pub)] // public in the fuzz crate
#[path = "../../../fuzz/src/wal.rs"]
mod check;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyviz_wal::testing::FaultyFs;
use keyviz_wal::{Wal, WalOptions};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/wal_segment")
}

#[test]
fn every_committed_input_passes_its_check() {
    let inputs = fs::read_dir(corpus()).unwrap();
    let mut names: Vec<PathBuf> = inputs.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(!names.is_empty(), "there is no seed");
    for name in names {
        // Shown if the check fails.
        println!("{}", name.display());
        check::segment(&fs::read(name).unwrap());
    }
}

#[test]
fn the_seeds_are_what_the_log_writes() {
    let mut files = segments();
    assert_eq!(files.len(), 2, "records over two segments");
    let second = files.pop().unwrap();
    let first = files.pop().unwrap();
    let input = |switches: u8, first: &[u8], second: &[u8]| {
        [&[switches], &(first.len() as u16).to_le_bytes()[..], first, second].concat()
    };
    let mut torn = second.clone();
    torn.truncate(second.len() - 3);
    let mut damaged = first.clone();
    damaged[40 + 9] = 0xFF; // the first frame's flags: its checksum stays wrong
    let write = std::env::var_os("KEYVIZ_WRITE_SEEDS").is_some();
    for (name, seed) in [
        ("as-written", input(0, &first, &second)),
        ("torn", input(15, &first, &torn)),
        ("damaged-middle", input(15, &damaged, &second)),
        ("misnamed", input(16, &first, &second)),
    ] {
        let path = corpus().join(name);
        if write {
            fs::create_dir_all(corpus()).unwrap();
            fs::write(&path, &seed).unwrap();
        }
        let held = fs::read(&path).unwrap_or_default();
        assert!(held == seed, "{name}: run again with KEYVIZ_WRITE_SEEDS=1 and commit");
    }
}

/// The segments of a small log, oldest first.
fn segments() -> Vec<Vec<u8>> {
    let fs = FaultyFs::new();
    let options = WalOptions { segment_bytes: 150, ..WalOptions::default() };
    let (mut wal, _) = Wal::open(Arc::new(fs.clone()), Path::new("wal"), options).unwrap();
    for payload in [&b"a column"[..], b"", b"another column", b"the last one, a little longer"] {
        wal.append(495_000, 1, 0, payload).unwrap();
        wal.commit().unwrap();
    }
    let mut paths = fs.paths();
    paths.sort();
    paths.iter().map(|path| fs.content(path).unwrap()).collect()
}
