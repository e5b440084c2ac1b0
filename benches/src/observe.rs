//! The hot path: observing by handle and by id, against two shared `fetch_add`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use keyviz_lineage::{KeyRange, Step};
use keyviz_sampler::{Op, Sampler};

use crate::report;

const OPERATIONS: u64 = 2_000_000;

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let sampler = Sampler::new(Step::MINUTE, 0);
    let routes = 10_000u64;
    let mut handle = None;
    for route in 1..=routes {
        let end = if route == routes { Vec::new() } else { route.to_be_bytes().to_vec() };
        let start = if route == 1 { Vec::new() } else { (route - 1).to_be_bytes().to_vec() };
        if let Ok(range) = KeyRange::new(start, end) {
            handle = Some(sampler.register(route, 1, range));
        }
    }
    let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let two_adds = || {
        for n in 0..OPERATIONS {
            count.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(black_box(n), Ordering::Relaxed);
        }
    };
    let nanos = |seconds: f64| seconds * 1e9 / OPERATIONS as f64;
    if let Some(handle) = handle {
        let by_handle =
            || (0..OPERATIONS).for_each(|n| handle.observe(b"key", Op::Write, black_box(n)));
        let (ours, theirs) = report::paired(by_handle, two_adds);
        report::line(
            "observe by handle, baseline two shared fetch_add",
            nanos(ours),
            "ns",
            nanos(theirs),
        );
    }
    let by_id = || {
        for n in 0..OPERATIONS {
            sampler.observe(n % routes + 1, b"key", Op::Write, black_box(n));
        }
    };
    let (ours, theirs) = report::paired(by_id, two_adds);
    report::line(
        "observe by id, 10,000 routes, baseline two shared fetch_add",
        nanos(ours),
        "ns",
        nanos(theirs),
    );
    let mut now_ms = 0;
    let flush = || {
        now_ms += 60_000;
        (1..=routes).for_each(|route| sampler.observe(route, b"key", Op::Read, 0));
        black_box(sampler.flush(now_ms));
    };
    let observe_only =
        || (1..=routes).for_each(|route| sampler.observe(route, b"key", Op::Read, 0));
    let (ours, theirs) = report::paired(flush, observe_only);
    report::line(
        "flush of 10,000 busy routes, baseline observing them once",
        ours * 1e3,
        "ms",
        theirs * 1e3,
    );
    Ok(())
}
