use std::sync::Arc;

use keyviz_codec::column_record::{self, ColumnRecord};
use keyviz_lineage::{
    Cause, Counts, Flags, Hlc, LineageRecord, RouteId, RouteSpec, Row, Step, Transition,
    transition::Change,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::admit;

const MINUTE: u64 = 60_000;

fn source() -> SourceId {
    SourceId { node: "n1".into(), boot: Uuid::from_u128(1) }
}

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

fn row(group: GroupId, route: RouteId, range: KeyRange) -> Row {
    Row { route, group, term: 1, range, counts: Counts::default(), flags: Flags::NONE }
}

fn column(minute: u64, mut rows: Vec<Row>) -> Column {
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
    let start_ms = minute * MINUTE;
    Column {
        window: Window::new(start_ms, Step::MINUTE).unwrap(),
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + MINUTE,
        unattributed: 0,
        groups: vec![1, 2],
        rows,
        buckets: Vec::new(),
    }
}

fn lived(
    id: u128,
    route: RouteId,
    range: KeyRange,
    from_ms: u64,
    to_ms: Option<u64>,
) -> LineageRecord {
    LineageRecord {
        id: Uuid::from_u128(id),
        range,
        route,
        group: 1,
        valid_from: Hlc::new(from_ms, 0),
        valid_to: to_ms.map(|to_ms| Hlc::new(to_ms, 0)),
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Create,
        version: 0,
    }
}

fn record(column: &Column) -> Vec<u8> {
    column_record::encode(&source(), 1, column)
}

fn placing<'a>(graph: &'a LineageGraph, column: &Column, trusted: bool) -> Placing<'a> {
    Placing { graph, window: column.window, trusted, left_out: &[] }
}

/// Places a column and remembers it.
fn placed(placements: &mut Placements, graph: &LineageGraph, column: &Column, trusted: bool) {
    let admitted = admit::place(graph, column, trusted, &[]);
    let bytes = record(column);
    let parsed = ColumnRecord::parse(&bytes).unwrap();
    let placement = Placement::new(&parsed, column, &admitted, Vec::new());
    placements.keep(&source(), Arc::new(placement));
}

fn again(placements: &mut Placements, column: &Column, placing: Placing<'_>) -> bool {
    let bytes = record(column);
    placements.of(&ColumnRecord::parse(&bytes).unwrap(), placing).is_some()
}

#[test]
fn only_the_same_rows_of_the_same_graph_are_placed_again() {
    let mut graph = LineageGraph::from_records([lived(7, 1, range("a", "m"), 10 * MINUTE, None)]);
    let rows = vec![row(1, 1, range("a", "m"))];
    let (first, next) = (column(20, rows.clone()), column(21, rows));
    let mut placements = Placements::default();
    placed(&mut placements, &graph, &first, false);
    assert!(again(&mut placements, &next, placing(&graph, &next, false)));
    let left_out = Placing { left_out: &[1], ..placing(&graph, &next, false) };
    assert!(!again(&mut placements, &next, left_out), "other groups are wanted");
    let others = [
        vec![row(1, 1, range("a", "n"))],
        vec![row(1, 2, range("a", "m"))],
        vec![row(2, 1, range("a", "m"))],
        vec![row(1, 1, range("a", "m")), row(1, 2, range("m", "z"))],
        Vec::new(),
    ];
    for rows in others {
        let other = column(21, rows);
        assert!(!again(&mut placements, &other, placing(&graph, &other, false)), "{other:?}");
    }
    let unlisted = Column { groups: vec![2], ..next.clone() };
    assert!(!again(&mut placements, &unlisted, placing(&graph, &next, false)));
    let create = Transition {
        group: 1,
        proposal: [2; 16],
        hlc: Hlc::new(20 * MINUTE, 0),
        catalogue_version: 0,
        change: Change::Create { routes: vec![RouteSpec { route: 2, range: range("m", "z") }] },
    };
    let plan = graph.plan(&create).unwrap();
    let before = graph.clone();
    graph.install_plan(plan);
    assert!(!again(&mut placements, &next, placing(&graph, &next, false)), "a record came");
    assert!(again(&mut placements, &next, placing(&before, &next, false)));
    for now_ms in [HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS] {
        placements.forget_unused(now_ms);
        assert!(again(&mut placements, &next, placing(&before, &next, false)), "it is in use");
    }
    placements.forget_unused(5 * HOUR_MS);
    assert!(!again(&mut placements, &next, placing(&before, &next, false)));
}

#[test]
fn a_removed_record_is_not_placed_again() {
    let closed = lived(7, 1, range("a", "m"), 10 * MINUTE, Some(30 * MINUTE));
    let mut graph = LineageGraph::from_records([closed]);
    let first = column(20, vec![row(1, 1, range("a", "m"))]);
    let mut placements = Placements::default();
    placed(&mut placements, &graph, &first, true);
    assert!(again(&mut placements, &first, placing(&graph, &first, true)));
    graph.remove(Uuid::from_u128(7));
    assert!(!again(&mut placements, &first, placing(&graph, &first, true)));
}

