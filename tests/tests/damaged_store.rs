//! Property: whatever bit flips, or whatever is missing, in the files of the store is found and said
//! with the key or the file; what is not hit is served, and nothing that is hit looks whole.
//!
//! A node either starts, and then each answer is the right one or says `PARTIAL` and names what it could
//! not read (its cells are at most as large as they were, and no lost one is drawn as measured or idle);
//! or it refuses with one line that names the folder and the file, and leaves it as it was.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::fs::{self, File};
use std::path::PathBuf;

use keyviz_tests::columns::Poster;
use keyviz_tests::healthy::{COLUMNS, Fate, Healthy, ROWS, ask, flip, no_more_than};
use keyviz_tests::rng::{Rng, seed};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn a_flipped_bit_in_any_region_of_any_file_is_found() {
    let healthy = Healthy::make();
    let mut rng = Rng::new(seed());
    let (mut served, mut refused, mut whole) = (0, 0, 0);
    for (part, samples) in
        [(".sst", 12), (".log", 4), ("MANIFEST", 4), ("OPTIONS", 2), ("CURRENT", 3)]
    {
        for file in healthy.files(part) {
            let length = fs::metadata(healthy.data_dir.join(&file)).unwrap().len();
            // The first bytes, the last ones (footer, index, properties), and some in between.
            for sample in 0..samples {
                let at = match sample % 4 {
                    0 => rng.below(length.min(60)),
                    1 => length - 1 - rng.below(length.min(60)),
                    2 => length - 1 - rng.below(length.min(2_000)),
                    _ => rng.below(length),
                };
                let bit = rng.below(8) as u32;
                let what = format!("{} byte {at} of {length}, bit {bit}", file.display());
                let (_keep, spec) = healthy.copy();
                flip(&spec.data_dir.join(&file), at as usize, bit);
                match healthy.judge(&spec, &what) {
                    Fate::Serves { lost: 0 } => whole += 1,
                    Fate::Serves { .. } => served += 1,
                    Fate::Refused(line) => {
                        eprintln!("{what}: {line}");
                        refused += 1;
                    }
                }
            }
        }
    }
    eprintln!("{whole} answered whole, {served} served the rest, {refused} refused to start");
    assert!(served > 0, "no flip hit a block");
}

/// A length between two values has no checksum but RocksDB's. `KEYVIZ_FLIPS` says how many bits.
#[test]
fn bits_all_over_the_files_end_no_process_and_have_nothing_counted_twice() {
    let healthy = Healthy::make();
    let mut rng = Rng::new(seed());
    let files = healthy.files(".sst");
    let (mut served, mut refused) = (0, 0);
    for round in 0..keyviz_tests::number_from_env("KEYVIZ_FLIPS", 12) {
        // Each file as often: that of the second copies is small.
        let file = &files[round as usize % files.len()];
        let length = fs::metadata(healthy.data_dir.join(file)).unwrap().len();
        let (at, bit) = (rng.below(length), rng.below(8) as u32);
        let what = format!("{} byte {at} of {length}, bit {bit}", file.display());
        let (_keep, spec) = healthy.copy();
        flip(&spec.data_dir.join(file), at as usize, bit);
        if let Fate::Refused(_) = healthy.judge(&spec, &what) {
            refused += 1;
            continue;
        }
        served += 1;
        let Ok(node) = spec.try_start() else {
            healthy.judge_again(&spec, &what);
            continue;
        };
        // What is sent again was heard before, whatever was hit.
        let mut again = healthy.poster.clone();
        for sequence in [1, COLUMNS, 2 * COLUMNS] {
            let hour = (sequence - 1) / COLUMNS * 3_600_000;
            again.window_ms = healthy.span.0 + hour + (sequence - 1) % COLUMNS * 1_000;
            again.sequence = sequence;
            let answer = Poster::post(&node.http, &again.column(ROWS)).unwrap().ok();
            assert_eq!(answer["outcome"], "duplicate", "{what}: {sequence}: {answer}");
        }
        // What is new is taken, in an hour that was written before; unless RocksDB has met the damage while
        // merging, and a route whose record was lost needs another.
        let answer = Poster::post(&node.http, &healthy.poster.column(ROWS)).unwrap();
        let is_refused = answer.status == 503 && answer.text().contains(".sst");
        assert!(answer.status == 200 || is_refused, "{what}: {}", answer.brief());
        match rng.below(2) {
            0 => node.process.kill(),
            _ => assert!(node.process.stop(Signal::SIGTERM).success(), "{what}"),
        }
        healthy.judge_again(&spec, &what);
    }
    eprintln!("{served} served, {refused} refused to start");
    assert!(served > 0);
}

