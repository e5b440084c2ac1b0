//! The sampler: routes come and go, threads observe, windows are flushed.
//!
//! Invariants: the registry is locked by whoever changes routes or flushes, never by an observer of a
//! known table; every count leaves in exactly one column (S2); a row carries the one term in which its
//! writes were led, because a change of leadership cuts it (S4).
//! Must not: read a clock.
//! Proof: `sampler_test.rs`, `tests/stress.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use keyviz_lineage::{Column, Counts, Flags, GroupId, KeyRange, RouteId, Step, Window};

use crate::budget::DEFAULT_TRACKED_ROUTES;
use crate::chunk::Space;
use crate::flush::{Flush, Rows, snap};
use crate::handle::RouteHandle;
use crate::hot::{Hot, HotKeySettings};
use crate::local::{self, Pages};
use crate::rate::Adaptive;
use crate::registry::{Part, Registry, Tracked};
use crate::sub_range::SubRanges;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, Published, lock};
use crate::table::Table;
use crate::{Op, front};

/// The chunks of the process.
static SPACE: LazyLock<Arc<Space>> = LazyLock::new(Space::new);
/// The version of the next table.
static NEXT_VERSION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

fn next_version() -> u64 {
    NEXT_VERSION.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// How a sampler counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Into how many sub-ranges [`Sampler::register`] cuts a route: 1 (the default) to 256.
    pub sub_ranges: u16,
    /// How many routes have rows of their own (10,000 by default, at least 1). Beyond that, the least
    /// active neighbours are reported together, as [`Column::buckets`].
    pub tracked_routes: usize,
    /// Whether busy routes may be counted one in N. `None` (the default): never, every count is exact.
    /// With it, an observation of a route that is not sampled costs a few nanoseconds more, as its rate
    /// is looked up. Routes that are cut are never sampled.
    pub adaptive: Option<Adaptive>,
    /// Whether the hottest keys of each route are found. `None` (the default): never, and keys are not
    /// kept anywhere. With it, an observation costs a few nanoseconds more, as the dice are thrown.
    pub hot_keys: Option<HotKeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        let tracked_routes = DEFAULT_TRACKED_ROUTES;
        Self { sub_ranges: 1, tracked_routes, adaptive: None, hot_keys: None }
    }
}

/// Live routes that are reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coalesced {
    /// The keys from the first route's start to the last one's end.
    pub range: KeyRange,
    /// How many routes they are.
    pub routes: usize,
}

/// The counters of one node.
#[derive(Debug)]
pub struct Sampler {
    /// Of the published table, unique in the process. 0: this sampler does not count.
    version: AtomicU64,
    step: Step,
    settings: Settings,
    table: Published<Table>,
    unattributed: AtomicU64,
    hot: Option<Hot>,
    /// Threads that keep a view of the table let it go when this is gone.
    life: std::sync::Arc<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    registry: Registry,
    /// The term that this node leads, by group. Absent: it does not lead.
    terms: BTreeMap<GroupId, u64>,
    /// Groups that this node answers for.
    groups: Vec<GroupId>,
    last_flush_ms: u64,
    /// Of the last column.
    last_window: Option<Window>,
    /// Groups whose lease was lost in this window.
    stale: BTreeSet<GroupId>,
}

impl Sampler {
    /// A sampler whose columns are `step` long and whose first one covers from `now_ms` (Unix
    /// milliseconds).
    pub fn new(step: Step, now_ms: u64) -> Self {
        Self::with_settings(step, now_ms, Settings::default())
    }

    /// As [`Sampler::new`], with settings.
    pub fn with_settings(step: Step, now_ms: u64, settings: Settings) -> Self {
        Self::of_version(next_version(), step, now_ms, settings)
    }

    /// A sampler that counts nothing: observing costs a branch or two, its columns are empty.
    pub fn disabled(step: Step, now_ms: u64) -> Self {
        Self::of_version(0, step, now_ms, Settings::default())
    }

    fn of_version(version: u64, step: Step, now_ms: u64, settings: Settings) -> Self {
        let hot = settings.hot_keys.filter(|_| version != 0).map(Hot::new);
        let registry = Registry::new(Arc::clone(&SPACE), settings.tracked_routes)
            .with(settings.adaptive, hot.as_ref().map(|hot| Arc::clone(&hot.feed)));
        let state = State {
            registry,
            terms: BTreeMap::new(),
            groups: Vec::new(),
            last_flush_ms: now_ms,
            last_window: None,
            stale: BTreeSet::new(),
        };
        Self {
            version: AtomicU64::new(version),
            step,
            settings,
            table: Published::new(Arc::clone(&state.registry.table)),
            unattributed: AtomicU64::new(0),
            hot,
            life: std::sync::Arc::new(()),
            state: Mutex::new(state),
        }
    }

