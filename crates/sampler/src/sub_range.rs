//! Sub-ranges: a route cut into K parts by an order-preserving function of its keys (contract
//! section 9).
//!
//! ```text
//! start = prefix | s...    end = prefix | e...    key = prefix | k...
//! lo, hi, w = the 8 bytes behind the prefix, big-endian, zeros where a key is shorter
//! index(key)  = min(K - 1, floor(K * (w - lo) / (hi - lo))), 0 below lo
//! boundary(i) = prefix | lo + ceil(i * (hi - lo) / K), without its trailing zero bytes
//! ```
//! An unbounded route has an empty prefix and `hi = 2^64 - 1`.
//! Invariants: the parts tile the route (U1); a key of the route is counted in the part that holds it
//! (U2: `index(key) >= i` exactly when `key >= boundary(i)`).
//! Must not: count.
//! Proof: `sub_range_test.rs`, against big integers.

use keyviz_lineage::KeyRange;

/// The most sub-ranges of a route (contract section 9).
pub const MAX_SUB_RANGES: u16 = 256;

/// How one route is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubRanges {
    range: KeyRange,
    prefix_len: usize,
    lo: u64,
    span: u64,
    /// The effective K, at least 1.
    count: u16,
}

impl SubRanges {
    /// Cuts `range` into `wanted` parts, or as many as its window of 8 bytes tells apart: at least 1,
    /// at most [`MAX_SUB_RANGES`].
    pub fn new(range: KeyRange, wanted: u16) -> Self {
        let (prefix_len, hi) = match range.bounded_end() {
            Some(end) => {
                let pairs = range.start().iter().zip(end);
                let shared = pairs.take_while(|(a, b)| a == b).count();
                (shared, window(end, shared))
            }
            None => (0, u64::MAX),
        };
        let lo = window(range.start(), prefix_len);
        let span = hi - lo;
        let most = u16::try_from(span).unwrap_or(MAX_SUB_RANGES).min(MAX_SUB_RANGES);
        Self { range, prefix_len, lo, span, count: wanted.min(most).max(1) }
    }

    /// How many parts there are: 1 to [`MAX_SUB_RANGES`].
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The route's range.
    pub const fn range(&self) -> &KeyRange {
        &self.range
    }

    /// The part that counts `key`: 0 to `count - 1`. A key outside the route goes to its nearest end.
    #[inline]
    pub fn index_of(&self, key: &[u8]) -> u16 {
        let offset = window(key, self.prefix_len).saturating_sub(self.lo);
        let (count, span) = (u64::from(self.count), self.span.max(1)); // a span of 0 has one part
        // 128 bits only where 64 do not hold the product: dividing them is slow.
        let index = match count.checked_mul(offset) {
            Some(share) => share / span,
            None => (u128::from(count) * u128::from(offset) / u128::from(span))
                .min(u128::from(count)) as u64,
        };
        index.min(count - 1) as u16
    }

    /// The first key of part `index`; of part `count`, the route's end. `None` beyond that.
    pub fn boundary(&self, index: u16) -> Option<Vec<u8>> {
        match index {
            0 => Some(self.range.start().to_vec()),
            _ if index > self.count => None,
            _ if index == self.count => Some(self.range.end().to_vec()),
            _ => {
                let share = u128::from(index) * u128::from(self.span);
                let offset = share.div_ceil(u128::from(self.count));
                // Below the span, as the index is below the count.
                let window = (self.lo + offset as u64).to_be_bytes();
                let zeros = window.iter().rev().take_while(|&&byte| byte == 0).count();
                let prefix = &self.range.start()[..self.prefix_len];
                Some([prefix, &window[..window.len() - zeros]].concat())
            }
        }
    }

    /// The keys of part `index`.
    pub fn bounds(&self, index: u16) -> Option<KeyRange> {
        let end = self.boundary(index.checked_add(1)?)?;
        KeyRange::new(self.boundary(index)?, end).ok()
    }
}

/// The 8 bytes of `key` behind its first `skipped`.
#[inline]
fn window(key: &[u8], skipped: usize) -> u64 {
    let rest = key.get(skipped..).unwrap_or_default();
    if let Some(eight) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*eight);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
#[path = "sub_range_test.rs"]
mod sub_range_test;
