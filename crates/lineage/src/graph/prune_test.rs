use crate::{Change, Hlc, KeyRange, LineageGraph, LineageRecord, RouteSpec, Transition};

fn spec(route: u64, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap() }
}

fn apply(graph: &mut LineageGraph, second: u64, change: Change) {
    let transition = Transition {
        group: 1,
        proposal: u128::from(second).to_be_bytes(),
        hlc: Hlc::new(second * 1_000, 0),
        catalogue_version: 0,
        change,
    };
    let plan = graph.plan(&transition).unwrap();
    graph.install_plan(plan);
}

/// Created, split, merged again, split again.
fn graph() -> LineageGraph {
    let mut graph = LineageGraph::default();
    let split = |parent, first| Change::Split {
        parent,
        children: vec![spec(first, "", "m"), spec(first + 1, "m", "")],
    };
    apply(&mut graph, 1, Change::Create { routes: vec![spec(1, "", "")] });
    apply(&mut graph, 2, split(1, 2));
    apply(&mut graph, 3, Change::Merge { parents: vec![2, 3], survivor: spec(4, "", "") });
    apply(&mut graph, 4, split(4, 5));
    graph
}

/// Everything that can be asked of a graph, in an order of its own.
fn answers(graph: &LineageGraph) -> Vec<String> {
    let mut found = vec![format!("{:?}", graph.len())];
    let sorted = |mut ids: Vec<uuid::Uuid>| {
        ids.sort_unstable();
        ids
    };
    let mut records: Vec<&LineageRecord> = graph.records().collect();
    records.sort_by_key(|record| record.id);
    for record in records {
        found.push(format!("{record:?} {:?}", sorted(graph.children(record.id).to_vec())));
        for parent in &record.parents {
            found.push(format!("{:?}", sorted(graph.children(parent.id).to_vec())));
        }
        let of_route = graph.of_route(record.group, record.route).map(|record| record.id);
        found.push(format!("{:?}", sorted(of_route.collect())));
    }
    let all = KeyRange::all();
    found.extend(graph.live_overlapping(1, &all).map(|record| record.id.to_string()));
    found
}

#[test]
fn what_is_removed_is_gone_and_its_children_keep_their_pointers() {
    let mut graph = graph();
    let first = graph.of_route(1, 1).next().unwrap().id;
    let removed = graph.remove(first).unwrap();
    assert_eq!((removed.id, removed.route), (first, 1));
    assert!(graph.remove(first).is_none(), "once");
    assert!(graph.get(first).is_none());
    assert_eq!(graph.of_route(1, 1).count(), 0);
    assert_eq!(graph.len(), (5, 2));
    let child = graph.of_route(1, 2).next().unwrap();
    assert_eq!((child.parents[0].id, child.parents[0].range.clone()), (first, KeyRange::all()));
    assert_eq!(graph.children(first).len(), 2, "the end of the walk can still be drawn");
}

#[test]
fn removing_is_as_if_the_rest_had_been_loaded() {
    let whole = graph();
    let mut records: Vec<LineageRecord> = whole.records().cloned().collect();
    records.sort_by_key(|record| (record.valid_from, record.id));
    for gone in 0..1usize << records.len() {
        let mut graph = whole.clone();
        let is_gone = |at: usize| gone >> at & 1 == 1;
        for (at, record) in records.iter().enumerate() {
            if is_gone(at) {
                assert_eq!(graph.remove(record.id).as_ref(), Some(record));
            }
        }
        let rest = records.iter().enumerate().filter(|(at, _)| !is_gone(*at));
        let loaded = LineageGraph::from_records(rest.map(|(_, record)| record.clone()));
        assert_eq!(answers(&graph), answers(&loaded), "without {gone:b}");
        assert_eq!(graph.is_empty(), loaded.is_empty());
    }
}
