use std::time::{Duration, Instant};

use keyviz_lineage::{Cause, Change, GroupId, HOUR_MS, Hlc, KeyRange, LineageRecord, ParentRef};
use uuid::Uuid;

use super::*;
use crate::world_test::{World, range, spec};

const NOON_MS: u64 = 480_012 * HOUR_MS;

fn minute(n: u64) -> u64 {
    NOON_MS + n * 60_000
}

fn create(world: &mut World, n: u64, group: GroupId, routes: &[(RouteId, &str, &str)]) {
    let routes = routes.iter().map(|&(route, start, end)| spec(route, range(start, end))).collect();
    assert!(world.apply(minute(n), group, Change::Create { routes }));
}

fn split(world: &mut World, n: u64, parent: RouteId, children: &[(RouteId, &str, &str)]) {
    let children =
        children.iter().map(|&(route, start, end)| spec(route, range(start, end))).collect();
    assert!(world.apply(minute(n), 1, Change::Split { parent, children }));
}

fn merge(world: &mut World, n: u64, parents: &[RouteId], survivor: (RouteId, &str, &str)) {
    let survivor = spec(survivor.0, range(survivor.1, survivor.2));
    assert!(world.apply(minute(n), 1, Change::Merge { parents: parents.to_vec(), survivor }));
}

fn created() -> World {
    let mut world = World::at(minute(60));
    create(&mut world, 0, 1, &[(1, "", "")]);
    world
}

fn drawn(graph: &LineageGraph, records: &[(&LineageRecord, Relation)], depth: Depth) -> Tree {
    let key = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let time = |ms: u64, _: Option<u64>| format!("at {}", ms.saturating_sub(NOON_MS) / 60_000);
    tree(graph, records, depth, &Words { key: &key, time: &time })
}

/// The whole tree of a subject, without the ids at the ends of its lines.
fn told(world: &World, subject: &Subject) -> Vec<String> {
    let records = records(&world.graph, subject, 0, u64::MAX);
    let tree = drawn(&world.graph, &records, Depth::Auto);
    assert_eq!((tree.left_out, tree.text.lines().count()), (0, records.len()));
    let lines = tree.text.lines().map(|line| line.rsplit_once("  ").unwrap());
    lines.map(|(line, id)| id.parse::<Uuid>().map(|_| line.to_owned()).unwrap()).collect()
}

fn key(key: &str) -> Subject {
    Subject::Key(key.as_bytes().to_vec())
}

/// `(route, relation)`, oldest first.
fn routes(world: &World, subject: &Subject) -> Vec<(RouteId, &'static str)> {
    named(&records(&world.graph, subject, 0, u64::MAX))
}

fn named(records: &[(&LineageRecord, Relation)]) -> Vec<(RouteId, &'static str)> {
    records.iter().map(|(record, relation)| (record.route, relation.name())).collect()
}

#[test]
fn a_split_in_three() {
    let mut world = created();
    split(&mut world, 5, 1, &[(2, "", "f"), (3, "f", "p"), (4, "p", "")]);
    assert_eq!(
        told(&world, &key("g")),
        [
            "* (-inf, +inf)  route 1 group 1  create at 0, split at 5 into routes 2, 3 and 4",
            "├─  (-inf, f)   route 2 group 1  split at 5, alive",
            "├─* [f, p)      route 3 group 1  split at 5, alive",
            "└─  [p, +inf)   route 4 group 1  split at 5, alive",
        ]
    );
}

#[test]
fn of_one_lineage_only_what_came_before_and_after_it() {
    let mut world = created();
    split(&mut world, 5, 1, &[(2, "", "m"), (3, "m", "")]);
    split(&mut world, 6, 2, &[(4, "", "f"), (5, "f", "m")]);
    let subject = Subject::Lineage(world.live(1, 4).parents[0].id);
    assert_eq!(
        routes(&world, &subject),
        [(1, "ancestor"), (2, "self"), (4, "descendant"), (5, "descendant")]
    );
    assert_eq!(
        told(&world, &subject),
        [
            "  (-inf, +inf)   route 1 group 1  create at 0, split at 5 into routes 2 and 3",
            "└─* (-inf, m)    route 2 group 1  split at 5, split at 6 into routes 4 and 5",
            "  ├─  (-inf, f)  route 4 group 1  split at 6, alive",
            "  └─  [f, m)     route 5 group 1  split at 6, alive",
        ]
    );
}

