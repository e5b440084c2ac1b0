//! Reproducible randomness: splitmix64.

/// A generator; the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit` (which is not 0).
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// A number in `[from, to)`.
    pub const fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    /// A generator of its own for a part of the work.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self(self.next_u64())
    }
}

/// The seed of this run: `KEYVIZ_SEED`, or one from the clock. Printed, so that a failure can be
/// reproduced.
pub fn seed() -> u64 {
    let seed = crate::number_from_env("KEYVIZ_SEED", crate::now_ms());
    eprintln!("KEYVIZ_SEED={seed}");
    seed
}
