//! The hot path: observing by handle and by id, against what a host would write itself (two shared
//! `fetch_add`, a map behind a lock), and the flush.
//!
//! Goals, of two shared `fetch_add` in the same run: a handle <= 0.25, an id <= 0.6; two threads on one
//! hot range <= 1 of one thread; 10,000 busy routes flushed in <= 1 ms. A figure of two threads is the
//! time of one thread's operations. Every figure holds the loop around the operation, which `observe, the
//! loop alone` tells apart. `observe-cost` fails where the figure that the sampling's model uses is off.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread;

use keyviz_lineage::{KeyRange, Step};
use keyviz_sampler::{
    Adaptive, COST_PER_OBSERVE_NS, HotKeySettings, Op, RouteHandle, Sampler, Settings,
};

use crate::codec::Numbers;
use crate::report;

const OPERATIONS: u64 = 500_000;
const ROUNDS: usize = 41;
const ROUTES: u64 = 10_000;
/// A power of two: picks are repeated in turn.
const PICKS: usize = 1 << 16;
const KEY: &[u8] = b"user:00012345";
/// Two shared `fetch_add` where [`COST_PER_OBSERVE_NS`] was measured.
const BASELINE_NS: f64 = 4.3;

/// What is counted beside the sampler's own: two sums that every thread adds to.
#[derive(Default)]
struct Shared {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Shared {
    fn add(&self, bytes: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Some size of a value, out of the compiler's sight.
fn value_len(n: u64) -> u64 {
    black_box(n & 0xfff)
}

/// Runs `observe` on numbers from 0, as often as is measured.
fn repeat(observe: impl Fn(u64)) {
    (0..OPERATIONS).for_each(observe);
}

/// The same in two threads at once.
fn twice(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        scope.spawn(&work);
        work();
    });
}

/// Fails where [`COST_PER_OBSERVE_NS`] is off by more than a fifth, as a multiple of what two shared
/// `fetch_add` take here and took where it was measured.
pub(crate) fn run_cost() -> Result<(), Box<dyn std::error::Error>> {
    let adaptive = Some(Adaptive { max_cost_ns_per_second: u64::MAX, seed: 1 });
    let settings = Settings { adaptive, ..Settings::default() };
    let sampler = Sampler::with_settings(Step::MINUTE, 0, settings);
    let handle = sampler.register(1, 1, KeyRange::all());
    let shared = Shared::default();
    let (ours, theirs) = fastest(
        || repeat(|n| handle.observe(KEY, Op::Write, value_len(n))),
        || repeat(|n| shared.add(value_len(n))),
    );
    let modelled = COST_PER_OBSERVE_NS as f64 / BASELINE_NS * theirs;
    report::line(
        "observe a route that may be sampled; baseline its modelled cost",
        ours,
        "ns",
        modelled,
    );
    let drift = ours / modelled - 1.0;
    if drift.abs() > 0.2 {
        return Err(format!(
            "observing costs {:+.0} % of what the sampler's model says: {ours:.2} ns where two shared fetch_add take {theirs:.2}; set COST_PER_OBSERVE_NS to {:.0}",
            drift * 100.0,
            ours / theirs * BASELINE_NS
        )
        .into());
    }
    Ok(())
}

/// Nanoseconds an operation of the fastest of many short rounds: what it costs when nothing else happens.
fn fastest(ours: impl FnMut(), theirs: impl FnMut()) -> (f64, f64) {
    let nanos = |seconds: f64| seconds * 1e9 / OPERATIONS as f64;
    let (ours, theirs) = report::fastest_in(ROUNDS, ours, theirs);
    (nanos(ours), nanos(theirs))
}

fn compare(what: &str, ours: impl FnMut(), theirs: impl FnMut()) {
    let (ours, theirs) = fastest(ours, theirs);
    report::line(what, ours, "ns", theirs);
}

/// Route numbers whose frequency falls with their rank (s = 1), ranks scattered over the routes.
fn zipf() -> Vec<u64> {
    let sums: Vec<f64> = (1..=ROUTES)
        .scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        })
        .collect();
    let most = sums[sums.len() - 1];
    let mut numbers = Numbers::new(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        let at = numbers.below(1 << 53) as f64 / (1_u64 << 53) as f64 * most;
        sums.partition_point(|&sum| sum < at) as u64 * 7_919 % ROUTES + 1
    };
    (0..PICKS).map(|_| next()).collect()
}

