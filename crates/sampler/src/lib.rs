//! Counts reads, writes and bytes per route on the hot path, and drains them into columns.
//!
//! ```text
//! observe() -> route table (ArcSwap, immutable) -> slot (4 relaxed atomics)
//! register/remove/lead -> registry (mutex) -> new table
//! flush(now) -> swap(0) on every slot -> Column
//! ```
//! Invariants: `observe` takes no lock and allocates nothing (S1); every count that was observed
//! leaves in exactly one column, also when its route is removed while the observation runs (S2);
//! rows come in `Row::order` and idle ones are left out (S3).
//! Must not: read a clock (the caller says when it flushes), do I/O, or know who takes the columns.
//! Proof: `sampler_test.rs`.

mod slot;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use keyviz_lineage::{Column, Counts, Flags, GroupId, KeyRange, RouteId, Row, Step, Window};

use slot::Slot;

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It read.
    Read,
    /// It wrote.
    Write,
}

type Table = HashMap<RouteId, Arc<Slot>>;

/// A route that was resolved once: observing through it needs no look-up. Holding one keeps its
/// counters alive, so that nothing observed through it is lost after the route is removed.
#[derive(Clone, Debug)]
pub struct RouteHandle {
    slot: Arc<Slot>,
}

impl RouteHandle {
    /// Counts one operation; `bytes += key length + value_len`.
    pub fn observe(&self, key: &[u8], op: Op, value_len: u64) {
        self.slot.observe(op, (key.len() as u64).saturating_add(value_len));
    }
}

/// The counters of one node.
#[derive(Debug)]
pub struct Sampler {
    step: Step,
    table: ArcSwap<Table>,
    unattributed: AtomicU64,
    registry: Mutex<Registry>,
}

#[derive(Debug)]
struct Registry {
    /// Routes that are observed now.
    live: Table,
    /// Routes that were removed, drained until nobody can reach them any more.
    retired: Vec<Retired>,
    /// The term that this node leads, by group. Absent: it does not lead.
    terms: HashMap<GroupId, u64>,
    /// Groups that this node answers for.
    groups: Vec<GroupId>,
    /// Rows that were cut by a change of leadership.
    cut: Vec<Row>,
    last_flush_ms: u64,
}

#[derive(Debug)]
struct Retired {
    slot: Arc<Slot>,
    removed_ms: u64,
}

impl Sampler {
    /// A sampler whose columns are `step` long and whose first one covers from `now_ms`.
    pub fn new(step: Step, now_ms: u64) -> Self {
        let registry = Registry {
            live: Table::new(),
            retired: Vec::new(),
            terms: HashMap::new(),
            groups: Vec::new(),
            cut: Vec::new(),
            last_flush_ms: now_ms,
        };
        Self {
            step,
            table: ArcSwap::default(),
            unattributed: AtomicU64::new(0),
            registry: Mutex::new(registry),
        }
    }

    /// The length of its columns.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Says for which groups this node answers (idle ones are reported too).
    pub fn serve(&self, groups: impl IntoIterator<Item = GroupId>) {
        let mut registry = self.lock();
        registry.groups.extend(groups);
        registry.groups.sort_unstable();
        registry.groups.dedup();
    }

    /// Starts counting a route. A route of the same number, group and range that was removed a
    /// moment ago keeps its counters.
    pub fn register(&self, route: RouteId, group: GroupId, range: KeyRange) -> RouteHandle {
        let mut registry = self.lock();
        let again = registry
            .retired
            .iter()
            .position(|old| old.slot.is(route, group, &range))
            .map(|index| registry.retired.swap_remove(index).slot);
        let slot = again.unwrap_or_else(|| Arc::new(Slot::new(route, group, range)));
        if let Some(old) = registry.live.insert(route, Arc::clone(&slot)) {
            let removed_ms = registry.last_flush_ms;
            registry.retired.push(Retired { slot: old, removed_ms });
        }
        if let Err(at) = registry.groups.binary_search(&group) {
            registry.groups.insert(at, group);
        }
        self.publish(&registry);
        RouteHandle { slot }
    }

    /// Stops counting a route. What is still being observed is drained for a grace of
    /// max(2 steps, 5 s), and after that for as long as anyone can still reach it.
    pub fn remove(&self, route: RouteId, now_ms: u64) {
        let mut registry = self.lock();
        if let Some(slot) = registry.live.remove(&route) {
            registry.retired.push(Retired { slot, removed_ms: now_ms });
            self.publish(&registry);
        }
    }

