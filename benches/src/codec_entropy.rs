//! What a stored cell costs against the entropy of what it says, and how fast blocks and roll-ups are
//! written and read, against copying the raw numbers.
//!
//! The workload is that of the design: 10,000 ranges, 50,000 reads a second spread by Zipf's law, writes
//! a third of the reads, values of log-normal sizes around a median of each range's own; dense, and
//! sparse at a hundredth of that. Every window is drawn on its own, so that its entropy is known: of two
//! Poisson counts, and of the sum of so many sizes. It is made block by block, from a seed.

use std::hint::black_box;

use keyviz_codec::rollup::{self, Chunk, Columns, SLOTS, Tier};
use keyviz_codec::{CellEntry, Contributor, HourBlocks, SeriesReader};
use keyviz_lineage::{Counts, Flags, Series, Step};

use crate::report;

const RANGES: u64 = 10_000;
const READS_A_MINUTE: f64 = 50_000.0 * 60.0;
const WRITES_A_READ: f64 = 0.3;
const KEY_BYTES: u64 = 24;
const MEDIAN_VALUE_BYTES: f64 = 200.0;
/// The spread of sizes within a range, and of medians between ranges (in octaves, either way).
const SIGMA: f64 = 0.7;
const OCTAVES: f64 = 1.0;
/// From here on counts and sums are drawn from (and have the entropy of) a normal distribution.
const NORMAL_FROM: usize = 32;
/// Every so many ranges are measured, for so many hours of the week.
const RANGE_STRIDE: u64 = 7;
const HOURS: u64 = 3;
const WINDOWS: u16 = 60;
/// Chunks of roll-ups, of each series.
const CHUNKS: usize = 8;

/// A reproducible stream of numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
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

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > NORMAL_FROM as f64 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (mut product, mut count, limit) = (self.unit(), 0, (-mean).exp());
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
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
    fn sum(self, count: u64, numbers: &mut Numbers) -> u64 {
        let values = if count <= NORMAL_FROM as u64 {
            (0..count).map(|_| self.median * (SIGMA * numbers.normal()).exp()).sum::<f64>()
        } else {
            let (mean, deviation) = self.moments();
            count as f64 * mean + (count as f64).sqrt() * deviation * numbers.normal()
        };
        values.round().max(0.0) as u64 + count * KEY_BYTES
    }
}

/// Entropies in bits.
struct Entropy {
    /// Of a sum of so many sizes with a median of 1.
    sums: Vec<f64>,
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
        Self { sums }
    }

    fn normal(deviation: f64) -> f64 {
        (deviation * (std::f64::consts::TAU * std::f64::consts::E).sqrt()).log2()
    }

    fn poisson(mean: f64) -> f64 {
        if mean > 200.0 {
            return Self::normal(mean.sqrt());
        }
        let (mut p, mut bits) = ((-mean).exp(), 0.0);
        for count in 1..600 {
            if p > 0.0 {
                bits -= p * p.log2();
            }
            p *= mean / f64::from(count);
        }
        bits
    }

    /// Of the bytes of so many operations.
    fn bytes(&self, count: u64, sizes: Sizes) -> f64 {
        match self.sums.get(count as usize) {
            Some(_) if count == 0 => 0.0,
            Some(bits) => bits + sizes.median.log2(),
            None => Self::normal((count as f64).sqrt() * sizes.moments().1),
        }
    }
}

/// One lineage-hour after the other.
struct Workload {
    numbers: Numbers,
    entropy: Entropy,
    /// How much of the reads there is, and by what to divide a rank's share of them.
    scale: f64,
    harmonic: f64,
    /// What the hours made so far say, in bits.
    bits: f64,
}

impl Workload {
    fn new(scale: f64) -> Self {
        let harmonic = (1..=RANGES).map(|rank| 1.0 / rank as f64).sum();
        Self { numbers: Numbers(7), entropy: Entropy::new(), scale, harmonic, bits: 0.0 }
    }

    fn sizes(&mut self) -> Sizes {
        let octaves = (self.numbers.unit() * 2.0 - 1.0) * OCTAVES;
        Sizes { median: MEDIAN_VALUE_BYTES * octaves.exp2() }
    }

    /// An hour of the range of some rank.
    fn hour(&mut self, rank: u64, sizes: Sizes) -> HourBlocks {
        let rate = READS_A_MINUTE * self.scale / (rank as f64 * self.harmonic);
        let rates = [rate, rate * WRITES_A_READ];
        let who = Contributor { node: "node-1".into(), group: 0, term: 12 };
        let mut hour = HourBlocks::default();
        let block = hour.block_mut(Step::MINUTE);
        self.bits += f64::from(WINDOWS) * rates.map(Entropy::poisson).iter().sum::<f64>();
        for index in 0..WINDOWS {
            let [reads, writes] = rates.map(|rate| self.numbers.poisson(rate));
            let read_bytes = sizes.sum(reads, &mut self.numbers);
            let write_bytes = sizes.sum(writes, &mut self.numbers);
            self.bits += self.entropy.bytes(reads, sizes) + self.entropy.bytes(writes, sizes);
            if reads + writes > 0 {
                let counts = Counts { reads, writes, read_bytes, write_bytes };
                block.add(&who, CellEntry { index, counts, flags: Flags::NONE });
            }
        }
        hour
    }
}

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    for (name, scale) in [("dense", 1.0), ("sparse", 0.01)] {
        let mut workload = Workload::new(scale);
        let mut hours = Vec::new();
        for rank in (1..=RANGES).step_by(RANGE_STRIDE as usize) {
            let sizes = workload.sizes();
            (0..HOURS).for_each(|_| hours.push(workload.hour(rank, sizes)));
        }
        blocks(name, &hours, workload.bits / 8.0)?;
        for tier in Tier::ALL {
            chunks(name, tier, scale)?;
        }
    }
    Ok(())
}

