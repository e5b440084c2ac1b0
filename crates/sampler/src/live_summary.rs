//! What each operation of each adapter is doing now: requests, in flight, bytes, latencies.
//!
//! ```text
//! begin(now) -> in flight + 1 ... finish(now, bytes) -> one relaxed add to its latency's bucket,
//!                                                       to the bytes, in flight - 1
//! summaries(now), off the path: what the counters hold less what they held when the open window
//!                               began = the open window; + the closed ones = the last 5 minutes
//! ```
//! Owns: for each operation counters that only grow, what they held when the open window began, and
//! the last [`WINDOWS`] - 1 closed windows (only their buckets that are not empty).
//! Invariants: a request takes no lock, allocates nothing and reads no clock (V1); windows rotate
//! without touching what requests write, so no rotation loses or doubles one (V2): each counter is
//! read once and the difference belongs to exactly one window; what ended between two calls that are
//! more than a window apart belongs to the window that closed last; in flight is never negative (V3):
//! only a guard takes away what it has added, also when it is dropped early or by a panic; names are
//! bounded (V4): beyond [`MAX_OPERATIONS`] they are counted together.
//! Must not: read a clock; know who asks.
//! Proof: `live_summary_test.rs` (an exact model under proptest), `tests/live_summary_stress.rs`
//! (rotation while threads count).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use histogram::{AtomicHistogram, Config, SparseHistogram};
use keyviz_lineage::OperationSummary;
use keyviz_lineage::summary::{LATENCY_BUCKETS, MAX_NAME_BYTES, MAX_OPERATIONS, OTHER};

/// Length of a window.
pub const WINDOW_NS: u64 = 10_000_000_000;
/// Windows that a summary covers, the open one included.
pub const WINDOWS: u64 = 30;
/// Each power of two is cut into 2^5 buckets.
const GROUPING_POWER: u8 = 5;
/// Longer latencies are counted as if they were just below 2^40 ns.
const MAX_VALUE_POWER: u8 = 40;
const MAX_LATENCY_NS: u64 = (1 << MAX_VALUE_POWER) - 1;

/// The counters of one operation. They only grow, but for `in_flight`.
#[derive(Debug)]
struct Operation {
    adapter: Box<str>,
    name: Box<str>,
    in_flight: AtomicU64,
    /// Ended without an answer: they have no latency.
    abandoned: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    latencies: AtomicHistogram,
}

/// What requests count with. Get it once, keep it where the operation is dispatched.
#[derive(Clone, Debug)]
pub struct OperationHandle(Arc<Operation>);

impl OperationHandle {
    /// A request begins. `now_ns` is from any monotonic clock.
    pub fn begin(&self, now_ns: u64) -> InFlight<'_> {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { operation: &self.0, began_ns: now_ns, is_answered: false }
    }
}

/// A request that is being served. Dropped without [`InFlight::finish`] it counts as a request that
/// has no latency and no bytes.
#[derive(Debug)]
#[must_use = "dropping it at once ends the request"]
pub struct InFlight<'a> {
    operation: &'a Operation,
    began_ns: u64,
    is_answered: bool,
}

