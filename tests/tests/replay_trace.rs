//! Property: `keyviz replay` stores exactly what a trace holds, `keyviz query` shows it, and
//! replaying the same file again changes nothing.
//!
//! The small trace is the project's own (`tests/data/README.md` states its totals). The large one,
//! two hours of a production machine's disk, is used where it lies beside the checkout.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyviz_tests::ledger::SERIES;
use keyviz_tests::process::{Node, NodeSpec, command};
use keyviz_tests::skipped;
use serde_json::Value;

/// Totals in the order of [`SERIES`].
type Totals = [u64; 4];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// What the rows of `keyviz query -o json` count, and the commands' output for messages.
fn shown(node: &Node) -> Totals {
    SERIES.map(|series| {
        let output = command("keyviz")
            .args(["query", "--endpoint", &node.grpc, "--series", series, "-o", "json"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("no rows: {said}"));
        let sum = |row: &Value, name: &str| -> u64 {
            row[name].as_array().into_iter().flatten().map(|value| value.as_u64().unwrap()).sum()
        };
        rows.iter().map(|row| sum(row, "values") - sum(row, "inherited")).sum()
    })
}

fn replay_command(node: &Node, trace: &Path) -> Command {
    let mut command = command("keyviz");
    command
        .arg("replay")
        .arg(trace)
        .args(["--time-column", "time", "--key-column", "lbn", "--key-encoding", "u64be"])
        .args(["--op-column", "op", "--read", "28", "--write", "2a", "--size-column", "size"])
        .args(["--step", "10s", "--routes", "64", "--to", &node.grpc]);
    command
}

/// Replays the trace. Returns what it printed.
fn replay(node: &Node, trace: &Path) -> String {
    let output = replay_command(node, trace).output().unwrap();
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(output.status.success(), "{said}");
    said
}

fn is_stored_once(trace: &Path, expected: Totals) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).with("--retention=36500d");
    let node = spec.start();
    eprintln!("{}", replay(&node, trace));
    assert_eq!(shown(&node), expected, "{SERIES:?} of {}", trace.display());

    let columns = node.metric("keyviz_ingest_columns_total");
    eprintln!("again: {}", replay(&node, trace));
    assert_eq!(shown(&node), expected, "replayed again");
    assert_eq!(node.metric("keyviz_ingest_columns_total"), columns, "nothing new was stored");

    node.process.kill();
    let node = spec.start();
    assert_eq!(shown(&node), expected, "after SIGKILL");
    replay(&node, trace);
    assert_eq!(shown(&node), expected, "replayed again after SIGKILL");
    spec.assert_no_panic();
}

/// The sums of a trace `version,time,op,size,lbn`: a key of 8 bytes and the size, each.
fn totals_of(trace: &Path) -> Totals {
    let mut text = String::new();
    let file = std::fs::File::open(trace).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut totals = Totals::default();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, _, op, size, _] = fields[..] else { panic!("not five fields: {line:?}") };
        let at = match op {
            "28" => 0,
            "2a" => 1,
            _ => panic!("neither read nor write: {line:?}"),
        };
        totals[at] += 1;
        totals[at + 2] += 8 + size.parse::<u64>().unwrap();
    }
    totals
}

#[test]
fn the_small_trace_is_stored_exactly_and_once() {
    let trace = data("small-trace.csv.gz");
    let totals = totals_of(&trace);
    let readme = std::fs::read_to_string(data("README.md")).unwrap().replace(',', "");
    for total in totals {
        assert!(readme.contains(&total.to_string()), "tests/data/README.md does not state {total}");
    }
    is_stored_once(&trace, totals);
}

/// A node that does not keep times as old as the trace's refuses them, and the replay says so.
#[test]
fn a_trace_older_than_the_retention_is_refused_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let output = replay_command(&node, &data("small-trace.csv.gz")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("retention") && !said.contains("panicked"), "{said}");
    assert_eq!(shown(&node), [0; 4]);
    spec.assert_no_panic();
}

#[test]
fn the_block_trace_is_stored_exactly_and_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let trace = root.join("shared/traces/block-io-2h.csv.gz");
    if !trace.is_file() {
        return skipped("there is no ../shared/traces/block-io-2h.csv.gz");
    }
    let expected = [46_974, 66_898, 1_797_788_144, 2_409_100_944];
    assert_eq!(totals_of(&trace), expected, "the trace is another one");
    is_stored_once(&trace, expected);
}
