use super::*;

#[test]
fn boundaries_ascend_and_fit_on_a_command_line() {
    let boundaries = boundaries();
    assert!(boundaries.is_sorted_by(|a, b| a < b), "{boundaries:?}");
    assert!((40..80).contains(&boundaries.len()), "{}", boundaries.len());
    assert!(boundaries.iter().all(|boundary| !boundary.contains(',') && !boundary.is_empty()));
    assert_eq!(
        boundaries[0], "account:200000",
        "the first range holds the first table's beginning"
    );
}

#[test]
fn the_middle_of_the_hot_table_is_one_wide_range() {
    let boundaries = boundaries();
    let left = boundaries.iter().rfind(|boundary| **boundary <= key(HOT_TABLE, 500_000.0));
    let right = boundaries.iter().find(|boundary| **boundary > key(HOT_TABLE, 500_000.0));
    assert_eq!((left.unwrap().as_str(), right.unwrap().as_str()), ("order:400000", "order:600000"));
}

#[test]
fn the_cold_ranges_are_neighbours() {
    let boundaries = boundaries();
    let place = boundaries.iter().position(|boundary| boundary == COLD[0]).unwrap();
    assert_eq!(boundaries[place + 1], COLD[1]);
}

#[test]
fn keys_stay_in_their_table() {
    assert_eq!(key("order", -3.0), "order:000000");
    assert_eq!(key("order", 41.9), "order:000041");
    assert_eq!(key("order", 2e9), "order:999999");
}

#[test]
fn a_key_of_the_hot_table_has_a_place_in_it() {
    assert_eq!(place(b"order:"), Some(0.0));
    assert_eq!(place(b"order:250000"), Some(0.25));
    for other in [&b"order"[..], b"orders:1", b"product:1", b"", b"order:x", b"\xff"] {
        assert_eq!(place(other), None);
    }
}
