//! Property: whatever bit flips, or whatever is missing, in the files of the store is found and said
//! with the key or the file; what is not hit is served, and nothing that is hit looks whole.
//!
//! A node either starts, and then each answer is the right one or says `PARTIAL` and names what it could
//! not read (its cells are at most as large as they were, and no lost one is drawn as measured or idle);
//! or it refuses with one line that names the folder and the file, and leaves it as it was.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use keyviz_tests::columns::Poster;
use keyviz_tests::http;
use keyviz_tests::ledger::SERIES;
use keyviz_tests::matrix::{MATRIX, numbers};
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec};
use keyviz_tests::rng::{Rng, seed};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

const ROWS: u64 = 300;
const COLUMNS: u64 = 40;

/// A folder that was left in order, and what it answered.
struct Healthy {
    _folder: TempDir,
    data_dir: PathBuf,
    span: (u64, u64),
    answers: Vec<Value>,
    poster: Poster,
}

impl Healthy {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = NodeSpec::new(folder.path());
        let first_ms = now_ms() / 3_600_000 * 3_600_000 - 7_200_000;
        let node = spec.start();
        let mut poster = Poster::new("poster", first_ms);
        for _ in 0..COLUMNS {
            poster.post_next(&node.http, ROWS);
        }
        assert!(node.process.stop(Signal::SIGTERM).success());
        // The next hour, in a file of its own.
        let node = spec.start();
        poster.window_ms = first_ms + 3_600_000;
        for _ in 0..COLUMNS {
            poster.post_next(&node.http, ROWS);
        }
        let span = (first_ms, poster.window_ms);
        let answers = SERIES.map(|series| ask(&node, span, series)).to_vec();
        assert!(
            answers.iter().all(|answer| answer["status"] == "OK"),
            "{}",
            answers[0]["warnings"]
        );
        assert!(node.process.stop(Signal::SIGTERM).success());
        Self { data_dir: spec.data_dir, _folder: folder, span, answers, poster }
    }

    /// A copy to be spoiled.
    fn copy(&self) -> (TempDir, NodeSpec) {
        let folder = tempfile::tempdir().unwrap();
        let spec = NodeSpec::new(folder.path());
        copy(&self.data_dir, &spec.data_dir);
        (folder, spec)
    }

    /// The files of the store whose name holds `part`.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data_dir.join("db")).unwrap();
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.file_name().unwrap().to_str().unwrap().contains(part));
        found.retain(|path| fs::metadata(path).unwrap().len() > 0);
        found.sort();
        assert!(!found.is_empty(), "no {part}");
        found.iter().map(|path| path.strip_prefix(&self.data_dir).unwrap().to_owned()).collect()
    }

    /// Starts `spec` and judges it. Returns whether it serves, and whether something is lost.
    fn judge(&self, spec: &NodeSpec, what: &str) -> Fate {
        let before = bytes_of(&spec.data_dir.join("db"));
        let fate = match spec.try_start() {
            Ok(node) => self.judge_answers(&node, spec, what),
            Err(mut process) => {
                assert_eq!(process.wait().code(), Some(1), "{what}");
                let text = spec.log_text();
                let line = text.lines().find(|line| line.starts_with("keyviz: "));
                let line = line.unwrap_or_else(|| panic!("{what}: {text}"));
                assert!(line.contains(spec.data_dir.to_str().unwrap()), "{what}: {line}");
                assert!(line.contains("backup"), "{what}: it says what to do: {line}");
                Fate::Refused(line.to_owned())
            }
        };
        spec.assert_no_panic();
        if let Fate::Refused(_) = fate {
            let after = bytes_of(&spec.data_dir.join("db"));
            let changed: Vec<_> =
                before.iter().filter(|(path, bytes)| after.get(*path) != Some(*bytes)).collect();
            assert!(
                changed.is_empty(),
                "{what}: {:?}",
                changed.iter().map(|c| c.0).collect::<Vec<_>>()
            );
        }
        fate
    }

    fn judge_answers(&self, node: &Node, spec: &NodeSpec, what: &str) -> Fate {
        let mut lost = 0;
        for (series, right) in SERIES.iter().zip(&self.answers) {
            let answer = ask(node, self.span, series);
            let warnings = answer["warnings"].as_array().unwrap();
            let is_same = answer["rows"] == right["rows"];
            if answer["status"] == "OK" {
                let said = spec.log_text();
                let is_told = said.contains("damage in the store") || said.contains("damaged");
                assert!(is_same || is_told, "{what}: {series} differs, and nothing is said");
                assert!(is_same || missing_rows(right, &answer), "{what}: {series}: cells differ");
                continue;
            }
            assert!(!warnings.is_empty(), "{what}: {series}");
            for warning in warnings {
                let text = warning.as_str().unwrap();
                assert!(text.contains("keyviz|") || text.contains(".sst"), "{what}: {text}");
            }
            lost += no_more_than(right, &answer, what);
        }
        Fate::Serves { lost }
    }
}

#[derive(Debug)]
enum Fate {
    Serves { lost: u64 },
    Refused(String),
}

fn ask(node: &Node, (from, to): (u64, u64), series: &str) -> Value {
    let path = format!(
        "{MATRIX}?as_of=union&step_ms=1000&rows=1024&series={series}&from_unix_ms={from}&to_unix_ms={to}"
    );
    http::get(&node.http, &path).ok()
}

/// Rows by their keys: values and states, a state a column.
fn rows_of(answer: &Value) -> Vec<(String, Vec<u64>, Vec<String>)> {
    let rows = answer["rows"].as_array().unwrap().iter().map(|row| {
        let mut states = Vec::new();
        for run in row["states"].as_array().unwrap() {
            let state = run[0].as_str().unwrap().to_owned();
            states.extend(std::iter::repeat_n(state, run[1].as_u64().unwrap() as usize));
        }
        (format!("{} {}", row["start"], row["end"]), numbers(&row["values"]), states)
    });
    rows.collect()
}

/// Whether `answer` is `right` but for rows that are not there (their lineage was lost).
fn missing_rows(right: &Value, answer: &Value) -> bool {
    let right = rows_of(right);
    rows_of(answer).iter().all(|row| right.contains(row))
}

/// Each cell is the right one, or smaller and not drawn as whole. Returns how many are smaller.
fn no_more_than(right: &Value, answer: &Value, what: &str) -> u64 {
    let right = rows_of(right);
    let mut lost = 0;
    for (key, values, states) in rows_of(answer) {
        // A stand-in for a lost record may show a row twice.
        let Some((_, expected, _)) = right.iter().find(|(other, ..)| *other == key) else {
            continue;
        };
        for (at, (value, expected)) in values.iter().zip(expected).enumerate() {
            assert!(value <= expected, "{what}: {key}, column {at}: {value} > {expected}");
            if value < expected {
                let state = states[at].as_str();
                assert!(
                    state != "measured" && state != "idle",
                    "{what}: {key}, column {at}: {state}"
                );
                lost += 1;
            }
        }
    }
    lost
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// What must not change when a start is refused.
fn bytes_of(db: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(db).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| path.extension().is_some_and(|e| e == "sst" || e == "log"));
    kept.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn flip(file: &Path, at: usize, bit: u32) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
}

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
        let limit = std::time::Duration::from_secs(20);
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
