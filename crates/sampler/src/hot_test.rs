use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::thread;

use keyviz_lineage::{KeyRange, Step};

use super::*;
use crate::{Sampler, Settings, total};

fn second() -> Step {
    Step::from_ms(1_000).unwrap()
}

fn sampler(change: impl FnOnce(&mut HotKeySettings)) -> Sampler {
    let mut hot_keys = HotKeySettings::with_seed(7);
    change(&mut hot_keys);
    let settings = Settings { hot_keys: Some(hot_keys), ..Settings::default() };
    Sampler::with_settings(second(), 0, settings)
}

/// Every operation is looked at.
fn all() -> Sampler {
    sampler(|settings| settings.rate = 1)
}

fn hot_keys(sampler: &Sampler, now_ms: u64) -> HotKeys {
    let hot_keys = sampler.flush_all(now_ms).hot_keys.unwrap();
    assert_eq!(hot_keys.validate(), Ok(()));
    hot_keys
}

fn keys(route: &RouteHotKeys) -> Vec<(&str, u64)> {
    route.keys.iter().map(|hot| (std::str::from_utf8(&hot.key).unwrap(), hot.count)).collect()
}

#[test]
fn the_hottest_keys_of_each_route_and_kind_are_told_once_a_window() {
    let sampler = all();
    let left = sampler.register(1, 1, KeyRange::new(*b"", *b"m").unwrap());
    sampler.register(2, 1, KeyRange::new(*b"m", *b"").unwrap());
    for key in ["a", "b", "a"] {
        left.observe(key.as_bytes(), Op::Write, 1);
        sampler.observe(2, format!("x{key}").as_bytes(), Op::Read, 1);
    }
    left.observe(b"b", Op::Read, 1);
    let hot = hot_keys(&sampler, 1_000);
    let routes: Vec<_> =
        hot.routes.iter().map(|r| (r.route, r.series, r.sampled, keys(r))).collect();
    assert_eq!(
        routes,
        [
            (1, Series::Reads, 1, vec![("b", 1)]),
            (1, Series::Writes, 3, vec![("a", 2), ("b", 1)]),
            (2, Series::Reads, 3, vec![("xa", 2), ("xb", 1)]),
        ]
    );
    assert_eq!((hot.window.start_ms, hot.rate, hot.is_degraded()), (0, 1, false));
    assert!(hot_keys(&sampler, 2_000).routes.is_empty(), "each window begins anew");
}

#[test]
fn looking_at_keys_changes_no_count() {
    let sampler = sampler(|settings| settings.queue = 4);
    let handle = sampler.register_cut(1, 1, KeyRange::all(), 16);
    for n in 0..10_000_u64 {
        handle.observe(&n.to_be_bytes(), Op::Write, 1);
    }
    assert_eq!(total(&sampler.flush(1_000)).writes, 10_000);
}

#[test]
fn off_tells_nothing() {
    let sampler = Sampler::new(second(), 0);
    sampler.register(1, 1, KeyRange::all()).observe(b"k", Op::Write, 1);
    assert_eq!(sampler.collect_hot_keys(), 0);
    assert_eq!(sampler.flush_all(1_000).hot_keys, None);
}

#[test]
fn a_full_queue_and_long_keys_are_counted_and_degrade() {
    let sampler = sampler(|settings| {
        (settings.rate, settings.queue, settings.max_key_bytes) = (1, 4, 3);
    });
    let handle = sampler.register(1, 1, KeyRange::all());
    (0..7).for_each(|_| handle.observe(b"abc", Op::Write, 1));
    (0..2).for_each(|_| handle.observe(b"abcd", Op::Write, 1));
    let hot = hot_keys(&sampler, 1_000);
    assert_eq!((hot.dropped, hot.skipped_long_keys, hot.left_out), (3, 2, 0));
    assert_eq!((hot.routes[0].sampled, keys(&hot.routes[0])), (4, vec![("abc", 4)]));
    assert!(hot.is_degraded());
    handle.observe(b"abc", Op::Write, 1);
    assert!(!hot_keys(&sampler, 2_000).is_degraded(), "of one window only");
}

