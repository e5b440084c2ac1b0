//! Whole replays against a node in this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{Change, Counts};

use super::error::ReplayError;
use super::fake_node_test::{FakeNode, Faults};
use super::report::Report;
use super::run::{Bars, Limits, replay};
use super::*;

const NOW_MS: u64 = 1_800_000_007_654;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: ReplayArgs,
}

fn args(file: &Path, node: &FakeNode, more: &[&str]) -> ReplayArgs {
    let (file, address) = (file.to_str().unwrap(), node.address.to_string());
    let all = [&["replay", file, "--to", &address], more].concat();
    Cli::try_parse_from(all).unwrap().args
}

fn limits() -> Limits {
    Limits { patience: Duration::from_secs(20), ..Limits::default() }
}

async fn run_with(args: &ReplayArgs, limits: Limits) -> (Report, Result<(), ReplayError>) {
    let (mut report, clock) = (Report::default(), ManualClock::at(NOW_MS));
    let outcome = replay(args, &clock, limits, Bars { shown: false }, &mut report).await;
    (report, outcome)
}

async fn run(args: &ReplayArgs) -> (Report, Result<(), ReplayError>) {
    run_with(args, limits()).await
}

/// A CSV in a folder of its own.
struct Trace {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn trace(text: &str) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    std::fs::write(&path, text).unwrap();
    Trace { _folder: folder, path }
}

/// Twelve accesses in five windows of ten seconds, the fourth of them idle; one line is refused.
const TINY: &str = "time,key,op,size\n\
    1000,a,r,5\n1001,b,w,7\n1009,c,r,1\n1010,a,w,2\n1011,x,r,3\nnonsense,x,r,3\n1019,b,r,0\n\
    1020,a,r,5\n1021,z,w,9\n1025,m,w,1\n1040,a,r,1\n1041,b,r,1\n1049,zz,w,4\n";
const TINY_OPTIONS: [&str; 6] = ["--size-column", "size", "--step", "10s", "--routes", "4"];

