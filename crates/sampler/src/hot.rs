//! Hot keys: which keys of a route are the most frequent, found off the hot path (contract section 9).
//!
//! ```text
//! observe(key): too long?  -> counted, no more
//!               1 in N     -> key copied into the queue; full? counted, no more
//! collect():    queue      -> a sketch of the route and kind of operation
//! flush:        collect, then sketches -> HotKeys, all of them; the next window begins with none
//! ```
//! Invariants: every operation that was chosen is in a sketch, or counted as dropped or left out (Y1);
//! an observer never waits (Y2: the queue is lock-free and bounded); sketches take no more than
//! [`MAX_SKETCH_BYTES`], what is told of them no more than [`MAX_PUBLISHED_BYTES`] (Y3).
//! Must not: cut a key.
//! Proof: `hot_test.rs` (exact counts, a full queue, threads); `space_saving_test.rs`.

use std::collections::BTreeMap;

use crossbeam_queue::ArrayQueue;
use keyviz_lineage::hot_keys::{MAX_HOT_KEY_BYTES, MAX_HOT_KEY_RATE, MAX_HOT_KEYS};
use keyviz_lineage::{HotKey, HotKeys, RouteHotKeys, Series, Window};
use smallvec::SmallVec;

use crate::Op;
use crate::local::Pages;
use crate::slot::Slot;
use crate::space_saving::SpaceSaving;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};

/// The most operations that wait to be looked at.
pub const MAX_HOT_KEY_QUEUE: usize = 65_536;
/// Of all sketches. An operation that would need more is left out.
const MAX_SKETCH_BYTES: usize = 64 << 20;
/// Of the keys of one window that are told of, so that they fit one message.
const MAX_PUBLISHED_BYTES: usize = 4 << 20;
/// Keys up to this length are copied without an allocation.
const INLINE_KEY_BYTES: usize = 64;

/// How hot keys are found. What is beyond a limit is taken as the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotKeySettings {
    /// Places of each route and kind of operation: 64 by default, at most 256. Estimates are off by
    /// less the more there are.
    pub capacity: usize,
    /// One in so many operations is looked at: 16 by default, at most 1,024.
    pub rate: u32,
    /// Operations that may wait for [`crate::Sampler::collect_hot_keys`]: 8,192 by default, at most
    /// 65,536.
    pub queue: usize,
    /// The longest key that is looked at: 1,024 bytes by default, at most 4,096.
    pub max_key_bytes: usize,
    /// Where the choice of operations begins. The caller draws it.
    pub seed: u64,
}

impl HotKeySettings {
    /// The defaults, and this seed.
    pub const fn with_seed(seed: u64) -> Self {
        Self { capacity: 64, rate: 16, queue: 8_192, max_key_bytes: 1_024, seed }
    }

    fn limited(self) -> Self {
        Self {
            capacity: self.capacity.clamp(1, MAX_HOT_KEYS),
            rate: self.rate.clamp(1, MAX_HOT_KEY_RATE),
            queue: self.queue.clamp(1, MAX_HOT_KEY_QUEUE),
            max_key_bytes: self.max_key_bytes.min(MAX_HOT_KEY_BYTES),
            seed: self.seed,
        }
    }
}

/// An operation that was chosen.
#[derive(Debug)]
struct Chosen {
    /// Of its slot.
    serial: u64,
    op: Op,
    key: SmallVec<[u8; INLINE_KEY_BYTES]>,
}

/// Where observers leave what is chosen.
#[derive(Debug)]
pub(crate) struct Feed {
    queue: ArrayQueue<Chosen>,
    settings: HotKeySettings,
    /// A random number below this chooses.
    below: u64,
    dropped: AtomicU64,
    skipped_long_keys: AtomicU64,
}

impl Feed {
    /// Takes notice of one operation, if it is chosen.
    #[inline]
    pub(crate) fn offer(&self, pages: &Pages, serial: u64, key: &[u8], op: Op) {
        if key.len() > self.settings.max_key_bytes {
            self.skipped_long_keys.fetch_add(1, Ordering::Relaxed);
        } else if pages.random(self.settings.seed) <= self.below {
            self.push(serial, key, op);
        }
    }

