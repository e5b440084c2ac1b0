//! Property: windows rotate while threads count, and every request is in exactly one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use keyviz_sampler::LiveSummary;
use keyviz_sampler::live_summary::{WINDOW_NS, WINDOWS};

const THREADS: u64 = 4;
const REQUESTS: u64 = 50_000;

#[test]
fn no_rotation_loses_or_doubles_a_request() {
    let live = LiveSummary::new(0);
    let handle = live.operation("redis", "get");
    let stopped = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let (mut asked, mut last) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                // Through all windows but the last, again and again, and never so far that one is over.
                let window = asked.min(WINDOWS - 2);
                let found = &live.summaries(window * WINDOW_NS)[0];
                assert!(found.requests >= last, "{} after {last}", found.requests);
                assert!(found.in_flight <= THREADS);
                last = found.requests;
                asked += 1;
            }
            asked
        });
        let counters: Vec<_> = (0..THREADS)
            .map(|thread| {
                let handle = &handle;
                scope.spawn(move || {
                    for request in 0..REQUESTS {
                        let serving = handle.begin(request);
                        if request % 10 == thread {
                            drop(serving);
                        } else {
                            serving.finish(request + request % 1_000, 3, 5);
                        }
                    }
                })
            })
            .collect();
        counters.into_iter().for_each(|counter| counter.join().unwrap());
        stopped.store(true, Ordering::Relaxed);
        asker.join().unwrap()
    });
    let found = &live.summaries((WINDOWS - 1) * WINDOW_NS)[0];
    let answered = THREADS * REQUESTS / 10 * 9;
    assert_eq!((found.requests, found.in_flight), (THREADS * REQUESTS, 0), "asked {asked} times");
    assert_eq!((found.bytes_in, found.bytes_out), (3 * answered, 5 * answered));
    assert_eq!(found.latencies.iter().map(|&(_, count)| count).sum::<u64>(), answered);
    assert_eq!(live.summaries(2 * WINDOWS * WINDOW_NS)[0].requests, 0, "all of it is forgotten");
}
