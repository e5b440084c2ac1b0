//! Sources that no edge leads to, one example each: virtual buckets, and lineages whose record is
//! lost (contract sections 4, 5 and 8).

use keyviz_lineage::{Bucket, BucketPart, Change, Counts, Flags, HOUR_MS, Series};

use crate::world_test::{Sent, World, range, spec, step};
use crate::{Continuity, Matrix, MatrixRequest, MatrixRow, RowSet, matrix};

const NOON_MS: u64 = 480_012 * HOUR_MS;

fn minute(n: u64) -> u64 {
    NOON_MS + n * 60_000
}

/// Routes 1 to 4: `[-inf, d)`, `[d, m)`, `[m, t)`, `[t, +inf)`.
fn world() -> World {
    let mut world = World::at(minute(120));
    let bounds = [("", "d"), ("d", "m"), ("m", "t"), ("t", "")];
    let routes =
        bounds.iter().zip(1..).map(|(&(start, end), route)| spec(route, range(start, end)));
    assert!(world.apply(minute(0), 1, Change::Create { routes: routes.collect() }));
    world
}

/// A whole column of minute 1 in which `[start, end)` was counted together.
fn counted_together(world: &mut World, start: &str, end: &str, writes: u64) -> Bucket {
    let counts = Counts { writes, ..Counts::default() };
    let bucket = Bucket {
        group: 1,
        range: range(start, end),
        members: vec![2, 3],
        member_count: 300,
        parts: vec![BucketPart { group: 1, term: 1, counts, flags: Flags::NONE }],
    };
    let buckets = vec![bucket.clone()];
    world.send(&Sent { buckets, ..Sent::whole(minute(1), step(60_000)) });
    bucket
}

fn ask(world: &World, continuity: Continuity, rows: Option<usize>) -> Matrix {
    let request = MatrixRequest {
        from_ms: Some(minute(1)),
        to_ms: Some(minute(2)),
        step: Some(step(60_000)),
        row_set: RowSet::AsOf(minute(110)),
        continuity,
        rows,
        ..MatrixRequest::new(Series::Writes)
    };
    matrix(world, &world.graph, &request).unwrap()
}

/// Counted, inherited and flags of a row's one cell.
fn cell(answer: &Matrix, id: &str) -> (u64, u64, Flags) {
    let row: &MatrixRow = answer.rows.iter().find(|row| row.bucket_id == id).unwrap();
    (row.cells.at(0).counted, row.cells.at(0).inherited, row.cells.at(0).flags)
}

fn totals(answer: &Matrix) -> (u64, u64, u64) {
    (answer.totals[0].recorded, answer.totals[0].counted, answer.totals[0].inherited)
}

#[test]
fn a_bucket_that_sticks_out_of_its_rows_is_inherited_once() {
    let mut world = world();
    counted_together(&mut world, "d", "t", 7);
    let answer = ask(&world, Continuity::Inherit, None);
    assert_eq!(cell(&answer, "route:2"), (0, 7, Flags::INHERITED));
    assert_eq!(cell(&answer, "route:3"), (0, 7, Flags::INHERITED));
    assert_eq!(cell(&answer, "route:4"), (0, 0, Flags::NONE));
    assert_eq!(totals(&answer), (7, 0, 7));
}

#[test]
fn apportioned_a_bucket_parts_in_whole_numbers_among_the_lineages_that_it_overlaps() {
    let mut world = world();
    counted_together(&mut world, "d", "t", 7);
    let answer = ask(&world, Continuity::Apportion, None);
    assert_eq!(cell(&answer, "route:2"), (4, 0, Flags::APPORTIONED));
    assert_eq!(cell(&answer, "route:3"), (3, 0, Flags::APPORTIONED));
    assert_eq!(totals(&answer), (7, 7, 0));
}

#[test]
fn a_share_of_a_bucket_flows_on_through_what_happened_since() {
    let mut world = world();
    counted_together(&mut world, "d", "t", 8);
    let children = vec![spec(5, range("d", "g")), spec(6, range("g", "m"))];
    assert!(world.apply(minute(3), 1, Change::Split { parent: 2, children }));
    let answer = ask(&world, Continuity::Apportion, None);
    let shares = ["route:5", "route:6", "route:3"].map(|id| cell(&answer, id).0);
    assert_eq!(shares, [2, 2, 4]);
}

#[test]
fn a_bucket_inside_a_row_is_counted_and_exact() {
    let mut world = world();
    counted_together(&mut world, "d", "t", 7);

    let survivor = spec(9, range("d", "t"));
    assert!(world.apply(minute(3), 1, Change::Merge { parents: vec![2, 3], survivor }));
    let answer = ask(&world, Continuity::Inherit, None);
    assert_eq!(cell(&answer, "route:9"), (7, 0, Flags::NONE));
    assert_eq!(totals(&answer), (7, 7, 0));
}

#[test]
fn a_bucket_that_no_row_shows_has_a_row_of_its_own_with_its_members() {
    let mut world = world();
    let bucket = counted_together(&mut world, "d", "t", 7);
    for route in 1..=4 {
        assert!(world.apply(minute(2) + route, 1, Change::Drop { route }));
    }
    let answer = ask(&world, Continuity::Inherit, None);
    let row = answer.rows.iter().find(|row| row.lineage == Some(bucket.id())).unwrap();
    assert_eq!(row.bucket_id, format!("virtual:{}", bucket.id()));
    assert_eq!((row.aggregate, row.routes.clone(), row.route_count), (true, vec![2, 3], 300));
    assert_eq!(cell(&answer, &row.bucket_id), (7, 0, Flags::NONE));
}

#[test]
fn the_union_gives_a_bucket_its_own_row() {
    let mut world = world();
    let bucket = counted_together(&mut world, "d", "t", 7);
    let request = MatrixRequest {
        from_ms: Some(minute(1)),
        to_ms: Some(minute(2)),
        row_set: RowSet::Union,
        ..MatrixRequest::new(Series::Writes)
    };
    let answer = matrix(&world, &world.graph, &request).unwrap();
    assert_eq!(cell(&answer, &format!("virtual:{}", bucket.id())), (7, 0, Flags::NONE));
    assert_eq!(totals(&answer), (7, 7, 0));
}

#[test]
fn an_index_that_cannot_be_read_is_a_warning_not_a_silence() {
    let mut world = world();
    counted_together(&mut world, "d", "t", 7);
    world.damage_index(1, NOON_MS / HOUR_MS);
    let answer = ask(&world, Continuity::Inherit, None);
    assert!(answer.warnings[0].contains("index"), "{:?}", answer.warnings);
    assert_eq!(totals(&answer), (0, 0, 0));
}

#[test]
fn a_lineage_whose_record_is_lost_is_shown_by_the_keys_of_its_blocks() {
    let mut world = world();
    let lost = world.live(1, 2).id;
    let counts = Counts { writes: 5, ..Counts::default() };
    let rows = vec![(lost, 1, counts, Flags::NONE)];
    world.send(&Sent { rows, ..Sent::whole(minute(1), step(60_000)) });
    world.restart(Some(lost));
    let route = spec(2, range("d", "m"));
    assert!(world.apply(minute(3), 1, Change::Backfill { route }));
    let answer = ask(&world, Continuity::Inherit, None);
    assert_eq!(cell(&answer, "route:2"), (5, 0, Flags::NONE));
    assert_eq!(totals(&answer), (5, 5, 0));
}
