use keyviz_lineage::KeyRange;

use super::*;
use crate::{Op, Sampler, Settings};

const TRIALS: u64 = 1_000;
const WINDOWS: u64 = 4;

/// A splitmix64 generator: the traffic's own, apart from the sampler's.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// About Poisson: normal of that mean and variance, as a sum of twelve uniform numbers.
    fn poisson(&mut self, mean: f64) -> u64 {
        let sum: f64 = (0..12).map(|_| self.below(1 << 32) as f64 / 2_f64.powi(32)).sum();
        (mean + (sum - 6.0) * mean.sqrt()).max(0.0) as u64
    }

    /// Mostly small, sometimes tenfold.
    fn size(&mut self) -> u64 {
        let small = 50 + self.below(200);
        if self.below(100) == 0 { small * 10 } else { small }
    }
}

/// How often a series claimed the bound, and how often it kept it.
#[derive(Debug, Default)]
struct Claims {
    made: u64,
    kept: u64,
    soft: u64,
}

/// Runs the trials: `operations` gives each window's number of them.
fn trials(seed: u64, operations: impl Fn(&mut Random, u64) -> u64) -> [Claims; 2] {
    let (mut random, mut claims) = (Random(seed), [Claims::default(), Claims::default()]);
    let adaptive = Adaptive { max_cost_ns_per_second: 10_000, seed };
    let settings = Settings { adaptive: Some(adaptive), ..Settings::default() };
    for trial in 0..TRIALS {
        let sampler = Sampler::with_settings(Step::from_ms(1_000).unwrap(), 0, settings.clone());
        let handle = sampler.register(1, 1, KeyRange::all());
        for window in 1..=WINDOWS {
            let mut truth = Counts::default();
            for _ in 0..operations(&mut random, trial + window) {
                let size = random.size();
                handle.observe(b"", Op::Write, size);
                truth.writes += 1;
                truth.write_bytes += size;
            }
            let column = sampler.flush(window * 1_000);
            let Some(row) = column.rows.first() else {
                assert_eq!(truth, Counts::default());
                continue;
            };
            if !row.flags.has(Flags::SAMPLED) {
                assert_eq!(row.counts, truth, "unflagged is exact");
                continue;
            }
            for (claims, series) in claims.iter_mut().zip([Series::Writes, Series::WriteBytes]) {
                if row.flags.has(Flags::SOFT) {
                    claims.soft += 1;
                    continue;
                }
                let (value, truth) = (row.counts.get(series) as f64, truth.get(series) as f64);
                claims.made += 1;
                claims.kept += u64::from((value - truth).abs() <= 0.05 * truth);
            }
        }
    }
    claims
}

fn check(claims: &[Claims; 2]) -> u64 {
    for Claims { made, kept, .. } in claims {
        assert!(*made >= TRIALS / 2, "there are claims to check: {claims:?}");
        assert!(*kept as f64 >= 0.95 * *made as f64, "{claims:?}");
    }
    claims[0].soft
}

#[test]
fn poisson_traffic_is_within_the_bound_where_it_is_promised() {
    check(&trials(1, |random, _| random.poisson(40_000.0)));
}

#[test]
fn bursty_traffic_is_within_the_bound_where_it_is_promised() {
    let soft = check(&trials(2, |random, _| {
        let factor = if random.below(8) == 0 { 8.0 } else { 1.0 };
        random.poisson(30_000.0 * factor)
    }));
    assert!(soft > 0, "after a burst, the rate is too high for what follows, and says so");
}

#[test]
fn on_off_traffic_is_within_the_bound_where_it_is_promised() {
    let soft = check(&trials(3, |random, window| match window % 4 {
        0 => random.below(2_000),
        _ => random.poisson(40_000.0),
    }));
    assert!(soft > 0);
}

#[test]
fn fewer_than_1537_accepted_operations_are_soft() {
    let of = |accepted: u64| {
        let counts = Counts { reads: accepted, read_bytes: accepted * 160, ..Counts::default() };
        let squares =
            Counts { reads: accepted, read_bytes: accepted * square(160), ..Counts::default() };
        estimate(Counts::default(), &[Accepted::default(), Accepted { counts, squares }])
    };
    let (counts, flags) = of(1_537);
    assert_eq!((counts.reads, counts.read_bytes, flags), (6_148, 6_148 * 160, Flags::SAMPLED));
    assert!(of(1_536).1.has(Flags::SOFT));
}

#[test]
fn sizes_that_differ_need_more_accepted_operations() {
    let counts = Counts { writes: 2_000, write_bytes: 1_999 * 16 + (1 << 20), ..Counts::default() };
    let write_bytes = 1_999 * square(16) + square(1 << 20);
    let squares = Counts { writes: 2_000, write_bytes, ..Counts::default() };
    let (_, flags) = estimate(Counts::default(), &[Accepted { counts, squares }]);
    assert!(flags.has(Flags::SOFT));
}

#[test]
fn a_route_is_sampled_only_where_counting_it_costs_too_much_and_no_more_than_it_bears() {
    let adaptive = Adaptive { max_cost_ns_per_second: 3_000_000, seed: 1 };
    let class = |reads: u64, writes: u64, max_cost_ns_per_second: u64| {
        let counts = Counts { reads, writes, ..Counts::default() };
        let adaptive = Adaptive { max_cost_ns_per_second, ..adaptive };
        class_after(&counts, Some(1.0), Step::MINUTE, adaptive)
    };
    // A million a second: as much as is allowed.
    let cost = 1_000_000 * COST_PER_OBSERVE_NS;
    assert_eq!(class(60_000_000, 0, cost), 0);
    assert_eq!(class(60_000_001, 0, cost), 1);
    assert_eq!(class(60_000_000, 0, cost / 4 - 1), 3);
    assert_eq!(class(60_000_000, 7_000, cost / 4 - 1), 0, "the rarer kind would be soft");
    assert_eq!(class(u64::MAX, u64::MAX, 0), MAX_CLASS);
    let unknown = Counts { reads: 60_000_000, ..Counts::default() };
    assert_eq!(
        class_after(
            &unknown,
            None,
            Step::MINUTE,
            Adaptive { max_cost_ns_per_second: 1, ..adaptive }
        ),
        1
    );
    assert_eq!(class_after(&unknown, Some(0.0), Step::MINUTE, adaptive), 0);
}

#[test]
fn a_change_of_leadership_keeps_what_was_accepted_in_its_term() {
    let adaptive = Adaptive { max_cost_ns_per_second: 1, seed: 5 };
    let settings = Settings { adaptive: Some(adaptive), ..Settings::default() };
    let sampler = Sampler::with_settings(Step::from_ms(1_000).unwrap(), 0, settings);
    let handle = sampler.register(1, 1, KeyRange::all());
    let observe = || (0..50_000).for_each(|_| handle.observe(b"", Op::Write, 100));
    observe();
    sampler.flush(1_000);
    observe();
    sampler.lead(1, Some(9));
    let column = sampler.flush(2_000);
    let terms: Vec<_> = column.rows.iter().map(|row| (row.term, row.counts.writes > 0)).collect();
    assert_eq!(terms, [(0, true), (9, false)]);
    assert_eq!(column.rows[1].flags, Flags::SAMPLED.or(Flags::SOFT), "nothing was seen");
    assert_eq!(column.validate(), Ok(()));
}