#[test]
fn one_in_so_many_is_looked_at_whatever_the_order_of_keys() {
    // Sixteen keys in turn, and one in sixteen: by count, always the same one would be chosen.
    let sampler = sampler(|settings| settings.queue = MAX_HOT_KEY_QUEUE);
    let handle = sampler.register(1, 1, KeyRange::all());
    for n in 0..320_000_u64 {
        handle.observe(&[(n % 16) as u8], Op::Write, 1);
    }
    let hot = hot_keys(&sampler, 1_000);
    let route = &hot.routes[0];
    // 20,000 are expected, and 1,250 of each key: six standard deviations.
    assert!(route.sampled.abs_diff(20_000) < 830, "{}", route.sampled);
    assert_eq!(route.keys.len(), 16);
    assert!(route.keys.iter().all(|hot| hot.count.abs_diff(1_250) < 206), "{:?}", route.keys);
}

#[test]
fn limits_are_kept() {
    let settings = HotKeySettings {
        capacity: 1_000,
        rate: 0,
        queue: 1 << 40,
        max_key_bytes: 1 << 40,
        seed: 0,
    };
    let limited = settings.limited();
    assert_eq!(
        (limited.capacity, limited.rate, limited.queue, limited.max_key_bytes),
        (256, 1, 65_536, 4_096)
    );
}

#[test]
fn a_removed_route_tells_what_was_collected_of_it() {
    let sampler = all();
    let handle = sampler.register(1, 1, KeyRange::all());
    handle.observe(b"k", Op::Write, 1);
    sampler.remove(1, 500);
    assert_eq!(hot_keys(&sampler, 1_000).routes.len(), 1);
    drop(handle);
    // Its slot goes with the second of these.
    for now_ms in [10_000, 20_000] {
        assert_eq!(hot_keys(&sampler, now_ms).left_out, 0);
    }
}

#[test]
fn the_busiest_routes_are_told_of_where_not_all_fit() {
    let sampler = sampler(|settings| {
        (settings.rate, settings.queue, settings.max_key_bytes) = (1, MAX_HOT_KEY_QUEUE, 4_096);
    });
    let key = |route: u64, n: u64| {
        let mut key = vec![0; 4_000];
        key[..8].copy_from_slice(&route.to_be_bytes());
        key[8..16].copy_from_slice(&n.to_be_bytes());
        key
    };
    // 64 keys of 4,000 bytes in each of 20 routes: 5 MB.
    for route in 1..=20 {
        let range = KeyRange::new(key(route, 0), key(route + 1, 0)).unwrap();
        let handle = sampler.register(route, 1, range);
        (0..64).for_each(|n| handle.observe(&key(route, n), Op::Write, 0));
        (0..route).for_each(|_| handle.observe(&key(route, 0), Op::Write, 0));
    }
    let hot = hot_keys(&sampler, 1_000);
    let routes: Vec<u64> = hot.routes.iter().map(|route| route.route).collect();
    assert_eq!(routes, (6..=20).rev().collect::<Vec<_>>());
    assert_eq!(hot.left_out, (1..=5).map(|route| 64 + route).sum::<u64>());
}

/// Y1, with observers, a collector and flushes at the same time.
#[test]
fn every_chosen_operation_is_accounted_for() {
    const THREADS: u64 = 4;
    const OBSERVES: u64 = 100_000;
    let sampler = sampler(|settings| (settings.rate, settings.queue) = (1, 64));
    let handle = sampler.register(1, 1, KeyRange::all());
    let done = AtomicBool::new(false);
    let (mut told, mut counts) = (0, HashMap::<Vec<u8>, u64>::new());
    let mut tell = |hot: HotKeys| {
        told += hot.dropped + hot.left_out;
        for route in hot.routes {
            told += route.sampled;
            for hot in route.keys {
                *counts.entry(hot.key).or_default() += hot.count;
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let handle = handle.clone();
                scope.spawn(move || {
                    for n in 0..OBSERVES {
                        // Some keys are longer than what is copied without an allocation.
                        let len = if n % 2 == 0 { 8 } else { 80 };
                        handle.observe(&vec![thread as u8; len], Op::Write, 1);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                sampler.collect_hot_keys();
            }
        });
        (1..20).for_each(|second| tell(hot_keys(&sampler, second * 1_000)));
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Release);
    });
    tell(hot_keys(&sampler, 20_000));
    assert_eq!(told, THREADS * OBSERVES);
    assert!(counts.len() <= 2 * THREADS as usize, "no key was mixed up: {counts:?}");
}
