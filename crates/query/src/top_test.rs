use std::collections::BTreeSet;

use keyviz_lineage::{Change, Counts, Series};
use proptest::prelude::*;

use super::*;
use crate::matrix_test::run;
use crate::world_test::{Sent, World, range, spec, step};
use crate::{QueryError, RowCells, matrix};

/// Both windows of a world: the later half of a question's span, compared with the earlier one.
fn halves(world: &World, asked: &MatrixRequest) -> Option<(Matrix, Matrix)> {
    let (from_ms, to_ms) = (asked.from_ms?, asked.to_ms?);
    let middle_ms = from_ms + to_ms.checked_sub(from_ms)? / 2;
    let ask = |span| -> Result<Matrix, QueryError> {
        let mut request = request(asked.series, span, asked.range.clone(), to_ms.max(1) - 1);
        request.step = asked.step;
        matrix(world, &world.graph, &request)
    };
    Some((ask((middle_ms, to_ms)).ok()?, ask((from_ms, middle_ms)).ok()?))
}

/// What a row had, cell by cell.
fn slow_traffic(matrix: &Matrix, row: &MatrixRow) -> (u64, u64, u64, u64) {
    let (mut total, mut shares, mut known, mut unknown) = (0u64, 0u64, 0, 0);
    for column in 0..matrix.columns_ms.len() {
        let cell = row.cells.at(column);
        total = total.saturating_add(cell.counted);
        if cell.flags.has(Flags::APPORTIONED) {
            shares = shares.saturating_add(cell.counted);
        }
        let is_unknown = cell.state == CellState::Missing
            || cell.state == CellState::Pending && cell.counted == 0;
        *if is_unknown { &mut unknown } else { &mut known } += matrix.step_ms;
    }
    (total, shares, known, unknown)
}

fn facts(traffic: Option<&Traffic>) -> Option<(u64, u64, u64, u64)> {
    traffic.map(|t| (t.total, t.apportioned, t.recorded_ms, t.missing_ms))
}

/// The ranking again: all names, then the best of what is left, one at a time.
fn equals_the_model(now: &Matrix, before: Option<&Matrix>, limit: usize) {
    let answer = top(now, before, limit);
    let of = |matrix: Option<&Matrix>, whose: &Name| {
        let matrix = matrix?;
        let row = matrix.rows.iter().find(|row| name(row) == *whose)?;
        Some(slow_traffic(matrix, row))
    };
    let all = now.rows.iter().chain(before.iter().flat_map(|before| &before.rows));
    let names: BTreeSet<Name> = all.map(name).collect();
    let had = |whose: &&Name| {
        [of(Some(now), whose), of(before, whose)].iter().flatten().any(|(total, ..)| *total > 0)
    };
    let mut left: Vec<&Name> = names.iter().filter(had).collect();
    assert_eq!(answer.left_out as usize, left.len().saturating_sub(limit));
    assert_eq!(answer.rows.len(), left.len().min(limit));
    let rate = |(total, _, known, _): (u64, u64, u64, u64)| {
        (known > 0).then(|| total as f64 * 1_000.0 / known as f64)
    };
    let silent = |matrix: &Matrix| {
        let gaps: u64 = window(matrix).gaps_ms.iter().map(|(from, to)| to - from).sum();
        (0, 0, matrix.columns_ms.len() as u64 * matrix.step_ms - gaps, gaps)
    };
    let both = |whose: &Name| {
        let at_now = of(Some(now), whose).unwrap_or_else(|| silent(now));
        let earlier = before.map(|m| of(before, whose).unwrap_or_else(|| silent(m)));
        (at_now, earlier)
    };
    for row in &answer.rows {
        let weight = |whose: &Name| {
            let (at_now, earlier) = both(whose);
            let change = rate(at_now).zip(earlier.and_then(rate)).map(|(a, b)| (a - b).abs());
            (change.unwrap_or(-1.0), at_now.0)
        };
        let mut best = 0;
        for at in 1..left.len() {
            let ((change, total), (best_change, best_total)) =
                (weight(left[at]), weight(left[best]));
            if change > best_change || change == best_change && total > best_total {
                best = at;
            }
        }
        let whose = left.remove(best);
        assert_eq!(name(&row.row), *whose);
        let (at_now, earlier) = both(whose);
        assert_eq!(facts(Some(&row.now)), Some(at_now));
        assert_eq!(facts(row.before.as_ref()), earlier);
        let peak = now.rows.iter().find(|row| name(row) == *whose);
        let peak = peak.and_then(|row| row.cells.iter().map(|cell| cell.max).max());
        assert_eq!(row.peak.map_or(0, |peak| peak.value), peak.unwrap_or(0));
    }
}

