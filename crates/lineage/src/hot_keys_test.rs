use super::*;
use crate::Step;

fn route(route: RouteId, sampled: u64, keys: &[(&str, u64)]) -> RouteHotKeys {
    let keys = keys.iter().map(|&(key, count)| HotKey { key: key.into(), count });
    RouteHotKeys {
        route,
        group: 1,
        range: KeyRange::all(),
        series: Series::Writes,
        sampled,
        keys: keys.collect(),
    }
}

fn published(rate: u32, capacity: u32, routes: Vec<RouteHotKeys>) -> HotKeys {
    let window = Window::new(60_000, Step::MINUTE).unwrap();
    let (dropped, skipped_long_keys, left_out) = (0, 0, 0);
    HotKeys { window, rate, capacity, dropped, skipped_long_keys, left_out, routes }
}

fn put_together(sources: &[HotKeys], range: &KeyRange, top: usize) -> HottestKeys {
    let routes = sources.iter().flat_map(|source| source.routes.iter().map(move |r| (source, r)));
    hottest(routes, range, top)
}

#[test]
fn estimates_and_bounds_add_over_sources() {
    let sources = [
        published(16, 64, vec![route(1, 500, &[("x", 100), ("z", 99)])]),
        published(4, 3, vec![route(1, 100, &[("z", 60), ("y", 40)]), route(2, 7, &[("a", 7)])]),
    ];
    // floor(16 * 500 / 64) + floor(4 * 100 / 3) + floor(4 * 7 / 3)
    let bound = 125 + 133 + 9;
    let all = put_together(&sources, &KeyRange::all(), 3);
    let keys: Vec<_> = all.keys.iter().map(|(key, count)| (&**key, *count)).collect();
    // z is the first of none of its sources but one, and the first of all.
    assert_eq!(keys, [(&b"z"[..], 99 * 16 + 240), (b"x", 1_600), (b"y", 160)]);
    assert_eq!((all.error_bound, all.sampled, all.rate, all.routes), (bound, 607, 16, 3));
    let some = put_together(&sources, &KeyRange::new(*b"y", *b"z").unwrap(), 9);
    assert_eq!(some.keys, [(b"y".to_vec(), 160)], "a filter says nothing of the bound");
    assert_eq!(some.error_bound, bound);
}

#[test]
fn what_is_malformed_is_named() {
    let refused = |spoil: &dyn Fn(&mut HotKeys)| {
        let mut hot = published(16, 2, vec![route(1, 9, &[("b", 2), ("a", 1)])]);
        assert_eq!(hot.validate(), Ok(()));
        spoil(&mut hot);
        hot.validate().unwrap_err().to_string()
    };
    assert_eq!(refused(&|hot| hot.rate = 0), "rate is 0, use 1 to 1024");
    assert_eq!(refused(&|hot| hot.capacity = 257), "capacity is 257, use 1 to 256");
    assert!(refused(&|hot| hot.routes[0].group = 0).contains("group 0"));
    assert!(refused(&|hot| hot.routes[0].route = 0).contains("route 0"));
    assert!(refused(&|hot| hot.routes[0].series = Series::ReadBytes).contains("read_bytes"));
    assert!(refused(&|hot| hot.capacity = 1).contains("2 keys"));
    assert!(refused(&|hot| hot.routes[0].keys[0].key = vec![0; 4_097]).contains("4097"));
    assert!(refused(&|hot| hot.routes[0].keys.reverse()).contains("order"));
}

#[test]
fn whatever_was_not_looked_at_degrades() {
    let degraded = |change: &dyn Fn(&mut HotKeys)| {
        let mut hot = published(16, 64, Vec::new());
        change(&mut hot);
        hot.is_degraded()
    };
    assert!(!degraded(&|_| {}));
    assert!(degraded(&|hot| hot.dropped = 1));
    assert!(degraded(&|hot| hot.skipped_long_keys = 1));
    assert!(degraded(&|hot| hot.left_out = 1));
}
