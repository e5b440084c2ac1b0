//! Hot keys: what sources say of the most frequent keys of their routes in one window, and how that is
//! put together.
//!
//! A source takes one in `rate` operations and counts the keys of each route and kind in `capacity`
//! places. A key's count there, times the rate, estimates how often it came; it is off by no more than
//! `floor(rate * sampled / capacity)` but for the chance of the sampling itself, also of a key that is
//! not listed.
//! Invariants: counts add, and bounds add, over sources, windows and routes (H1); whatever a source did
//! not look at makes all of it degraded (H2).
//! Must not: hold more than it is given; know how it travels.
//! Proof: `hot_keys_test.rs`.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{GroupId, KeyRange, RouteId, Series, Window};

/// The most places of a route and kind.
pub const MAX_HOT_KEYS: usize = 256;
/// One in so many operations is looked at, at the least.
pub const MAX_HOT_KEY_RATE: u32 = 1_024;
/// The longest key that is looked at.
pub const MAX_HOT_KEY_BYTES: usize = 4_096;

/// A key with its count among those that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// The key, whole.
    pub key: Vec<u8>,
    /// How often it came, or more by up to `sampled / capacity`.
    pub count: u64,
}

/// The hot keys of one route, of one kind of operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteHotKeys {
    /// The route as the host numbers it.
    pub route: RouteId,
    /// The group that holds it.
    pub group: GroupId,
    /// The route's bounds.
    pub range: KeyRange,
    /// [`Series::Reads`] or [`Series::Writes`].
    pub series: Series,
    /// How many operations were looked at.
    pub sampled: u64,
    /// At most as many as the source has places, the most frequent first.
    pub keys: Vec<HotKey>,
}

/// What one source says of the hot keys of one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKeys {
    /// The window.
    pub window: Window,
    /// One in so many operations was looked at: 1 to [`MAX_HOT_KEY_RATE`].
    pub rate: u32,
    /// Places of a route and kind: 1 to [`MAX_HOT_KEYS`].
    pub capacity: u32,
    /// Operations that were to be looked at and found the queue full.
    pub dropped: u64,
    /// Operations that were not looked at because their keys are too long.
    pub skipped_long_keys: u64,
    /// Operations that were to be looked at and whose routes are not told of, for want of room.
    pub left_out: u64,
    /// The routes that had any.
    pub routes: Vec<RouteHotKeys>,
}

/// Why hot keys were refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages name the fields
pub enum HotKeysError {
    #[error("{what} is {got}, use 1 to {most}")]
    Limit { what: &'static str, got: u64, most: u64 },
    #[error("route {route}: {what} 0 is reserved")]
    Zero { route: RouteId, what: &'static str },
    #[error("route {route}: hot keys are of reads or of writes, not of {series}")]
    Series { route: RouteId, series: &'static str },
    #[error("route {route}: {got} keys, more than the {capacity} places there are")]
    TooMany { route: RouteId, got: usize, capacity: u32 },
    #[error("route {route}: a key of {bytes} bytes; the limit is {MAX_HOT_KEY_BYTES}")]
    KeyTooLong { route: RouteId, bytes: usize },
    #[error("route {route}: its keys are not in order, the most frequent first")]
    Order { route: RouteId },
}

impl HotKeys {
    /// H2: whether something was not looked at.
    pub const fn is_degraded(&self) -> bool {
        self.dropped > 0 || self.skipped_long_keys > 0 || self.left_out > 0
    }

    /// By how much an estimate of one of its routes may be off.
    pub fn error_bound(&self, route: &RouteHotKeys) -> u64 {
        u64::from(self.rate).saturating_mul(route.sampled) / u64::from(self.capacity).max(1)
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let of = |route: &RouteHotKeys| {
            let bounds = route.range.start().len() + route.range.end().len();
            let keys = route.keys.iter().map(|hot| size_of::<HotKey>() + hot.key.len());
            size_of::<RouteHotKeys>() + bounds + keys.sum::<usize>()
        };
        size_of::<Self>() + self.routes.iter().map(of).sum::<usize>()
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first violation.
    pub fn validate(&self) -> Result<(), HotKeysError> {
        for (what, got, most) in [
            ("rate", u64::from(self.rate), u64::from(MAX_HOT_KEY_RATE)),
            ("capacity", u64::from(self.capacity), MAX_HOT_KEYS as u64),
        ] {
            if !(1..=most).contains(&got) {
                return Err(HotKeysError::Limit { what, got, most });
            }
        }
        for RouteHotKeys { route, group, series, keys, .. } in &self.routes {
            let route = *route;
            if route == 0 || *group == 0 {
                let what = if route == 0 { "route" } else { "group" };
                return Err(HotKeysError::Zero { route, what });
            }
            if !matches!(series, Series::Reads | Series::Writes) {
                return Err(HotKeysError::Series { route, series: series.name() });
            }
            if keys.len() > self.capacity as usize {
                let got = keys.len();
                return Err(HotKeysError::TooMany { route, got, capacity: self.capacity });
            }
            let longest = keys.iter().map(|hot| hot.key.len()).max().unwrap_or(0);
            if longest > MAX_HOT_KEY_BYTES {
                return Err(HotKeysError::KeyTooLong { route, bytes: longest });
            }
            if !keys.is_sorted_by(|a, b| (b.count, &a.key) < (a.count, &b.key)) {
                return Err(HotKeysError::Order { route });
            }
        }
        Ok(())
    }
}

/// Estimates of what came most, over everything that was put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HottestKeys {
    /// How often each came, about; the most frequent first, ties by key.
    pub keys: Vec<(Vec<u8>, u64)>,
    /// By how much an estimate may be off, either way.
    pub error_bound: u64,
    /// The largest rate of any source.
    pub rate: u32,
    /// How many operations were looked at.
    pub sampled: u64,
    /// How many routes they were of.
    pub routes: usize,
}

/// Puts together (H1) the `routes` of any sources and windows, and names the `top` keys within `range`.
pub fn hottest<'a>(
    routes: impl IntoIterator<Item = (&'a HotKeys, &'a RouteHotKeys)>,
    range: &KeyRange,
    top: usize,
) -> HottestKeys {
    let mut all = HottestKeys::default();
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for (source, route) in routes {
        all.error_bound = all.error_bound.saturating_add(source.error_bound(route));
        all.rate = all.rate.max(source.rate);
        all.sampled = all.sampled.saturating_add(route.sampled);
        all.routes += 1;
        for hot in route.keys.iter().filter(|hot| range.contains(&hot.key)) {
            let count = counts.entry(&hot.key).or_default();
            *count = count.saturating_add(hot.count.saturating_mul(u64::from(source.rate)));
        }
    }
    let mut keys: Vec<(&[u8], u64)> = counts.into_iter().collect();
    // In key order already: a stable sort leaves ties so.
    keys.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    all.keys = keys.into_iter().take(top).map(|(key, count)| (key.to_vec(), count)).collect();
    all
}

#[cfg(test)]
#[path = "hot_keys_test.rs"]
mod hot_keys_test;
