use keyviz_lineage::{HotKey, Step, Window};
use uuid::Uuid;

use super::*;

fn source(node: &str, boot: u128) -> SourceId {
    SourceId { node: node.to_owned(), boot: Uuid::from_u128(boot) }
}

fn route(route: RouteId, keys: &[(&str, u64)]) -> RouteHotKeys {
    RouteHotKeys {
        route,
        group: route % 2 + 1,
        range: KeyRange::new(route.to_be_bytes(), (route + 1).to_be_bytes()).unwrap(),
        series: Series::Writes,
        sampled: keys.iter().map(|(_, count)| count).sum(),
        keys: keys.iter().map(|&(key, count)| HotKey { key: key.into(), count }).collect(),
    }
}

/// The window that begins at `minute`; everything is looked at.
fn window(minute: u64, routes: Vec<RouteHotKeys>) -> HotKeys {
    HotKeys {
        window: Window::new(minute * 60_000, Step::MINUTE).unwrap(),
        rate: 1,
        capacity: 10,
        dropped: 0,
        skipped_long_keys: 0,
        left_out: 0,
        routes,
    }
}

fn question() -> Question {
    Question {
        series: Series::Writes,
        routes: Routes::default(),
        range: KeyRange::all(),
        top: 9,
        span_ms: None,
    }
}

fn keys(board: &Board, question: &Question) -> Vec<(String, u64)> {
    let answer = board.answer(question).unwrap();
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    answer.keys.iter().map(|hot| (text(&hot.key), hot.count)).collect()
}

fn listed(keys: &[(&str, u64)]) -> Vec<(String, u64)> {
    keys.iter().map(|&(key, count)| (key.to_owned(), count)).collect()
}

#[test]
fn the_newest_window_of_each_node_is_put_together() {
    let board = Board::default();
    board.put(&source("a", 1), window(5, vec![route(1, &[("x", 7)])]));
    board.put(&source("a", 1), window(6, vec![route(1, &[("x", 3), ("y", 1)])]));
    // The node started anew within that minute.
    board.put(&source("a", 2), window(6, vec![route(1, &[("y", 5)])]));
    // Has not told of the last minute yet.
    board.put(&source("b", 3), window(5, vec![route(1, &[("x", 10)])]));
    // Has not told of anything for some minutes.
    board.put(&source("gone", 4), window(4, vec![route(1, &[("z", 99)])]));
    assert_eq!(keys(&board, &question()), listed(&[("x", 13), ("y", 6)]));
    let answer = board.answer(&question()).unwrap();
    let sources: Vec<_> = answer.sources.iter().map(|s| (&*s.node_id, s.window_unix_ms)).collect();
    assert_eq!(sources, [("a", 360_000), ("a", 360_000), ("b", 300_000)]);
    assert_eq!((answer.sampled, answer.error_bound, answer.route_count), (19, 1, 3));
    assert!(!answer.degraded);
}

#[test]
fn a_span_adds_up_what_is_held_of_it() {
    let board = Board::default();
    for minute in 1..=6 {
        board.put(&source("a", 1), window(minute, vec![route(1, &[("x", minute)])]));
    }
    let span = |from_ms, to_ms| Question { span_ms: Some((from_ms, to_ms)), ..question() };
    assert_eq!(keys(&board, &span(0, u64::MAX)), listed(&[("x", 3 + 4 + 5 + 6)]), "four are kept");
    assert_eq!(keys(&board, &span(200_000, 240_001)), listed(&[("x", 3 + 4)]));
    let (held_from_ms, held_to_ms) = (180_000, 420_000);
    let other = NoHotKeys::OtherWindows { from_ms: 0, to_ms: 180_000, held_from_ms, held_to_ms };
    assert_eq!(board.answer(&span(0, 180_000)), Err(other));
}

#[test]
fn routes_groups_bounds_and_keys_are_filters() {
    let board = Board::default();
    let routes = vec![route(1, &[("a", 4), ("b", 2)]), route(2, &[("a", 1)])];
    board.put(&source("a", 1), window(5, routes));
    let of = |routes: Routes| Question { routes, ..question() };
    let by_route = Routes { route: Some(1), ..Routes::default() };
    assert_eq!(keys(&board, &of(by_route.clone())), listed(&[("a", 4), ("b", 2)]));
    let by_group = Routes { group: Some(1), ..Routes::default() };
    assert_eq!(keys(&board, &of(by_group)), listed(&[("a", 1)]));
    let bounds = Some(route(1, &[]).range);
    let by_bounds = Routes { bounds, ..Routes::default() };
    assert_eq!(keys(&board, &of(by_bounds)), listed(&[("a", 4), ("b", 2)]));
    let range = KeyRange::new(*b"b", *b"").unwrap();
    assert_eq!(keys(&board, &Question { range, ..question() }), listed(&[("b", 2)]));
    assert_eq!(keys(&board, &Question { top: 1, ..question() }), listed(&[("a", 5)]));
    let none = of(Routes { group: Some(1), ..by_route });
    assert_eq!(board.answer(&none), Err(NoHotKeys::NoSuchRoute));
    let reads = Question { series: Series::Reads, ..question() };
    assert_eq!(board.answer(&reads).unwrap().keys, [], "nothing was read");
}

#[test]
fn nothing_known_and_other_series_are_refused() {
    let board = Board::default();
    assert_eq!(board.answer(&question()), Err(NoHotKeys::Off));
    let bytes = Question { series: Series::WriteBytes, ..question() };
    assert_eq!(board.answer(&bytes), Err(NoHotKeys::Series { series: "write_bytes" }));
}

#[test]
fn one_degraded_source_degrades_the_answer() {
    let board = Board::default();
    board.put(&source("a", 1), window(5, Vec::new()));
    let left_out = 3;
    board.put(&source("b", 1), HotKeys { left_out, ..window(5, Vec::new()) });
    assert!(board.answer(&question()).unwrap().degraded);
}

#[test]
fn what_is_held_is_bounded_and_the_oldest_goes_first() {
    let board = Board::default();
    for boot in 0..2_000 {
        board.put(&source("a", boot), window(boot as u64, Vec::new()));
    }
    assert_eq!(board.size().1, MAX_SOURCES);
    let large = |minute| {
        let mut large = route(1, &[]);
        large.keys = vec![HotKey { key: vec![0; 30 << 20], count: 1 }];
        window(minute, vec![large])
    };
    for boot in 0..3 {
        board.put(&source("b", boot), large(3_000 + boot as u64));
    }
    let (bytes, sources) = board.size();
    assert!(bytes <= MAX_BYTES, "{bytes}");
    assert_eq!(sources, 2, "the newest two");
    let answer = board.answer(&question()).unwrap();
    assert_eq!(answer.sources[0].window_unix_ms, 3_002 * 60_000);
}