#[tokio::test]
async fn a_tiny_trace_arrives_exactly() {
    let node = FakeNode::start(Faults::default()).await;
    let trace = trace(TINY);
    let (report, outcome) = run(&args(&trace.path, &node, &TINY_OPTIONS)).await;
    outcome.unwrap();
    assert_eq!(node.total(), Counts { reads: 7, writes: 5, read_bytes: 23, write_bytes: 29 });
    let state = node.state.lock().unwrap();
    let windows: Vec<_> = state.windows.iter().map(|(at, times)| (at / 1000, *times)).collect();
    assert_eq!(windows, [(1000, 1), (1010, 1), (1020, 1), (1030, 1), (1040, 1)]);
    let [creation] = &state.transitions[..] else { panic!("{:?}", state.transitions) };
    assert_eq!((creation.hlc.0, creation.group), (1_000_000 << 16, 1));
    let Change::Create { routes } = &creation.change else { panic!("{creation:?}") };
    assert_eq!(routes.iter().map(|route| route.route).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(routes[0].range.start().is_empty() && routes[3].range.end().is_empty());
    assert!(routes.is_sorted_by(|a, b| a.range.touches(&b.range)));
    assert_eq!(state.leaves, 1);
    let text = report.to_string();
    for line in [
        "accesses:  12 read: 7 reads, 5 writes",
        "bytes:     23 read, 29 written (keys included)",
        "refused:   1 lines",
        "           line 7: the time `nonsense` is not a decimal number of seconds",
        "windows:   5 of 10s, first 1970-01-01T00:16:40Z, last 1970-01-01T00:17:20Z",
        "routes:    4",
        "sent:      5 columns over 1 connections",
        "stored:    7 entries acknowledged (columns, routes, leave), 0 of them duplicates",
        "verified: 80 cells equal",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_order_of_the_lines_does_not_matter() {
    let mut lines: Vec<String> = (0..3_000_u64)
        .map(|i| {
            let op = if i % 3 == 0 { "w" } else { "r" };
            format!("{},k{:03},{op},{}", 5_000 + i / 7, i * 7919 % 200, i % 50)
        })
        .collect();
    let text = |lines: &[String]| format!("time,key,op,size\n{}\n", lines.join("\n"));
    let sorted = trace(&text(&lines));
    lines.sort_by_key(|line| line.bytes().fold(7_u64, |h, b| h.wrapping_mul(31) ^ u64::from(b)));
    let shuffled = trace(&text(&lines));
    let mut cells = Vec::new();
    // In memory, and in many runs on disk.
    for (trace, sort_bytes) in [(&sorted, 1 << 20), (&shuffled, 1 << 20), (&shuffled, 9_000)] {
        let node = FakeNode::start(Faults::default()).await;
        let limits = Limits { sort_bytes, ..limits() };
        let (report, outcome) = run_with(&args(&trace.path, &node, &TINY_OPTIONS), limits).await;
        outcome.unwrap();
        assert_eq!(report.verified.unwrap().cells, 43 * 4 * 4);
        let mut state = node.state.lock().unwrap();
        assert!(state.windows.values().all(|times| *times == 1), "one column a window");
        cells.push(std::mem::take(&mut state.cells));
    }
    assert_eq!(cells[0], cells[1]);
    assert_eq!(cells[0], cells[2]);
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_where_it_ended() {
    let faults = Faults { cut_before: vec![1, 30], cut_after: vec![2, 50], ..Faults::default() };
    let node = FakeNode::start(faults).await;
    let (report, outcome) = run(&small_trace_args(&node)).await;
    outcome.unwrap();
    assert_small_totals(&node);
    let sent = report.sent.unwrap();
    assert_eq!((sent.columns, sent.acknowledged), (120, 122));
    assert_eq!(sent.duplicates, 2, "the two whose acknowledgement was lost");
    assert_eq!(sent.connections, 4, "the first cut met the probe");
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let node = FakeNode::start(Faults::default()).await;
    let args = small_trace_args(&node);
    for duplicates in [0, 122, 122] {
        let (report, outcome) = run(&args).await;
        outcome.unwrap();
        assert_small_totals(&node);
        let sent = report.sent.unwrap();
        assert_eq!((sent.acknowledged, sent.duplicates), (122, duplicates));
    }
    let state = node.state.lock().unwrap();
    assert_eq!((state.transitions.len(), state.leaves, state.probes), (1, 1, 1));
}

#[tokio::test]
async fn a_refusal_ends_the_replay_before_anything_is_stored() {
    let faults = Faults { oldest_ms: 1_700_000_600_000, ..Faults::default() };
    let node = FakeNode::start(faults).await;
    let (report, outcome) = run(&small_trace_args(&node)).await;
    let error = outcome.unwrap_err().to_string();
    let address = node.address.to_string();
    for part in ["older than the retention", "--shift-to-now", "--retention", &address] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    {
        let mut state = node.state.lock().unwrap();
        assert!(state.transitions.is_empty() && state.leaves == 0);
        state.faults.oldest_ms = 0;
    }
    assert_eq!(node.total(), Counts::default());
    assert!(report.verified.is_none());
    assert!(report.to_string().contains("2209 reads"), "what was read is shown: {report}");
    // The retention was raised.
    run(&small_trace_args(&node)).await.1.unwrap();
    assert_small_totals(&node);
}

#[tokio::test]
async fn a_refusal_in_the_middle_ends_the_replay() {
    let node = FakeNode::start(Faults::default()).await;
    node.state.lock().unwrap().faults.refuses_window_ms = Some(1_700_000_300_000);
    let (report, outcome) = run(&small_trace_args(&node)).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, ReplayError::Refused { entries: 1, .. }), "{error}");
    assert!(report.sent.is_some() && report.verified.is_none());
}

#[tokio::test]
async fn an_abort_ends_the_replay_and_its_entry_is_consumed() {
    let node = FakeNode::start(Faults { aborts_transitions: true, ..Faults::default() }).await;
    let (report, outcome) = run(&small_trace_args(&node)).await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, ReplayError::Refused { entries: 1, rows: 0, reason, .. } if reason == "decide again"),
        "{error}"
    );
    assert!(report.sent.is_none() && report.verified.is_none(), "no column followed");
    assert_eq!(node.total(), Counts::default());
}

#[tokio::test]
async fn shifted_to_now_the_trace_ends_with_the_last_complete_window() {
    let node = FakeNode::start(Faults::default()).await;
    let trace = trace(TINY);
    let args = args(&trace.path, &node, &[&TINY_OPTIONS[..], &["--shift-to-now"]].concat());
    let (report, outcome) = run(&args).await;
    outcome.unwrap();
    let state = node.state.lock().unwrap();
    assert_eq!(*state.windows.keys().last().unwrap(), 1_799_999_990_000);
    assert_eq!(state.windows.len(), 5);
    assert!(report.to_string().contains("last 2027-01-15T07:59:50Z"), "{report}");
}

