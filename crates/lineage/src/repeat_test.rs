use crate::graph::GraphError;
use crate::{
    Cause, Change, GroupId, Hlc, KeyRange, LineageGraph, LineageRecord, ParentRef, RouteId,
    RouteSpec, Transition, id,
};

const G: GroupId = 1;

fn spec(route: RouteId, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap() }
}

/// Decided in second `at`, under a proposal id of its own for each `proposal`.
fn transition(at: u64, proposal: u64, version: u64, change: Change) -> Transition {
    Transition {
        group: G,
        proposal: u128::from(proposal).to_be_bytes(),
        hlc: Hlc::new(at * 1_000, 0),
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

fn create() -> Change {
    Change::Create { routes: vec![spec(1, "", "")] }
}

fn split() -> Change {
    Change::Split { parent: 1, children: vec![spec(2, "", "m"), spec(3, "m", "")] }
}

fn merge() -> Change {
    Change::Merge { parents: vec![2, 3], survivor: spec(1, "", "") }
}

fn only(graph: &LineageGraph, route: RouteId) -> &LineageRecord {
    let mut found = graph.of_route(G, route);
    let record = found.next().unwrap();
    assert!(found.next().is_none(), "route {route} had several lives");
    record
}

#[test]
fn a_new_leader_retries_and_the_first_wins_with_and_without_a_version() {
    for version in [0, 1] {
        let mut graph = LineageGraph::default();
        let at = |n: u64| if version == 0 { 0 } else { version + n };
        let events = [(1, create()), (2, split()), (3, merge())];
        for (n, change) in &events {
            let first = transition(n * 10, *n, at(*n), change.clone());
            assert!(apply(&mut graph, &first).unwrap() > 0, "{change:?}");
            // The old leader's clock may be ahead of the new one's, or behind it.
            for (offset, proposal) in [(-1i64, 100), (0, 101), (1, 102)] {
                let hlc = (n * 10).saturating_add_signed(offset);
                let retry = transition(hlc, proposal + n, at(*n), change.clone());
                assert_eq!(apply(&mut graph, &retry), Ok(0), "{change:?} at {offset}, v{version}");
            }
        }
        assert_eq!(graph.len(), (4, 1));
    }
}

#[test]
fn another_event_on_the_same_parents_is_no_repetition() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 1, create())).unwrap();
    apply(&mut graph, &transition(2, 2, 2, split())).unwrap();
    let elsewhere = Change::Split { parent: 1, children: vec![spec(2, "", "c"), spec(3, "c", "")] };
    let parent = only(&graph, 1).id;
    let refused = apply(&mut graph, &transition(3, 3, 2, elsewhere.clone())).unwrap_err();
    assert!(
        matches!(refused, GraphError::Closed { lineage, closed_ms: 2_000, .. } if lineage == parent),
        "{refused}"
    );
    assert!(refused.is_stale(), "to be decided again");
    let unchecked = apply(&mut graph, &transition(3, 3, 0, elsewhere)).unwrap_err();
    assert!(
        matches!(unchecked, GraphError::UnknownRoute { route: 1, .. }) && !unchecked.is_stale()
    );
    // The same keys at another version of the catalogue.
    assert!(apply(&mut graph, &transition(4, 4, 9, split())).unwrap_err().is_stale());
    assert_eq!(graph.len(), (3, 2));
}

#[test]
fn route_numbers_that_come_again_are_told_apart_by_version_or_hlc() {
    for version in [0, 1] {
        let mut graph = LineageGraph::default();
        let at = |n: u64| if version == 0 { 0 } else { version + n };
        apply(&mut graph, &transition(10, 1, at(1), create())).unwrap();
        apply(&mut graph, &transition(20, 2, at(2), split())).unwrap();
        apply(&mut graph, &transition(30, 3, at(3), merge())).unwrap();
        // Route 1 lives again. The first split comes once more: it is not about this life.
        assert_eq!(apply(&mut graph, &transition(21, 90, at(2), split())), Ok(0));
        // A later one is.
        assert_eq!(apply(&mut graph, &transition(40, 4, at(4), split())), Ok(3));
        assert_eq!(apply(&mut graph, &transition(41, 91, at(4), split())), Ok(0));
        assert_eq!(graph.len(), (6, 2));
    }
}

