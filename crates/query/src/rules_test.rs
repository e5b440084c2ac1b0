//! The rules of contract section 8, one example each.

use keyviz_lineage::{Change, Counts, Flags, GroupId, HOUR_MS, KeyRange, Series};

use crate::world_test::{Sent, World, range, spec, step};
use crate::{CellState, Continuity, Matrix, MatrixCell, MatrixRequest, MatrixRow, RowSet, matrix};

const NOON_MS: u64 = 480_012 * HOUR_MS;

/// Group and number of a live route.
type Route = (GroupId, u64);

/// The start of the `n`-th window of the example.
fn minute(n: u64) -> u64 {
    NOON_MS + n * 60_000
}

fn created(routes: &[(u64, &str, &str)]) -> World {
    let mut world = World::at(minute(60));
    let routes = routes.iter().map(|&(route, start, end)| spec(route, range(start, end))).collect();
    assert!(world.apply(minute(0), 1, Change::Create { routes }));
    world
}

/// A whole column of one node that answers for every group.
fn tell(world: &mut World, n: u64, writes: &[(Route, u64)]) {
    tell_as(world, n, writes, "n1", 60_000, &[1, 2]);
}

fn tell_as(
    world: &mut World,
    n: u64,
    writes: &[(Route, u64)],
    node: &str,
    covered_ms: u64,
    groups: &[GroupId],
) {
    let row = |&((group, route), writes): &(Route, u64)| {
        (world.live(group, route).id, 1, Counts { writes, ..Counts::default() }, Flags::NONE)
    };
    let rows = writes.iter().map(row).collect();
    let whole = Sent::whole(minute(n), step(60_000));
    world.send(&Sent { node, covered_ms, groups: groups.to_vec(), rows, ..whole });
}

fn split(world: &mut World, n: u64, parent: u64, children: &[(u64, &str, &str)]) {
    let children =
        children.iter().map(|&(route, start, end)| spec(route, range(start, end))).collect();
    assert!(world.apply(minute(n), 1, Change::Split { parent, children }));
}

fn merge(world: &mut World, n: u64, parents: &[u64], (route, start, end): (u64, &str, &str)) {
    let survivor = spec(route, range(start, end));
    assert!(world.apply(minute(n), 1, Change::Merge { parents: parents.to_vec(), survivor }));
}

fn span(from: u64, to: u64) -> MatrixRequest {
    MatrixRequest {
        from_ms: Some(minute(from)),
        to_ms: Some(minute(to)),
        step: Some(step(60_000)),
        ..MatrixRequest::new(Series::Writes)
    }
}

fn apportioned(from: u64, to: u64) -> MatrixRequest {
    MatrixRequest { continuity: Continuity::Apportion, ..span(from, to) }
}

fn ask(world: &World, request: &MatrixRequest) -> Matrix {
    matrix(world, &world.graph, request).unwrap()
}

fn row<'a>(answer: &'a Matrix, id: &str) -> &'a MatrixRow {
    answer
        .rows
        .iter()
        .find(|row| row.bucket_id == id)
        .unwrap_or_else(|| panic!("no {id} in {:?}", ids(answer)))
}

fn ids(answer: &Matrix) -> Vec<&str> {
    answer.rows.iter().map(|row| row.bucket_id.as_str()).collect()
}

fn states(row: &MatrixRow) -> Vec<&'static str> {
    row.cells.iter().map(|cell| cell.state.name()).collect()
}

fn cells(row: &MatrixRow) -> Vec<MatrixCell> {
    row.cells.iter().collect()
}

fn counted(row: &MatrixRow) -> Vec<u64> {
    row.cells.iter().map(|cell| cell.counted).collect()
}

fn exact(value: u64) -> MatrixCell {
    MatrixCell {
        counted: value,
        inherited: 0,
        max: value,
        flags: Flags::NONE,
        state: CellState::Measured,
    }
}

/// One range with traffic, split in two with traffic.
fn after_a_split() -> World {
    let mut world = created(&[(1, "", "")]);
    tell(&mut world, 0, &[((1, 1), 7)]);
    split(&mut world, 1, 1, &[(2, "", "m"), (3, "m", "")]);
    tell(&mut world, 1, &[((1, 2), 20), ((1, 3), 30)]);
    world
}