#[tokio::test]
async fn a_node_that_loses_a_cell_is_found_out() {
    for faults in [
        Faults { loses_cell: Some(2), ..Faults::default() },
        Faults { loses_window_ms: Some(1_700_000_550_000), ..Faults::default() },
    ] {
        let node = FakeNode::start(faults.clone()).await;
        let (report, outcome) = run(&small_trace_args(&node)).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, ReplayError::Different { cells: 7_680, .. }), "{error}");
        let verified = report.verified.as_ref().unwrap();
        assert_eq!(verified.differences.len(), 10);
        let text = report.to_string();
        if faults.loses_cell.is_some() {
            assert!(text.contains(", stored 0"), "{text}");
        } else {
            assert_eq!(verified.different, 16 * 4, "an idle window that nobody recorded");
            assert!(text.contains("2023-11-14T22:22:30Z (-inf, "), "{text}");
            assert!(text.contains("reads: read 0, stored nothing recorded"), "{text}");
        }
    }
}

#[tokio::test]
async fn other_traffic_in_the_same_cells_is_a_difference() {
    let node = FakeNode::start(Faults::default()).await;
    let trace = trace(TINY);
    run(&args(&trace.path, &node, &TINY_OPTIONS)).await.1.unwrap();
    let other = [&TINY_OPTIONS[..], &["--node-id", "other"]].concat();
    let (report, outcome) = run(&args(&trace.path, &node, &other)).await;
    assert!(outcome.unwrap_err().to_string().contains("--group"));
    let first = &report.verified.unwrap().differences[0];
    assert_eq!(first.stored, Some(first.expected * 2));
    let own_group = [&other[..], &["--group", "7"]].concat();
    run(&args(&trace.path, &node, &own_group)).await.1.unwrap();
}

#[tokio::test]
async fn a_coarser_answer_is_compared_in_its_own_columns() {
    let faults = Faults { answer_step_ms: Some(60_000), ..Faults::default() };
    let node = FakeNode::start(faults).await;
    let (report, outcome) = run(&small_trace_args(&node)).await;
    outcome.unwrap();
    let verified = report.verified.as_ref().unwrap();
    assert_eq!(verified.cells, 21 * 16 * 4, "the trace begins and ends within a minute");
    assert!(report.to_string().contains("in columns of 1m"), "{report}");
    let faults = Faults { answer_step_ms: Some(15_000), ..Faults::default() };
    let (_, outcome) = run(&small_trace_args(&FakeNode::start(faults).await)).await;
    assert!(outcome.unwrap_err().to_string().contains("do not fit"));
}

#[tokio::test]
async fn rows_that_were_joined_are_asked_for_again() {
    let faults = Faults { most_rows: Some(5), ..Faults::default() };
    let node = FakeNode::start(faults).await;
    let (report, outcome) = run(&small_trace_args(&node)).await;
    outcome.unwrap();
    assert_eq!(report.verified.unwrap().cells, 120 * 16 * 4);
    assert_eq!(node.state.lock().unwrap().questions, 4 * 7, "16, 2 of 8, 4 of 4");
}

#[tokio::test]
async fn patience_ends() {
    let trace = trace(TINY);
    let limits = Limits { patience: Duration::from_secs(1), ..Limits::default() };
    let node = FakeNode::start(Faults { silent: true, ..Faults::default() }).await;
    let (_, outcome) = run_with(&args(&trace.path, &node, &TINY_OPTIONS), limits).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("acknowledged nothing for 1 s while 1 entries wait"), "{error}");
    let mut nowhere = args(&trace.path, &node, &TINY_OPTIONS);
    nowhere.to = "127.0.0.1:1".to_owned();
    let (_, outcome) = run_with(&nowhere, limits).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1 could not be reached for 1 s"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_replayed_says_why() {
    let node = FakeNode::start(Faults::default()).await;
    for (text, parts) in [
        ("time,key,op\n", &["no access", "0 lines were refused"][..]),
        ("time,key,op\n1,a,?\n", &["1 lines were refused, the first is line 2", "--read"]),
        ("time,key,op\n1,a,r\n1700000000000,b,r\n", &["line 3", "--time-unit"]),
        ("time,key,op\n1,a,r\n1700000000,b,r\n", &["28333334 windows", "line 2", "line 3"]),
        (
            "time,key,op\n1799999999,a,r\n1800000400,b,r\n1800000000,b,r\n",
            &["line 3", "--shift-to-now"],
        ),
        ("when,key,op\n1,a,r\n", &["no column `time`"]),
    ] {
        let trace = trace(text);
        let (_, outcome) = run(&args(&trace.path, &node, &[])).await;
        let error = outcome.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let cells = Limits { max_cells: 3, ..limits() };
    let trace = trace(TINY);
    let (_, outcome) = run_with(&args(&trace.path, &node, &TINY_OPTIONS), cells).await;
    assert!(outcome.unwrap_err().to_string().contains("more than 3 cells"));
    assert_eq!(node.state.lock().unwrap().leaves, 0);
}

