//! Exact cuts for small inputs, hot keys, sampling, and determinism.

use proptest::prelude::*;

use super::*;

fn boundaries(keys: &[&str], routes: usize) -> Vec<String> {
    let mut quantiles = KeyQuantiles::new();
    for key in keys {
        quantiles.observe(key.as_bytes());
    }
    let found = quantiles.boundaries(routes);
    found.into_iter().map(|key| String::from_utf8(key).expect("UTF-8")).collect()
}

/// The traffic of each route.
fn shares(keys: &[u64], boundaries: &[Vec<u8>]) -> Vec<usize> {
    let mut shares = vec![0; boundaries.len() + 1];
    for key in keys {
        let key = key.to_be_bytes();
        shares[boundaries.partition_point(|boundary| boundary.as_slice() <= &key[..])] += 1;
    }
    shares
}

fn observe_all(mut quantiles: KeyQuantiles, keys: &[u64]) -> KeyQuantiles {
    for key in keys {
        quantiles.observe(&key.to_be_bytes());
    }
    quantiles
}

#[test]
fn even_traffic_is_cut_evenly() {
    assert_eq!(boundaries(&["d", "b", "a", "c"], 2), ["c"]);
    assert_eq!(boundaries(&["d", "b", "a", "c"], 4), ["b", "c", "d"]);
    assert_eq!(cuts(&[1; 10], 3), [3, 7]);
    assert_eq!(cuts(&[5; 12], 4), [3, 6, 9]);
}

#[test]
fn few_keys_give_few_routes() {
    assert_eq!(boundaries(&[], 4), [""; 0]);
    assert_eq!(boundaries(&["a", "a"], 4), [""; 0]);
    assert_eq!(boundaries(&["b", "a", "a"], 4), ["b"]);
    assert_eq!(boundaries(&["", "a"], 4), ["a"]);
    assert_eq!(boundaries(&["a", "b"], 1), [""; 0]);
    assert_eq!(boundaries(&["a", "b"], 0), [""; 0]);
}

#[test]
fn a_hot_key_gets_its_own_route_and_the_others_share_the_rest() {
    assert_eq!(cuts(&[1, 1, 100, 1, 1], 3), [2, 3]);
    assert_eq!(cuts(&[100, 1, 1, 1, 1], 3), [1, 3]);
    assert_eq!(cuts(&[1, 1, 1, 1, 100], 3), [2, 4]);
    assert_eq!(cuts(&[9, 50, 9, 9, 9, 9, 50, 9], 6), [1, 2, 4, 6, 7]);
    assert_eq!(cuts(&[100, 100, 1, 1], 4), [1, 2, 3]);
}

#[test]
fn every_access_counts_and_the_order_does_not() {
    let keys: Vec<u64> = (0..100_000).map(|i| (i * i) % 9973).collect();
    let found = observe_all(KeyQuantiles::new(), &keys).boundaries(16);
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(observe_all(KeyQuantiles::new(), &sorted).boundaries(16), found);
    let shares = shares(&keys, &found);
    assert_eq!(shares.len(), 16);
    let fair = keys.len() / 16;
    assert!(shares.iter().all(|share| share.abs_diff(fair) < fair / 50), "{shares:?}");
}

#[test]
fn four_mi_accesses_are_kept_exactly() {
    assert_eq!(MAX_SAMPLES, 4_194_304);
    let mut quantiles = KeyQuantiles::new();
    for i in 0..MAX_SAMPLES as u64 {
        quantiles.observe(&(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42).to_be_bytes());
    }
    assert_eq!((quantiles.level, quantiles.samples.len()), (0, MAX_SAMPLES));
    quantiles.observe(b"one more");
    assert_eq!(quantiles.level, 1);
    let half = MAX_SAMPLES / 2;
    assert!(quantiles.samples.len().abs_diff(half) < half / 100, "{}", quantiles.samples.len());
}