    /// Says that this node now leads `group` in `term`, or (`None`) no longer leads it. Counters are
    /// cut here, so that every row carries the one term in which its writes were led.
    pub fn lead(&self, group: GroupId, term: Option<u64>) {
        let mut registry = self.lock();
        let registry = &mut *registry;
        if registry.terms.get(&group).copied() == term {
            return;
        }
        let old_term = registry.terms.get(&group).copied().unwrap_or(0);
        let slots = registry.live.values().chain(registry.retired.iter().map(|old| &old.slot));
        for slot in slots.filter(|slot| slot.group == group) {
            registry.cut.extend(row_of(slot, old_term));
        }
        match term {
            Some(term) => registry.terms.insert(group, term),
            None => registry.terms.remove(&group),
        };
    }

    /// Counts one operation on `route`: one table load, one look-up, two relaxed adds. On an unknown
    /// route: one relaxed add, reported as `unattributed`.
    pub fn observe(&self, route: RouteId, key: &[u8], op: Op, value_len: u64) {
        match self.table.load().get(&route) {
            Some(slot) => slot.observe(op, (key.len() as u64).saturating_add(value_len)),
            None => {
                self.unattributed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Drains the window that ends nearest to `now_ms` (Unix milliseconds).
    pub fn flush(&self, now_ms: u64) -> Column {
        self.drain(self.step.window_ending_near(now_ms), now_ms)
    }

    /// Drains the window that `now_ms` lies in: the last, short one before a shutdown.
    pub fn flush_partial(&self, now_ms: u64) -> Column {
        self.drain(Window { start_ms: self.step.floor(now_ms), step: self.step }, now_ms)
    }

    fn drain(&self, window: Window, now_ms: u64) -> Column {
        let mut registry = self.lock();
        let registry = &mut *registry;
        let term_of = |group| registry.terms.get(&group).copied().unwrap_or(0);
        let mut rows = std::mem::take(&mut registry.cut);
        rows.extend(registry.live.values().filter_map(|slot| row_of(slot, term_of(slot.group))));
        let grace_ms = (2 * self.step.ms()).max(5_000);
        registry.retired.retain(|old| {
            // S2: unreachable first, then the last drain. The fence pairs with the release of the
            // last other owner, so its adds are seen.
            let reachable = Arc::strong_count(&old.slot) > 1;
            fence(Ordering::Acquire);
            rows.extend(row_of(&old.slot, term_of(old.slot.group)));
            reachable || now_ms < old.removed_ms.saturating_add(grace_ms)
        });
        rows.sort_by(|a, b| a.order().cmp(&b.order()));
        let rows = merge_equal(rows);
        let covered_from_ms = snap(registry.last_flush_ms.min(now_ms), window.start_ms, self.step);
        registry.last_flush_ms = now_ms;
        Column {
            window,
            covered_from_ms,
            covered_to_ms: snap(now_ms, window.end_ms(), self.step).max(covered_from_ms),
            unattributed: self.unattributed.swap(0, Ordering::Relaxed),
            groups: registry.groups.clone(),
            rows,
            buckets: Vec::new(),
        }
    }

    fn publish(&self, registry: &Registry) {
        self.table.store(Arc::new(registry.live.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic while it was held leaves counters that are still whole.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flush is late by a few milliseconds of scheduling; what arrives in them is in the next column.
/// Within 5 % of a step the edge of the window is what was covered.
fn snap(at_ms: u64, edge_ms: u64, step: Step) -> u64 {
    if at_ms.abs_diff(edge_ms) * 20 <= step.ms() { edge_ms } else { at_ms }
}

fn row_of(slot: &Slot, term: u64) -> Option<Row> {
    let counts = slot.drain();
    (!counts.is_idle()).then(|| Row {
        route: slot.route,
        group: slot.group,
        term,
        range: slot.range.clone(),
        flags: if counts.is_saturated() { Flags::SATURATED } else { Flags::NONE },
        counts,
    })
}

/// One row for each route, term and range: several where a route was registered again within the
/// window, or cut twice.
fn merge_equal(rows: Vec<Row>) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match merged.last_mut() {
            Some(last) if last.order() == row.order() => {
                if last.counts.add(&row.counts) {
                    last.flags = last.flags.or(Flags::SATURATED);
                }
            }
            _ => merged.push(row),
        }
    }
    merged
}

/// Only for tests and proofs: what a column holds in all.
pub fn total(column: &Column) -> Counts {
    let mut total = Counts::default();
    for row in &column.rows {
        total.add(&row.counts);
    }
    total
}

#[cfg(test)]
mod sampler_test;