fn routes(sampler: &Sampler) -> Result<Vec<RouteHandle>, Box<dyn std::error::Error>> {
    let key =
        |at: u64| if at == 0 || at == ROUTES { Vec::new() } else { at.to_be_bytes().to_vec() };
    let handles = (1..=ROUTES).map(|route| {
        let range = KeyRange::new(key(route - 1), key(route))?;
        Ok(sampler.register(route, 1, range))
    });
    handles.collect()
}

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let sampler = Sampler::new(Step::MINUTE, 0);
    let handles = routes(&sampler)?;
    let picks = zipf();
    one_hot_range(&sampler, &handles[4_999]);
    spread(&sampler, &handles, &picks);
    variants(&sampler)?;
    flush(&sampler);
    Ok(())
}

fn one_hot_range(sampler: &Sampler, hot: &RouteHandle) {
    let shared = Shared::default();
    let adds = || repeat(|n| shared.add(value_len(n)));
    let by_handle = || repeat(|n| hot.observe(KEY, Op::Write, value_len(n)));
    let by_id = || repeat(|n| sampler.observe(5_000, KEY, Op::Write, value_len(n)));
    compare(
        "observe, the loop alone; baseline two shared fetch_add",
        || repeat(|n| _ = value_len(n)),
        adds,
    );
    compare("observe by handle, one hot range; baseline two shared fetch_add", by_handle, adds);
    compare("observe by id, one hot range; baseline two shared fetch_add", by_id, adds);
    compare(
        "observe by handle, one hot range, 2 threads; baseline two shared fetch_add, 2 threads",
        || twice(by_handle),
        || twice(adds),
    );
    compare(
        "observe by id, one hot range, 2 threads; baseline two shared fetch_add, 2 threads",
        || twice(by_id),
        || twice(adds),
    );
    // Two threads side by side on ranges of their own are what two on one must not be slower than.
    let other = sampler.register(ROUTES + 1, 1, KeyRange::all());
    let apart = || {
        thread::scope(|scope| {
            scope.spawn(|| repeat(|n| other.observe(KEY, Op::Write, value_len(n))));
            by_handle();
        });
    };
    compare(
        "observe by handle, one hot range, 2 threads; baseline a range each",
        || twice(by_handle),
        apart,
    );
    drop(other);
    sampler.remove(ROUTES + 1, 0);
}

fn spread(sampler: &Sampler, handles: &[RouteHandle], picks: &[u64]) {
    let pick = |n: u64| picks[n as usize % PICKS];
    let shared: Vec<Shared> = (0..=ROUTES).map(|_| Shared::default()).collect();
    let adds = || repeat(|n| shared[pick(n) as usize].add(value_len(n)));
    let by_handle =
        || repeat(|n| handles[pick(n) as usize - 1].observe(KEY, Op::Write, value_len(n)));
    let by_id = || repeat(|n| sampler.observe(pick(n), KEY, Op::Write, value_len(n)));
    let map: RwLock<HashMap<u64, Shared>> =
        RwLock::new((1..=ROUTES).map(|route| (route, Shared::default())).collect());
    let by_map = || {
        repeat(|n| {
            let map = map.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(shared) = map.get(&pick(n)) {
                shared.add(value_len(n));
            }
        });
    };
    compare("observe by handle, Zipf over 10,000; baseline two shared fetch_add", by_handle, adds);
    compare("observe by id, Zipf over 10,000; baseline two shared fetch_add", by_id, adds);
    compare("observe by id, Zipf over 10,000; baseline RwLock<HashMap>", by_id, by_map);
    compare(
        "observe by id, Zipf over 10,000, 2 threads; baseline RwLock<HashMap>, 2 threads",
        || twice(by_id),
        || twice(by_map),
    );
}