    /// The length of its columns.
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Says for which groups this node answers (idle ones are reported too).
    pub fn serve(&self, groups: impl IntoIterator<Item = GroupId>) {
        let mut state = self.lock();
        state.groups.extend(groups);
        state.groups.sort_unstable();
        state.groups.dedup();
    }

    /// Starts counting a route, cut as [`Settings::sub_ranges`] says. A route of the same number,
    /// group and range that was removed a moment ago keeps its counters.
    pub fn register(&self, route: RouteId, group: GroupId, range: KeyRange) -> RouteHandle {
        self.register_cut(route, group, range, self.settings.sub_ranges)
    }

    /// As [`Sampler::register`], cut into `sub_ranges` parts (or fewer, see [`SubRanges::new`]).
    pub fn register_cut(
        &self,
        route: RouteId,
        group: GroupId,
        range: KeyRange,
        sub_ranges: u16,
    ) -> RouteHandle {
        let mut state = self.lock();
        if let Err(at) = state.groups.binary_search(&group) {
            state.groups.insert(at, group);
        }
        if self.version.load(Ordering::Relaxed) == 0 {
            return RouteHandle::disabled();
        }
        let now_ms = state.last_flush_ms;
        let subs = SubRanges::new(range, sub_ranges);
        let slot = state.registry.register(route, group, subs, now_ms);
        self.publish(&state.registry);
        RouteHandle::new(slot)
    }

    /// Stops counting a route. What is still being observed is drained for a grace of
    /// max(2 steps, 5 s), and after that for as long as anyone can still reach it.
    pub fn remove(&self, route: RouteId, now_ms: u64) {
        let mut state = self.lock();
        if state.registry.remove(route, now_ms) {
            self.publish(&state.registry);
        }
    }

    /// Says that this node now leads `group` in `term`, or (`None`) no longer leads it. Counters are
    /// cut here, so that every row carries the one term in which its writes were led.
    pub fn lead(&self, group: GroupId, term: Option<u64>) {
        let mut state = self.lock();
        let State { registry, terms, .. } = &mut *state;
        if terms.get(&group).copied() == term {
            return;
        }
        registry.cut(group, terms.get(&group).copied().unwrap_or(0));
        match term {
            Some(term) => terms.insert(group, term),
            None => terms.remove(&group),
        };
    }

    /// Says that the lease on `group` ran out while this node thought that it led: what it led there in
    /// this window and the one before may have been led by another node, too. This window's rows will
    /// say so. For the one before, here is what says so, if there was anything: a column that counts
    /// nothing and covers no time, to be sent as any other.
    pub fn lose_lease(&self, group: GroupId) -> Option<Column> {
        let mut state = self.lock();
        if !state.stale.insert(group) {
            return None;
        }
        let window = state.last_window?;
        let (mut rows, flags) = (Rows::default(), Flags::STALE_LEADER);
        for tracked in &state.registry.tracked {
            let idle = [Counts::default()];
            // A bucket has the same keys as before by all of its members.
            rows.push(tracked, Part { term: 0, counts: &idle, flags: Flags::NONE });
            if tracked.slot.group == group {
                tracked
                    .led()
                    .for_each(|term| rows.push(tracked, Part { term, counts: &idle, flags }));
            }
        }
        let buckets = rows.buckets();
        let (rows, _) = rows.sorted();
        let at_ms = window.end_ms();
        let (groups, unattributed) = (state.groups.clone(), 0);
        let is_needed = !rows.is_empty() || !buckets.is_empty();
        is_needed.then_some(Column {
            window,
            covered_from_ms: at_ms,
            covered_to_ms: at_ms,
            unattributed,
            groups,
            rows,
            buckets,
        })
    }

    /// Counts one operation on `route`: a look-up in this thread's view of the routes, then as
    /// [`RouteHandle::observe`]. On an unknown route: one relaxed add, reported as `unattributed`.
    /// The first call after routes changed brings the thread's view up to date.
    #[inline]
    pub fn observe(&self, route: RouteId, key: &[u8], op: Op, value_len: u64) {
        let version = self.version.load(Ordering::Acquire);
        // That a disabled sampler is the second question keeps it from costing the others one.
        if !front::count_by_id(version, route, key.len(), op, value_len) && version != 0 {
            self.observe_slowly(route, key, op, value_len);
        }
    }