    #[cold]
    fn push(&self, serial: u64, key: &[u8], op: Op) {
        // Y2
        if self.queue.push(Chosen { serial, op, key: SmallVec::from_slice(key) }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was collected in this window.
#[derive(Debug, Default)]
struct Sketches {
    /// By slot and kind, reads first.
    by_slot: BTreeMap<(u64, bool), SpaceSaving>,
    bytes: usize,
    left_out: u64,
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Hot {
    pub(crate) feed: Arc<Feed>,
    sketches: Mutex<Sketches>,
}

impl Hot {
    pub(crate) fn new(settings: HotKeySettings) -> Self {
        let settings = settings.limited();
        let feed = Feed {
            queue: ArrayQueue::new(settings.queue),
            settings,
            below: u64::MAX / u64::from(settings.rate),
            dropped: AtomicU64::new(0),
            skipped_long_keys: AtomicU64::new(0),
        };
        Self { feed: Arc::new(feed), sketches: Mutex::new(Sketches::default()) }
    }

    /// Looks at what was chosen. Returns how many operations that were.
    pub(crate) fn collect(&self) -> usize {
        self.collect_into(&mut lock(&self.sketches))
    }

    fn collect_into(&self, sketches: &mut Sketches) -> usize {
        let Feed { queue, settings, .. } = &*self.feed;
        let mut collected = 0;
        // As many as may wait at a time: whoever goes on observing does not keep it here.
        while collected < settings.queue
            && let Some(Chosen { serial, op, key }) = queue.pop()
        {
            collected += 1;
            let of = (serial, op == Op::Write);
            let sketch = sketches.by_slot.entry(of);
            let sketch = sketch.or_insert_with(|| SpaceSaving::new(settings.capacity));
            match sketch.add(&key, MAX_SKETCH_BYTES - sketches.bytes) {
                Some(grown) => sketches.bytes += grown,
                None => sketches.left_out += 1, // Y3
            }
        }
        collected
    }

    /// Everything of this window, by the slots that there are; the next one begins.
    pub(crate) fn publish<'a>(
        &self,
        window: Window,
        slots: impl Iterator<Item = &'a Slot>,
    ) -> HotKeys {
        let mut sketches = lock(&self.sketches);
        self.collect_into(&mut sketches);
        let Sketches { mut by_slot, left_out, .. } = std::mem::take(&mut *sketches);
        drop(sketches);
        let mut routes = Vec::new();
        for slot in slots {
            for (is_write, series) in [(false, Series::Reads), (true, Series::Writes)] {
                if let Some(sketch) = by_slot.remove(&(slot.serial(), is_write)) {
                    routes.push(of_route(slot, series, sketch));
                }
            }
        }
        // Slots that were let go between the choice and now.
        let gone: u64 = by_slot.values().map(SpaceSaving::seen).sum();
        let unlisted = limit(&mut routes);
        let feed = &self.feed;
        HotKeys {
            window,
            rate: feed.settings.rate,
            capacity: feed.settings.capacity as u32,
            dropped: feed.dropped.swap(0, Ordering::Relaxed),
            skipped_long_keys: feed.skipped_long_keys.swap(0, Ordering::Relaxed),
            left_out: left_out + gone + unlisted,
            routes,
        }
    }
}

fn of_route(slot: &Slot, series: Series, sketch: SpaceSaving) -> RouteHotKeys {
    let sampled = sketch.seen();
    let keys = sketch.into_frequent().into_iter();
    RouteHotKeys {
        route: slot.route,
        group: slot.group,
        range: slot.range.clone(),
        series,
        sampled,
        keys: keys.map(|frequent| HotKey { key: frequent.key, count: frequent.count }).collect(),
    }
}

/// Y3: the busiest routes as long as there is room. Returns how many operations the others had.
fn limit(routes: &mut Vec<RouteHotKeys>) -> u64 {
    let bytes = |route: &RouteHotKeys| {
        // A key's length, its count and what is around a route take a few bytes each.
        let keys: usize = route.keys.iter().map(|hot| hot.key.len() + 8).sum();
        keys + route.range.start().len() + route.range.end().len() + 32
    };
    if routes.iter().map(bytes).sum::<usize>() <= MAX_PUBLISHED_BYTES {
        return 0;
    }
    routes.sort_by_key(|route| std::cmp::Reverse(route.sampled));
    let mut used = 0;
    let fits = |route: &&RouteHotKeys| {
        used += bytes(route);
        used <= MAX_PUBLISHED_BYTES
    };
    let listed = routes.iter().take_while(fits).count();
    routes.drain(listed..).map(|route| route.sampled).sum()
}

#[cfg(test)]
#[path = "hot_test.rs"]
mod hot_test;
