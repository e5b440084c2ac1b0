//! The counters of one route.
//!
//! Invariant: [`Slot::drain`] takes every count exactly once (`swap(0)`), whoever writes meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use keyviz_lineage::{Counts, GroupId, KeyRange, RouteId};

use crate::Op;

#[derive(Debug)]
#[repr(align(128))] // two cache lines: neighbours in memory never contend
pub(crate) struct Slot {
    pub(crate) route: RouteId,
    pub(crate) group: GroupId,
    pub(crate) range: KeyRange,
    reads: AtomicU64,
    writes: AtomicU64,
    read_bytes: AtomicU64,
    write_bytes: AtomicU64,
}

impl Slot {
    pub(crate) fn new(route: RouteId, group: GroupId, range: KeyRange) -> Self {
        Self {
            route,
            group,
            range,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            write_bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn is(&self, route: RouteId, group: GroupId, range: &KeyRange) -> bool {
        self.route == route && self.group == group && self.range == *range
    }

    pub(crate) fn observe(&self, op: Op, bytes: u64) {
        let (count, sum) = match op {
            Op::Read => (&self.reads, &self.read_bytes),
            Op::Write => (&self.writes, &self.write_bytes),
        };
        count.fetch_add(1, Ordering::Relaxed);
        // A sum that would wrap stays at the top: saturating, never wrapping (contract section 5).
        if sum.fetch_add(bytes, Ordering::Relaxed).checked_add(bytes).is_none() {
            sum.store(u64::MAX, Ordering::Relaxed);
        }
    }

    pub(crate) fn drain(&self) -> Counts {
        Counts {
            reads: self.reads.swap(0, Ordering::Relaxed),
            writes: self.writes.swap(0, Ordering::Relaxed),
            read_bytes: self.read_bytes.swap(0, Ordering::Relaxed),
            write_bytes: self.write_bytes.swap(0, Ordering::Relaxed),
        }
    }
}
