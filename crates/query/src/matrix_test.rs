//! The matrix against the model ([`crate::model_test`]), its conservation law, and its rules by name
//! ([`crate::rules_test`]).
//!
//! `KEYVIZ_QUERY_CASES=100000` runs more histories than the default.

use keyviz_lineage::{Flags, Series};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::matrix::matrix_within;
use crate::random_test::{history, question};
use crate::reading::Limits;
use crate::story_test::{Event, Story, Told, asked, story};
use crate::world_test::World;
use crate::{Continuity, Matrix, MatrixRequest, QueryError, matrix, model_test};

const DEFAULT_CASES: u32 = 10_000;
const QUESTIONS_PER_HISTORY: usize = 4;

fn cases(default: u32) -> u32 {
    std::env::var("KEYVIZ_QUERY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// Checks random questions of random histories.
pub(crate) fn run(check: impl Fn(&World, &MatrixRequest)) {
    run_cases(DEFAULT_CASES, check);
}

/// As [`run`], with another number of histories: always the same ones, unless more are asked for.
pub(crate) fn run_cases(default: u32, check: impl Fn(&World, &MatrixRequest)) {
    let strategy = (story(), prop::collection::vec(asked(), QUESTIONS_PER_HISTORY));
    let config = Config { cases: cases(default), failure_persistence: None, ..Config::default() };
    let mut runner = match (default == DEFAULT_CASES, std::env::var_os("KEYVIZ_QUERY_CASES")) {
        (false, None) => {
            TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        }
        _ => TestRunner::new(config),
    };
    let outcome = runner.run(&strategy, |(story, questions)| {
        let world = history(&story);
        for asked in &questions {
            check(&world, &question(&world, asked));
        }
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, (story, questions))) => {
            panic!("{reason}\n{story:?}\n{questions:?}")
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[test]
fn every_cell_flag_and_total_equals_the_models() {
    run(|world, request| equals_the_model(world, request, false));
}

#[test]
fn so_does_every_one_that_is_read_from_roll_ups() {
    run(|world, request| equals_the_model(world, request, true));
}

fn equals_the_model(world: &World, request: &MatrixRequest, rolls_up: bool) {
    let answer = ask(world, request, rolls_up);
    match model_test::answer(world, request, rolls_up) {
        None => {
            assert!(matches!(answer, Err(QueryError::EmptySpan { .. })), "{request:?}: {answer:?}");
        }
        Some(expected) => same(&answer.unwrap(), &expected, request),
    }
}

/// As if every question were wide.
fn in_parts() -> Limits {
    Limits { wide_hours: 0, parts: 3, threads: 2, ..Limits::default() }
}

/// Reads roll-ups wherever it may, and holds few sums at a time.
fn ask(
    world: &World,
    request: &MatrixRequest,
    rolls_up: bool,
) -> Result<crate::Matrix, QueryError> {
    match rolls_up {
        true => {
            let limits = Limits { narrow_sources: 0, scratch_units: 300, ..in_parts() };
            matrix_within(world, &world.graph, request, limits)
        }
        false if matches!(request.series, Series::Reads | Series::WriteBytes) => {
            matrix_within(world, &world.graph, request, in_parts())
        }
        false => matrix(world, &world.graph, request),
    }
}

/// Reports the first difference rather than two whole matrices.
fn same(answer: &Matrix, expected: &Matrix, request: &MatrixRequest) {
    assert_eq!(answer.columns_ms, expected.columns_ms, "{request:?}");
    let ids = |matrix: &Matrix| {
        matrix.rows.iter().map(|r| (r.bucket_id.clone(), r.range.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ids(answer), ids(expected), "{request:?}");
    for (row, wanted) in answer.rows.iter().zip(&expected.rows) {
        let cells = row.cells.iter().zip(wanted.cells.iter());
        for ((cell, wanted), column) in cells.zip(&answer.columns_ms) {
            assert_eq!(cell, wanted, "row {} column {column} of {request:?}", row.bucket_id);
        }
        assert_eq!(row, wanted, "{request:?}");
    }
    assert_eq!(answer.totals, expected.totals, "{request:?}");
    assert_eq!(answer, expected, "{request:?}");
}

#[test]
fn conservation_what_is_recorded_is_counted_or_inherited_once_in_every_column() {
    run(|world, request| {
        for rolls_up in [false, true] {
            if let Ok(answer) = ask(world, request, rolls_up) {
                conserves(&answer, request);
                records_all_there_is(world, request, &answer, rolls_up);
            }
        }
    });
}

fn is_saturated(answer: &Matrix, column: usize) -> bool {
    let totals = answer.totals[column];
    let cells = || answer.rows.iter().map(|row| row.cells.at(column));
    [totals.recorded, totals.counted, totals.inherited].contains(&u64::MAX)
        || cells().any(|cell| cell.flags.has(Flags::SATURATED))
}

fn conserves(answer: &Matrix, request: &MatrixRequest) {
    for (column, totals) in answer.totals.iter().enumerate() {
        let cells = || answer.rows.iter().map(|row| row.cells.at(column));
        let [recorded, counted, inherited] =
            [totals.recorded, totals.counted, totals.inherited].map(u128::from);
        if is_saturated(answer, column) {
            assert!(
                counted <= recorded && inherited <= recorded,
                "column {column} of {request:?}: {totals:?}"
            );
            continue;
        }
        assert_eq!(
            cells().map(|cell| u128::from(cell.counted)).sum::<u128>(),
            counted,
            "column {column} of {request:?}"
        );
        assert!(cells().map(|cell| u128::from(cell.inherited)).sum::<u128>() >= inherited);
        match request.continuity {
            Continuity::Inherit => {
                assert_eq!(counted + inherited, recorded, "column {column} of {request:?}");
            }
            Continuity::Apportion => {
                assert_eq!((counted, inherited), (recorded, 0), "column {column} of {request:?}");
            }
        }
    }
}

/// No range, no damage: the recorded sums are those of the facts, whatever the rows.
fn records_all_there_is(world: &World, request: &MatrixRequest, answer: &Matrix, rolls_up: bool) {
    let whole = MatrixRequest { continuity: Continuity::Inherit, ..request.clone() };
    if request.range != keyviz_lineage::KeyRange::all() {
        return;
    }
    let union = MatrixRequest { row_set: crate::RowSet::Union, rows: None, ..whole };
    let union = ask(world, &union, rolls_up).unwrap();
    let by_row = |column: usize| {
        union.rows.iter().map(|row| u128::from(row.cells.at(column).counted)).sum::<u128>()
    };
    for (column, totals) in answer.totals.iter().enumerate() {
        if !is_saturated(answer, column) {
            assert_eq!(
                u128::from(totals.recorded),
                by_row(column),
                "column {column} of {request:?}"
            );
        }
    }
}

/// A random history, shrunk: the record of a backfilled lineage that had moved is lost; its keys come
/// and go in its old group; then the backfill comes again. It was born when it always was, so that what
/// moved still descends from it.
#[test]
fn what_moved_descends_from_a_backfilled_lineage_that_was_lost_and_came_again() {
    let events = vec![
        Event::Drop { pick: 7 },
        Event::Backfill { pick: 0, to: 0, exact: true },
        Event::Move { pick: 83, group: 1, gap: 0 },
        Event::Restart(Some(126)),
        Event::Drop { pick: 8 },
        Event::Create { group: 0, from: 11, to: 0, route: 1, wild: true },
        Event::Split { pick: 13, cuts: [0, 0, 8], reuse: false, hole: false },
        Event::Split { pick: 0, cuts: [0, 9, 0], reuse: false, hole: false },
        Event::Merge { pick: 0, three: false },
        Event::Split { pick: 0, cuts: [0, 0, 0], reuse: false, hole: false },
        Event::Backfill { pick: 0, to: 0, exact: false },
        Event::Move { pick: 0, group: 2, gap: 0 },
        Event::Move { pick: 34, group: 0, gap: 0 },
        Event::Again(0),
        Event::Drop { pick: 43 },
        Event::Again(240),
        Event::Window(vec![Told {
            node: 0,
            how: 0,
            groups: 1,
            unattributed: 0,
            rows: vec![],
            bucket: None,
        }]),
    ];
    let story = Story { events, before_hour: 0, step: 0, wait: 0, damage: vec![] };
    let world = history(&story);
    let series = Series::ALL.map(MatrixRequest::new);
    for request in &series {
        equals_the_model(&world, request, false);
        equals_the_model(&world, request, true);
    }
}
