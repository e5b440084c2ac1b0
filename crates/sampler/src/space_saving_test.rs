use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

proptest! {
    /// K1 to K3, against exact counts, whatever the stream.
    #[test]
    fn keeps_its_promises(
        stream in prop::collection::vec((0..40_u8, 0..40_u8), 0..2_000),
        capacity in 1..20_usize,
    ) {
        let (mut sketch, mut exact, mut held) = (SpaceSaving::new(capacity), HashMap::new(), 0);
        for (a, b) in stream {
            // The lower of two: some keys come much more often than others.
            let key = vec![b'k'; usize::from(a.min(b))];
            held += sketch.add(&key, usize::MAX).unwrap();
            *exact.entry(key).or_insert(0_u64) += 1;
        }
        let n: u64 = exact.values().sum();
        prop_assert_eq!(sketch.seen(), n);
        let bytes: usize = sketch.places.iter().map(|place| place.key.capacity() + size_of::<Place>()).sum();
        prop_assert_eq!(held, bytes);
        let keys = sketch.into_frequent();
        prop_assert!(keys.len() <= capacity);
        prop_assert!(keys.is_sorted_by(|a, b| (b.count, &a.key) <= (a.count, &b.key)));
        prop_assert_eq!(keys.iter().map(|key| key.count).sum::<u64>(), n);
        let most = n / capacity as u64;
        for Frequent { key, count, error } in &keys {
            let came = exact[key];
            prop_assert!(came <= *count && count - error <= came && *error <= most);
        }
        for (key, came) in exact {
            let is_there = keys.iter().any(|held| held.key == key);
            prop_assert!(is_there || came <= most, "{key:?} came {came} times of {n}");
        }
    }
}

#[test]
fn as_many_keys_as_places_are_counted_exactly() {
    let mut sketch = SpaceSaving::new(3);
    for key in ["b", "a", "c", "a", "c", "a"] {
        sketch.add(key.as_bytes(), usize::MAX).unwrap();
    }
    let keys = sketch.into_frequent();
    let keys: Vec<_> = keys.iter().map(|key| (&*key.key, key.count, key.error)).collect();
    assert_eq!(keys, [(&b"a"[..], 3, 0), (b"c", 2, 0), (b"b", 1, 0)]);
}

#[test]
fn without_room_only_what_needs_none_is_counted() {
    let mut sketch = SpaceSaving::new(2);
    assert!(sketch.add(b"a", 0).is_none());
    assert!(sketch.add(b"a", usize::MAX).is_some());
    assert_eq!(sketch.add(b"a", 0), Some(0), "it is there");
    assert!(sketch.add(b"b", 0).is_none());
    sketch.add(b"b", usize::MAX).unwrap();
    assert_eq!(sketch.add(b"c", 0), Some(0), "it takes a place as large as its own");
    assert!(sketch.add(&[b'd'; 100], 9).is_none());
    assert_eq!(sketch.seen(), 4);
}
