use keyviz_lineage::KeyRange;

use super::*;

fn ranges(bounds: &[&str]) -> Vec<HostRange> {
    let pairs = bounds.windows(2).zip(1..);
    pairs
        .map(|(pair, route)| HostRange {
            route,
            group: 1,
            keys: KeyRange::new(pair[0].as_bytes(), pair[1].as_bytes()).unwrap(),
            reads: 0,
            writes: 0,
        })
        .collect()
}

#[test]
fn the_ranges_that_the_hotspot_has_just_left_are_merged() {
    let ranges =
        ranges(&["", "order:", "order:200000", "order:400000", "order:600000", "product:", ""]);
    let routes = |hot: f64| behind(&ranges, hot).map(|(left, right)| (left.route, right.route));
    assert_eq!(routes(0.5), Some((3, 4)), "at 400000");
    assert_eq!(routes(0.65), Some((3, 4)), "600000 is not far enough behind");
    assert_eq!(routes(0.7), Some((4, 5)));
    assert_eq!(routes(0.1), Some((4, 5)), "the hotspot comes around");
    assert_eq!(behind(&ranges[4..], 0.5), None, "bounds of the table do not move");
    assert_eq!(behind(&[], 0.5), None);
}
