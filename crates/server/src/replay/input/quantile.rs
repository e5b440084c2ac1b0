//! Boundaries that cut a trace's keys into routes of about equal traffic.
//!
//! Responsible for: a bounded sample of the keys, and the choice of boundaries from it.
//! State: every key while there are at most 4 Mi accesses with at most 512 MiB of keys; then half
//! of them, a quarter, ... The sample of level L holds the accesses whose mixed ordinal ends in L
//! zero bits, so each level is a subset of the one before, and which accesses are kept depends
//! neither on their keys (a hot key keeps its weight) nor on a period in the trace (as every
//! second access would).
//! Invariants: the same keys in the same order give the same boundaries; boundaries are keys that
//! were observed, strictly increasing.
//! Must not: use randomness or a hash that changes between builds.
//! Proved by: `quantile_test.rs`.

#[cfg(test)]
#[path = "quantile_test.rs"]
mod tests;

/// Accesses up to which the boundaries are exact.
const MAX_SAMPLES: usize = 4 << 20;

/// Bytes of keys up to which the boundaries are exact.
const MAX_SAMPLE_BYTES: usize = 512 << 20;

/// One access of the sample; its key is `len` bytes of the arena from `start`.
#[derive(Debug, Clone, Copy)]
struct Sample {
    mixed: u64,
    start: usize,
    len: usize,
}

/// Collects the keys of a trace and chooses boundaries.
#[derive(Debug)]
pub(crate) struct KeyQuantiles {
    arena: Vec<u8>,
    samples: Vec<Sample>,
    observed: u64,
    level: u32,
    max_samples: usize,
    max_bytes: usize,
}

impl KeyQuantiles {
    /// An empty collection.
    pub(crate) fn new() -> KeyQuantiles {
        KeyQuantiles::with_limits(MAX_SAMPLES, MAX_SAMPLE_BYTES)
    }

    fn with_limits(max_samples: usize, max_bytes: usize) -> KeyQuantiles {
        KeyQuantiles {
            arena: Vec::new(),
            samples: Vec::new(),
            observed: 0,
            level: 0,
            max_samples,
            max_bytes,
        }
    }

    /// Takes note of one access to `key`.
    pub(crate) fn observe(&mut self, key: &[u8]) {
        let mixed = mix(self.observed);
        self.observed += 1;
        if mixed.trailing_zeros() < self.level {
            return;
        }
        self.samples.push(Sample { mixed, start: self.arena.len(), len: key.len() });
        self.arena.extend_from_slice(key);
        while self.samples.len() > self.max_samples || self.arena.len() > self.max_bytes {
            self.thin();
        }
    }

    /// Goes one level up: drops about half of the sample and closes the gaps in the arena.
    fn thin(&mut self) {
        self.level += 1;
        let (arena, level) = (&mut self.arena, self.level);
        let mut end = 0;
        self.samples.retain_mut(|sample| {
            let kept = sample.mixed.trailing_zeros() >= level;
            if kept {
                arena.copy_within(sample.start..sample.start + sample.len, end);
                sample.start = end;
                end += sample.len;
            }
            kept
        });
        self.arena.truncate(end);
    }

    fn key(&self, sample: Sample) -> &[u8] {
        &self.arena[sample.start..sample.start + sample.len]
    }

    /// The first keys of routes 2 to `routes`, strictly increasing; route 1 starts before all keys.
    ///
    /// A key that is hotter than a fair share has a route of its own, and the busiest of the other
    /// routes is as quiet as possible. There are as many routes as asked for, unless there are
    /// fewer distinct keys; then every key has its own.
    pub(crate) fn boundaries(mut self, routes: usize) -> Vec<Vec<u8>> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        let mut distinct: Vec<(Sample, u64)> = Vec::new();
        for sample in samples {
            match distinct.last_mut() {
                Some((last, count)) if self.key(*last) == self.key(sample) => *count += 1,
                _ => distinct.push((sample, 1)),
            }
        }
        let counts: Vec<u64> = distinct.iter().map(|(_, count)| *count).collect();
        cuts(&counts, routes).into_iter().map(|at| self.key(distinct[at].0).to_vec()).collect()
    }
}

/// The indexes, in ascending order, where parts 2 to `parts` of `counts` begin.
///
/// First the smallest capacity is found that `parts` parts can keep to, where a key above it is a
/// part of its own; then each part, within that capacity, is brought as close as possible to an
/// equal share of what is left.
fn cuts(counts: &[u64], parts: usize) -> Vec<usize> {
    let parts = parts.min(counts.len());
    let mut left: u64 = counts.iter().sum();
    let capacity = smallest_capacity(counts, parts, left);
    let needed = parts_needed_from(counts, capacity);
    let mut next = 0;
    let mut cuts = Vec::with_capacity(parts.saturating_sub(1));
    for parts_left in (2..=parts).rev() {
        let mut taken = counts[next];
        next += 1;
        // Every later part needs a key of its own.
        while next < counts.len() - (parts_left - 1) && taken + counts[next] <= capacity {
            // Taking the key is better if it ends at most as far above the share as not taking it
            // ends below: taken + count - share <= share - taken, where share = left / parts_left.
            let both = (2 * u128::from(taken) + u128::from(counts[next])) * parts_left as u128;
            if both > 2 * u128::from(left) && needed[next] < parts_left {
                break;
            }
            taken += counts[next];
            next += 1;
        }
        left -= taken;
        cuts.push(next);
    }
    cuts
}

/// The smallest capacity with which `parts` parts are enough.
fn smallest_capacity(counts: &[u64], parts: usize, total: u64) -> u64 {
    let (mut low, mut high) = (1, total);
    while low < high {
        let middle = low + (high - low) / 2;
        if parts_needed(counts, middle) <= parts {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// How many parts `counts` needs if each holds at most `capacity` or a single key.
fn parts_needed(counts: &[u64], capacity: u64) -> usize {
    let (mut parts, mut taken) = (0, u64::MAX);
    for count in counts {
        taken = taken.saturating_add(*count);
        if taken > capacity {
            parts += 1;
            taken = *count;
        }
    }
    parts
}

/// [`parts_needed`] by the keys from each index to the end.
fn parts_needed_from(counts: &[u64], capacity: u64) -> Vec<usize> {
    let mut needed = vec![0; counts.len() + 1];
    let (mut end, mut taken) = (counts.len(), 0);
    for start in (0..counts.len()).rev() {
        taken += counts[start];
        while taken > capacity && end > start + 1 {
            end -= 1;
            taken -= counts[end];
        }
        needed[start] = 1 + needed[end];
    }
    needed
}

/// Spreads the bits of an ordinal (the finalizer of SplitMix64); a bijection.
fn mix(ordinal: u64) -> u64 {
    let mut bits = ordinal.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