#[test]
fn a_merge_is_drawn_once_and_its_other_parents_say_where() {
    let mut world = World::at(minute(60));
    create(&mut world, 0, 1, &[(1, "", "m"), (2, "m", "t"), (3, "t", "")]);
    merge(&mut world, 7, &[1, 2, 3], (4, "", ""));
    assert_eq!(
        told(&world, &Subject::Route(4)),
        [
            "  (-inf, m)       route 1 group 1  create at 0, merged at 7 into route 4",
            "└─* (-inf, +inf)  route 4 group 1  merge at 7 of routes 1, 2 and 3, alive",
            "  [m, t)          route 2 group 1  create at 0, merged at 7 into route 4 (drawn under route 1)",
            "  [t, +inf)       route 3 group 1  create at 0, merged at 7 into route 4 (drawn under route 1)",
        ]
    );
}

/// A diamond: what was split comes together again. Then it is split along another line.
#[test]
fn a_split_a_merge_and_a_split() {
    let mut world = created();
    split(&mut world, 1, 1, &[(2, "", "m"), (3, "m", "")]);
    merge(&mut world, 2, &[2, 3], (4, "", ""));
    let diamond = told(&world, &key("a"));
    assert_eq!(
        diamond,
        [
            "* (-inf, +inf)      route 1 group 1  create at 0, split at 1 into routes 2 and 3",
            "├─* (-inf, m)       route 2 group 1  split at 1, merged at 2 into route 4",
            "│ └─* (-inf, +inf)  route 4 group 1  merge at 2 of routes 2 and 3, alive",
            "└─  [m, +inf)       route 3 group 1  split at 1, merged at 2 into route 4 (drawn under route 2)",
        ]
    );
    split(&mut world, 3, 4, &[(5, "", "q"), (6, "q", "")]);
    let lines = told(&world, &key("z"));
    assert_eq!(lines[2].replace("  ", " ").matches("split at 3 into routes 5 and 6").count(), 1);
    assert!(lines[3].contains("├─  (-inf, q)") && lines[4].contains("└─* [q, +inf)"), "{lines:?}");
    assert_eq!(
        routes(&world, &key("n")),
        [(1, "self"), (2, "ancestor"), (3, "self"), (4, "self"), (5, "self"), (6, "descendant")]
    );
}

#[test]
fn a_move_names_both_groups() {
    let mut world = created();
    let from = world.live(1, 1);
    world.move_to(minute(3), minute(4), &from, 2, 9);
    let expected = [
        "* (-inf, +inf)    route 1 group 1  create at 0, moved at 3 to route 9 of group 2",
        "└─* (-inf, +inf)  route 9 group 2  move at 4, alive",
    ];
    assert_eq!(told(&world, &key("k")), expected);
    // The other side is not open yet.
    let mut half = created();
    assert!(half.apply(minute(3), 1, Change::MoveOut { route: 1, to_group: 2, to_route: 9 }));
    assert_eq!(told(&half, &key("k")), [expected[0].replace("inf)    ", "inf)  ")]);
}

#[test]
fn what_was_dropped_and_backfilled_later() {
    let mut world = created();
    assert!(world.apply(minute(2), 1, Change::Drop { route: 1 }));
    let dropped = "(-inf, +inf)  route 1 group 1  create at 0, dropped at 2";
    assert_eq!(told(&world, &key("k")), [format!("* {dropped}")]);
    assert!(world.apply(minute(9), 1, Change::Backfill { route: spec(2, range("", "m")) }));
    assert_eq!(
        told(&world, &key("k")),
        [
            format!("* {dropped}, later route 2"),
            "└─* (-inf, m)   route 2 group 1  backfill at 9, alive".to_owned(),
        ]
    );
}