impl InFlight<'_> {
    /// The request is answered.
    pub fn finish(mut self, now_ns: u64, bytes_in: u64, bytes_out: u64) {
        self.is_answered = true;
        let latency_ns = now_ns.saturating_sub(self.began_ns).min(MAX_LATENCY_NS);
        let operation = self.operation;
        operation.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        operation.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        // Cannot be out of range: it was cut to the largest that there is a bucket for.
        let _ = operation.latencies.increment(latency_ns);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.operation.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        self.operation.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an operation's counters held at one time, or by how much they grew.
#[derive(Clone, Debug)]
struct Counted {
    abandoned: u64,
    bytes_in: u64,
    bytes_out: u64,
    latencies: SparseHistogram,
}

#[derive(Debug)]
struct Tracked {
    operation: Arc<Operation>,
    /// When the open window began.
    before: Counted,
    /// Closed windows in which something ended, by number; the oldest first.
    closed: VecDeque<(u64, Counted)>,
}

#[derive(Debug)]
struct Windows {
    /// The open one.
    number: u64,
    operations: Vec<Tracked>,
}

/// The operations of one host.
#[derive(Debug)]
pub struct LiveSummary {
    config: Config,
    started_ns: u64,
    windows: Mutex<Windows>,
}

impl LiveSummary {
    /// Without operations; its first window begins now.
    pub fn new(now_ns: u64) -> Self {
        let config = Config::new(GROUPING_POWER, MAX_VALUE_POWER);
        let config = config.expect("invariant: 5 and 40 are powers that a histogram takes");
        let windows = Mutex::new(Windows { number: 0, operations: Vec::new() });
        Self { config, started_ns: now_ns, windows }
    }

    /// The handle of an operation; the same for the same names. Names are cut to 64 bytes; beyond 255
    /// of them all that are new share one handle, `_other`. Takes a lock and may allocate: call it when
    /// the host starts, or when it meets something new.
    pub fn operation(&self, adapter: &str, operation: &str) -> OperationHandle {
        let mut windows = self.lock();
        let names = (cut(adapter), cut(operation));
        let is_room = windows.operations.len() + 1 < MAX_OPERATIONS;
        let found = windows.find(names);
        match found {
            Some(found) => OperationHandle(found),
            None if is_room => OperationHandle(windows.add(self.config, names)),
            None => match windows.find((OTHER, OTHER)) {
                Some(other) => OperationHandle(other),
                None => OperationHandle(windows.add(self.config, (OTHER, OTHER))),
            },
        }
    }

    /// Every operation over the last [`WINDOWS`] windows, by adapter and name. Closes the windows that
    /// have ended: call it at least once a window. A `now_ns` before an earlier one closes nothing.
    pub fn summaries(&self, now_ns: u64) -> Vec<OperationSummary> {
        let number = now_ns.saturating_sub(self.started_ns) / WINDOW_NS;
        let mut windows = self.lock();
        let is_over = number > windows.number;
        windows.number = windows.number.max(number);
        let open = windows.number;
        let mut summaries: Vec<OperationSummary> = windows
            .operations
            .iter_mut()
            .map(|tracked| tracked.summary(self.config, open, is_over))
            .collect();
        drop(windows);
        summaries.sort_by(|a, b| (&a.adapter, &a.operation).cmp(&(&b.adapter, &b.operation)));
        summaries
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        // A panic while it was held leaves windows that are whole: each change is one assignment.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    fn find(&self, (adapter, name): (&str, &str)) -> Option<Arc<Operation>> {
        let mut all = self.operations.iter().map(|tracked| &tracked.operation);
        all.find(|held| (&*held.adapter, &*held.name) == (adapter, name)).map(Arc::clone)
    }

    fn add(&mut self, config: Config, (adapter, name): (&str, &str)) -> Arc<Operation> {
        let operation = Arc::new(Operation {
            adapter: adapter.into(),
            name: name.into(),
            in_flight: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            latencies: AtomicHistogram::with_config(&config),
        });
        let before = Counted::none(config);
        let tracked =
            Tracked { operation: Arc::clone(&operation), before, closed: VecDeque::new() };
        self.operations.push(tracked);
        operation
    }
}

impl Tracked {
    /// V2
    fn summary(&mut self, config: Config, open: u64, is_over: bool) -> OperationSummary {
        let now = Counted::of(&self.operation);
        let since = now.less(&self.before);
        if is_over {
            if !since.is_none() {
                self.closed.push_back((open.saturating_sub(1), since.clone()));
            }
            self.before = now;
        }
        while self.closed.front().is_some_and(|(number, _)| number + WINDOWS <= open) {
            self.closed.pop_front();
        }
        let open = if is_over { Counted::none(config) } else { since };
        let closed = self.closed.iter().map(|(_, counted)| counted);
        let all = closed.fold(open, |sum, counted| sum.plus(counted));
        let latencies: Vec<(u32, u64)> = all.buckets().collect();
        let answered: u64 = latencies.iter().map(|&(_, count)| count).sum();
        OperationSummary {
            adapter: self.operation.adapter.to_string(),
            operation: self.operation.name.to_string(),
            requests: answered.saturating_add(all.abandoned),
            in_flight: self.operation.in_flight.load(Ordering::Relaxed),
            bytes_in: all.bytes_in,
            bytes_out: all.bytes_out,
            latencies,
        }
    }
}

impl Counted {
    fn none(config: Config) -> Self {
        let latencies = SparseHistogram::with_config(&config);
        Self { abandoned: 0, bytes_in: 0, bytes_out: 0, latencies }
    }

    fn of(operation: &Operation) -> Self {
        Self {
            abandoned: operation.abandoned.load(Ordering::Relaxed),
            bytes_in: operation.bytes_in.load(Ordering::Relaxed),
            bytes_out: operation.bytes_out.load(Ordering::Relaxed),
            latencies: SparseHistogram::from(&operation.latencies.load()),
        }
    }

    fn is_none(&self) -> bool {
        let numbers = [self.abandoned, self.bytes_in, self.bytes_out];
        self.latencies.is_empty() && numbers == [0; 3]
    }

    /// By how much the counters grew since they held `before`.
    fn less(&self, before: &Self) -> Self {
        let latencies = self.latencies.wrapping_sub(&before.latencies);
        Self {
            abandoned: self.abandoned.wrapping_sub(before.abandoned),
            bytes_in: self.bytes_in.wrapping_sub(before.bytes_in),
            bytes_out: self.bytes_out.wrapping_sub(before.bytes_out),
            latencies: latencies.expect("invariant: every histogram has the same buckets"),
        }
    }

    fn plus(&self, more: &Self) -> Self {
        let latencies = self.latencies.wrapping_add(&more.latencies);
        Self {
            abandoned: self.abandoned.wrapping_add(more.abandoned),
            bytes_in: self.bytes_in.wrapping_add(more.bytes_in),
            bytes_out: self.bytes_out.wrapping_add(more.bytes_out),
            latencies: latencies.expect("invariant: every histogram has the same buckets"),
        }
    }

    fn buckets(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.latencies.index().iter().copied().zip(self.latencies.count().iter().copied())
    }
}

/// What several hosts say of the same operations, added up, by adapter and operation.
pub fn merge<'a>(reports: impl IntoIterator<Item = &'a OperationSummary>) -> Vec<OperationSummary> {
    let mut merged: Vec<OperationSummary> = Vec::new();
    for report in reports {
        let key = |one: &OperationSummary| {
            (&*one.adapter, &*one.operation).cmp(&(&*report.adapter, &*report.operation))
        };
        match merged.binary_search_by(key) {
            Err(at) => merged.insert(at, report.clone()),
            Ok(at) => add(&mut merged[at], report),
        }
    }
    merged
}

