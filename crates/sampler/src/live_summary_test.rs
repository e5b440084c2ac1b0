//! Against an exact model: every request in a list, with its window.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;

const START_NS: u64 = 77;

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// `None`: since the last call that closed a window.
    window: Option<u64>,
    /// `None`: dropped.
    latency_ns: Option<u64>,
    bytes: (u64, u64),
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// The n-th of those in flight is answered so much later, with these bytes.
    Finish(usize, u64, (u64, u64)),
    Drop(usize),
    Wait(u64),
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    // From nanoseconds to more than there is a bucket for.
    let latency = (0..44_u32).prop_flat_map(|power| (1_u64 << power) / 2..=(1_u64 << power));
    let finish = (0..4_usize, latency, (0..1_000_u64, 0..1_000_u64));
    prop_oneof![
        6 => Just(Step::Begin),
        5 => finish.prop_map(|(which, latency, bytes)| Step::Finish(which, latency, bytes)),
        1 => (0..4_usize).prop_map(Step::Drop),
        2 => (0..WINDOW_NS * 2).prop_map(Step::Wait),
        1 => (0..WINDOW_NS * 40).prop_map(Step::Wait),
        4 => Just(Step::Ask),
    ]
}

#[derive(Debug, Default)]
struct Model {
    open: u64,
    ended: Vec<Ended>,
}

impl Model {
    fn ask(&mut self, now_ns: u64) -> Vec<Ended> {
        let number = (now_ns - START_NS) / WINDOW_NS;
        if number > self.open {
            self.open = number;
            for ended in self.ended.iter_mut().filter(|ended| ended.window.is_none()) {
                ended.window = Some(number - 1);
            }
        }
        let open = self.open;
        let is_in = |ended: &&Ended| ended.window.is_none_or(|window| open - window < WINDOWS);
        self.ended.iter().filter(is_in).copied().collect()
    }
}

fn exact_quantile(sorted: &[u64], quantile: f64) -> u64 {
    let rank = (quantile * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

fn compare(found: &OperationSummary, expected: &[Ended], in_flight: usize) {
    let mut latencies: Vec<u64> = expected.iter().filter_map(|ended| ended.latency_ns).collect();
    latencies.sort_unstable();
    assert_eq!(found.requests, expected.len() as u64);
    assert_eq!(found.in_flight, in_flight as u64);
    assert_eq!(found.bytes_in, expected.iter().map(|ended| ended.bytes.0).sum::<u64>());
    assert_eq!(found.bytes_out, expected.iter().map(|ended| ended.bytes.1).sum::<u64>());
    let counted: u64 = found.latencies.iter().map(|&(_, count)| count).sum();
    assert_eq!(counted, latencies.len() as u64);
    let quantiles = quantiles_ns(&found.latencies);
    if latencies.is_empty() {
        assert_eq!(quantiles, [0.0; 3]);
        return;
    }
    for (quantile, found) in [0.5, 0.95, 0.99].into_iter().zip(quantiles) {
        let exact = exact_quantile(&latencies, quantile).min(MAX_LATENCY_NS) as f64;
        assert!((found - exact).abs() <= exact / 32.0, "{quantile}: {found} for {exact}");
    }
}

proptest! {
    #[test]
    fn says_what_a_list_of_all_requests_says(steps in prop::collection::vec(step(), 1..120)) {
        let live = LiveSummary::new(START_NS);
        let handle = live.operation("redis", "get");
        let (mut now_ns, mut model) = (START_NS, Model::default());
        let mut in_flight: Vec<InFlight<'_>> = Vec::new();
        for step in steps {
            match step {
                Step::Begin => in_flight.push(handle.begin(now_ns)),
                Step::Finish(which, latency_ns, bytes) if which < in_flight.len() => {
                    let guard = in_flight.swap_remove(which);
                    guard.finish_as_if(latency_ns, bytes);
                    model.ended.push(Ended { window: None, latency_ns: Some(latency_ns), bytes });
                }
                Step::Drop(which) if which < in_flight.len() => {
                    drop(in_flight.swap_remove(which));
                    model.ended.push(Ended { window: None, latency_ns: None, bytes: (0, 0) });
                }
                Step::Finish(..) | Step::Drop(_) => {}
                Step::Wait(ns) => now_ns += ns,
                Step::Ask => {
                    let found = live.summaries(now_ns);
                    compare(&found[0], &model.ask(now_ns), in_flight.len());
                }
            }
        }
        let found = live.summaries(now_ns);
        compare(&found[0], &model.ask(now_ns), in_flight.len());
    }

    #[test]
    fn nodes_add_up_to_what_one_would_have_counted(
        of_nodes in prop::collection::vec(prop::collection::vec(0..1_u64 << 41, 0..60), 1..4),
    ) {
        let one = LiveSummary::new(0);
        let mut reports = Vec::new();
        for latencies in &of_nodes {
            let node = LiveSummary::new(0);
            for &latency_ns in latencies {
                for live in [&node, &one] {
                    live.operation("redis", "get").begin(0).finish(latency_ns, 1, 2);
                }
            }
            reports.extend(node.summaries(0));
        }
        let merged = merge(&reports);
        let expected = one.summaries(0);
        if !expected.is_empty() {
            prop_assert_eq!(merged.iter().filter(|one| one.requests > 0).cloned().collect::<Vec<_>>(), expected);
        }
    }
}

impl InFlight<'_> {
    /// Answered `latency_ns` after it began.
    fn finish_as_if(self, latency_ns: u64, bytes: (u64, u64)) {
        let now_ns = self.began_ns + latency_ns;
        self.finish(now_ns, bytes.0, bytes.1);
    }
}

#[test]
fn what_ended_is_forgotten_after_thirty_windows_and_not_before() {
    let live = LiveSummary::new(0);
    live.operation("redis", "get").begin(0).finish(100, 5, 7);
    for window in 0..WINDOWS {
        assert_eq!(live.summaries(window * WINDOW_NS)[0].requests, 1, "window {window}");
    }
    let forgotten = live.summaries(WINDOWS * WINDOW_NS);
    assert_eq!((forgotten[0].requests, forgotten[0].bytes_in, forgotten[0].bytes_out), (0, 0, 0));
    assert_eq!(forgotten[0].latencies, []);
}

#[test]
fn nobody_asking_for_an_hour_does_not_lose_what_just_ended() {
    let live = LiveSummary::new(0);
    live.operation("redis", "get").begin(0).finish(100, 5, 7);
    assert_eq!(live.summaries(360 * WINDOW_NS)[0].requests, 1);
}

#[test]
fn a_clock_that_goes_back_closes_nothing() {
    let live = LiveSummary::new(5 * WINDOW_NS);
    let handle = live.operation("redis", "get");
    handle.begin(9).finish(3, 1, 1);
    assert_eq!(live.summaries(0)[0].requests, 1);
    assert_eq!(live.summaries(6 * WINDOW_NS)[0].requests, 1);
    assert_eq!(live.summaries(0)[0].requests, 1);
    // It ended before it began: as if at once.
    assert_eq!(live.summaries(0)[0].latencies, [(0, 1)]);
}

#[test]
fn a_request_that_panics_is_no_longer_in_flight() {
    let live = LiveSummary::new(0);
    let handle = live.operation("redis", "get");
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let _serving = handle.begin(0);
        panic!("while it was served");
    }));
    assert!(ended.is_err());
    let found = &live.summaries(0)[0];
    assert_eq!((found.requests, found.in_flight), (1, 0));
    assert_eq!(found.latencies, [], "it has no latency");
}