#[test]
fn a_file_that_is_missing_or_cut_is_named_and_left_alone() {
    let healthy = Healthy::make();
    for part in [".sst", "MANIFEST", "CURRENT", "OPTIONS", ".log"] {
        for file in healthy.files(part) {
            for cut in [None, Some(0), Some(1), Some(2)] {
                let (_keep, spec) = healthy.copy();
                let path = spec.data_dir.join(&file);
                let length = fs::metadata(&path).unwrap().len();
                match cut {
                    None => fs::remove_file(&path).unwrap(),
                    Some(halves) => {
                        let kept = [0, length / 2, length - 1][halves];
                        File::options().write(true).open(&path).unwrap().set_len(kept).unwrap();
                    }
                }
                let what = format!("{}, {cut:?}", file.display());
                let fate = healthy.judge(&spec, &what);
                eprintln!("{what}: {fate:?}");
                if part == ".sst" {
                    let Fate::Refused(line) = fate else { panic!("{what}: {fate:?}") };
                    let name = file.file_name().unwrap().to_str().unwrap();
                    assert!(line.contains(name), "{what}: {line}");
                }
            }
        }
    }
}

/// What is lost must go on being lost after new columns of its hour are merged over it: set aside, said,
/// and not drawn as idle.
#[test]
fn what_is_written_over_a_damaged_block_does_not_hide_that_it_was() {
    let healthy = Healthy::make();
    let mut rng = Rng::new(seed());
    let bytes = |file: &PathBuf| fs::metadata(healthy.data_dir.join(file)).unwrap().len();
    let file = healthy.files(".sst").into_iter().max_by_key(bytes).unwrap();
    let length = bytes(&file);
    // What is written later lies beyond it.
    let span = (healthy.span.0, healthy.span.0 + COLUMNS * 1_000);
    for round in 0.. {
        assert!(round < 50, "no flip hit a block");
        let (_keep, spec) = healthy.copy();
        let spec = spec.with("--persist-interval=1s");
        flip(&spec.data_dir.join(&file), (length / 4 + rng.below(length / 4)) as usize, 3);
        let Ok(node) = spec.try_start() else { continue };
        let before = ask(&node, span, "reads");
        if before["status"] == "OK" {
            continue;
        }
        let lost = no_more_than(&healthy.answers[0], &before, "before");
        // In the same hour, beyond the span: every block is written again.
        let mut poster = healthy.poster.clone();
        poster.window_ms = healthy.span.0 + COLUMNS * 1_000;
        poster.post_next(&node.http, ROWS);
        let limit = keyviz_tests::PATIENCE;
        keyviz_tests::wait_for("a checkpoint", limit, || {
            (node.metric("keyviz_persist_batches_total") > 0).then_some(())
        });
        let said = |answer: &Value| {
            let warnings = answer["warnings"].as_array().unwrap();
            warnings.iter().filter(|text| text.as_str().unwrap().contains("set aside")).count()
        };
        let after = ask(&node, span, "reads");
        assert_eq!(after["status"], "PARTIAL");
        assert!(said(&after) > 0, "{}", after["warnings"]);
        assert_eq!(no_more_than(&healthy.answers[0], &after, "after"), lost);
        assert_eq!(node.metric("keyviz_store_failing"), 0);
        node.process.kill();
        let node = spec.start();
        let again = ask(&node, span, "reads");
        assert_eq!((&again["rows"], said(&again)), (&after["rows"], said(&after)));
        spec.assert_no_panic();
        eprintln!("{lost} cells lost, {} blocks set aside", said(&after));
        return;
    }
}