#[test]
fn a_drop_that_comes_late_does_not_hit_the_next_life() {
    for version in [0, 1] {
        let mut graph = LineageGraph::default();
        let at = |n: u64| if version == 0 { 0 } else { version + n };
        let drop = |hlc, proposal| transition(hlc, proposal, at(2), Change::Drop { route: 1 });
        apply(&mut graph, &transition(10, 1, at(1), create())).unwrap();
        assert_eq!(apply(&mut graph, &drop(20, 2)), Ok(1));
        assert_eq!(apply(&mut graph, &drop(21, 3)), Ok(0));
        assert_eq!(apply(&mut graph, &transition(30, 4, at(3), create())), Ok(1), "a second life");
        assert_eq!(apply(&mut graph, &drop(22, 5)), Ok(0));
        assert_eq!(
            apply(&mut graph, &transition(15, 6, at(1), create())),
            Ok(0),
            "the first birth"
        );
        assert_eq!(graph.len(), (2, 1));
    }
}

#[test]
fn a_range_that_was_split_has_not_been_dropped() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 1, create())).unwrap();
    apply(&mut graph, &transition(2, 2, 2, split())).unwrap();
    let drop = transition(3, 3, 3, Change::Drop { route: 1 });
    assert!(matches!(apply(&mut graph, &drop), Err(GraphError::Closed { route: 1, .. })));
    let out = |group| Change::MoveOut { route: 2, to_group: group, to_route: 9 };
    assert_eq!(apply(&mut graph, &transition(4, 4, 4, out(2))), Ok(1));
    assert_eq!(apply(&mut graph, &transition(5, 5, 4, out(2))), Ok(0), "again");
    let elsewhere = transition(6, 6, 4, out(3));
    assert!(apply(&mut graph, &elsewhere).unwrap_err().is_stale(), "it went to group 2");
    let drop = transition(7, 7, 0, Change::Drop { route: 2 });
    assert!(matches!(apply(&mut graph, &drop), Err(GraphError::UnknownRoute { .. })));
}

#[test]
fn two_leaders_backfill_and_one_record_comes_of_it() {
    let mut graph = LineageGraph::default();
    let backfill = |at, n| transition(at, n, 0, Change::Backfill { route: spec(4, "a", "b") });
    assert_eq!(apply(&mut graph, &backfill(10, 1)), Ok(1));
    assert_eq!(apply(&mut graph, &backfill(11, 2)), Ok(0), "the other leader's");
    assert_eq!(apply(&mut graph, &backfill(9, 3)), Ok(0), "with a slower clock");
    let drop = transition(20, 4, 0, Change::Drop { route: 4 });
    assert_eq!(apply(&mut graph, &drop), Ok(1));
    assert_eq!(apply(&mut graph, &backfill(12, 5)), Ok(0), "it must not rise again");
    assert_eq!(graph.len(), (1, 0));
    assert_eq!(apply(&mut graph, &backfill(30, 6)), Ok(1), "a new route of the same name");
    let again = graph.live_route(G, 4).unwrap();
    assert_eq!((again.cause, again.parents.len()), (Cause::Backfill, 1));
}