#[test]
fn after_a_split_the_children_show_the_parents_past_inherited() {
    let answer = ask(&after_a_split(), &span(0, 2));
    assert_eq!(ids(&answer), ["route:2", "route:3"]);
    for (id, own) in [("route:2", 20), ("route:3", 30)] {
        let past = MatrixCell { counted: 0, inherited: 7, flags: Flags::INHERITED, ..exact(7) };
        assert_eq!(cells(row(&answer, id)), [past, exact(own)]);
    }
    let totals = answer.totals[0];
    assert_eq!(
        (totals.recorded, totals.counted, totals.inherited),
        (7, 0, 7),
        "inherited once, not twice"
    );
}

#[test]
fn apportion_shares_the_parents_past_in_whole_numbers_the_remainder_to_the_first() {
    let answer = ask(&after_a_split(), &apportioned(0, 2));
    assert_eq!((counted(&answer.rows[0]), counted(&answer.rows[1])), (vec![4, 20], vec![3, 30]));
    assert_eq!(answer.rows[0].cells.at(0).flags, Flags::APPORTIONED);
    assert_eq!((answer.totals[0].recorded, answer.totals[0].counted), (7, 7));
}

#[test]
fn a_share_does_not_depend_on_which_range_is_asked_for() {
    let request = MatrixRequest { range: range("x", "y"), ..apportioned(0, 2) };
    let answer = ask(&after_a_split(), &request);
    assert_eq!((ids(&answer), counted(&answer.rows[0])), (vec!["route:3"], vec![3, 30]));
    assert_eq!((answer.totals[0].recorded, answer.totals[0].counted), (3, 3));
}

#[test]
fn a_merge_then_a_split_back_along_the_old_line_shows_each_side_its_own_exact_past() {
    let mut world = created(&[(1, "", "m"), (2, "m", "")]);
    tell(&mut world, 0, &[((1, 1), 10), ((1, 2), 50)]);
    merge(&mut world, 1, &[1, 2], (3, "", ""));
    tell(&mut world, 1, &[((1, 3), 5)]);
    split(&mut world, 2, 3, &[(4, "", "m"), (5, "m", "")]);
    tell(&mut world, 2, &[]);
    for request in [span(0, 3), apportioned(0, 3)] {
        let answer = ask(&world, &request);
        assert_eq!(row(&answer, "route:4").cells.at(0), exact(10));
        assert_eq!(row(&answer, "route:5").cells.at(0), exact(50));
    }
}

#[test]
fn reunited_siblings_in_a_coarse_row_show_their_parent_once_exact() {
    let answer = ask(&after_a_split(), &MatrixRequest { rows: Some(1), ..span(0, 2) });
    assert_eq!(cells(&answer.rows[0]), [exact(7), exact(50)]);
    assert_eq!((answer.totals[0].counted, answer.totals[0].inherited), (7, 0));
}

#[test]
fn a_dropped_range_gets_a_closed_row_that_shows_its_past() {
    let mut world = after_a_split();
    assert!(world.apply(minute(2), 1, Change::Drop { route: 3 }));
    tell(&mut world, 2, &[((1, 2), 1)]);
    let answer = ask(&world, &span(0, 3));
    let closed: Vec<(&str, bool)> =
        answer.rows.iter().map(|row| (row.bucket_id.as_str(), row.closed)).collect();
    assert_eq!(closed, [("route:2", false), ("route:3", true)]);
    assert_eq!(states(row(&answer, "route:3")), ["measured", "measured", "nonexistent"]);
    assert_eq!(row(&answer, "route:3").cells.at(0).inherited, 7);
    let answer = ask(&world, &apportioned(0, 3));
    assert_eq!(
        (counted(row(&answer, "route:2")), counted(row(&answer, "route:3"))),
        (vec![4, 20, 1], vec![3, 30, 0])
    );
}

