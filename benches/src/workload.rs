//! The workload of the design, from a seed: reads spread over ranges by Zipf's law (50,000 a second
//! over 10,000 ranges), writes a third of the reads, values of log-normal sizes around a median of each
//! range's own. Every window is drawn on its own, so that its entropy is known: of two Poisson counts,
//! and of the sum of so many sizes.
//!
//! An hour of a range depends on nothing but its rank, the hour and the node, so any of it can be made
//! again to check an answer. Draws come from tables of quantiles, or filling a store would be a bench
//! of the generator.

use keyviz_lineage::{Counts, Series};

/// What a range has on average, when all is dense.
pub(crate) const READS_A_MINUTE: f64 = 50_000.0 * 60.0 / 10_000.0;
pub(crate) const WINDOWS: u16 = 60;
const WRITES_A_READ: f64 = 0.3;
const KEY_BYTES: u64 = 24;
const MEDIAN_VALUE_BYTES: f64 = 200.0;
/// The spread of sizes within a range, and of medians between ranges (in octaves, either way).
const SIGMA: f64 = 0.7;
const OCTAVES: f64 = 1.0;
/// From here on counts and sums are drawn from (and have the entropy of) a normal distribution.
const NORMAL_FROM: usize = 32;
const QUANTILES: usize = 1 << 16;

/// A reproducible stream of numbers (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Between 0 and 1, neither of them.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// Quantiles of what sizes and counts are drawn from.
struct Quantiles {
    /// Of the standard normal distribution, and one more to interpolate up to.
    normal: Vec<f64>,
    /// Of sizes with a median of 1.
    size: Vec<f64>,
}

impl Quantiles {
    /// Adds the density of the normal distribution up.
    fn new() -> Self {
        const STEP: f64 = 1e-4;
        let (mut x, mut below, mut normal) = (-8.0, 0.0, Vec::with_capacity(QUANTILES + 1));
        while normal.len() <= QUANTILES {
            let wanted = (normal.len() as f64 + 0.5) / (QUANTILES as f64 + 1.0);
            while below < wanted && x < 8.0 {
                below += STEP * f64::exp(-x * x / 2.0) / std::f64::consts::TAU.sqrt();
                x += STEP;
            }
            normal.push(x);
        }
        let size = normal.iter().map(|x| (SIGMA * x).exp()).collect();
        Self { normal, size }
    }

    fn normal(&self, numbers: &mut Numbers) -> f64 {
        let drawn = numbers.next();
        let at = (drawn >> 48) as usize;
        let between = (drawn as u32) as f64 / 2f64.powi(32);
        self.normal[at] + (self.normal[at + 1] - self.normal[at]) * between
    }

    /// The sum of so many sizes with a median of 1.
    fn sizes(&self, count: u64, numbers: &mut Numbers) -> f64 {
        let (mut sum, mut drawn) = (0.0, 0);
        for at in 0..count {
            if at % 4 == 0 {
                drawn = numbers.next();
            }
            sum += self.size[(drawn & 0xFFFF) as usize];
            drawn >>= 16;
        }
        sum
    }
}

/// Sizes of the values of one range.
#[derive(Clone, Copy)]
struct Sizes {
    median: f64,
}

impl Sizes {
    /// Mean and standard deviation of one.
    fn moments(self) -> (f64, f64) {
        let variance = SIGMA * SIGMA;
        let mean = self.median * (variance / 2.0).exp();
        (mean, mean * (variance.exp() - 1.0).sqrt())
    }

    /// The bytes of so many operations.
    fn sum(self, count: u64, quantiles: &Quantiles, numbers: &mut Numbers) -> u64 {
        let values = if count <= NORMAL_FROM as u64 {
            self.median * quantiles.sizes(count, numbers)
        } else {
            let (mean, deviation) = self.moments();
            let apart = (count as f64).sqrt() * deviation * quantiles.normal(numbers);
            count as f64 * mean + apart
        };
        values.round().max(0.0) as u64 + count * KEY_BYTES
    }
}

/// Counts with one mean.
#[derive(Clone, Copy)]
struct Poisson {
    mean: f64,
    deviation: f64,
    none: f64,
}

impl Poisson {
    fn new(mean: f64) -> Self {
        Self { mean, deviation: mean.sqrt(), none: (-mean).exp() }
    }

    fn draw(self, quantiles: &Quantiles, numbers: &mut Numbers) -> u64 {
        if self.mean > NORMAL_FROM as f64 {
            let drawn = self.mean + self.deviation * quantiles.normal(numbers);
            return drawn.round().max(0.0) as u64;
        }
        let (mut left, mut p, mut count) = (numbers.unit(), self.none, 0);
        while left > p && count < 200 {
            left -= p;
            count += 1;
            p *= self.mean / count as f64;
        }
        count
    }
}

/// Entropies in bits.
struct Entropy {
    /// Of a sum of so many sizes with a median of 1.
    sums: Vec<f64>,
    /// Half the logarithm of small counts.
    half_logs: Vec<f64>,
}