#[test]
fn ranks_are_those_of_the_model_and_nothing_is_counted_twice() {
    run(|world, asked| {
        let Some((now, before)) = halves(world, asked) else { return };
        equals_the_model(&now, None, 3);
        equals_the_model(&now, Some(&before), 3);
        equals_the_model(&now, Some(&before), usize::MAX);
        let answer = top(&now, Some(&before), usize::MAX);
        let is_everything = asked.range == KeyRange::all();
        let sum = |of: &dyn Fn(&TopRow) -> u64| -> u128 {
            answer.rows.iter().map(|row| u128::from(of(row))).sum()
        };
        let past = answer.before.as_ref().unwrap();
        if is_everything && answer.now.total < u64::MAX / 2 {
            assert_eq!(sum(&|row| row.now.total), u128::from(answer.now.total));
        }
        if is_everything && past.total < u64::MAX / 2 {
            assert_eq!(sum(&|row| row.before.unwrap().total), u128::from(past.total));
        }
    });
}

fn made(cells: &[(u64, CellState)], start: &[u8]) -> MatrixRow {
    let cell = |&(counted, state): &(u64, CellState)| crate::MatrixCell {
        counted,
        max: counted,
        state,
        ..Default::default()
    };
    MatrixRow {
        bucket_id: format!("route:{}", start[0]),
        range: KeyRange::new(start, [start[0] + 1]).unwrap(),
        aggregate: false,
        routes: vec![u64::from(start[0])],
        route_count: 1,
        groups: vec![1],
        lineage: None,
        closed: false,
        valid_from_ms: 0,
        valid_to_ms: None,
        cells: cells.iter().map(cell).collect::<RowCells>(),
    }
}

fn answer(rows: Vec<MatrixRow>) -> Matrix {
    let columns = rows.first().map_or(0, |row| row.cells.len());
    let total = |column: usize| crate::ColumnTotals {
        recorded: rows.iter().map(|row| row.cells.at(column).counted).sum(),
        ..Default::default()
    };
    Matrix {
        series: Series::Writes,
        step_ms: 60_000,
        recorded_step_ms: 60_000,
        tier: None,
        columns_ms: (0..columns as u64).map(|column| column * 60_000).collect(),
        totals: (0..columns).map(total).collect(),
        rows,
        warnings: Vec::new(),
    }
}

use CellState::{Idle, Measured, Missing, Nonexistent, Partial, Pending};