#[test]
fn a_range_that_is_created_again_does_not_show_the_dropped_ones_past() {
    let mut world = created(&[(1, "", "m")]);
    tell(&mut world, 0, &[((1, 1), 9)]);
    assert!(world.apply(minute(1), 1, Change::Drop { route: 1 }));
    assert!(world.apply(minute(2), 1, Change::Create { routes: vec![spec(1, range("", "m"))] }));
    tell(&mut world, 2, &[((1, 1), 4)]);
    let answer = ask(&world, &span(0, 3));
    let rows: Vec<_> = answer
        .rows
        .iter()
        .map(|row| (row.closed, counted(row), row.cells.at(1).state.name()))
        .collect();
    assert_eq!(rows, [(true, vec![9, 0, 0], "nonexistent"), (false, vec![0, 0, 4], "nonexistent")]);
}

#[test]
fn a_gap_is_missing_and_silence_is_idle() {
    let mut world = created(&[(1, "", "")]);
    tell(&mut world, 0, &[((1, 1), 9)]);
    tell(&mut world, 2, &[]);
    let answer = ask(&world, &span(0, 3));
    assert_eq!(answer.columns_ms.len(), 3, "a gap is not squeezed out");
    assert_eq!(states(&answer.rows[0]), ["measured", "missing", "idle"]);
}

#[test]
fn a_window_that_one_of_two_expected_nodes_did_not_record_is_partial() {
    let mut world = created(&[(1, "", "")]);
    let record = (1, 1);
    tell_as(&mut world, 0, &[(record, 1)], "n2", 60_000, &[1]);
    tell(&mut world, 0, &[(record, 1)]);
    tell(&mut world, 1, &[(record, 1)]);
    tell_as(&mut world, 2, &[(record, 1)], "n2", 30_000, &[1]);
    tell(&mut world, 2, &[(record, 1)]);
    world.leave("n2", minute(3));
    tell(&mut world, 3, &[(record, 1)]);
    let answer = ask(&world, &span(0, 4));
    assert_eq!(states(&answer.rows[0]), ["measured", "partial", "partial", "measured"]);
    assert!(answer.rows[0].cells.at(1).flags.has(Flags::PARTIAL));
}

#[test]
fn a_window_that_ended_less_than_two_steps_ago_is_pending() {
    let mut world = created(&[(1, "", "")]);
    tell(&mut world, 0, &[((1, 1), 9)]);
    world.now_ms = minute(4);
    let answer = ask(&world, &span(0, 5));
    assert_eq!(states(&answer.rows[0]), ["measured", "missing", "pending", "pending", "pending"]);
    world.now_ms -= 1;
    assert_eq!(states(&ask(&world, &span(0, 2)).rows[0]), ["measured", "pending"]);
}

#[test]
fn a_one_minute_spike_is_still_the_max_of_a_coarse_cell() {
    let mut world = created(&[(1, "", "")]);
    for n in 0..60 {
        tell(&mut world, n, &[((1, 1), if n == 17 { 5_000 } else { 2 })]);
    }
    let request = MatrixRequest { step: Some(step(HOUR_MS)), ..span(0, 60) };
    let cell = ask(&world, &request).rows[0].cells.at(0);
    assert_eq!((cell.counted, cell.max), (5_118, 5_000));
}

#[test]
fn the_rows_budget_keeps_hot_rows_alone() {
    let bounds = ["", "b", "c", "d", "e", "f", ""];
    let routes: Vec<_> = (0..6).map(|n| (n as u64 + 1, bounds[n], bounds[n + 1])).collect();
    let mut world = created(&routes);
    let writes: Vec<_> = (1..=6).map(|route| (1, route)).zip([5, 1, 1, 900, 2, 2]).collect();
    tell(&mut world, 0, &writes);
    let answer = ask(&world, &MatrixRequest { rows: Some(3), ..span(0, 1) });
    let members: Vec<_> =
        answer.rows.iter().map(|row| (row.routes.clone(), row.cells.at(0).counted)).collect();
    assert_eq!(members, [(vec![1, 2, 3], 7), (vec![4], 900), (vec![5, 6], 4)]);
}

#[test]
fn a_row_that_is_hot_by_its_shares_stays_alone_too() {
    let mut world = created(&[(1, "", "h"), (2, "h", "p"), (3, "p", "")]);
    tell(&mut world, 0, &[((1, 3), 1_000), ((1, 1), 1), ((1, 2), 2)]);
    split(&mut world, 1, 3, &[(4, "p", "t"), (5, "t", "")]);
    tell(&mut world, 1, &[]);
    let answer = ask(&world, &MatrixRequest { rows: Some(3), ..apportioned(0, 2) });
    let members: Vec<_> =
        answer.rows.iter().map(|row| (row.routes.clone(), counted(row)[0])).collect();
    assert_eq!(members, [(vec![1, 2], 3), (vec![4], 500), (vec![5], 500)]);
}

