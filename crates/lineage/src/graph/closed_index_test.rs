use proptest::prelude::*;

use super::*;

fn range(start: u8, end: u8) -> KeyRange {
    let (start, end) = (start.min(end), start.max(end).max(start.min(end).saturating_add(1)));
    let start = if start == 0 { vec![] } else { vec![start] };
    let end = if end >= 250 { vec![] } else { vec![end] };
    KeyRange::new(start, end).unwrap()
}

fn boxes() -> impl Strategy<Value = Vec<(u8, u8, u16, u16)>> {
    prop::collection::vec((any::<u8>(), any::<u8>(), any::<u16>(), 1u16..500), 0..400)
}

proptest! {
    #[test]
    fn it_finds_what_a_list_finds(
        boxes in boxes(),
        bulk in 0usize..300,
        questions in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u16>(), 0u16..2_000), 1..20),
    ) {
        let mut order = KeyOrder::default();
        let list: Vec<Boxed> = boxes
            .iter()
            .enumerate()
            .map(|(at, &(start, end, from, length))| {
                let range = range(start, end);
                let (start, end) = range.shared();
                let (keys, _) = order.number(start, end);
                let from_ms = u64::from(from);
                Boxed { slot: at as Slot, range, keys, from_ms, to_ms: from_ms + u64::from(length) }
            })
            .collect();
        let bulk = bulk.min(list.len());
        let mut index = ClosedIndex::bulk(list[..bulk].to_vec(), &order);
        list[bulk..].iter().for_each(|held| index.insert(held.clone(), &order));
        for (start, end, from, length) in questions {
            let (asked, from_ms) = (range(start, end), u64::from(from));
            let to_ms = from_ms + u64::from(length);
            let mut found = Vec::new();
            index.search(&asked, from_ms, to_ms, &mut found);
            found.sort_unstable();
            let expected: Vec<Slot> = list
                .iter()
                .filter(|held| from_ms < to_ms && held.meets(&asked, from_ms, to_ms))
                .map(|held| held.slot)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
