use super::*;

fn sample() -> HotKeys {
    let route = |series, keys: &[(&str, u64)]| RouteHotKeys {
        route: 3,
        group: 1,
        range: KeyRange::new(*b"a", *b"").unwrap(),
        series,
        sampled: 17,
        keys: keys.iter().map(|&(key, count)| HotKey { key: key.into(), count }).collect(),
    };
    HotKeys {
        window: Window::new(60_000, Step::MINUTE).unwrap(),
        rate: 16,
        capacity: 2,
        dropped: 1,
        skipped_long_keys: 2,
        left_out: 3,
        routes: vec![
            route(Series::Reads, &[("b", 9), ("a", 8)]),
            route(Series::Writes, &[("", 17)]),
        ],
    }
}

#[test]
fn hot_keys_survive_the_wire() {
    assert_eq!(hot_keys_from_wire(hot_keys_to_wire(&sample())).unwrap(), sample());
}

#[test]
fn what_is_malformed_is_refused() {
    let refused = |spoil: &dyn Fn(&mut wire::HotKeys)| {
        let mut wire = hot_keys_to_wire(&sample());
        spoil(&mut wire);
        hot_keys_from_wire(wire).unwrap_err().to_string()
    };
    assert!(refused(&|hot| hot.window_unix_ms = -1).contains("negative"));
    assert!(refused(&|hot| hot.window_unix_ms = 1).contains("multiple"));
    assert!(refused(&|hot| hot.rate = 0).contains("rate"));
    assert!(refused(&|hot| hot.routes[0].counts.truncate(1)).contains("counts has 1 elements"));
    assert!(refused(&|hot| hot.routes[0].end = "0".into()).contains("route 3"));
    assert!(refused(&|hot| hot.routes[0].start = vec![1; 1 << 20].into()).contains("bytes long"));
    assert!(refused(&|hot| hot.routes[1].keys[0] = vec![1; 4_097].into()).contains("4097"));
}