#[test]
fn union_has_one_row_for_each_lineage_and_counts_each_once() {
    for request in [span(0, 2), apportioned(0, 2)] {
        let answer = ask(&after_a_split(), &MatrixRequest { row_set: RowSet::Union, ..request });
        assert_eq!(ids(&answer), ["route:1", "route:2", "route:3"]);
        let rows: Vec<_> = answer.rows.iter().map(counted).collect();
        assert_eq!(rows, [vec![7, 0], vec![0, 20], vec![0, 30]]);
        assert_eq!(states(&answer.rows[0]), ["measured", "nonexistent"]);
        assert!(answer.totals.iter().all(|totals| totals.recorded == totals.counted));
    }
}

#[test]
fn rows_as_of_from_are_those_of_then_and_count_what_became_of_them() {
    let answer = ask(&after_a_split(), &MatrixRequest { row_set: RowSet::AsOfFrom, ..span(0, 2) });
    assert_eq!((ids(&answer), counted(&answer.rows[0])), (vec!["route:1"], vec![7, 50]));
}

#[test]
fn what_is_live_has_rows_as_of_any_time_to_come() {
    let now = ask(&after_a_split(), &span(0, 2));
    for at_ms in [u64::MAX, i64::MAX as u64, 1_700_000_000_000_000_000, 9_999_999_999_999] {
        let later = MatrixRequest { row_set: RowSet::AsOf(at_ms), ..span(0, 2) };
        assert_eq!(ids(&ask(&after_a_split(), &later)), ids(&now), "{at_ms}");
    }
}

#[test]
fn a_row_counts_its_own_lineage_even_where_a_later_range_covers_it() {
    let mut world = created(&[(1, "c", "k")]);
    tell(&mut world, 0, &[((1, 1), 5)]);
    let create =
        |route, start, end| Change::Create { routes: vec![spec(route, range(start, end))] };
    assert!(world.apply(minute(1), 1, create(2, "k", "t")));
    merge(&mut world, 1, &[1, 2], (3, "c", "t"));
    split(&mut world, 1, 3, &[(4, "c", "m"), (5, "m", "t")]);
    assert!(world.apply(minute(1), 1, Change::Drop { route: 4 }));
    assert!(world.apply(minute(1), 1, create(6, "a", "m")));
    merge(&mut world, 1, &[5, 6], (7, "a", "t"));
    tell(&mut world, 2, &[((1, 7), 9)]);
    let answer = ask(&world, &MatrixRequest { row_set: RowSet::AsOfFrom, ..span(0, 3) });
    assert_eq!(ids(&answer), ["route:7", "route:1"]);
    assert_eq!(
        (counted(&answer.rows[0]), counted(&answer.rows[1])),
        (vec![0, 0, 9], vec![5, 0, 0])
    );
    assert_eq!(answer.totals[0].inherited, 0, "shown by the later one too, but counted");
}

#[test]
fn virtual_ids_depend_on_the_bounds_alone() {
    let coarse = |world: &World, from, to| {
        let answer = ask(world, &MatrixRequest { rows: Some(1), ..span(from, to) });
        answer.rows[0].bucket_id.clone()
    };
    let world = after_a_split();
    let id = coarse(&world, 0, 2);
    assert_eq!((coarse(&world, 1, 2), coarse(&world, 0, 50)), (id.clone(), id.clone()));
    let other = created(&[(8, "", "c"), (9, "c", "")]);
    assert_eq!(coarse(&other, 0, 1), id, "other members, same bounds");
    assert_eq!(crate::virtual_id(&range("a", "b")).get_version_num(), 8);
    let shifted = KeyRange::new(*b"a\0", *b"b").unwrap();
    assert_ne!(
        crate::virtual_id(&shifted),
        crate::virtual_id(&KeyRange::new(*b"a", *b"\xffb").unwrap())
    );
    assert_eq!(id, VIRTUAL_ID_OF_ALL_KEYS);
}