#[test]
fn a_sample_is_close_for_periodic_traces() {
    // Every second access is to the same key: a stride of two would see only one half.
    let keys: Vec<u64> =
        (0..400_000).map(|i| if i % 2 == 0 { 500_000 } else { (i * 7919) % 1_000_000 }).collect();
    let quantiles = observe_all(KeyQuantiles::with_limits(20_000, usize::MAX), &keys);
    assert!(quantiles.level >= 4 && quantiles.samples.len() <= 20_000);
    let shares = shares(&keys, &quantiles.boundaries(8));
    assert_eq!(shares.len(), 8);
    let hot = shares.iter().copied().max().unwrap_or(0);
    assert!(hot.abs_diff(200_000) < 10_000, "{shares:?}");
    // The hot key halves the others, so that three routes share one half and four the other.
    let mut others: Vec<usize> = shares.iter().copied().filter(|share| *share != hot).collect();
    others.sort_unstable();
    assert!(others[3] < 30_000 && others[0] > 15_000, "{shares:?}");
    assert!(others[6] < 40_000 && others[4] > 28_000, "{shares:?}");
}

#[test]
fn the_bytes_of_the_keys_are_bounded() {
    let mut quantiles = KeyQuantiles::with_limits(usize::MAX, 10_000);
    for i in 0..1000_u32 {
        quantiles.observe(&i.to_be_bytes().repeat(100));
        assert!(quantiles.arena.len() <= 10_000);
    }
    assert!(!quantiles.samples.is_empty());
    // Thinning moved the keys without mixing them up.
    for sample in &quantiles.samples {
        let key = quantiles.key(*sample);
        assert_eq!(key, key[..4].repeat(100));
    }
}

#[test]
fn limits_below_one_key_do_not_loop() {
    let mut quantiles = KeyQuantiles::with_limits(0, 0);
    for _ in 0..100 {
        quantiles.observe(b"key");
    }
    assert_eq!(quantiles.boundaries(4), Vec::<Vec<u8>>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn boundaries_are_increasing_keys_and_as_many_as_possible(
        keys in prop::collection::vec(0_u64..50, 0..300),
        routes in 0_usize..70,
        max_samples in 1_usize..400,
    ) {
        let quantiles = observe_all(KeyQuantiles::with_limits(max_samples, usize::MAX), &keys);
        let exact = quantiles.level == 0;
        let found = quantiles.boundaries(routes);
        let again = observe_all(KeyQuantiles::with_limits(max_samples, usize::MAX), &keys);
        prop_assert_eq!(&again.boundaries(routes), &found);
        prop_assert!(found.is_sorted_by(|a, b| a < b));
        prop_assert!(found.iter().all(|key| keys.iter().any(|k| k.to_be_bytes()[..] == key[..])));
        if exact {
            let mut distinct = keys.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(found.len(), routes.min(distinct.len()).saturating_sub(1));
            prop_assert!(keys.is_empty() || shares(&keys, &found).iter().all(|share| *share > 0));
        }
    }

    #[test]
    fn the_busiest_splittable_route_is_as_quiet_as_possible(
        counts in prop::collection::vec(1_u64..30, 1..9),
        parts in 1_usize..6,
    ) {
        // The heaviest part that is more than one key.
        let busiest = |cuts: &[usize]| {
            let starts = [&[0], cuts].concat();
            let ends = [cuts, &[counts.len()]].concat();
            let parts = starts.iter().zip(&ends).filter(|(start, end)| **end - **start > 1);
            parts.map(|(start, end)| counts[*start..*end].iter().sum::<u64>()).max().unwrap_or(0)
        };
        let wanted = parts.min(counts.len());
        let best = (0_u32..1 << (counts.len() - 1))
            .filter(|mask| mask.count_ones() as usize + 1 == wanted)
            .map(|mask| {
                let cuts: Vec<usize> =
                    (1..counts.len()).filter(|at| mask & (1 << (at - 1)) != 0).collect();
                busiest(&cuts)
            })
            .min();
        let found = cuts(&counts, parts);
        prop_assert_eq!(found.len() + 1, wanted);
        prop_assert_eq!(Some(busiest(&found)), best);
    }
}
