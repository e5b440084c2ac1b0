//! What must hold of key ranges: they behave as the sets of keys that they are.
//!
//! Input: keys one after the other, each a length byte (0 to 15, the rest of its bits is ignored) and
//! that many bytes. The first two make one range, the next two another, all of them are asked for.

use std::cmp::Ordering;

use keyviz_lineage::KeyRange;
use keyviz_lineage::key_range::cmp_end;

/// Two ranges against each other and against every key of the input.
pub fn key_range(input: &[u8]) {
    let keys = keys(input);
    let key = |at: usize| keys.get(at).copied().unwrap_or_default();
    let (Some(a), Some(b)) = (range(key(0), key(1)), range(key(2), key(3))) else { return };
    assert_eq!(a.overlaps(&b), b.overlaps(&a));
    // If they share a key at all, they share the later of the two starts.
    let later = a.start().max(b.start());
    assert_eq!(a.overlaps(&b), a.contains(later) && b.contains(later));
    let (both, hull) = (a.intersection(&b), a.hull(&b));
    assert_eq!(both.is_some(), a.overlaps(&b));
    assert_eq!(a.covers(&b), hull == a);
    assert!(hull.covers(&a) && hull.covers(&b));
    assert!(both.as_ref().is_none_or(|both| a.covers(both) && b.covers(both)));
    assert!(!a.touches(&b) || !a.overlaps(&b));
    assert_eq!(cmp_end(a.end(), b.end()), cmp_end(b.end(), a.end()).reverse());
    for &key in &keys {
        let (in_a, in_b) = (a.contains(key), b.contains(key));
        assert_eq!(both.as_ref().is_some_and(|both| both.contains(key)), in_a && in_b);
        assert!(hull.contains(key) || !(in_a || in_b));
        assert!(in_a || !(a.covers(&b) && in_b));
        let before_end = cmp_end(key, a.end()) == Ordering::Less || key.is_empty();
        assert_eq!(in_a, key >= a.start() && before_end);
    }
}

/// Makes a range, or checks that there is none to be made; both can be shown on any terminal.
fn range(start: &[u8], end: &[u8]) -> Option<KeyRange> {
    let made = KeyRange::new(start, end);
    let shown = match &made {
        Ok(range) => {
            assert_eq!((range.start(), range.end()), (start, end));
            assert_eq!(range.bounded_end(), (!end.is_empty()).then_some(end));
            assert!(range.contains(start), "a range holds its own start");
            range.to_string()
        }
        Err(error) => {
            assert!(!end.is_empty() && end <= start);
            error.to_string()
        }
    };
    assert!(shown.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{shown:?}");
    made.ok()
}

fn keys(mut input: &[u8]) -> Vec<&[u8]> {
    let mut keys = Vec::new();
    while let Some((&length, rest)) = input.split_first() {
        let (key, rest) = rest.split_at(rest.len().min(usize::from(length % 16)));
        keys.push(key);
        input = rest;
    }
    keys
}
