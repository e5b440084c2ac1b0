//! A folder that was left in order, what it answered, and the judgement of a spoiled copy of it.
//!
//! A node on a spoiled copy either starts, and then each answer is the right one or says `PARTIAL` and
//! names what it could not read (its cells are at most as large as they were, and no lost one is drawn as
//! measured or idle); or it refuses with one line that names the folder and the file, and leaves it as it
//! was.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::columns::Poster;
use crate::golden::copy;
use crate::http;
use crate::ledger::SERIES;
use crate::matrix::{MATRIX, numbers};
use crate::now_ms;
use crate::process::{Node, NodeSpec};

/// Rows of each column.
pub const ROWS: u64 = 300;
/// Columns of each of the two hours.
pub const COLUMNS: u64 = 40;

/// A folder that was left in order, and what it answered.
#[derive(Debug)]
pub struct Healthy {
    _folder: TempDir,
    /// The folder.
    pub data_dir: PathBuf,
    /// Of what is asked.
    pub span: (u64, u64),
    /// The matrix of each series.
    pub answers: Vec<Value>,
    /// Who told it all.
    pub poster: Poster,
}

impl Healthy {
    /// Makes one: two hours of columns, in files of their own.
    pub fn make() -> Self {
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
    pub fn copy(&self) -> (TempDir, NodeSpec) {
        let folder = tempfile::tempdir().unwrap();
        let spec = NodeSpec::new(folder.path());
        copy(&self.data_dir, &spec.data_dir);
        (folder, spec)
    }

    /// The files of the store whose name holds `part`.
    pub fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data_dir.join("db")).unwrap();
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.file_name().unwrap().to_str().unwrap().contains(part));
        found.retain(|path| fs::metadata(path).unwrap().len() > 0);
        found.sort();
        assert!(!found.is_empty(), "no {part}");
        found.iter().map(|path| path.strip_prefix(&self.data_dir).unwrap().to_owned()).collect()
    }

    /// Starts `spec` and judges it. Returns whether it serves, and whether something is lost.
    pub fn judge(&self, spec: &NodeSpec, what: &str) -> Fate {
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

    /// Starts `spec` once more, after it has served: RocksDB may want to merge a damaged file by then, and
    /// takes no writes from there on. So it serves as before, or it ends with a line that names the file.
    pub fn judge_again(&self, spec: &NodeSpec, what: &str) {
        match spec.try_start() {
            Ok(node) => drop(self.judge_answers(&node, spec, what)),
            Err(mut process) => {
                assert_eq!(process.wait().code(), Some(1), "{what}");
                let text = spec.log_text();
                let line = text.lines().rfind(|line| line.starts_with("keyviz: "));
                let line = line.unwrap_or_else(|| panic!("{what}: {text}"));
                assert!(line.contains(".sst") && line.contains("backup"), "{what}: {line}");
            }
        }
        spec.assert_no_panic();
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
                let is_whole = is_same || missing_rows(right, &answer);
                assert!(
                    is_whole || no_more_than(right, &answer, what) == 0,
                    "{what}: {series}: cells differ"
                );
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

/// What became of a start on a spoiled copy.
#[derive(Debug)]
pub enum Fate {
    /// It serves; so many cells of all series are smaller than they were, and said to be.
    Serves {
        /// How many.
        lost: u64,
    },
    /// It refused, with this line.
    Refused(String),
}

/// The matrix of one series, a column a second.
pub fn ask(node: &Node, (from, to): (u64, u64), series: &str) -> Value {
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
///
/// A lineage whose record was lost has a stand-in, and another lineage of the same keys once its route goes
/// on: what one of the rows shows is there.
pub fn no_more_than(right: &Value, answer: &Value, what: &str) -> u64 {
    let answered = rows_of(answer);
    let mut lost = 0;
    for (key, expected, _) in rows_of(right) {
        let rows: Vec<_> = answered.iter().filter(|(other, ..)| *other == key).collect();
        for (at, &expected) in expected.iter().enumerate() {
            // A shorter span was asked for.
            let shown = rows.iter().filter_map(|(_, values, _)| values.get(at).copied()).max();
            let Some(shown) = shown else { continue };
            assert!(shown <= expected, "{what}: {key}, column {at}: {shown} > {expected}");
            if shown < expected {
                let states: Vec<&str> =
                    rows.iter().map(|(.., states)| states[at].as_str()).collect();
                let is_said = states.iter().any(|&state| state != "measured" && state != "idle");
                assert!(is_said, "{what}: {key}, column {at}: {states:?}");
                lost += 1;
            }
        }
    }
    lost
}

/// What must not change when a start is refused.
fn bytes_of(db: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(db).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| path.extension().is_some_and(|e| e == "sst" || e == "log"));
    kept.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Flips one bit.
pub fn flip(file: &Path, at: usize, bit: u32) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
}
