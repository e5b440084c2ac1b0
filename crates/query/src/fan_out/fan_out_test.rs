//! Several nodes against one that recorded everything: the same random histories and questions as the
//! matrix's own tests, each source's columns split and repeated over three nodes.

use std::sync::Arc;

use keyviz_lineage::{Change, Counts, Flags, HOUR_MS, Series, Step, unix_hour};

use super::{Cells, Gathered, Outline, Part};
use crate::matrix::matrix_within;
use crate::reading::Limits;
use crate::world_test::{Sent, World, range, spec};
use crate::{CellState, ColumnTotals, Matrix, MatrixCell, MatrixRequest, QueryError};

/// Each is asked of three nodes, four times over. `KEYVIZ_QUERY_CASES` asks for more.
const CASES: u32 = 1_000;
/// Three nodes, and the few lineages that a row of these histories shows a share of.
const MOST_ROUNDED: u64 = 12;

/// Which of three nodes a boot sent the columns of one window to; at least one.
fn nodes_of(sent: &Sent<'_>, salt: u64) -> u64 {
    let key =
        sent.node.bytes().fold(salt ^ sent.boot as u64, |sum, byte| sum * 31 + u64::from(byte));
    let mixed = (key ^ sent.start_ms ^ sent.step.ms()).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    1 + mixed % 7
}

fn split(world: &World, salt: u64) -> Vec<World> {
    let of = |node: u64| {
        let columns = world.columns.iter();
        let own: Vec<_> = columns.filter(|sent| nodes_of(sent, salt) >> node & 1 == 1).collect();
        world.having(&own)
    };
    (0..3).map(of).collect()
}

fn outline(world: &World) -> Part {
    let hours = 0..=unix_hour(world.now_ms) + 48;
    Part::Told(Arc::new(Outline::read(world, &world.graph, hours).unwrap()))
}

fn ask(nodes: &[World], request: &MatrixRequest, limits: Limits) -> Result<Matrix, QueryError> {
    let parts: Vec<Part> = nodes.iter().map(outline).collect();
    let mut gathered = Gathered::new(&parts, nodes[0].now_ms);
    let plan = gathered.plan_within(request, limits)?;
    let cells = nodes.iter().map(|node| Cells::read(node, &node.graph, &plan)).collect();
    gathered.take(plan.series, cells);
    gathered.answer(request, &plan, &mut |_| Ok(()))
}

/// What a range shows of a wider one's count is a share of it, rounded for each node that recorded a part
/// of that count: such cells (flagged *apportioned*) may differ by as much, and so may sums over a part of
/// the keys. Everything else is equal.
fn equal_but_for_rounding(mut answer: Matrix, expected: &Matrix) {
    let is_share = |matrix: &Matrix| {
        let mut cells = matrix.rows.iter().flat_map(|row| row.cells.iter());
        cells.any(|cell| cell.flags.has(Flags::APPORTIONED))
    };
    let is_close = |a: u64, b: u64, flags: Flags| {
        // What does not fit a cell is not known to the last digit, nor is a share of it.
        let most = if flags.has(Flags::SATURATED) { u64::MAX } else { MOST_ROUNDED };
        a.abs_diff(b) <= most
    };
    if is_share(expected) {
        let flags = expected.rows.iter().fold(Flags::NONE, |all, row| all.or(row.cells.flags()));
        let sums = |of: &ColumnTotals| [of.recorded, of.counted, of.inherited, of.unattributed];
        assert_eq!(answer.totals.len(), expected.totals.len());
        for (sum, expected) in answer.totals.iter_mut().zip(&expected.totals) {
            let mut both = sums(sum).into_iter().zip(sums(expected));
            assert!(both.all(|(a, b)| is_close(a, b, flags)), "{sum:?} for {expected:?}");
            *sum = *expected;
        }
    }
    let ids = |matrix: &Matrix| -> Vec<_> {
        matrix.rows.iter().map(|row| (row.bucket_id.clone(), row.range.clone())).collect()
    };
    if is_share(expected) && ids(&answer) != ids(expected) {
        // Rows are joined by their activity: one count more may join another pair.
        return;
    }
    for (row, expected) in answer.rows.iter_mut().zip(&expected.rows) {
        let mut cells: Vec<MatrixCell> = row.cells.iter().collect();
        for (cell, expected) in cells.iter_mut().zip(expected.cells.iter()) {
            let is_close = |a: u64, b: u64| is_close(a, b, expected.flags);
            let is_rounded = expected.flags.has(Flags::APPORTIONED)
                && (cell.flags, cell.state) == (expected.flags, expected.state)
                && is_close(cell.counted, expected.counted)
                && is_close(cell.inherited, expected.inherited)
                && is_close(cell.max, expected.max);
            if is_rounded {
                *cell = expected;
            }
        }
        assert!(cells.iter().copied().eq(expected.cells.iter()), "{:?} {cells:?}", expected);
        row.cells = expected.cells.clone();
    }
    assert_eq!(&answer, expected);
}