#[test]
fn a_parent_that_is_no_longer_kept_ends_the_walk_and_is_still_named() {
    let mut world = created();
    split(&mut world, 1, 1, &[(2, "", "m"), (3, "m", "")]);
    merge(&mut world, 2, &[2, 3], (4, "", ""));
    let kept = |pruned: &[RouteId]| {
        let records = world.graph.records().filter(|record| !pruned.contains(&record.route));
        let mut kept = World::at(minute(60));
        kept.graph = LineageGraph::from_records(records.cloned());
        kept
    };
    assert_eq!(
        told(&kept(&[1]), &key("a")),
        [
            "* (-inf, m)       route 2 group 1  split at 1 from (-inf, +inf) of group 1 (no longer kept), merged at 2 into route 4",
            "└─* (-inf, +inf)  route 4 group 1  merge at 2 of routes 2 and 3, alive",
            "  [m, +inf)       route 3 group 1  split at 1 from (-inf, +inf) of group 1 (no longer kept), merged at 2 into route 4 (drawn under route 2)",
        ]
    );
    assert_eq!(
        told(&kept(&[1, 2]), &key("a"))[1],
        "└─* (-inf, +inf)  route 4 group 1  merge at 2 of (-inf, m) of group 1 (no longer kept) and route 3, alive"
    );
}

#[test]
fn a_key_at_the_edge_of_all_keys_has_an_owner() {
    let mut world = created();
    split(&mut world, 1, 1, &[(2, "", "m"), (3, "m", "")]);
    let first = [(1, "self"), (2, "self"), (3, "descendant")];
    let last = [(1, "self"), (2, "descendant"), (3, "self")];
    assert_eq!(routes(&world, &key("")), first);
    assert_eq!(routes(&world, &key("l\u{7f}")), first);
    assert_eq!(routes(&world, &key("m")), last);
    assert_eq!(routes(&world, &Subject::Key(vec![0xff; 64])), last);
}

#[test]
fn from_and_to_choose_what_the_subject_was_then() {
    let mut world = created();
    split(&mut world, 10, 1, &[(2, "", "m"), (3, "m", "")]);
    split(&mut world, 20, 2, &[(4, "", "f"), (5, "f", "m")]);
    let asked = |subject: &Subject, from: u64, to: u64| {
        named(&records(&world.graph, subject, minute(from), minute(to)))
    };
    // Its past is whole, and so is its future.
    let whole =
        [(1, "self"), (2, "descendant"), (3, "descendant"), (4, "descendant"), (5, "descendant")];
    assert_eq!(asked(&key("a"), 0, 10), whole);
    assert_eq!(
        asked(&key("a"), 12, 15),
        [(1, "ancestor"), (2, "self"), (4, "descendant"), (5, "descendant")]
    );
    assert_eq!(asked(&key("a"), 20, 30), [(1, "ancestor"), (2, "ancestor"), (4, "self")]);
    assert_eq!(asked(&Subject::Route(2), 20, 30), []);
    assert_eq!(asked(&Subject::Lineage(world.live(1, 3).id), 0, 10), []);
    let lived = |subject: &Subject| lifetime(&world.graph, subject);
    assert_eq!(lived(&Subject::Route(2)), Some((minute(10), Some(minute(20)))));
    assert_eq!(lived(&key("a")), Some((minute(0), None)));
    assert_eq!(lived(&Subject::Route(6)), None);
    assert_eq!(lived(&Subject::Lineage(Uuid::nil())), None);
}

#[test]
fn a_route_number_that_was_used_again_is_told_apart() {
    let mut world = World::at(minute(60));
    create(&mut world, 0, 1, &[(1, "", "m"), (2, "m", "")]);
    merge(&mut world, 1, &[1, 2], (1, "", ""));
    create(&mut world, 2, 2, &[(1, "", "")]);
    assert_eq!(
        routes(&world, &Subject::Route(1)),
        [(1, "self"), (2, "ancestor"), (1, "self"), (1, "self")]
    );
    let lines = told(&world, &Subject::Route(1));
    let survivor = world.live(1, 1).id;
    assert!(lines[0].ends_with(&format!("merged at 1 into route 1 ({survivor})")), "{lines:?}");
    assert!(
        lines[2].ends_with(&format!("(drawn under route 1 ({}))", world.live(1, 1).parents[0].id))
    );
}

/// `count` lineages, each the only child of the one before.
fn chain(count: u64) -> LineageGraph {
    let records = (0..count).map(|at| link(at, KeyRange::all(), at.checked_sub(1)));
    LineageGraph::from_records(records)
}