/// UUIDv8 of BLAKE2b-256 over two lengths of zero: links to it must keep working.
const VIRTUAL_ID_OF_ALL_KEYS: &str = "virtual:94c1c088-cc94-8399-a779-630ad3af45cb";

#[test]
fn a_damaged_block_becomes_a_warning_and_the_rest_is_served() {
    let mut world = after_a_split();
    let damaged = world.live(1, 3);
    world.damage_block(damaged.id, 480_012);
    let answer = ask(&world, &span(0, 2));
    assert_eq!(answer.warnings.len(), 1);
    assert!(answer.warnings[0].contains(&damaged.id.to_string()), "{:?}", answer.warnings);
    assert_eq!(row(&answer, "route:2").cells.at(1), exact(20));
    let unknown = row(&answer, "route:3").cells.at(1);
    assert_eq!(
        (unknown.state, unknown.flags),
        (CellState::Partial, Flags::PARTIAL),
        "not known, so not idle"
    );
    assert!(world.apply(minute(2), 1, Change::Drop { route: 3 }));
    let answer = ask(&world, &span(1, 2));
    assert_eq!(
        (ids(&answer), answer.warnings.len()),
        (vec!["route:2", "route:3"], 1),
        "dropped, not forgotten"
    );
}

#[test]
fn a_damaged_hour_elsewhere_does_not_make_an_answer_partial() {
    let mut world = created(&[(1, "", "")]);
    tell(&mut world, 0, &[((1, 1), 9)]);
    tell(&mut world, 60, &[((1, 1), 9)]);
    world.damage_coverage(1, 480_012);
    world.now_ms = minute(90);
    assert_eq!(ask(&world, &span(60, 61)).warnings, [""; 0]);
    let answer = ask(&world, &span(0, 61));
    assert_eq!(
        (answer.warnings.len(), states(&answer.rows[0])[0]),
        (1, "partial"),
        "who recorded it is not known"
    );
}

#[test]
fn a_moved_range_keeps_its_past_and_a_coarse_cell_over_the_move_is_whole() {
    let mut world = created(&[(1, "", "")]);
    for n in 0..6 {
        let (group, route) = if n < 3 { (1, 1) } else { (2, 9) };
        if n == 3 {
            let old = world.live(1, 1);
            world.move_to(minute(3), minute(3), &old, 2, 9);
        }
        let record = (group, route);
        // Each group is reported only while it holds the range.
        tell_as(&mut world, n, &[(record, 10)], "n1", 60_000, &[group]);
        if n == 2 {
            world.leave("n1", minute(3));
        }
    }
    let answer = ask(&world, &MatrixRequest { step: Some(step(360_000)), ..span(0, 6) });
    assert_eq!(
        (ids(&answer), answer.rows[0].cells.at(0)),
        (vec!["route:9"], MatrixCell { max: 10, ..exact(60) })
    );
}

#[test]
fn a_stretched_window_does_not_stand_in_for_a_missing_neighbour() {
    let mut world = created(&[(1, "", "")]);
    let record = world.live(1, 1);
    for second in [0, 10, 30, 40, 50] {
        let covered_ms = if second == 10 { 20_000 } else { 10_000 };
        let rows = vec![(record.id, 1, Counts { writes: 1, ..Counts::default() }, Flags::NONE)];
        let (start_ms, step) = (minute(0) + second * 1_000, step(10_000));
        world.send(&Sent { covered_ms, rows, ..Sent::whole(start_ms, step) });
    }
    tell(&mut world, 1, &[((1, 1), 1)]);
    for to in [1, 2] {
        let cell = ask(&world, &span(0, to)).rows[0].cells.at(0);
        let flags = Flags::PARTIAL.or(Flags::STRETCHED);
        assert_eq!(
            (cell.state, cell.flags),
            (CellState::Partial, flags),
            "with and without the step change in view"
        );
    }
}

