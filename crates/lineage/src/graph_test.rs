use super::*;
use crate::{Cause, Hlc, ParentRef, ProposalId, RouteSpec, Step, id};

const G: GroupId = 1;

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

fn spec(route: RouteId, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: range(start, end) }
}

fn proposal(n: u64) -> ProposalId {
    u128::from(n).to_be_bytes()
}

fn transition(n: u64, version: u64, change: Change) -> Transition {
    Transition {
        group: G,
        proposal: proposal(n),
        hlc: Hlc::new(n * 1_000, 0),
        catalogue_version: version,
        change,
    }
}

fn apply(graph: &mut LineageGraph, transition: &Transition) -> Result<usize, GraphError> {
    let plan = graph.plan(transition)?;
    let changed = plan.records.len();
    graph.install_plan(plan);
    Ok(changed)
}

fn create(n: u64) -> Transition {
    transition(n, n, Change::Create { routes: vec![spec(1, "", "")] })
}

fn split(n: u64, version: u64) -> Transition {
    transition(
        n,
        version,
        Change::Split { parent: 1, children: vec![spec(3, "m", ""), spec(2, "", "m")] },
    )
}

#[test]
fn a_split_closes_its_parent_where_the_children_begin() {
    let mut graph = LineageGraph::default();
    assert_eq!(apply(&mut graph, &create(1)), Ok(1));
    assert_eq!(apply(&mut graph, &split(2, 2)), Ok(3));
    let parent = graph.of_route(G, 1).next().unwrap();
    let (low, high) = (graph.live_route(G, 2).unwrap(), graph.live_route(G, 3).unwrap());
    assert_eq!(parent.valid_to, Some(low.valid_from));
    assert_eq!((low.parents[0].id, high.parents[0].id), (parent.id, parent.id));
    assert_eq!(graph.children(parent.id).len(), 2);
    assert_eq!(low.id, id::derive(Hlc::new(2_000, 0), G, &proposal(2), 0), "children in key order");
}

#[test]
fn the_same_event_twice_changes_nothing() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &create(1)).unwrap();
    apply(&mut graph, &split(2, 2)).unwrap();
    assert_eq!(apply(&mut graph, &split(2, 2)), Ok(0), "same command");
    assert_eq!(apply(&mut graph, &split(9, 2)), Ok(0), "same event, other proposal");
    assert_eq!(apply(&mut graph, &create(1)), Ok(0), "its creation, long after");
    let drop = transition(10, 9, Change::Drop { route: 2 });
    assert_eq!((apply(&mut graph, &drop), apply(&mut graph, &drop)), (Ok(1), Ok(0)));
}

#[test]
fn a_merge_reunites_and_keeps_every_parent() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &create(1)).unwrap();
    apply(&mut graph, &split(2, 2)).unwrap();
    let merge = transition(3, 3, Change::Merge { parents: vec![3, 2], survivor: spec(3, "", "") });
    assert_eq!(apply(&mut graph, &merge), Ok(3));
    let survivor = graph.live_route(G, 3).unwrap();
    assert_eq!(survivor.parents.len(), 2);
    assert_eq!(survivor.parents[0].range, range("", "m"));
    assert_eq!(graph.len(), (4, 1));
}

#[test]
fn a_move_closes_here_and_opens_there() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &create(1)).unwrap();
    let out = transition(2, 2, Change::MoveOut { route: 1, to_group: 2, to_route: 8 });
    assert_eq!(apply(&mut graph, &out), Ok(1));
    let old = graph.of_route(G, 1).next().unwrap();
    assert_eq!(old.successor, Some((2, 8)));
    let change = Change::MoveIn { route: spec(8, "", ""), from: old.as_parent() };
    let into = Transition { group: 2, ..transition(3, 2, change) };
    assert_eq!((apply(&mut graph, &into), apply(&mut graph, &into)), (Ok(1), Ok(0)));
    let new = graph.live_route(2, 8).unwrap();
    assert!(new.valid_from > new.parents[0].valid_from);
}