#[tokio::test]
async fn routes_come_from_a_file() {
    let node = FakeNode::start(Faults::default()).await;
    let trace = trace(TINY);
    let routes = trace.path.with_file_name("routes");
    std::fs::write(&routes, "b\n0x7a\n").unwrap();
    let options = ["--step", "10s", "--routes-file", routes.to_str().unwrap()];
    run(&args(&trace.path, &node, &options)).await.1.unwrap();
    let state = node.state.lock().unwrap();
    let mut reads = BTreeMap::new();
    for ((_, range, _), counts) in &state.cells {
        *reads.entry(range.to_string()).or_insert(0) += counts.reads + counts.writes;
    }
    let expected = [("(-inf, b)", 4), ("[b, z)", 6), ("[z, +inf)", 2)];
    assert_eq!(reads, expected.map(|(range, count)| (range.to_owned(), count)).into());
}

#[test]
fn arguments_have_bounds() {
    for bad in [
        &["--step", "7s"][..],
        &["--step", "1h"],
        &["--step", "1500us"],
        &["--routes", "0"],
        &["--routes", "10001"],
        &["--group", "0"],
        &["--routes", "3", "--routes-file", "x"],
    ] {
        let all = [&["replay", "a.csv"], bad].concat();
        assert!(Cli::try_parse_from(all).is_err(), "{bad:?}");
    }
    let args = Cli::try_parse_from(["replay", "-", "--routes-file", "x"]).unwrap().args;
    assert_eq!((args.step.ms(), args.routes, args.group), (60_000, 64, 1));
}

/// How a block trace is read, with `more`.
fn block_args(file: &Path, node: &FakeNode, more: &str) -> ReplayArgs {
    let options = "--time-column time --key-column lbn --key-encoding u64be --op-column op \
                   --read 28 --write 2a --size-column size --step 10s";
    let options: Vec<&str> = options.split_whitespace().chain(more.split_whitespace()).collect();
    args(file, node, &options)
}

fn small_trace_args(node: &FakeNode) -> ReplayArgs {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/small-trace.csv.gz");
    block_args(&path, node, "--routes 16")
}

/// As stated in `tests/data/README.md`.
fn assert_small_totals(node: &FakeNode) {
    let (read_bytes, write_bytes) = (55_284_488, 11_110_040);
    assert_eq!(node.total(), Counts { reads: 2_209, writes: 1_939, read_bytes, write_bytes });
}

#[tokio::test]
async fn the_small_trace_arrives_exactly() {
    let node = FakeNode::start(Faults::default()).await;
    let (report, outcome) = run(&small_trace_args(&node)).await;
    outcome.unwrap();
    assert_small_totals(&node);
    assert!(report.to_string().contains("verified: 7680 cells equal"), "{report}");
}

#[tokio::test]
async fn the_real_trace_arrives_exactly() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces/block-io-2h.csv.gz");
    if !path.exists() {
        eprintln!("skipped: the trace {} is not there", path.display());
        return;
    }
    let node = FakeNode::start(Faults::default()).await;
    let (report, outcome) = run(&block_args(&path, &node, "--routes 64")).await;
    outcome.unwrap();
    let (read_bytes, write_bytes) = (1_797_788_144, 2_409_100_944);
    assert_eq!(node.total(), Counts { reads: 46_974, writes: 66_898, read_bytes, write_bytes });
    assert!(report.to_string().contains("verified: 184576 cells equal"), "{report}");
}