fn check(world: &World, request: &MatrixRequest, limits: Limits) {
    // Each node could have damage of its own.
    let mut world = world.clone();
    (world.damaged_blocks, world.damaged_coverage, world.damaged_index) = Default::default();
    let world = &world;
    let expected = matrix_within(world, &world.graph, request, limits);
    for salt in 0..2 {
        let nodes = split(world, salt + world.now_ms);
        for order in [[0, 1, 2], [2, 0, 1]] {
            let nodes: Vec<World> = order.iter().map(|&at| nodes[at].clone()).collect();
            match (&expected, ask(&nodes, request, limits)) {
                (Ok(expected), Ok(answer)) => equal_but_for_rounding(answer, expected),
                (expected, answer) => assert_eq!(expected.is_err(), answer.is_err()),
            }
        }
    }
}

#[test]
fn sources_split_and_repeated_over_nodes_give_the_answer_of_one_that_heard_everything() {
    crate::matrix_test::run_cases(CASES, |world, request| {
        check(world, request, Limits { narrow_sources: usize::MAX, ..Limits::default() });
    });
}

#[test]
fn so_do_they_from_roll_ups() {
    crate::matrix_test::run_cases(CASES, |world, request| {
        check(world, request, Limits { narrow_sources: 0, ..Limits::default() });
    });
}

/// A whole hour.
const T: u64 = 1_728_000_000_000;

/// Two ranges of group 1 on every node, and the history of the rest.
fn node(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::at(T + 600_000);
    let routes = vec![spec(1, range("", "m")), spec(2, range("m", ""))];
    assert!(world.apply(T - 60_000, 1, Change::Create { routes }));
    change(&mut world);
    world
}

