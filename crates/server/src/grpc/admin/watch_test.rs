use keyviz_lineage::{Hlc, KeyRange, RouteSpec};
use uuid::Uuid;

use super::super::identity::identity_test::record;
use super::*;

fn told(change: Change, graph: &LineageGraph) -> Vec<(u64, Vec<u64>, String, i64)> {
    let hlc = Hlc::new(100, 0);
    let transition = Transition { group: 1, proposal: [0; 16], hlc, catalogue_version: 0, change };
    let events = transitions(&transition, graph, 999).into_iter();
    events
        .map(|event| {
            (event.parent_route_id, event.child_route_ids, event.lineage_id, event.unix_ms)
        })
        .collect()
}

fn spec(route: u64) -> RouteSpec {
    RouteSpec { route, range: KeyRange::all() }
}

#[test]
fn each_parent_is_told_with_its_children_and_their_lineage() {
    // Route 2 was dropped at 90, came back at 100; route 7 is in group 2.
    let first = record(2, 1, (10, Some(90)), vec![]);
    let again = keyviz_lineage::LineageRecord { route: 2, ..record(5, 1, (100, None), vec![]) };
    let moved = record(7, 2, (101, None), vec![]);
    let graph = LineageGraph::from_records([first, again, moved]);
    let id = |id: u128| Uuid::from_u128(id).to_string();

    let create = Change::Create { routes: vec![spec(2), spec(3)] };
    assert_eq!(told(create, &graph), [(0, vec![2, 3], id(5), 100)]);
    let split = Change::Split { parent: 1, children: vec![spec(2), spec(3)] };
    assert_eq!(told(split, &graph), [(1, vec![2, 3], id(5), 100)]);
    let merge = Change::Merge { parents: vec![8, 9], survivor: spec(2) };
    assert_eq!(told(merge, &graph), [(8, vec![2], id(5), 100), (9, vec![2], id(5), 100)]);
    let moved = Change::MoveOut { route: 4, to_group: 2, to_route: 7 };
    assert_eq!(told(moved, &graph), [(4, vec![7], id(7), 101)]);
    assert_eq!(told(Change::Leader { node: "n".into(), term: 1 }, &graph), []);
}

#[test]
fn a_drop_is_told_when_it_was() {
    let graph = LineageGraph::from_records([record(2, 1, (10, Some(90)), vec![])]);
    let id = Uuid::from_u128(2).to_string();
    assert_eq!(told(Change::Drop { route: 2 }, &graph), [(2, vec![], id, 90)]);
    // Swept meanwhile: when it is told has to do.
    assert_eq!(told(Change::Drop { route: 3 }, &graph), [(3, vec![], String::new(), 999)]);
}