#[test]
fn a_window_that_nobody_recorded_is_neither_zero_nor_a_change() {
    let now = answer(vec![
        made(&[(60, Measured), (0, Missing), (60, Measured), (0, Pending)], b"a"),
        made(&[(0, Idle), (0, Missing), (30, Partial), (0, Pending)], b"b"),
        made(&[(0, Nonexistent), (0, Missing), (6, Measured), (0, Pending)], b"c"),
    ]);
    let unknown = answer(vec![made(&[(0, Missing); 4], b"a"), made(&[(60, Measured); 4], b"b")]);
    let top = top(&now, Some(&unknown), 10);
    assert_eq!(top.now.gaps_ms, [(60_000, 120_000)]);
    let of = |start: &[u8]| top.rows.iter().find(|row| row.row.range.start() == start).unwrap();
    assert_eq!(of(b"a").now.rate(), Some(1.0), "over the two minutes that are known");
    assert_eq!((of(b"a").now.missing_ms, of(b"b").now.partial_ms), (120_000, 60_000));
    assert_eq!(of(b"a").factor(), None, "nothing is known of before");
    assert_eq!(top.rows.last().unwrap().row.range.start(), b"a", "so it comes last");
    assert_eq!(of(b"b").factor(), Some(0.25));
    assert_eq!(of(b"c").factor(), Some(f64::INFINITY), "no row before: it had none");
    assert_eq!(of(b"a").peak.map(|peak| (peak.from_ms, peak.value)), Some((0, 60)));
    assert!((of(b"a").now.share - 120.0 / 156.0).abs() < 1e-12);
}

#[test]
fn children_are_compared_with_their_part_of_the_parent_and_a_survivor_with_all_it_came_from() {
    let minute = |n: u64| 480_012 * keyviz_lineage::HOUR_MS + n * 60_000;
    let mut world = World::at(minute(60));
    world.apply(minute(0), 1, Change::Create { routes: vec![spec(1, range("a", "m"))] });
    let tell = |world: &mut World, n: u64, route: u64, writes: u64| {
        let counts = Counts { writes, ..Counts::default() };
        let rows = vec![(world.live(1, route).id, 1, counts, Flags::NONE)];
        let whole = Sent::whole(minute(n), step(60_000));
        world.send(&Sent { node: "n1", covered_ms: 60_000, groups: vec![1], rows, ..whole });
    };
    tell(&mut world, 0, 1, 100);
    let children = vec![spec(2, range("a", "f")), spec(3, range("f", "m"))];
    assert!(world.apply(minute(1), 1, Change::Split { parent: 1, children }));
    tell(&mut world, 1, 2, 500);
    let ask = |from: u64, as_of: u64| {
        let span = (minute(from), minute(from + 1));
        let request = request(Series::Writes, span, KeyRange::all(), minute(as_of) - 1);
        matrix(&world, &world.graph, &request).unwrap()
    };
    let split = top(&ask(1, 2), Some(&ask(0, 2)), 10);
    let rows: Vec<_> = split.rows.iter().map(|row| (row.row.routes[0], row.now.total)).collect();
    assert_eq!(rows, [(2, 500), (3, 0)]);
    let before: Vec<Traffic> = split.rows.iter().map(|row| row.before.unwrap()).collect();
    assert_eq!([before[0].total, before[1].total], [50, 50], "the parent's 100, once");
    assert_eq!(before[0].apportioned, 50);
    let whole = top(&ask(0, 1), Some(&ask(1, 1)), 10);
    assert_eq!(whole.rows[0].before.unwrap().total, 500, "all of what became of it");
    assert_eq!(whole.rows[0].before.unwrap().apportioned, 0);
}

proptest! {
    #[test]
    fn made_up_answers_rank_as_the_model_says(
        now in cells(), before in cells(), limit in 0..6usize,
    ) {
        equals_the_model(&now, Some(&before), limit);
    }
}

fn cells() -> impl Strategy<Value = Matrix> {
    let state = prop::sample::select(vec![Measured, Idle, Missing, Partial, Pending, Nonexistent]);
    let cell = (0..4u64, state).prop_map(|(value, state)| match state {
        Measured | Partial | Pending => (value, state),
        _ => (0, state),
    });
    let row = (b'a'..b'h', prop::collection::vec(cell, 5));
    prop::collection::vec(row, 1..6).prop_map(|mut rows| {
        rows.sort_by_key(|(start, _)| *start);
        rows.dedup_by_key(|(start, _)| *start);
        answer(rows.iter().map(|(start, cells)| made(cells, &[*start])).collect())
    })
}