/// Blocks: their size, and the time to write them, read them whole, and read one series.
fn blocks(
    name: &str,
    hours: &[HourBlocks],
    entropy_bytes: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let encoded: Vec<Vec<u8>> = hours.iter().map(HourBlocks::encode).collect();
    let cells = (hours.len() * usize::from(WINDOWS) * 4) as f64;
    let bytes = encoded.iter().map(Vec::len).sum::<usize>() as f64;
    report::line(
        &format!("{name} block size, baseline entropy"),
        bytes / cells,
        "bytes/cell",
        entropy_bytes / cells,
    );
    let raw: Vec<Vec<u64>> = hours.iter().map(|_| vec![1; usize::from(WINDOWS) * 4]).collect();
    let copy = || raw.iter().for_each(|values| drop(black_box(values.clone())));
    let rate = |what: &str, cells: f64, work: &mut dyn FnMut()| {
        let (ours, theirs) = report::paired(work, copy);
        let bench = format!("{name} block {what}, baseline copying raw u64s");
        report::line(&bench, cells / ours / 1e6, "M cells/s", cells / theirs / 1e6);
    };
    rate("encode", cells, &mut || hours.iter().for_each(|hour| drop(black_box(hour.encode()))));
    rate("decode", cells, &mut || {
        encoded.iter().for_each(|value| drop(black_box(HourBlocks::decode(value))));
    });
    let mut reader = SeriesReader::default();
    for series in Series::ALL {
        rate(&format!("read of {}", series.name()), cells / 4.0, &mut || {
            for value in &encoded {
                let Ok(columns) = reader.read(value, series) else { continue };
                columns.for_each(|column| {
                    let _ = black_box(column.values);
                });
            }
        });
    }
    Ok(())
}

/// Roll-ups: their size, and the time to write and read chunks of ranges of random ranks.
fn chunks(name: &str, tier: Tier, scale: f64) -> Result<(), Box<dyn std::error::Error>> {
    let mut workload = Workload::new(scale);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut blocks_bytes = 0;
    for _ in 0..CHUNKS {
        let mut of_series = [(); 4].map(|()| Chunk::new(tier));
        for slot in 0..SLOTS {
            let (rank, sizes) = (1 + workload.numbers.next() % RANGES, workload.sizes());
            let hour = workload.hour(rank, sizes);
            blocks_bytes += hour.encode().len();
            for (chunk, entry) in of_series.iter_mut().zip(rollup::of(&hour, tier)) {
                chunk.set(slot, Some(entry));
            }
        }
        chunks.extend(of_series);
    }
    let encoded: Vec<Vec<u8>> = chunks.iter().map(Chunk::encode).collect();
    let bytes = encoded.iter().map(Vec::len).sum::<usize>() as f64;
    // A sum and a maximum for each window.
    let numbers = (chunks.len() * SLOTS * tier.windows() * 2) as f64;
    let tier_name = tier.name();
    report::line(
        &format!("{name} {tier_name} roll-up size, baseline raw u64s"),
        bytes / numbers,
        "bytes/number",
        8.0,
    );
    report::line(
        &format!("{name} {tier_name} roll-up of a lineage-hour, baseline its block"),
        bytes / (CHUNKS * SLOTS) as f64,
        "bytes",
        blocks_bytes as f64 / (CHUNKS * SLOTS) as f64,
    );
    let raw: Vec<Vec<u64>> = chunks.iter().map(|_| vec![1; SLOTS * tier.windows() * 2]).collect();
    let copy = || raw.iter().for_each(|values| drop(black_box(values.clone())));
    let rate = |what: &str, numbers: f64, work: &mut dyn FnMut()| {
        let (ours, theirs) = report::paired(work, copy);
        let bench = format!("{name} {tier_name} roll-up {what}, baseline copying raw u64s");
        report::line(&bench, numbers / ours / 1e6, "M numbers/s", numbers / theirs / 1e6);
    };
    rate("encode", numbers, &mut || {
        chunks.iter().for_each(|chunk| drop(black_box(chunk.encode())));
    });
    let mut columns = Columns::default();
    rate("read", numbers, &mut || {
        encoded.iter().for_each(|value| drop(black_box(columns.read(value))));
    });
    rate("read of sums", numbers / 2.0, &mut || {
        encoded.iter().for_each(|value| drop(black_box(columns.read_sums(value))));
    });
    Ok(())
}
