//! Property: windows rotate while threads count, and every request is in exactly one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use keyviz_sampler::live_summary::{WINDOW_NS, WINDOWS};
use keyviz_sampler::{LiveSummary, OperationHandle};

const THREADS: u64 = 4;
/// Times that somebody asks within each window.
const ASKED: u64 = 4;

#[test]
fn no_rotation_loses_or_doubles_a_request() {
    let live = LiveSummary::new(0);
    let handle = live.operation("redis", "get");
    let stopped = AtomicBool::new(false);
    let (answered, dropped) = thread::scope(|scope| {
        let counters: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (handle, stopped) = (&handle, &stopped);
                scope.spawn(move || count(handle, stopped, thread))
            })
            .collect();
        // Through all windows but the last, and never so far that one is over.
        let mut last = 0;
        for asked in 0..(WINDOWS - 1) * ASKED {
            let found = &live.summaries(asked / ASKED * WINDOW_NS)[0];
            assert!(found.requests >= last, "{} after {last}", found.requests);
            assert!(found.in_flight <= THREADS);
            last = found.requests;
            thread::yield_now();
        }
        stopped.store(true, Ordering::Relaxed);
        let counted = counters.into_iter().map(|counter| counter.join().unwrap());
        counted.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let found = &live.summaries((WINDOWS - 1) * WINDOW_NS)[0];
    assert_eq!((found.requests, found.in_flight), (answered + dropped, 0));
    assert_eq!((found.bytes_in, found.bytes_out), (3 * answered, 5 * answered));
    assert_eq!(found.latencies.iter().map(|&(_, count)| count).sum::<u64>(), answered);
    assert_eq!(live.summaries(2 * WINDOWS * WINDOW_NS)[0].requests, 0, "all of it is forgotten");
}

/// Until it is stopped; how many were answered, and how many dropped.
fn count(handle: &OperationHandle, stopped: &AtomicBool, thread: u64) -> (u64, u64) {
    let (mut answered, mut dropped) = (0, 0);
    while !stopped.load(Ordering::Relaxed) {
        let request = answered + dropped;
        let serving = handle.begin(request);
        if request % 10 == thread {
            drop(serving);
            dropped += 1;
        } else {
            serving.finish(request + request % 1_000, 3, 5);
            answered += 1;
        }
    }
    (answered, dropped)
}