#[test]
fn a_step_that_only_the_rounding_takes_in_is_answered_for_too() {
    let mut world = created(&[(1, "", "")]);
    let record = (1, 1);
    (0..30).for_each(|n| tell(&mut world, n, &[(record, 1)]));
    for n in 0..180 {
        let (start_ms, step) = (minute(30) + n * 10_000, step(10_000));
        world.send(&Sent::whole(start_ms, step));
    }
    world.now_ms = minute(90);
    let answer = ask(&world, &MatrixRequest { step: Some(step(HOUR_MS)), ..span(40, 50) });
    assert_eq!(
        (answer.recorded_step_ms, answer.rows[0].cells.at(0)),
        (60_000, MatrixCell { max: 1, ..exact(30) })
    );
}

#[test]
fn a_flag_without_traffic_leaves_a_cell_idle() {
    let mut world = created(&[(1, "", "")]);
    let rows =
        vec![(world.live(1, 1).id, 0, Counts { reads: 8, ..Counts::default() }, Flags::SAMPLED)];
    let (start_ms, step) = (minute(0), step(60_000));
    world.send(&Sent { rows, ..Sent::whole(start_ms, step) });
    assert_eq!(states(&ask(&world, &span(0, 1)).rows[0]), ["idle"]);
}

#[test]
fn a_backfilled_range_owns_the_windows_before_keyviz_met_it() {
    let mut world = created(&[(1, "", "m")]);
    tell(&mut world, 0, &[((1, 1), 9)]);
    assert!(world.apply(minute(1), 1, Change::Drop { route: 1 }));
    tell(&mut world, 1, &[]);
    tell(&mut world, 2, &[]);
    for (route, start, end) in [(2, "", "m"), (3, "m", "")] {
        assert!(world.apply(
            minute(3),
            1,
            Change::Backfill { route: spec(route, range(start, end)) }
        ));
    }
    for row_set in [RowSet::AsOfTo, RowSet::AsOf(minute(2))] {
        let answer = ask(&world, &MatrixRequest { row_set, ..span(0, 3) });
        assert_eq!(
            states(row(&answer, "route:2")),
            ["measured", "idle", "idle"],
            "it continues the dropped one"
        );
        assert_eq!(states(row(&answer, "route:3")), ["idle", "idle", "idle"]);
    }
}

#[test]
fn a_range_that_splits_and_merges_all_day_is_shared_out_at_once() {
    let mut world = created(&[(1, "", "")]);
    tell(&mut world, 0, &[((1, 1), 1_001)]);
    for n in 0..200 {
        split(&mut world, 1, 1, &[(2, "", "m"), (3, "m", "")]);
        if n < 199 {
            merge(&mut world, 1, &[2, 3], (1, "", ""));
        }
    }
    let answer = ask(&world, &apportioned(0, 1));
    assert_eq!(ids(&answer), ["route:1"], "as of a moment before the first split");
    let request = MatrixRequest { row_set: RowSet::AsOf(minute(2)), ..apportioned(0, 1) };
    let answer = ask(&world, &request);
    assert_eq!((counted(&answer.rows[0]), counted(&answer.rows[1])), (vec![501], vec![500]));
}

#[test]
fn a_window_whose_column_was_shed_is_flagged_whatever_else_is_in_it() {
    let mut world = created(&[(1, "", "")]);
    tell(&mut world, 0, &[((1, 1), 9)]);
    world.lose(1, "n1", minute(1), step(60_000));
    tell(&mut world, 2, &[((1, 1), 5)]);
    tell_as(&mut world, 3, &[], "n2", 60_000, &[1]);
    world.lose(1, "n1", minute(3), step(60_000));
    let answer = ask(&world, &span(0, 4));
    let cells = &row(&answer, "route:1").cells;
    let flags: Vec<Flags> = cells.iter().map(|cell| cell.flags).collect();
    let both = Flags::PARTIAL.or(Flags::SHED);
    assert_eq!(flags, [Flags::NONE, Flags::SHED, Flags::NONE, both]);
    assert_eq!(
        states(row(&answer, "route:1")),
        ["measured", "missing", "measured", "partial"],
        "n1 is expected from its first column on"
    );
    // One coarser cell over all of it.
    let answer = ask(&world, &MatrixRequest { step: Some(step(HOUR_MS)), ..span(0, 4) });
    let cell = row(&answer, "route:1").cells.at(0);
    assert!(cell.flags.has(both) && cell.counted == 14, "{cell:?}");
}