/// Lives of one route, one after the other.
fn lives() -> impl Strategy<Value = Vec<LineageRecord>> {
    prop::collection::vec((1u64..300, 0u64..200), 1..5).prop_map(|lives| {
        let (mut at_ms, count) = (0, lives.len());
        let lived_at = |(at, (gap, length)): (usize, (u64, u64))| {
            let from_ms = at_ms + gap * 17_000;
            at_ms = from_ms + length * 17_000;
            let until_ms = (at + 1 < count).then_some(at_ms);
            lived(at as u128 + 1, 1, range("a", "m"), from_ms, until_ms)
        };
        lives.into_iter().enumerate().map(lived_at).collect()
    })
}

#[test]
fn old_columns_of_a_new_route_are_placed_again_once_the_graph_knows_of_them() {
    let born_ms = 100 * 60 * MINUTE;
    let lineage = Uuid::from_u128(7);
    let mut graph = LineageGraph::from_records([lived(7, 1, range("a", "m"), born_ms, None)]);
    let rows = vec![row(1, 1, range("a", "m"))];
    let (first, next) = (column(20, rows.clone()), column(21, rows));
    let mut placements = Placements::default();
    for _ in 0..2 {
        placed(&mut placements, &graph, &first, false);
        let (from_ms, to_ms) = (first.window.start_ms, first.window.end_ms());
        let is_known = graph.knows_of(lineage, from_ms, to_ms);
        assert_eq!(again(&mut placements, &next, placing(&graph, &next, false)), is_known);
        graph.note_recorded(lineage, from_ms, to_ms);
    }
    assert!(again(&mut placements, &next, placing(&graph, &next, false)));
}

proptest! {
    /// What is placed again is what placing anew would say, without a refusal, and nothing that the graph
    /// would have to be told.
    #[test]
    fn placing_again_is_placing_anew(
        lives in lives(),
        (first, next) in (0u64..400, 0u64..400),
        trusted in any::<bool>(),
    ) {
        let graph = LineageGraph::from_records(lives);
        let rows = vec![row(1, 1, range("a", "m"))];
        let (first, next) = (column(first, rows.clone()), column(next, rows));
        let mut placements = Placements::default();
        let before = admit::place(&graph, &first, trusted, &[]);
        if !before.refused.is_empty() {
            // Such a column is never remembered.
            return Ok(());
        }
        placed(&mut placements, &graph, &first, trusted);
        let anew = admit::place(&graph, &next, trusted, &[]);
        let same = anew.lineages == before.lineages && anew.refused.is_empty();
        let holds = again(&mut placements, &next, placing(&graph, &next, trusted));
        let (from_ms, to_ms) = (next.window.start_ms, next.window.end_ms());
        let is_known = anew.strays.iter().all(|&id| graph.knows_of(id, from_ms, to_ms));
        prop_assert!(!holds || same && is_known);
        // And mostly it is enough to be of use.
        prop_assert!(holds || next.window != first.window || !before.strays.is_empty());
    }
}

#[test]
fn one_placement_a_node_is_kept_and_no_more_bytes_than_there_is_room_for() {
    let of = |rows: Vec<Row>, source: &SourceId| {
        let column = column(1, rows);
        let payload = column_record::encode(source, 1, &column);
        let record = ColumnRecord::parse(&payload).unwrap();
        let lineages = column.rows.iter().map(|_| None).collect();
        let (unknown, refused, strays) = (Vec::new(), Vec::new(), Vec::new());
        let admitted = Admitted { lineages, unknown, refused, strays, holds: Holds::NEVER };
        Arc::new(Placement::new(&record, &column, &admitted, Vec::new()))
    };
    let mut placements = Placements::default();
    let boot =
        |node: u64, boot: u128| SourceId { node: format!("n{node}"), boot: Uuid::from_u128(boot) };
    for number in 0..50 {
        placements.keep(&boot(1, number), of(vec![row(1, 1, range("a", "b"))], &boot(1, number)));
    }
    assert_eq!(placements.held.keys().collect::<Vec<_>>(), [&boot(1, 49)]);
    // Keys of some length, so that few are enough.
    let wide = |at: u64| format!("{at:08}{}", "x".repeat(60_000));
    for node in 2..40 {
        let rows = (0..64).map(|at| row(1, at + 1, range(&wide(at), &wide(at + 1))));
        placements.now_ms = node;
        placements.keep(&boot(node, 1), of(rows.collect(), &boot(node, 1)));
    }
    let bytes: usize = placements.held.values().map(|(held, _)| held.bytes()).sum();
    assert!(bytes <= MAX_BYTES && placements.held.len() < 38, "{bytes}");
    assert!(placements.held.contains_key(&boot(39, 1)), "the newest is there");
    assert!(!placements.held.contains_key(&boot(1, 49)), "the oldest is not");
}
