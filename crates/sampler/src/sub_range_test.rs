use proptest::prelude::*;

use super::*;

/// The contract's rule again, on bytes as big integers and without its shortcuts.
mod model {
    /// `key` as a number of `len` bytes behind `skipped`, zeros where it is shorter.
    pub(super) fn number(key: &[u8], skipped: usize, len: usize) -> u128 {
        (0..len).fold(0, |number, at| {
            number << 8 | u128::from(key.get(skipped + at).copied().unwrap_or(0))
        })
    }

    pub(super) struct Cut {
        pub(super) prefix: Vec<u8>,
        pub(super) lo: u128,
        pub(super) span: u128,
        pub(super) count: u128,
    }

    pub(super) fn cut(start: &[u8], end: &[u8], wanted: u16) -> Cut {
        let shared = if end.is_empty() {
            0
        } else {
            (0..).take_while(|&i| start.get(i).is_some_and(|a| end.get(i) == Some(a))).count()
        };
        let lo = number(start, shared, 8);
        let hi = if end.is_empty() { u128::from(u64::MAX) } else { number(end, shared, 8) };
        let span = hi - lo;
        Cut {
            prefix: start[..shared].to_vec(),
            lo,
            span,
            count: u128::from(wanted.min(256)).min(span).max(1),
        }
    }
}

fn any_range() -> impl Strategy<Value = KeyRange> {
    // Few letters and short keys, so that prefixes are shared and bounds are close.
    let byte = prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0xff), any::<u8>()];
    let key = prop::collection::vec(byte, 0..14);
    (prop::collection::vec(any::<u8>(), 0..4), key.clone(), key).prop_filter_map(
        "a range",
        |(prefix, a, b)| {
            let a = [&prefix[..], &a].concat();
            let b = [&prefix[..], &b].concat();
            let (low, high) = if a <= b || b.is_empty() { (a, b) } else { (b, a) };
            KeyRange::new(low, high).ok()
        },
    )
}

/// A key of the range: its start with something behind it, where that is below its end.
fn key_in(range: &KeyRange, tail: &[u8], at: usize) -> Vec<u8> {
    let from = if at.is_multiple_of(3) { range.start() } else { range.end() };
    let mut key = from[..at.min(from.len())].to_vec();
    key.extend_from_slice(tail);
    if range.contains(&key) { key } else { range.start().to_vec() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn parts_tile_the_route(range in any_range(), wanted in 0..400_u16) {
        let subs = SubRanges::new(range.clone(), wanted);
        let model = model::cut(range.start(), range.end(), wanted);
        prop_assert_eq!(u128::from(subs.count()), model.count);
        let parts: Vec<_> = (0..subs.count()).map(|index| subs.bounds(index).unwrap()).collect();
        prop_assert_eq!(parts[0].start(), range.start());
        prop_assert_eq!(parts[parts.len() - 1].end(), range.end());
        for pair in parts.windows(2) {
            prop_assert!(pair[0].touches(&pair[1]), "{} {}", &pair[0], &pair[1]);
        }
        for index in 1..subs.count() {
            let boundary = subs.boundary(index).unwrap();
            prop_assert!(boundary.last() != Some(&0) || boundary.len() == model.prefix.len());
            prop_assert!(boundary.starts_with(&model.prefix) && boundary.len() <= model.prefix.len() + 8);
            let offset = model::number(&boundary, model.prefix.len(), 8) - model.lo;
            // The least number whose share is `index`.
            let share = u128::from(index) * model.span;
            prop_assert!(offset * model.count >= share && (offset - 1) * model.count < share);
        }
        prop_assert_eq!(subs.boundary(subs.count() + 1), None);
    }

    #[test]
    fn a_key_is_counted_in_the_part_that_holds_it(
        range in any_range(),
        wanted in 1..300_u16,
        tail in prop::collection::vec(any::<u8>(), 0..12),
        at in 0..16_usize,
    ) {
        let subs = SubRanges::new(range.clone(), wanted);
        let key = key_in(&range, &tail, at);
        let index = subs.index_of(&key);
        prop_assert!(subs.bounds(index).unwrap().contains(&key), "{index} of {:?}", subs);
        let model = model::cut(range.start(), range.end(), wanted);
        let window = model::number(&key, model.prefix.len(), 8);
        let expected = (model.count * (window - model.lo)).checked_div(model.span).unwrap_or(0);
        prop_assert_eq!(u128::from(index), expected.min(model.count - 1));
    }

    #[test]
    fn each_boundary_is_the_first_key_of_its_part(range in any_range(), wanted in 2..257_u16) {
        let subs = SubRanges::new(range, wanted);
        for index in 0..subs.count() {
            prop_assert_eq!(subs.index_of(&subs.boundary(index).unwrap()), index);
        }
    }
}

#[test]
fn the_contracts_example() {
    let subs = SubRanges::new(KeyRange::new([0x00], [0x40]).unwrap(), 4);
    assert_eq!(subs.count(), 4);
    let boundaries: Vec<_> = (0..=4).map(|index| subs.boundary(index).unwrap()).collect();
    assert_eq!(boundaries, [vec![0x00], vec![0x10], vec![0x20], vec![0x30], vec![0x40]]);
    assert_eq!((subs.index_of(&[0x0f, 0xff]), subs.index_of(&[0x10])), (0, 1));
}

#[test]
fn a_route_too_narrow_for_its_window_is_not_cut() {
    for (start, end) in [("a", "a\0"), ("a", "a\0\0\0\0\0\0\0\0\x01")] {
        let range = KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap();
        assert_eq!(SubRanges::new(range, 256).count(), 1);
    }
    let three = KeyRange::new(*b"a", *b"a\0\0\0\0\0\0\0\x03").unwrap();
    assert_eq!(SubRanges::new(three, 256).count(), 3);
}

#[test]
fn keys_outside_go_to_the_nearest_end_and_the_top_of_an_unbounded_route_to_its_last_part() {
    let subs = SubRanges::new(KeyRange::new(*b"m", *b"").unwrap(), 256);
    assert_eq!((subs.index_of(b"a"), subs.index_of(&[0xff; 20])), (0, 255));
    let subs = SubRanges::new(KeyRange::new(*b"b", *b"c").unwrap(), 8);
    assert_eq!((subs.index_of(b"a"), subs.index_of(b"z")), (0, 7));
}
