//! What is taken from an answer, and what is not.

use blake2::Digest as _;
use keyviz_lineage::Step;

use super::super::input::{Access, Op};
use super::super::plan::Shape;
use super::super::routes::Routes;
use super::super::survey::Moment;
use super::super::trace_file::Digest256;
use super::*;

/// Three windows of 10 s from 100 s on, two routes; 4 writes on the second one in the second window.
fn fixture() -> (Plan, Ledger) {
    let shape = Shape {
        step: Step::from_ms(10_000).unwrap(),
        group: 3,
        node: "n".to_owned(),
        digest_text: "",
        now_ms: 1_000_000,
        shift_to_now: false,
        max_windows: 100,
    };
    let span = (Moment { time_ms: 100_000, line: 1 }, Moment { time_ms: 129_000, line: 1 });
    let routes = Routes::between(&[b"m".to_vec()]).unwrap();
    let plan = Plan::new(span, routes, Digest256::new(), shape).unwrap();
    let mut ledger = Ledger::new(2, 100);
    for window in 0..3 {
        for _ in 0..if window == 1 { 4 } else { 0 } {
            let key = b"z".to_vec();
            ledger.add(1, &Access { time_ms: 0, key, op: Op::Write, size_bytes: 0, line: 1 });
        }
        ledger.close().unwrap();
    }
    (plan, ledger)
}

fn row(start: &str, end: &str, group: u64, values: &[u64]) -> wire::MatrixRow {
    wire::MatrixRow {
        start: start.as_bytes().to_vec().into(),
        end: end.as_bytes().to_vec().into(),
        raft_group_ids: vec![group],
        values: values.to_vec(),
        states: vec![0; values.len()].into(),
        ..wire::MatrixRow::default()
    }
}

fn answer(columns_s: &[i64], rows: Vec<wire::MatrixRow>) -> wire::GetMatrixResponse {
    wire::GetMatrixResponse {
        step_ms: 10_000,
        column_unix_ms: columns_s.iter().map(|at| at * 1_000).collect(),
        rows,
        ..wire::GetMatrixResponse::default()
    }
}

/// Compares the writes of everything.
fn compare(answer: &wire::GetMatrixResponse) -> Result<Verified, String> {
    let (plan, ledger) = fixture();
    let (plan, ledger) = (&plan, &ledger);
    let block = Block { plan, ledger, series: Series::Writes, windows: 0..3, routes: 0..2 };
    let mut verified = Verified::default();
    Grid::read(answer, &block)?.compare(&block, &mut verified);
    Ok(verified)
}

fn different(answer: &wire::GetMatrixResponse) -> Vec<(u64, u64, Option<u64>)> {
    let verified = compare(answer).unwrap();
    assert_eq!((verified.cells, verified.different as usize), (6, verified.differences.len()));
    let cell = |d: &Difference| (d.window_ms / 1_000, d.expected, d.stored);
    verified.differences.iter().map(cell).collect()
}

#[test]
fn only_the_rows_of_the_route_and_the_group_count() {
    let mut inherits = row("m", "", 3, &[0, 9, 0]);
    inherits.inherited = vec![0, 5, 0];
    let mut whole = row("m", "", 3, &[7, 7, 7]);
    whole.aggregate = true;
    let rows = vec![
        row("", "m", 3, &[0, 0, 0]),
        row("m", "", 4, &[1, 1, 1]),
        row("m", "q", 3, &[1, 1, 1]),
        row("", "", 3, &[1, 1, 1]),
        inherits,
        whole,
    ];
    assert_eq!(different(&answer(&[100, 110, 120], rows)), []);
    let one_group =
        vec![row("", "m", 3, &[0, 0, 0]), row("m", "", 3, &[0, 1, 0]), row("m", "", 3, &[0, 3, 0])];
    assert_eq!(different(&answer(&[100, 110, 120], one_group)), [], "two lineages of one range");
}

#[test]
fn what_is_not_there_is_different() {
    let quiet = row("", "m", 3, &[0, 0, 0]);
    let rows = |values: &[u64]| vec![quiet.clone(), row("m", "", 3, values)];
    assert_eq!(
        different(&answer(&[100, 110, 120], rows(&[0, 3, 1]))),
        [(110, 4, Some(3)), (120, 0, Some(1)),]
    );
    let mut unrecorded = rows(&[0, 4, 0]);
    unrecorded[1].states = vec![2, 0, 5].into();
    assert_eq!(different(&answer(&[100, 110, 120], unrecorded)), [(100, 0, None), (120, 0, None)]);
    let hole = vec![row("", "m", 3, &[0, 0]), row("m", "", 3, &[0, 0])];
    let missing = [(110, 0, None), (110, 4, None)];
    assert_eq!(different(&answer(&[100, 120], hole)), missing, "the answer leaves a window out");
    assert_eq!(different(&answer(&[100, 110, 120], vec![quiet])), [(110, 4, None)], "no row");
}

#[test]
fn flags_are_counted() {
    let mut flagged = row("m", "", 3, &[0, 4, 0]);
    flagged.flags = vec![0, 64, 64];
    let answer = answer(&[100, 110, 120], vec![row("", "m", 3, &[0, 0, 0]), flagged]);
    let verified = compare(&answer).unwrap();
    assert_eq!((verified.flagged, verified.different), (2, 0));
}

#[test]
fn coarse_columns_stand_for_the_windows_in_them() {
    let rows = vec![row("", "m", 3, &[0, 0, 0]), row("m", "", 3, &[0, 4, 0])];
    let coarse = wire::GetMatrixResponse { step_ms: 20_000, ..answer(&[80, 100, 120], rows) };
    let verified = compare(&coarse).unwrap();
    let told = (verified.cells, verified.different, verified.coarser_step_ms);
    assert_eq!(told, (4, 0, Some(20_000)));
}

#[test]
fn a_coarse_column_belongs_to_the_block_of_its_first_window() {
    let (plan, ledger) = fixture();
    let (plan, ledger) = (&plan, &ledger);
    let rows = |values: &[u64]| vec![row("", "m", 3, &[0, 0]), row("m", "", 3, values)];
    let coarse = |values: &[u64]| wire::GetMatrixResponse {
        step_ms: 20_000,
        ..answer(&[100, 120], rows(values))
    };
    for (windows, values, cells, different) in [
        (0..1, [4, 0], 2, 0),
        (0..1, [3, 9], 2, 1),
        (1..3, [4, 0], 2, 0),
        (1..3, [9, 1], 2, 1),
        (1..2, [9, 9], 0, 0),
    ] {
        let block = Block { plan, ledger, series: Series::Writes, windows, routes: 0..2 };
        let mut verified = Verified::default();
        Grid::read(&coarse(&values), &block).unwrap().compare(&block, &mut verified);
        assert_eq!((verified.cells, verified.different), (cells, different), "{block:?}");
    }
}

#[test]
fn a_malformed_answer_is_an_error() {
    let mut short = row("m", "", 3, &[0, 4, 0]);
    short.states = vec![0].into();
    assert!(compare(&answer(&[100, 110, 120], vec![short])).is_err());
    assert!(compare(&answer(&[100, 110], vec![row("m", "", 3, &[1])])).is_err());
    for step_ms in [0, 5_000, 15_000] {
        let answer = wire::GetMatrixResponse { step_ms, ..answer(&[], Vec::new()) };
        assert!(compare(&answer).unwrap_err().contains("do not fit"));
    }
}
