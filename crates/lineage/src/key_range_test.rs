use super::*;

/// Every range over the keys "", 00, 01, ..: small enough to compare with sets of keys.
fn universe() -> Vec<KeyRange> {
    let keys: Vec<Vec<u8>> = vec![vec![], vec![0], vec![1], vec![2], vec![0xFF]];
    let mut ranges = Vec::new();
    for start in &keys {
        for end in &keys {
            if let Ok(range) = KeyRange::new(start.clone(), end.clone()) {
                ranges.push(range);
            }
        }
    }
    ranges
}

fn members(range: &KeyRange) -> Vec<Vec<u8>> {
    let probes: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0, 0],
        vec![1],
        vec![1, 9],
        vec![2],
        vec![2, 0],
        vec![0xFF],
        vec![0xFF, 0xFF],
    ];
    probes.into_iter().filter(|key| range.contains(key)).collect()
}

#[test]
fn overlap_cover_and_intersection_agree_with_sets_of_keys() {
    for a in universe() {
        for b in universe() {
            let (in_a, in_b) = (members(&a), members(&b));
            let both: Vec<_> = in_a.iter().filter(|key| in_b.contains(key)).cloned().collect();
            assert_eq!(a.overlaps(&b), !both.is_empty(), "{a} {b}");
            assert_eq!(a.covers(&b), both == in_b, "{a} {b}");
            assert_eq!(a.intersection(&b).map(|range| members(&range)).unwrap_or_default(), both);
            assert!(a.hull(&b).covers(&a) && a.hull(&b).covers(&b));
        }
    }
}

#[test]
fn an_empty_range_is_refused_by_name() {
    let error = KeyRange::new(*b"b", *b"a").unwrap_err().to_string();
    assert!(error.contains("[b, a)"), "{error}");
    assert!(KeyRange::new(*b"a", *b"a").is_err());
    assert!(KeyRange::new(*b"", *b"").is_ok());
}