/// A column of one window, with writes of route 1.
fn sent(world: &World, node: &'static str, boot: u128, writes: u64) -> Sent<'static> {
    let counts = Counts { writes, ..Counts::default() };
    let rows = vec![(world.live(1, 1).id, 1, counts, Flags::NONE)];
    Sent { node, boot, rows, ..Sent::whole(T, Step::MINUTE) }
}

fn having(told: &[(&'static str, u128, u64)]) -> World {
    node(|world| {
        for &(node, boot, writes) in told {
            let column = sent(world, node, boot, writes);
            world.send(&column);
        }
    })
}

fn first_minutes() -> MatrixRequest {
    let span = (Some(T), Some(T + 120_000));
    let step = Some(Step::MINUTE);
    MatrixRequest { from_ms: span.0, to_ms: span.1, step, ..MatrixRequest::new(Series::Writes) }
}

/// Writes of the first range in the first minute, and whether nodes disagree about them.
fn first_cell(nodes: &[World]) -> (u64, bool) {
    let answer = ask(nodes, &first_minutes(), Limits::default()).unwrap();
    let cell = answer.rows[0].cells.iter().next().unwrap();
    (cell.counted, cell.flags.has(Flags::CONFLICT))
}

#[test]
fn one_boot_counts_once_others_add_and_what_disagrees_is_the_larger_and_flagged() {
    let n1 = |told: &[(u128, u64)]| {
        let told: Vec<_> = told.iter().map(|&(boot, writes)| ("n1", boot, writes)).collect();
        having(&told)
    };
    assert_eq!(first_cell(&[n1(&[(1, 5)]), n1(&[(1, 5)])]), (5, false));
    assert_eq!(first_cell(&[n1(&[(1, 5)]), n1(&[(2, 7)])]), (12, false), "another boot");
    assert_eq!(first_cell(&[n1(&[(1, 5), (2, 7)]), n1(&[(2, 7)])]), (12, false), "a part of it");
    assert_eq!(first_cell(&[n1(&[(1, 5)]), n1(&[(1, 7)])]), (7, true));
    assert_eq!(first_cell(&[n1(&[(1, 5)]), n1(&[(1, 0)])]), (5, true), "not a word of it");
    let torn = [n1(&[(1, 5), (2, 7)]), n1(&[(2, 7), (3, 1)])];
    assert_eq!(first_cell(&torn), (12, true), "which part of both is boot 2's is not known");
    // Other sources, one term: the rule of every cell.
    assert_eq!(first_cell(&[having(&[("n1", 1, 5)]), having(&[("n2", 1, 5)])]), (5, false));
    assert_eq!(first_cell(&[having(&[("n1", 1, 5)]), having(&[("n2", 1, 6)])]), (6, true));
}

#[test]
fn what_only_a_node_out_of_reach_could_have_recorded_is_never_idle() {
    let here = having(&[("n1", 1, 5)]);
    let there = having(&[("n2", 1, 5)]);
    let states = |part: Part| {
        let parts = [outline(&here), part];
        let mut gathered = Gathered::new(&parts, here.now_ms);
        let plan = gathered.plan(&first_minutes()).unwrap();
        gathered.take(plan.series, vec![Cells::read(&here, &here.graph, &plan), Cells::default()]);
        let answer = gathered.answer(&first_minutes(), &plan, &mut |_| Ok(())).unwrap();
        let of = |row: usize| answer.rows[row].cells.states()[0];
        assert_eq!(answer.rows[0].cells.iter().next().unwrap().counted, 5);
        (of(0), of(1))
    };
    let Part::Told(outline_there) = outline(&there) else { panic!("it was told") };
    let partial = (CellState::Partial, CellState::Partial);
    assert_eq!(states(Part::Remembered(outline_there)), partial);
    assert_eq!(states(Part::Unknown("b:50051".to_owned())), partial);
    // What everybody who is expected has told is known, whoever else is not there.
    let Part::Told(same) = outline(&here) else { panic!("it was told") };
    assert_eq!(states(Part::Remembered(same)), (CellState::Measured, CellState::Idle));
}

#[test]
fn a_range_that_one_node_had_to_backfill_is_the_one_that_another_was_told_of() {
    let told = node(|world| {
        let column = sent(world, "n1", 1, 5);
        world.send(&column);
        let children = vec![spec(3, range("", "f")), spec(4, range("f", "m"))];
        assert!(world.apply(T + 60_000, 1, Change::Split { parent: 1, children }));
    });
    let mut missed = World::at(T + 600_000);
    // Other commands, other ids.
    missed.apply(T - 90_000, 2, Change::Create { routes: vec![spec(9, range("x", ""))] });
    assert!(missed.apply(T - 30_000, 1, Change::Backfill { route: spec(1, range("", "m")) }));
    let counts = Counts { reads: 3, ..Counts::default() };
    let rows = vec![(missed.live(1, 1).id, 0, counts, Flags::NONE)];
    missed.send(&Sent { node: "n2", rows, ..Sent::whole(T, Step::MINUTE) });
    let request =
        MatrixRequest { series: Series::Reads, row_set: crate::RowSet::Union, ..first_minutes() };
    for nodes in [[told.clone(), missed.clone()], [missed, told]] {
        let answer = ask(&nodes, &request, Limits::default()).unwrap();
        let bounds = |row: &crate::MatrixRow| (row.routes[0], row.valid_to_ms);
        let rows: Vec<_> = answer.rows.iter().map(bounds).collect();
        assert_eq!(rows, [(1, Some(T + 60_000)), (3, None), (4, None), (2, None), (9, None)]);
        assert_eq!(answer.rows[0].cells.iter().next().unwrap().counted, 3);
    }
}

#[test]
fn of_hours_that_two_nodes_recorded_and_of_which_only_roll_ups_are_left_the_larger_counts() {
    let rolled = |told: [&[(&'static str, u128, u64)]; 2]| {
        let mut nodes = told.map(having);
        for node in &mut nodes {
            node.now_ms = T + 8 * 24 * HOUR_MS;
        }
        let (step, to_ms) = (Some(Step::HOUR), Some(T + HOUR_MS));
        let request = MatrixRequest { to_ms, step, ..first_minutes() };
        let limits = Limits { narrow_sources: 0, ..Limits::default() };
        let parts = nodes.each_ref().map(outline);
        let gathered = Gathered::new(&parts, nodes[0].now_ms);
        assert!(
            gathered.plan_within(&request, limits).unwrap().shared.values().all(|h| h.is_empty())
        );
        let answer = ask(&nodes, &request, limits).unwrap();
        let cell = answer.rows[0].cells.iter().next().unwrap();
        (cell.counted, cell.max, cell.flags.has(Flags::CONFLICT))
    };
    assert_eq!(rolled([&[("n1", 1, 5)], &[("n1", 1, 5)]]), (5, 5, false));
    assert_eq!(rolled([&[("n1", 1, 5)], &[("n2", 1, 6)]]), (6, 6, true));
}
