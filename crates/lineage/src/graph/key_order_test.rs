use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::KeyRange;

fn shared(key: &[u8]) -> Arc<[u8]> {
    Arc::from(key)
}

fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let key = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3),
        prop::collection::vec(Just(0u8), 0..40),
        prop::collection::vec(prop_oneof![Just(0u8), Just(255u8)], 0..12),
    ];
    prop::collection::vec(key, 0..400)
}

/// Every rank compares as its key does, and is what was handed out unless all were spread.
fn check(order: &KeyOrder, known: &BTreeMap<Vec<u8>, KeyNo>) {
    let mut last = 0;
    for (key, &number) in known.iter().filter(|(key, _)| !key.is_empty()) {
        let (rank, unbounded) = order.ranks((number, UNBOUNDED));
        assert!(rank > last && unbounded == LAST, "{key:?}");
        assert_eq!(order.bytes(number).map(|bytes| bytes.to_vec()).as_ref(), Some(key));
        last = rank;
    }
}

proptest! {
    #[test]
    fn ranks_compare_as_keys_do(first in keys(), then in keys(), asked in prop::collection::vec(keys(), 4)) {
        let mut order = KeyOrder::of(first.iter().map(|key| shared(key)).collect());
        let mut known = BTreeMap::new();
        for key in first.into_iter().chain(then) {
            let before = order.clone();
            let ((number, _), moved) = order.number(&shared(&key), &shared(b""));
            for (held, &number) in known.iter().filter(|_| !moved) {
                let bounds = (number, UNBOUNDED);
                prop_assert_eq!(order.ranks(bounds), before.ranks(bounds), "{:?}", held);
            }
            known.insert(key, number);
        }
        check(&order, &known);
        let all: Vec<&Vec<u8>> = known.keys().collect();
        for asked in asked.iter().flatten() {
            let Ok(asked) = KeyRange::new(asked.clone(), asked.iter().copied().chain([1]).collect::<Vec<u8>>()) else { continue };
            let (above, below) = order.stretch(asked.start(), asked.end());
            for pair in all.windows(2) {
                let held = KeyRange::new(pair[0].clone(), pair[1].clone()).unwrap();
                let (start, end) = order.ranks((known[pair[0]], known[pair[1]]));
                prop_assert_eq!(held.overlaps(&asked), start < below && end > above);
            }
        }
    }
}

#[test]
fn keys_that_come_in_order_find_room() {
    for descending in [false, true] {
        let (mut order, mut known, mut spread) = (KeyOrder::default(), BTreeMap::new(), 0);
        for n in 0..40_000u32 {
            let n = if descending { 40_000 - n } else { n + 1 };
            let key = n.to_be_bytes().to_vec();
            let ((number, _), moved) = order.number(&shared(&key), &shared(b""));
            known.insert(key, number);
            spread += u32::from(moved);
        }
        check(&order, &known);
        assert!(spread <= if descending { 1_500 } else { 0 }, "spread {spread} times");
    }
}
