use keyviz_lineage::{Change, Hlc, KeyRange, RouteSpec, Transition};

use super::*;

const NOON_MS: u64 = 1_750_075_200_000;
const ALL: (u64, u64) = (0, u64::MAX);

fn minute(n: u64) -> u64 {
    NOON_MS + n * 60_000
}

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

/// Created at 12:00, split at `m` at 12:05, the right side moved to group 2 at 12:07.
fn graph() -> LineageGraph {
    let mut graph = LineageGraph::default();
    let mut apply = |n: u64, group, catalogue_version, change| {
        let (proposal, hlc) = ([n as u8; 16], Hlc::new(minute(n), 0));
        let transition = Transition { group, proposal, hlc, catalogue_version, change };
        let plan = graph.plan(&transition).unwrap();
        graph.install_plan(plan);
    };
    let spec = |route, start, end| RouteSpec { route, range: range(start, end) };
    apply(0, 1, 3, Change::Create { routes: vec![spec(1, "", "")] });
    let children = vec![spec(2, "", "m"), spec(3, "m", "")];
    apply(5, 1, 4, Change::Split { parent: 1, children });
    apply(7, 1, 5, Change::MoveOut { route: 3, to_group: 2, to_route: 4 });
    let from = graph.of_route(1, 3).next().unwrap().as_parent();
    let change = Change::MoveIn { route: spec(4, "m", ""), from };
    let (proposal, hlc) = ([7; 16], Hlc::new(minute(7), 1));
    let transition = Transition { group: 2, proposal, hlc, catalogue_version: 5, change };
    let plan = graph.plan(&transition).unwrap();
    graph.install_plan(plan);
    graph
}

fn told(graph: &LineageGraph, subject: &Subject) -> Value {
    to_json(&Biography::of(graph, subject, ALL, Depth::Auto).unwrap().into_wire(false))
}

fn refused(subject: &Subject, span: (u64, u64)) -> String {
    Biography::of(&graph(), subject, span, Depth::Auto).unwrap_err().to_string()
}

#[test]
fn a_record_holds_all_that_is_known_of_a_range() {
    let graph = graph();
    let moved = graph.of_route(1, 3).next().unwrap();
    let answer = told(&graph, &Subject::Lineage(moved.id));
    let relations: Vec<(&Value, &Value)> = answer["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (&record["route_id"], &record["relation"]))
        .collect();
    assert_eq!(
        relations,
        [
            (&json!(1), &json!("ancestor")),
            (&json!(3), &json!("self")),
            (&json!(4), &json!("descendant"))
        ]
    );
    let (parent, child) = (&moved.parents[0], graph.children(moved.id)[0]);
    assert_eq!(
        answer["records"][1],
        json!({
            "id": moved.id,
            "relation": "self",
            "start": "bQ==",
            "end": null,
            "start_text": "m",
            "end_text": null,
            "route_id": 3,
            "group_id": 1,
            "cause": "split",
            "valid_from_unix_ms": minute(5),
            "valid_to_unix_ms": minute(7),
            "valid_from_hlc": minute(5) << 16,
            "valid_to_hlc": minute(7) << 16,
            "parents": [{
                "id": parent.id,
                "group_id": 1,
                "start": null,
                "end": null,
                "start_text": null,
                "end_text": null,
                "valid_from_unix_ms": minute(0),
                "valid_from_hlc": minute(0) << 16,
            }],
            "children": [child],
            "successor": { "group_id": 2, "route_id": 4 },
            "proposal_id": "05050505050505050505050505050505",
            "catalogue_version": 5,
        })
    );
    let last = &answer["records"][2];
    assert_eq!((&last["valid_to_unix_ms"], &last["valid_to_hlc"]), (&Value::Null, &Value::Null));
    assert_eq!((&last["children"], &last["successor"]), (&json!([]), &Value::Null));
    assert_eq!((&answer["record_count"], &answer["left_out"]), (&json!(3), &json!(0)));
}

#[test]
fn the_tree_writes_a_date_once_a_line_and_short_keys() {
    let answer = told(&graph(), &Subject::Route(3));
    let text = answer["text"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.rsplit_once("  ").unwrap().0).collect();
    assert_eq!(
        lines,
        [
            "  (-inf, +inf)   route 1 group 1  create 2025-06-16T12:00:00.000Z, split 12:05:00.000Z into routes 2 and 3",
            "└─* [m, +inf)    route 3 group 1  split 2025-06-16T12:05:00.000Z, moved 12:07:00.000Z to route 4 of group 2",
            "  └─  [m, +inf)  route 4 group 2  move 2025-06-16T12:07:00.000Z, alive",
        ]
    );
    let mut long = LineageGraph::default();
    let bounds = KeyRange::new(vec![b'a'; 60_000], vec![0xff; 60_000]).unwrap();
    let change = Change::Create { routes: vec![RouteSpec { route: 1, range: bounds }] };
    let (proposal, hlc) = ([1; 16], Hlc::new(NOON_MS, 0));
    let transition = Transition { group: 1, proposal, hlc, catalogue_version: 0, change };
    let plan = long.plan(&transition).unwrap();
    long.install_plan(plan);
    let answer = told(&long, &Subject::Route(1));
    let line = answer["text"].as_str().unwrap();
    assert!(line.chars().count() < 200 && line.contains("[aaa") && line.contains("…"), "{line}");
}

#[test]
fn the_records_can_be_left_out_and_are_counted_all_the_same() {
    let found = Biography::of(&graph(), &Subject::Route(3), ALL, Depth::Generations(0)).unwrap();
    let answer = found.into_wire(true);
    assert_eq!((answer.records.len(), answer.record_count, answer.left_out), (0, 3, 2));
    assert_eq!(answer.text.lines().count(), 2);
    assert_eq!(depth_from_wire(None), Depth::Auto);
    assert_eq!(depth_from_wire(Some(7)), Depth::Generations(7));
    assert_eq!(depth_from_wire(Some(u32::MAX)), Depth::All);
}

#[test]
fn what_is_not_known_is_named_with_what_is() {
    let known = "this node knows 4 lineages (2 of them live), with route numbers from 1 to 4, the \
                 oldest from 2025-06-16T12:00:00.000Z";
    assert_eq!(
        refused(&Subject::Route(99), ALL),
        format!("no range had the route number 99; {known}")
    );
    let nil = LineageId::nil();
    assert_eq!(
        refused(&Subject::Lineage(nil), ALL),
        format!("no lineage has the id {nil}; {known}")
    );
    assert_eq!(
        refused(&Subject::Route(3), (minute(8), minute(9))),
        "route 3 lived between 2025-06-16T12:05:00.000Z and 2025-06-16T12:07:00.000Z, but not \
         between 2025-06-16T12:08:00.000Z and 2025-06-16T12:09:00.000Z"
    );
    assert_eq!(
        refused(&Subject::Key(b"order\x1b".to_vec()), (0, minute(0))),
        "the key order\\x1b was owned between 2025-06-16T12:00:00.000Z and now, but not before \
         2025-06-16T12:00:00.000Z"
    );
    assert!(
        refused(&Subject::Route(3), (minute(8), u64::MAX))
            .ends_with("but not since 2025-06-16T12:08:00.000Z")
    );
    assert!(refused(&Subject::Route(3), (5, 5)).contains("not before"));
    let empty = LineageGraph::default();
    let error = Biography::of(&empty, &Subject::Key(b"k".to_vec()), ALL, Depth::Auto).unwrap_err();
    assert_eq!(error.to_string(), "no range held the key k; this node knows no range yet");
}
