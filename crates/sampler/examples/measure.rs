//! Measures one observe and one flush on this machine, best and median of nine:
//! `cargo run -p keyviz-sampler --release --example measure`. `make bench` compares with more.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)] // it measures

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use keyviz_lineage::{KeyRange, Step};
use keyviz_sampler::{Adaptive, Op, RouteHandle, Sampler, Settings};

const OPERATIONS: u64 = 5_000_000;
const ROUTES: u64 = 10_000;
const KEY: &[u8] = b"user:00012345";

/// Nanoseconds of each of `OPERATIONS` calls.
fn observes(name: &str, observe: impl Fn(u64)) {
    let mut runs: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            (0..OPERATIONS).for_each(|n| observe(black_box(n & 0xfff)));
            start.elapsed().as_secs_f64() * 1e9 / OPERATIONS as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    println!("{name:<44} best {:7.2} ns   median {:7.2} ns", runs[0], runs[4]);
}

/// The same while another thread does it too.
fn beside(name: &str, observe: impl Fn(u64) + Sync) {
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Relaxed) == 0 {
                (0..1_000).for_each(&observe);
            }
        });
        observes(name, &observe);
        done.store(1, Ordering::Relaxed);
    });
}

/// So many routes in key order.
fn register(sampler: &Sampler, routes: u64) -> Vec<RouteHandle> {
    let key = |at: u64| if at == 0 || at == routes { vec![] } else { at.to_be_bytes().to_vec() };
    let range = |route| KeyRange::new(key(route - 1), key(route)).unwrap();
    (1..=routes).map(|route| sampler.register(route, 1, range(route))).collect()
}

fn flush(name: &str, sampler: &Sampler, handles: &[RouteHandle]) {
    let mut now_ms = 0;
    let mut runs: Vec<f64> = (0..101)
        .map(|_| {
            handles.iter().for_each(|handle| handle.observe(KEY, Op::Read, 1));
            now_ms += 60_000;
            let start = Instant::now();
            black_box(sampler.flush(now_ms));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    println!("{name:<44} best {:7.3} ms   median {:7.3} ms", runs[0], runs[50]);
}

fn main() {
    let sampler = Sampler::new(Step::MINUTE, 0);
    let handles = register(&sampler, ROUTES);
    let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let adds = |n| {
        count.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(n, Ordering::Relaxed);
    };
    observes("two shared fetch_add", adds);
    beside("two shared fetch_add, 2 threads", adds);
    observes("two loads and stores: the least possible", |n| {
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
        bytes.store(bytes.load(Ordering::Relaxed) + n, Ordering::Release);
    });
    let hot = &handles[5_000];
    observes("handle", |n| hot.observe(KEY, Op::Write, n));
    beside("handle, 2 threads", |n| hot.observe(KEY, Op::Write, n));
    observes("id", |n| sampler.observe(5_001, KEY, Op::Write, n));
    beside("id, 2 threads", |n| sampler.observe(5_001, KEY, Op::Write, n));
    observes("id, 4,096 routes in turn", |n| sampler.observe(n + 1, KEY, Op::Write, n));
    let disabled = RouteHandle::disabled();
    observes("disabled", |n| black_box(&disabled).observe(KEY, Op::Write, n));
    let range = KeyRange::new(*b"user:0", *b"user:1").unwrap();
    let cut = sampler.register_cut(20_000, 1, range, 16);
    observes("handle, 16 sub-ranges", |n| cut.observe(black_box(KEY), Op::Write, n));
    let adaptive = Some(Adaptive { max_cost_ns_per_second: 1, seed: 1 });
    let settings = Settings { adaptive, ..Settings::default() };
    let adapting = Sampler::with_settings(Step::MINUTE, 0, settings);
    let sampled = adapting.register(1, 1, KeyRange::all());
    observes("handle, may be sampled and is not", |n| sampled.observe(KEY, Op::Write, n));
    adapting.flush(60_000);
    observes("handle, 1 in 2", |n| sampled.observe(KEY, Op::Write, n));
    flush("flush of 10,000 busy routes", &sampler, &handles);
    let bytes = sampler.counter_bytes() as f64 / ROUTES as f64;
    println!("{:<44} {bytes:12.1} bytes", "counters, a route and thread");
    let over = Sampler::new(Step::MINUTE, 0);
    let handles = register(&over, 2 * ROUTES);
    flush("flush of 20,000 busy routes in 10,000 rows", &over, &handles);
}