#[test]
fn a_backfill_that_comes_again_after_a_loss_does_not_descend_from_its_own_descendants() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 0, create())).unwrap();
    apply(&mut graph, &transition(2, 2, 0, Change::Drop { route: 1 })).unwrap();
    let backfill = transition(3, 3, 0, Change::Backfill { route: spec(4, "", "") });
    apply(&mut graph, &backfill).unwrap();
    let first = only(&graph, 4).clone();
    // To group 2 and back, and gone.
    for (at, from_group, route, to_group) in [(4, 1, 4, 2), (6, 2, 5, 1)] {
        let from = graph.live_route(from_group, route).unwrap().as_parent();
        let out = Change::MoveOut { route, to_group, to_route: route + 1 };
        apply(&mut graph, &Transition { group: from_group, ..transition(at, at, 0, out) }).unwrap();
        let enter = Change::MoveIn { route: spec(route + 1, "", ""), from };
        let enter = Transition { group: to_group, ..transition(at + 1, at + 1, 0, enter) };
        assert_eq!(apply(&mut graph, &enter), Ok(1));
    }
    apply(&mut graph, &transition(8, 8, 0, Change::Drop { route: 6 })).unwrap();
    let moved = graph.of_route(2, 5).next().unwrap().id;

    let kept = graph.records().filter(|record| record.id != first.id).cloned();
    let mut graph = LineageGraph::from_records(kept.collect::<Vec<_>>());
    assert_eq!(apply(&mut graph, &backfill), Ok(1));
    let again = graph.live_route(G, 4).unwrap();
    assert_eq!((again.id, again.valid_from), (first.id, first.valid_from));
    assert_eq!(again.parents, first.parents, "what it continues, not what came of it");
    let parents = graph.parents_of(graph.slot(moved).unwrap());
    assert_eq!(parents.collect::<Vec<_>>(), [graph.slot(first.id).unwrap()]);
}

#[test]
fn a_move_opens_once_whoever_completes_it() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 1, create())).unwrap();
    let out = Change::MoveOut { route: 1, to_group: 2, to_route: 8 };
    apply(&mut graph, &transition(2, 2, 2, out)).unwrap();
    let from = only(&graph, 1).as_parent();
    let enter = |at, n, route| {
        let change = Change::MoveIn { route: spec(route, "", ""), from: from.clone() };
        Transition { group: 2, ..transition(at, n, 0, change) }
    };
    assert_eq!(apply(&mut graph, &enter(3, 3, 8)), Ok(1));
    assert_eq!(apply(&mut graph, &enter(3, 3, 8)), Ok(0));
    assert_eq!(apply(&mut graph, &enter(9, 4, 8)), Ok(0), "another proposal");
    let drop = Transition { group: 2, ..transition(20, 5, 0, Change::Drop { route: 8 }) };
    apply(&mut graph, &drop).unwrap();
    assert_eq!(apply(&mut graph, &enter(30, 6, 8)), Ok(0), "it had its life");
    assert_eq!(graph.len(), (2, 0));
}

#[test]
fn what_was_removed_does_not_come_back_while_kin_of_it_is_held() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 1, create())).unwrap();
    let birth = transition(1, 1, 1, create());
    let fork = transition(2, 2, 2, split());
    apply(&mut graph, &fork).unwrap();
    graph.remove(only(&graph, 1).id);
    assert_eq!(apply(&mut graph, &birth), Ok(0), "its children know it");
    let drop = transition(3, 3, 3, Change::Drop { route: 2 });
    apply(&mut graph, &drop).unwrap();
    graph.remove(only(&graph, 2).id);
    assert_eq!(apply(&mut graph, &fork), Ok(0), "its other child is there");
    assert_eq!(graph.len(), (1, 1));
}

#[test]
fn one_proposal_id_names_one_content() {
    let mut graph = LineageGraph::default();
    let one = |start, end| Change::Create { routes: vec![spec(1, start, end)] };
    apply(&mut graph, &transition(1, 1, 1, one("", "m"))).unwrap();
    let held = only(&graph, 1).clone();
    let other = Change::Create { routes: vec![spec(2, "m", "")] };
    let refused = apply(&mut graph, &transition(1, 1, 1, other)).unwrap_err();
    assert!(matches!(refused, GraphError::IdTaken { lineage, .. } if lineage == held.id));
    assert_eq!(graph.get(held.id), Some(&held), "what was there stays");
}