#[test]
fn stale_unknown_and_overlapping_are_refused_and_change_nothing() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &create(5)).unwrap();
    assert!(matches!(
        apply(&mut graph, &split(6, 3)),
        Err(GraphError::Stale { changed_at: 6, decided_at: 3, .. })
    ));
    let unknown = transition(7, 7, Change::Drop { route: 77 });
    assert!(matches!(apply(&mut graph, &unknown), Err(GraphError::UnknownRoute { route: 77, .. })));
    let overlap = transition(8, 8, Change::Create { routes: vec![spec(2, "a", "b")] });
    assert!(matches!(apply(&mut graph, &overlap), Err(GraphError::Overlap { other_route: 1, .. })));
    let in_use = transition(8, 8, Change::Create { routes: vec![spec(1, "a", "b")] });
    assert!(matches!(apply(&mut graph, &in_use), Err(GraphError::RouteInUse { .. })));
    for change in [
        Change::Split { parent: 1, children: vec![spec(2, "", "m")] },
        Change::Split { parent: 1, children: vec![spec(2, "", "m"), spec(3, "a", "")] },
        Change::Split { parent: 1, children: vec![spec(2, "", "m"), spec(2, "m", "")] },
        Change::Merge { parents: vec![1], survivor: spec(2, "", "") },
        Change::Create { routes: vec![] },
        Change::Create { routes: vec![spec(0, "", "")] },
        Change::MoveOut { route: 1, to_group: 0, to_route: 1 },
    ] {
        assert!(matches!(
            apply(&mut graph, &transition(9, 9, change)),
            Err(GraphError::Shape { .. })
        ));
    }
    assert_eq!(graph.len(), (1, 1));
}

#[test]
fn at_the_end_of_time_nothing_happens_any_more() {
    let at = |n, hlc, change| Transition { hlc: Hlc(hlc), ..transition(n, 0, change) };
    let routes = || Change::Create { routes: vec![spec(1, "", "m"), spec(2, "m", "")] };
    let mut graph = LineageGraph::default();
    let refused = apply(&mut graph, &at(1, u64::MAX, routes()));
    assert!(matches!(refused, Err(GraphError::Shape { .. })), "two ids, one tick");
    let last = u64::MAX - (1 << 32);
    assert_eq!(apply(&mut graph, &at(1, last, routes())), Ok(2));
    assert_eq!(apply(&mut graph, &at(2, 7, Change::Drop { route: 2 })), Ok(1));
    let dropped = graph.of_route(G, 2).next().unwrap();
    assert_eq!(dropped.valid_to, Some(Hlc(last + 1)), "an end behind its birth");
    let from = ParentRef { group: 2, valid_from: Hlc(u64::MAX), ..dropped.as_parent() };
    let into = Change::MoveIn { route: spec(3, "m", ""), from };
    assert!(matches!(apply(&mut graph, &at(3, 7, into)), Err(GraphError::Shape { .. })));
}

#[test]
fn a_backfill_finds_the_best_parent_and_happens_once() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &create(1)).unwrap();
    apply(&mut graph, &transition(2, 2, Change::Drop { route: 1 })).unwrap();
    let backfill = |n| transition(n, 0, Change::Backfill { route: spec(4, "a", "b") });
    assert_eq!(apply(&mut graph, &backfill(3)), Ok(1));
    assert_eq!(apply(&mut graph, &backfill(4)), Ok(0), "a concurrent backfill");
    let record = graph.live_route(G, 4).unwrap();
    assert_eq!((record.cause, record.parents[0].range.clone()), (Cause::Backfill, KeyRange::all()));
}

#[test]
fn a_row_is_resolved_by_bounds_and_time_not_by_number_alone() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &create(60)).unwrap();
    apply(&mut graph, &transition(120, 120, Change::Drop { route: 1 })).unwrap();
    apply(&mut graph, &transition(180, 180, Change::Create { routes: vec![spec(1, "", "")] }))
        .unwrap();
    let at = |start_s: u64| {
        let window = Window::new(start_s * 1_000, Step::MINUTE).unwrap();
        graph.resolve(G, 1, &KeyRange::all(), window).unwrap().valid_from.unix_ms() / 1_000
    };
    assert_eq!((at(0), at(60), at(120), at(180)), (60, 60, 60, 180));
    let window = Window::new(0, Step::MINUTE).unwrap();
    assert!(graph.resolve(G, 1, &range("a", "b"), window).is_none(), "other bounds, other range");
}

#[test]
fn live_overlapping_stays_within_group_and_range() {
    let mut graph = LineageGraph::default();
    let routes = vec![spec(1, "", "b"), spec(2, "b", "d"), spec(3, "f", "")];
    apply(&mut graph, &transition(1, 1, Change::Create { routes })).unwrap();
    let other = Transition {
        group: 2,
        ..transition(1, 1, Change::Create { routes: vec![spec(9, "", "")] })
    };
    apply(&mut graph, &other).unwrap();
    let found = |start, end| -> Vec<RouteId> {
        graph.live_overlapping(G, &range(start, end)).map(|record| record.route).collect()
    };
    assert_eq!(found("", ""), [1, 2, 3]);
    assert_eq!(found("c", "e"), [2]);
    assert_eq!(found("d", "f"), [] as [RouteId; 0]);
    assert_eq!(found("a", "c"), [1, 2]);
}