fn variants(sampler: &Sampler) -> Result<(), Box<dyn std::error::Error>> {
    let range = KeyRange::new(*b"user:0", *b"user:1")?;
    let whole = sampler.register(ROUTES + 2, 1, range.clone());
    let cut = sampler.register_cut(ROUTES + 3, 1, range, 16);
    let disabled = RouteHandle::disabled();
    let through = |handle: &RouteHandle| {
        let handle = black_box(handle);
        repeat(|n| handle.observe(black_box(KEY), Op::Write, value_len(n)));
    };
    compare(
        "observe, 16 sub-ranges; baseline an uncut route",
        || through(&cut),
        || through(&whole),
    );
    hot_keys(|| through(&whole), through);
    let adaptive = Some(Adaptive { max_cost_ns_per_second: 1, seed: 1 });
    let settings = Settings { adaptive, ..Settings::default() };
    let adapting = Sampler::with_settings(Step::MINUTE, 0, settings);
    let sampled = adapting.register(1, 1, KeyRange::all());
    compare("observe, rate looked up; baseline exact", || through(&sampled), || through(&whole));
    adapting.flush(60_000);
    compare("observe, 1 in 2; baseline exact", || through(&sampled), || through(&whole));
    compare(
        "observe, disabled; baseline a counted route",
        || through(&disabled),
        || through(&whole),
    );
    sampler.remove(ROUTES + 2, 0);
    sampler.remove(ROUTES + 3, 0);
    Ok(())
}

/// One in 16, looked at on the same thread, as often as fills the queue.
fn hot_keys(whole: impl Fn(), through: impl Fn(&RouteHandle)) {
    let hot_keys = Some(HotKeySettings::with_seed(1));
    let settings = Settings { hot_keys, ..Settings::default() };
    let sampler = Sampler::with_settings(Step::MINUTE, 0, settings);
    let looked_at = sampler.register(1, 1, KeyRange::all());
    compare(
        "observe, hot keys 1 in 16, queue full; baseline without",
        || through(&looked_at),
        &whole,
    );
    let collected = || {
        const BATCH: u64 = 50_000;
        for from in (0..OPERATIONS).step_by(BATCH as usize) {
            let handle = black_box(&looked_at);
            let of = |n: u64| (n % 1_000).to_be_bytes();
            (from..from + BATCH).for_each(|n| handle.observe(&of(n), Op::Write, value_len(n)));
            sampler.collect_hot_keys();
        }
    };
    compare(
        "observe, hot keys 1 in 16, looking at 1,000 keys included; baseline without",
        collected,
        &whole,
    );
}

fn flush(sampler: &Sampler) {
    let mut now_ms = 0;
    let observe = || (1..=ROUTES).for_each(|route| sampler.observe(route, KEY, Op::Read, 0));
    let observe_and_flush = || {
        now_ms += 60_000;
        observe();
        black_box(sampler.flush(now_ms));
    };
    let (with, without) = report::fastest_in(ROUNDS, observe_and_flush, observe);
    report::line(
        "flush of 10,000 busy routes; baseline observing them once",
        (with - without) * 1e3,
        "ms",
        without * 1e3,
    );
    let memory = |what: &str, sampler: &Sampler| {
        let bytes = sampler.counter_bytes() as f64 / ROUTES as f64;
        report::line(
            &format!("memory of the counters a route{what} and thread; baseline two counts"),
            bytes,
            "bytes",
            16.0,
        );
    };
    memory("", sampler);
    let settings = Settings { sub_ranges: 16, ..Settings::default() };
    let cut = Sampler::with_settings(Step::MINUTE, 0, settings);
    for handle in routes(&cut).into_iter().flatten() {
        handle.observe(KEY, Op::Read, 0);
    }
    memory(" cut into 16", &cut);
}