fn link(at: u64, range: KeyRange, parent: Option<u64>) -> LineageRecord {
    let id = |at: u64| Uuid::from_u128(u128::from(at) + 1);
    let born = |at: u64| Hlc::new(NOON_MS + at * 1_000, 0);
    let parent = parent.map(|parent| ParentRef {
        group: 1,
        id: id(parent),
        range: KeyRange::all(),
        valid_from: born(parent),
    });
    LineageRecord {
        id: id(at),
        range,
        route: at + 1,
        group: at + 1,
        valid_from: born(at),
        valid_to: Some(born(at + 1)),
        parents: parent.into_iter().collect(),
        successor: Some((at + 2, at + 2)),
        proposal: [0; 16],
        cause: Cause::Move,
        version: 0,
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // it is the time that is tested
fn a_hundred_thousand_generations_are_drawn_in_linear_time_and_space() {
    const GENERATIONS: u64 = 100_000;
    let whole = |graph: &LineageGraph| {
        let started = Instant::now();
        let records = records(graph, &key("k"), 0, u64::MAX);
        assert_eq!(records.len() as u64, GENERATIONS);
        let text = drawn(graph, &records, Depth::All).text;
        // Every record has its line, and no line is long.
        assert_eq!(text.lines().count() as u64, GENERATIONS);
        assert!(text.lines().all(|line| line.chars().count() < 300));
        // Squared, it would be hours.
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    };
    whole(&chain(GENERATIONS));
    // A comb: each but the last of a generation is a leaf, before or after the one that goes on.
    let comb = (0..GENERATIONS).map(|at| {
        let parent = at
            .checked_sub(1)
            .map(|before| if at % 3 == 0 { before.saturating_sub(1) } else { before });
        link(at, KeyRange::all(), parent)
    });
    whole(&LineageGraph::from_records(comb));
}

#[test]
fn a_long_biography_is_cut_around_the_newest_and_says_so() {
    let graph = chain(1_000);
    let records = records(&graph, &key("k"), 0, u64::MAX);
    let ends = |tree: &Tree| {
        let lines: Vec<&str> = tree.text.lines().collect();
        (lines.len(), lines[0].to_owned(), lines[lines.len() - 1].to_owned())
    };
    let auto = drawn(&graph, &records, Depth::Auto);
    let (lines, first, last) = ends(&auto);
    assert_eq!((auto.left_out, lines), (800, 201));
    assert!(first.starts_with("* (-inf, +inf)") && first.contains("route 801 "), "{first}");
    assert!(first.contains("from route 800 of group 800"), "its parent is not above it: {first}");
    assert_eq!(last, "… 800 of 1000 records are more than 199 generations away, and not drawn");
    for (generations, left_out) in [(0, 999), (1, 998), (998, 1), (999, 0), (u32::MAX, 0)] {
        let tree = drawn(&graph, &records, Depth::Generations(generations));
        assert_eq!(tree.left_out, left_out, "{generations}");
    }
    let one = drawn(&graph, &records, Depth::Generations(1));
    assert!(ends(&one).2.contains("more than 1 generation away"), "{}", one.text);
    // In both directions, from one in the middle.
    let middle = Subject::Lineage(Uuid::from_u128(501));
    let records = super::records(&graph, &middle, 0, u64::MAX);
    let two = drawn(&graph, &records, Depth::Generations(2));
    assert_eq!((two.text.lines().count(), two.left_out), (6, 995));
    assert!(two.text.lines().nth(2).unwrap().contains("└─* "), "{}", two.text);
}

#[test]
fn a_split_into_many_lists_a_few() {
    let mut world = created();
    let bounds: Vec<String> = (0..=300)
        .map(|at| if at % 300 == 0 { String::new() } else { format!("k{at:03}") })
        .collect();
    let children: Vec<(RouteId, &str, &str)> = (0..300)
        .map(|at| (at as RouteId + 2, bounds[at].as_str(), bounds[at + 1].as_str()))
        .collect();
    split(&mut world, 1, 1, &children);
    let records = records(&world.graph, &key("k150"), 0, u64::MAX);
    let tree = drawn(&world.graph, &records, Depth::Auto);
    let first = tree.text.lines().next().unwrap();
    assert!(first.contains("into routes 2, 3, ") && first.contains(" and 292 more  "), "{first}");
    // What stands beside the subject is one generation farther than what it came from.
    assert_eq!((tree.left_out, tree.text.lines().count()), (299, 3));
}
