//! Property: every count arrives, in the column of its route, with its bytes, while routes are
//! registered, removed, split and merged and threads come and go (S2).
//!
//! 10^7 observes; `KEYVIZ_SAMPLER_OBSERVES=1000000000` for as many as that says.
#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use keyviz_lineage::{Column, KeyRange, Step};
use keyviz_sampler::{Op, RouteHandle, Sampler};

const THREADS: u64 = 4;
/// A thread ends after this many, and another takes its place.
const OBSERVES_A_LIFE: u64 = 100_000;
/// Routes 1 to this are never changed; the others come and go.
const STABLE: u64 = 8;
/// Every operation's bytes: its key and a value.
const KEY: &[u8] = b"key";
const VALUE_LEN: u64 = 11;

fn observes() -> u64 {
    let asked = std::env::var("KEYVIZ_SAMPLER_OBSERVES").ok();
    asked.map_or(10_000_000, |asked| asked.parse().unwrap())
}

fn range(from: u64, to: u64) -> KeyRange {
    KeyRange::new(from.to_be_bytes(), to.to_be_bytes()).unwrap()
}

/// What arrived.
#[derive(Default)]
struct Arrived {
    by_route: BTreeMap<u64, u64>,
    unattributed: u64,
}

impl Arrived {
    fn add(&mut self, column: &Column) {
        assert_eq!(column.validate(), Ok(()));
        for row in &column.rows {
            let counts = row.counts;
            assert!(row.flags.is_none());
            let size = KEY.len() as u64 + VALUE_LEN;
            assert_eq!(counts.write_bytes, size * counts.writes, "of route {}", row.route);
            assert_eq!(counts.read_bytes, size * counts.reads, "of route {}", row.route);
            *self.by_route.entry(row.route).or_default() += counts.reads + counts.writes;
        }
        self.unattributed += column.unattributed;
    }

    fn all(&self) -> u64 {
        self.by_route.values().sum::<u64>() + self.unattributed
    }
}

/// Splits, merges, removes and flushes until `done`, then once more.
fn churn(sampler: &Sampler, done: &AtomicBool) -> Arrived {
    let (mut arrived, mut now_ms) = (Arrived::default(), 0);
    loop {
        let is_last = done.load(Ordering::Acquire);
        now_ms += 1_000;
        // One route, then two, then one of the same number that is cut.
        let first = STABLE + 1;
        match now_ms / 1_000 % 3 {
            0 => {
                sampler.remove(first + 1, now_ms);
                sampler.remove(first + 2, now_ms);
                sampler.register(first, 1, range(1_000, 3_000));
            }
            1 => {
                sampler.remove(first, now_ms);
                sampler.register(first + 1, 1, range(1_000, 2_000));
                sampler.register(first + 2, 2, range(2_000, 3_000));
            }
            _ => {
                sampler.register_cut(first + 1, 1, range(1_000, 2_000), 16);
                sampler.lead(2, Some(now_ms));
            }
        }
        arrived.add(&sampler.flush(now_ms));
        if is_last {
            return arrived;
        }
    }
}

/// One thread's life. Returns what it counted on each stable route.
fn life(sampler: &Sampler, handles: &[RouteHandle], seed: u64) -> Vec<u64> {
    let mut counted = vec![0; handles.len()];
    for n in 0..OBSERVES_A_LIFE {
        let op = if n % 2 == 0 { Op::Read } else { Op::Write };
        let pick = n.wrapping_mul(seed) >> 7;
        if n % 3 == 0 {
            // By id, on routes that may be there or not.
            sampler.observe(STABLE + 1 + pick % 3, KEY, op, VALUE_LEN);
        } else {
            let route = pick as usize % handles.len();
            handles[route].observe(KEY, op, VALUE_LEN);
            counted[route] += 1;
        }
    }
    counted
}

#[test]
fn every_count_arrives() {
    let lives = observes().div_ceil(OBSERVES_A_LIFE);
    let sampler = Sampler::new(Step::from_ms(1_000).unwrap(), 0);
    let handles: Vec<RouteHandle> =
        (1..=STABLE).map(|route| sampler.register(route, 1, range(route, route + 1))).collect();
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (arrived, counted) = thread::scope(|scope| {
        let churn = scope.spawn(|| churn(&sampler, &done));
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut counted = vec![0; handles.len()];
                    while next.fetch_add(1, Ordering::Relaxed) < lives {
                        let seed = 0x9e37_79b9_7f4a_7c15 | next.load(Ordering::Relaxed) << 1;
                        let life = thread::scope(|scope| {
                            scope.spawn(|| life(&sampler, &handles, seed)).join().unwrap()
                        });
                        counted.iter_mut().zip(life).for_each(|(sum, one)| *sum += one);
                    }
                    counted
                })
            })
            .collect();
        let mut counted = vec![0; handles.len()];
        for worker in workers {
            let one = worker.join().unwrap();
            counted.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        }
        done.store(true, Ordering::Release);
        (churn.join().unwrap(), counted)
    });
    assert_eq!(arrived.all(), lives * OBSERVES_A_LIFE);
    for (route, counted) in (1..).zip(counted) {
        assert_eq!(arrived.by_route[&route], counted, "of route {route}");
    }
}
