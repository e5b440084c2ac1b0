//! Measures one observe and one flush on this machine: `cargo run --release --example measure`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)] // it measures

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use keyviz_lineage::{KeyRange, Step};
use keyviz_sampler::{Op, RouteHandle, Sampler};

const OPERATIONS: u64 = 5_000_000;
const ROUTES: u64 = 10_000;

/// The best and the median of nine runs, nanoseconds an operation.
fn nanos(mut work: impl FnMut()) -> (f64, f64) {
    let mut runs: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e9 / OPERATIONS as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    (runs[0], runs[4])
}

fn show(name: &str, (best, median): (f64, f64)) {
    println!("{name:<46} best {best:7.2} ns   median {median:7.2} ns");
}

fn twice(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        scope.spawn(&work);
        work();
    });
}

fn zipf() -> Vec<u64> {
    // s = 1 over the routes, by inverse of the harmonic sums.
    let mut sums = Vec::new();
    let mut sum = 0.0;
    for rank in 1..=ROUTES {
        sum += 1.0 / rank as f64;
        sums.push(sum);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..1 << 16)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
            let rank = sums.partition_point(|&sum| sum < at) as u64;
            (rank.wrapping_mul(7_919)) % ROUTES + 1
        })
        .collect()
}

fn main() {
    let only_flush = std::env::args().any(|arg| arg == "flush");
    let sampler = Sampler::new(Step::MINUTE, 0);
    let handles: Vec<RouteHandle> = (1..=ROUTES)
        .map(|route| {
            let end = if route == ROUTES { vec![] } else { route.to_be_bytes().to_vec() };
            let start = if route == 1 { vec![] } else { (route - 1).to_be_bytes().to_vec() };
            sampler.register(route, 1, KeyRange::new(start, end).unwrap())
        })
        .collect();
    if only_flush {
        return flush(&sampler, &handles, 400);
    }
    let hot = &handles[5_000];
    let picks = zipf();
    let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let two_adds = || {
        for n in 0..OPERATIONS {
            count.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(black_box(n & 0xfff), Ordering::Relaxed);
        }
    };
    show("two shared fetch_add", nanos(two_adds));
    let floor = || {
        for n in 0..OPERATIONS {
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
            bytes.store(bytes.load(Ordering::Relaxed) + black_box(n), Ordering::Release);
        }
    };
    show("two loads and stores (the floor)", nanos(floor));
    show("two shared fetch_add, 2 threads", nanos(|| twice(two_adds)));
    let map: RwLock<HashMap<u64, (AtomicU64, AtomicU64)>> =
        RwLock::new((1..=ROUTES).map(|r| (r, Default::default())).collect());
    let by_map = || {
        for n in 0..OPERATIONS {
            let map = map.read().unwrap();
            let slot = &map[&picks[n as usize & 0xffff]];
            slot.0.fetch_add(1, Ordering::Relaxed);
            slot.1.fetch_add(black_box(n & 0xfff), Ordering::Relaxed);
        }
    };
    show("RwLock<HashMap>, Zipf", nanos(by_map));
    let by_handle = || {
        for n in 0..OPERATIONS {
            hot.observe(b"key", Op::Write, black_box(n & 0xfff));
        }
    };
    show("handle, one hot route", nanos(by_handle));
    show("handle, one hot route, 2 threads", nanos(|| twice(by_handle)));
    let disabled = RouteHandle::disabled();
    show(
        "handle, disabled",
        nanos(|| {
            for n in 0..OPERATIONS {
                black_box(&disabled).observe(b"key", Op::Write, black_box(n & 0xfff));
            }
        }),
    );
    let by_handle_zipf = || {
        for n in 0..OPERATIONS {
            let pick = picks[n as usize & 0xffff] as usize - 1;
            handles[pick].observe(b"key", Op::Write, black_box(n & 0xfff));
        }
    };
    show("handle, Zipf over 10,000", nanos(by_handle_zipf));
    let by_id = || {
        for n in 0..OPERATIONS {
            sampler.observe(5_001, b"key", Op::Write, black_box(n & 0xfff));
        }
    };
    show("id, one hot route", nanos(by_id));
    show("id, one hot route, 2 threads", nanos(|| twice(by_id)));
    let by_id_zipf = || {
        for n in 0..OPERATIONS {
            let pick = picks[n as usize & 0xffff];
            sampler.observe(pick, b"key", Op::Write, black_box(n & 0xfff));
        }
    };
    show("id, Zipf over 10,000", nanos(by_id_zipf));
    show("id, Zipf over 10,000, 2 threads", nanos(|| twice(by_id_zipf)));
    show(
        "id, 10,000 in turn",
        nanos(|| {
            for n in 0..OPERATIONS {
                sampler.observe(n % ROUTES + 1, b"key", Op::Write, black_box(n & 0xfff));
            }
        }),
    );
    let cut = sampler.register_cut(20_000, 1, KeyRange::new(*b"a", *b"b").unwrap(), 16);
    show(
        "handle, 16 sub-ranges",
        nanos(|| {
            for n in 0..OPERATIONS {
                cut.observe(b"ahjkhk-key", Op::Write, black_box(n & 0xfff));
            }
        }),
    );
    flush(&sampler, &handles, 21);
    println!("counters of all threads: {} bytes", sampler.counter_bytes());
}

fn flush(sampler: &Sampler, handles: &[RouteHandle], times: usize) {
    let mut now_ms = 0;
    let mut flushes: Vec<f64> = (0..times)
        .map(|_| {
            handles.iter().for_each(|handle| handle.observe(b"key", Op::Read, 1));
            now_ms += 60_000;
            let start = Instant::now();
            let column = sampler.flush(now_ms);
            let took = start.elapsed().as_secs_f64() * 1e3;
            assert!(column.rows.len() >= 10_000, "{}", column.rows.len());
            took
        })
        .collect();
    flushes.sort_by(f64::total_cmp);
    println!(
        "flush of 10,000 busy routes: best {:.3} ms, median {:.3} ms",
        flushes[0],
        flushes[times / 2]
    );
}