impl Entropy {
    /// Adds distributions up numerically, one size after the other.
    fn new() -> Self {
        const CELL: f64 = 1.0 / 32.0;
        const CELLS: usize = 12 * 32;
        let density = |at: usize| {
            let x = (at as f64 + 0.5) * CELL;
            let exponent = -(x.ln() / SIGMA).powi(2) / 2.0;
            exponent.exp() / (x * SIGMA * std::f64::consts::TAU.sqrt())
        };
        let one: Vec<f64> = (0..CELLS).map(|at| density(at) * CELL).collect();
        let (mut sum, mut sums) = (one.clone(), vec![0.0]);
        for _ in 0..NORMAL_FROM {
            let there = sum.iter().filter(|&&p| p > 0.0);
            sums.push(there.map(|p| -p * (p / CELL).log2()).sum());
            let mut next = vec![0.0; sum.len() + CELLS];
            for (at, p) in sum.iter().enumerate().filter(|(_, p)| **p > 1e-12) {
                next[at..].iter_mut().zip(&one).for_each(|(slot, q)| *slot += p * q);
            }
            sum = next;
        }
        let half_logs = (0..1 << 14).map(|count| f64::from(count).log2() / 2.0).collect();
        Self { sums, half_logs }
    }

    fn normal(deviation: f64) -> f64 {
        (deviation * (std::f64::consts::TAU * std::f64::consts::E).sqrt()).log2()
    }

    fn poisson(mean: f64) -> f64 {
        if mean > 10.0 {
            let apart = 1.0 / (12.0 * mean) + 1.0 / (24.0 * mean * mean);
            return Self::normal(mean.sqrt()) - apart / std::f64::consts::LN_2;
        }
        let (mut p, mut bits) = ((-mean).exp(), 0.0);
        for count in 1..100 {
            if p > 0.0 {
                bits -= p * p.log2();
            }
            p *= mean / f64::from(count);
        }
        bits
    }

    /// Of the bytes of so many operations; `of_one`: of one that is drawn from a normal distribution,
    /// and of the median.
    fn bytes(&self, count: u64, of_one: (f64, f64)) -> f64 {
        match self.sums.get(count as usize) {
            Some(_) if count == 0 => 0.0,
            Some(bits) => bits + of_one.1,
            None => {
                let half_log = self.half_logs.get(count as usize).copied();
                of_one.0 + half_log.unwrap_or_else(|| (count as f64).log2() / 2.0)
            }
        }
    }
}

/// So many ranges, busy like this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) ranges: u64,
    /// Of 1: dense.
    pub(crate) scale: f64,
}

/// Makes any hour of any range.
pub(crate) struct Workload {
    load: Load,
    harmonic: f64,
    quantiles: Quantiles,
    entropy: Entropy,
}

/// Whose hour: the range with so much traffic that so many have more, as some node sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hour {
    /// From 1.
    pub(crate) rank: u64,
    pub(crate) hour: u64,
    pub(crate) node: u64,
    /// Reads are spread over so many nodes; the first has all writes.
    pub(crate) nodes: u64,
}

impl Workload {
    pub(crate) fn new(load: Load) -> Self {
        let harmonic = (1..=load.ranges).map(|rank| 1.0 / rank as f64).sum();
        Self { load, harmonic, quantiles: Quantiles::new(), entropy: Entropy::new() }
    }

    /// Tells every window of an hour, and returns what they say, in bits.
    pub(crate) fn hour(&self, whose: Hour, mut visit: impl FnMut(u16, Counts)) -> f64 {
        let Hour { rank, hour, node, nodes } = whose;
        let sizes = {
            let octaves = (Numbers(rank ^ 0xA5A5).unit() * 2.0 - 1.0) * OCTAVES;
            Sizes { median: MEDIAN_VALUE_BYTES * octaves.exp2() }
        };
        let of_one = (Entropy::normal(sizes.moments().1), sizes.median.log2());
        let all = READS_A_MINUTE * self.load.ranges as f64 * self.load.scale;
        let rate = all / (rank as f64 * self.harmonic);
        let writes = if node == 0 { rate * WRITES_A_READ } else { 0.0 };
        let rates = [rate / nodes as f64, writes];
        let mut bits = f64::from(WINDOWS) * rates.map(Entropy::poisson).iter().sum::<f64>();
        let [reads, writes] = rates.map(Poisson::new);
        let mut numbers = Numbers((rank << 24 ^ hour << 4 ^ node).wrapping_mul(0x9E37_79B9_7F4A));
        for index in 0..WINDOWS {
            let reads = reads.draw(&self.quantiles, &mut numbers);
            let writes = writes.draw(&self.quantiles, &mut numbers);
            let read_bytes = sizes.sum(reads, &self.quantiles, &mut numbers);
            let write_bytes = sizes.sum(writes, &self.quantiles, &mut numbers);
            bits += self.entropy.bytes(reads, of_one) + self.entropy.bytes(writes, of_one);
            visit(index, Counts { reads, writes, read_bytes, write_bytes });
        }
        bits
    }

    /// One series of a range's hour, all nodes together.
    pub(crate) fn series(&self, rank: u64, hour: u64, nodes: u64, series: Series) -> Vec<u64> {
        let mut values = vec![0; usize::from(WINDOWS)];
        for node in 0..nodes {
            self.hour(Hour { rank, hour, node, nodes }, |index, counts| {
                values[usize::from(index)] += counts.get(series);
            });
        }
        values
    }
}