#[test]
fn an_overlap_names_both_lineages() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 0, create())).unwrap();
    let held = only(&graph, 1).id;
    let over = transition(2, 2, 0, Change::Create { routes: vec![spec(7, "a", "b")] });
    let text = apply(&mut graph, &over).unwrap_err().to_string();
    let wanted = id::derive(over.hlc, G, &over.proposal, 0);
    assert!(text.contains(&held.to_string()) && text.contains(&wanted.to_string()), "{text}");
}

#[test]
fn a_move_from_what_cannot_be_its_parent_names_both() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 0, create())).unwrap();
    let here = only(&graph, 1).clone();
    let elsewhere = ParentRef {
        group: 2,
        id: id::derive(Hlc::new(500, 0), 2, &[7; 16], 0),
        range: here.range.clone(),
        valid_from: Hlc::new(500, 0),
    };
    let own = id::derive(Hlc::new(9_000, 0), G, &9u128.to_be_bytes(), 0);
    let cases = [
        ("a group of its own", ParentRef { group: G, ..elsewhere.clone() }),
        ("a lineage of this group", ParentRef { id: here.id, ..elsewhere.clone() }),
        ("group 0", ParentRef { group: 0, ..elsewhere.clone() }),
        ("other keys", ParentRef { range: spec(0, "a", "b").range, ..elsewhere.clone() }),
        ("itself: a cycle", ParentRef { id: own, ..elsewhere.clone() }),
        (
            "a later birth: a cycle",
            ParentRef { valid_from: Hlc::new(9_000, 0), ..elsewhere.clone() },
        ),
    ];
    apply(&mut graph, &transition(2, 2, 0, Change::Drop { route: 1 })).unwrap();
    for (name, from) in cases {
        let parent = from.id;
        let change = Change::MoveIn { route: spec(5, "", ""), from };
        let refused = apply(&mut graph, &transition(9, 9, 0, change)).unwrap_err();
        assert!(matches!(refused, GraphError::Parent { .. }), "{name}: {refused}");
        let text = refused.to_string();
        assert!(
            text.contains(&parent.to_string()) && text.contains(&own.to_string()),
            "{name}: {text}"
        );
    }
    let change = Change::MoveIn { route: spec(5, "", ""), from: elsewhere };
    assert_eq!(apply(&mut graph, &transition(9, 9, 0, change)), Ok(1));
}

#[test]
fn a_cycle_through_what_was_removed_is_refused() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(1, 1, 0, create())).unwrap();
    apply(&mut graph, &transition(2, 2, 0, split())).unwrap();
    let first = only(&graph, 1).id;
    graph.remove(first);
    // A split of its child that would derive the id of the removed one.
    let change = Change::Split { parent: 2, children: vec![spec(8, "", "c"), spec(9, "c", "m")] };
    let forged = transition(1, 1, 0, change);
    assert_eq!(id::derive(forged.hlc, G, &forged.proposal, 0), first);
    let refused = apply(&mut graph, &forged).unwrap_err();
    assert!(
        matches!(refused, GraphError::IdTaken { lineage, .. } if lineage == first),
        "{refused}"
    );
}

#[test]
fn a_close_that_comes_again_is_known_by_its_time_where_the_next_life_began_before_it() {
    let mut graph = LineageGraph::default();
    apply(&mut graph, &transition(10, 1, 0, create())).unwrap();
    let out = Change::MoveOut { route: 1, to_group: 2, to_route: 8 };
    let out = transition(30, 2, 0, out);
    assert_eq!(apply(&mut graph, &out), Ok(1));
    // What was moved here under the same number, by the clock of another group.
    let from = ParentRef {
        group: 3,
        id: id::derive(Hlc::new(5_000, 0), 3, &[3; 16], 0),
        range: KeyRange::all(),
        valid_from: Hlc::new(5_000, 0),
    };
    let enter = Change::MoveIn { route: spec(1, "", ""), from };
    assert_eq!(apply(&mut graph, &transition(20, 3, 0, enter)), Ok(1));
    assert_eq!(apply(&mut graph, &out), Ok(0));
    assert!(graph.live_route(G, 1).is_some());
}