#[test]
fn names_are_bounded() {
    let live = LiveSummary::new(0);
    for number in 0..2 * MAX_OPERATIONS {
        live.operation("redis", &format!("{number:04}")).begin(0).finish(1, 0, 0);
    }
    let found = live.summaries(0);
    assert_eq!(found.len(), MAX_OPERATIONS);
    assert_eq!(keyviz_lineage::summary::check(&found), Ok(()));
    let other = found.iter().find(|one| one.adapter == OTHER).unwrap();
    assert_eq!((&*other.operation, other.requests), (OTHER, MAX_OPERATIONS as u64 + 1));
    let requests: u64 = found.iter().map(|one| one.requests).sum();
    assert_eq!(requests, 2 * MAX_OPERATIONS as u64);
}

#[test]
fn long_names_are_cut_between_characters() {
    let live = LiveSummary::new(0);
    live.operation(&"ä".repeat(40), "").begin(0).finish(1, 0, 0);
    let found = live.summaries(0);
    assert_eq!((&*found[0].adapter, &*found[0].operation), (&*"ä".repeat(32), OTHER));
    live.operation(&"x".repeat(63), "ä").begin(0).finish(1, 0, 0);
    assert_eq!(keyviz_lineage::summary::check(&live.summaries(0)), Ok(()));
}

#[test]
fn the_same_names_have_the_same_handle() {
    let live = LiveSummary::new(0);
    live.operation("redis", "get").begin(0).finish(1, 0, 0);
    live.operation("redis", "get").begin(0).finish(1, 0, 0);
    live.operation("redis", "set").begin(0).finish(1, 0, 0);
    let found: Vec<_> =
        live.summaries(0).into_iter().map(|one| (one.operation, one.requests)).collect();
    assert_eq!(found, [("get".to_owned(), 2), ("set".to_owned(), 1)]);
}

/// The table in `keyviz_lineage::summary`.
#[test]
fn buckets_are_laid_out_as_the_wire_says() {
    let bucket_of = |latency_ns: u64| {
        let live = LiveSummary::new(0);
        live.operation("redis", "get").begin(0).finish(latency_ns, 0, 0);
        live.summaries(0)[0].latencies[0].0
    };
    assert_eq!([0, 1, 63].map(bucket_of), [0, 1, 63]);
    for power in 6..40_u32 {
        let (low, width) = (1_u64 << power, (1_u64 << power) / 32);
        for part in [0, 1, 31] {
            let bucket = 32 * (power - 4) + part;
            let low = low + u64::from(part) * width;
            assert_eq!([low, low + width - 1].map(bucket_of), [bucket; 2], "2^{power}, {part}");
        }
    }
    assert_eq!([1 << 40, u64::MAX].map(bucket_of), [LATENCY_BUCKETS - 1; 2]);
}

#[test]
fn quantiles_leave_out_buckets_that_do_not_exist() {
    assert_eq!(quantiles_ns(&[(10, 1), (LATENCY_BUCKETS, 9)]), [10.0; 3]);
    assert_eq!(quantiles_ns(&[(10, 1 << 40), (11, 1 << 40)]), [10.0, 11.0, 11.0]);
    let many = quantiles_ns(&[(10, u64::MAX), (11, u64::MAX)]);
    assert!(many.iter().all(|&ns| ns == 10.0 || ns == 11.0), "{many:?}");
}
