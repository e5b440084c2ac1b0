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
            let longer = asked.iter().copied().chain([1]).collect::<Vec<u8>>();
            let end = if asked.len() == 1 { vec![] } else { longer };
            let asked = KeyRange::new(asked.clone(), end).unwrap();
            let (above, below) = order.stretch(asked.start(), asked.end());
            let ends = all.iter().skip(1).map(|&end| end.clone()).chain([vec![]]);
            for (start, end) in all.iter().map(|&start| start.clone()).zip(ends) {
                let held = KeyRange::new(start.clone(), end.clone()).unwrap();
                let end = if end.is_empty() { UNBOUNDED } else { known[&end] };
                let (start, end) = order.ranks((known[&start], end));
                prop_assert_eq!(held.overlaps(&asked), start < below && end > above);
            }
        }
    }
}

#[test]
fn keys_that_come_in_order_find_room() {
    // The first half is there; the others come one by one between two of them, or behind all.
    const THERE: u32 = 200_000;
    for (first, descending) in [(THERE, false), (THERE, true), (1_000, false), (1_000, true)] {
        let key = |at: u32, nth: u32| [at.to_be_bytes(), nth.to_be_bytes()].concat();
        let mut order = KeyOrder::of((1..=THERE).map(|at| shared(&key(at, 0))).collect());
        let mut spread = 0;
        for nth in 1..=40_000u32 {
            let nth = if descending { 40_001 - nth } else { nth };
            let (_, moved) = order.number(&shared(&key(first, nth)), &shared(b""));
            spread += u32::from(moved);
        }
        assert!(spread <= 1, "{spread} times from {first}, descending: {descending}");
        let mut known = BTreeMap::new();
        for nth in 0..=40_000 {
            let ((number, _), _) = order.number(&shared(&key(first, nth)), &shared(b""));
            known.insert(key(first, nth), number);
        }
        check(&order, &known);
    }
}

#[test]
fn where_there_is_no_room_all_are_spread_and_stay_in_order() {
    // Each key in turn right above the lowest and right below the last one: halves of halves.
    let (mut order, mut known, mut spread) = (KeyOrder::default(), BTreeMap::new(), 0);
    for n in 0..2_000u32 {
        let key = if n % 2 == 0 { n.to_be_bytes() } else { (u32::MAX - n).to_be_bytes() };
        let ((number, _), moved) = order.number(&shared(&key), &shared(b""));
        known.insert(key.to_vec(), number);
        spread += u32::from(moved);
    }
    check(&order, &known);
    assert!((1..=200).contains(&spread), "spread {spread} times");
}