fn add(sum: &mut OperationSummary, more: &OperationSummary) {
    sum.requests = sum.requests.saturating_add(more.requests);
    sum.in_flight = sum.in_flight.saturating_add(more.in_flight);
    sum.bytes_in = sum.bytes_in.saturating_add(more.bytes_in);
    sum.bytes_out = sum.bytes_out.saturating_add(more.bytes_out);
    for &(bucket, count) in &more.latencies {
        match sum.latencies.binary_search_by_key(&bucket, |&(held, _)| held) {
            Err(at) => sum.latencies.insert(at, (bucket, count)),
            Ok(at) => sum.latencies[at].1 = sum.latencies[at].1.saturating_add(count),
        }
    }
}

/// The p50, p95 and p99 of latencies, in nanoseconds: the middle of the bucket that holds it, so within
/// 1 part in 32 of the latency itself. 0 where there is none. Buckets that do not exist are left out.
pub fn quantiles_ns(latencies: &[(u32, u64)]) -> [f64; 3] {
    const ASKED: [f64; 3] = [0.50, 0.95, 0.99];
    let known = latencies.iter().filter(|&&(bucket, count)| bucket < LATENCY_BUCKETS && count > 0);
    let (buckets, counts) = known.copied().unzip();
    let histogram = Config::new(GROUPING_POWER, MAX_VALUE_POWER)
        .and_then(|config| SparseHistogram::from_parts(config, buckets, counts))
        .and_then(|sparse| sparse.quantiles(&ASKED));
    let Ok(Some(found)) = histogram else { return [0.0; 3] };
    let mut asked = [0.0; 3];
    for (slot, (_, bucket)) in asked.iter_mut().zip(found.entries()) {
        *slot = (bucket.start() as f64 + bucket.end() as f64) / 2.0;
    }
    asked
}

/// The first bytes of a name, whole characters. An empty one has a name as well.
fn cut(name: &str) -> &str {
    if name.is_empty() {
        return OTHER;
    }
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
#[path = "live_summary_test.rs"]
mod live_summary_test;