    /// On a route that is not where it is looked for first, unknown, cut or not yet touched by this
    /// thread, after a change of routes, in a thread that ends, or of many bytes.
    #[inline(never)]
    fn observe_slowly(&self, route: RouteId, key: &[u8], op: Op, value_len: u64) {
        let version = self.version.load(Ordering::Acquire);
        if front::count_beyond(version, route, key.len(), op, value_len) {
            return;
        }
        let bytes = (key.len() as u64).saturating_add(value_len);
        let count = |pages: Option<&Pages>, table: &Table| match table.slot(route) {
            Some(slot) => slot.observe(pages, key, op, bytes),
            None => {
                self.unattributed.fetch_add(1, Ordering::Relaxed);
            }
        };
        let counted = local::with(|local| {
            let load = || self.table.load();
            local.with_table(&self.life, version, load, |table| count(Some(&local.pages), table));
        });
        if counted.is_none() {
            count(None, &self.table.load());
        }
    }

    /// Lets observers by id see the registry's table.
    fn publish(&self, registry: &Registry) {
        self.table.store(Arc::clone(&registry.table));
        self.version.store(next_version(), Ordering::Release);
    }

    /// Drains the window that ends nearest to `now_ms` (Unix milliseconds).
    pub fn flush(&self, now_ms: u64) -> Column {
        self.flush_all(now_ms).column
    }

    /// As [`Sampler::flush`], with what a column has no field for.
    pub fn flush_all(&self, now_ms: u64) -> Flush {
        self.drain(self.step.window_ending_near(now_ms), now_ms)
    }

    /// Drains the window that `now_ms` lies in: the last, short one before a shutdown.
    pub fn flush_partial(&self, now_ms: u64) -> Column {
        self.flush_partial_all(now_ms).column
    }

    /// As [`Sampler::flush_partial`], with what a column has no field for.
    pub fn flush_partial_all(&self, now_ms: u64) -> Flush {
        self.drain(Window { start_ms: self.step.floor(now_ms), step: self.step }, now_ms)
    }

    fn drain(&self, window: Window, now_ms: u64) -> Flush {
        let mut state = self.lock();
        let State { registry, terms, groups, last_flush_ms, last_window, stale } = &mut *state;
        // Before routes are let go, so that their keys are told of.
        let slots = registry.tracked.iter().map(|tracked| &*tracked.slot);
        let hot_keys = self.hot.as_ref().map(|hot| hot.publish(window, slots));
        let mut rows = Rows::default();
        rows.reserve(registry.tracked.len());
        let grace_ms = (2 * self.step.ms()).max(5_000);
        let mut led = (0, 0);
        let term_of = |group| {
            if group != led.0 {
                led = (group, terms.get(&group).copied().unwrap_or(0));
            }
            led.1
        };
        registry.take(now_ms, grace_ms, self.step, term_of, |tracked, mut part| {
            if part.is_led() && stale.contains(&tracked.slot.group) {
                part.flags = part.flags.or(Flags::STALE_LEADER);
            }
            rows.push(tracked, part);
        });
        stale.clear();
        *last_window = Some(window);
        let buckets = rows.buckets();
        let (rows, sub_ranges) = rows.sorted();
        let covered_from_ms = snap((*last_flush_ms).min(now_ms), window.start_ms, self.step);
        *last_flush_ms = now_ms;
        let column = Column {
            window,
            covered_from_ms,
            covered_to_ms: snap(now_ms, window.end_ms(), self.step).max(covered_from_ms),
            unattributed: self.unattributed.swap(0, Ordering::Relaxed),
            groups: groups.clone(),
            rows,
            buckets,
        };
        Flush { column, sub_ranges, hot_keys }
    }

    /// Whether [`Settings::hot_keys`] are found.
    pub const fn finds_hot_keys(&self) -> bool {
        self.hot.is_some()
    }

    /// Looks at the operations that were chosen for [`Settings::hot_keys`]. To be called often enough
    /// that no more than [`HotKeySettings::queue`] of them wait (some 20 times a second); a flush does,
    /// too. Returns how many there were. Waits for no observer, and none for it.
    pub fn collect_hot_keys(&self) -> usize {
        self.hot.as_ref().map_or(0, Hot::collect)
    }

    /// What is reported together now, in key order: to be logged once in a while.
    pub fn coalesced(&self) -> Vec<Coalesced> {
        let mut found: BTreeMap<usize, Coalesced> = BTreeMap::new();
        for Tracked { slot, heat, removed_ms, .. } in &self.lock().registry.tracked {
            if heat.bucket != 0 && removed_ms.is_none() {
                let range = slot.range.clone();
                let bucket = found
                    .entry(heat.bucket)
                    .or_insert_with(|| Coalesced { range: range.clone(), routes: 0 });
                bucket.range = bucket.range.hull(&range);
                bucket.routes += 1;
            }
        }
        found.into_values().collect()
    }

    /// How many bytes the counters of all threads take now.
    pub fn counter_bytes(&self) -> usize {
        self.lock().registry.counter_bytes()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
#[path = "sampler_test.rs"]
mod sampler_test;
