//! The route table: from a route's number to where it is counted. Immutable; a change makes a new one.
//!
//! ```text
//! Table -> 256 shards -> entries, open addressing:  route u64 | where it is counted
//!                        slots, one an entry, which keep what the entries name alive
//! ```
//! Invariants: a table keeps its slots reachable (B1: so a slot that no table and no handle holds has
//! no writer); a shard is at most three quarters full, so that every search ends (B2); a change copies
//! one shard and the list of shards, never all routes.
//! Must not: know threads.
//! Proof: `table_test.rs`.

use keyviz_lineage::RouteId;

use crate::local::Spot;
use crate::slot::Slot;
use crate::sync::{Arc, SharedSlice, shared_slice};

const SHARDS: usize = if cfg!(loom) { 1 } else { 256 };

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// 0: empty. Route 0 is reserved, and nobody observes it.
    route: RouteId,
    spot: Spot,
}

const EMPTY: Entry = Entry { route: 0, spot: Spot::NOWHERE };

#[derive(Clone, Debug)]
struct Shard {
    /// A power of two of them.
    entries: SharedSlice<Entry>,
    slots: SharedSlice<Option<Arc<Slot>>>,
}

/// Route ids are small or random numbers, chosen by the host itself: multiplying spreads them.
#[inline(always)]
const fn hash(route: RouteId) -> u64 {
    route.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Shard {
    fn of(pairs: Vec<(RouteId, Arc<Slot>)>) -> Self {
        // B2
        let len = (pairs.len() * 4 / 3 + 1).next_power_of_two();
        let mut entries = vec![EMPTY; len];
        let mut slots = vec![None; len];
        for (route, slot) in pairs {
            if let Some((at, _)) = find(&entries, route) {
                entries[at] = Entry { route, spot: slot.spot() };
                slots[at] = Some(slot);
            }
        }
        Self { entries: shared_slice(entries), slots: shared_slice(slots) }
    }
}

/// Where the search for `route` begins. The topmost 8 bits of the hash chose the shard; the next 24, as
/// a share of the entries, choose the place. So ids that were given out in turn lie evenly, as multiples
/// of the golden ratio do, and the first probe hits.
#[inline(always)]
const fn first_place(route: RouteId, entries: usize) -> usize {
    ((hash(route) >> 32 & 0xff_ffff) as usize * entries) >> 24
}

/// Where `route` is, or the empty entry where it would be.
fn find(entries: &[Entry], route: RouteId) -> Option<(usize, Spot)> {
    let last = entries.len().wrapping_sub(1);
    let mut at = first_place(route, entries.len());
    loop {
        at &= last;
        let entry = entries.get(at)?;
        if entry.route == route || entry.route == 0 {
            return Some((at, entry.spot));
        }
        at += 1; // B2: there is an empty one
    }
}

/// See the module's header.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    shards: [Shard; SHARDS],
}

#[inline(always)]
const fn shard_of(route: RouteId) -> usize {
    (hash(route) >> 56) as usize % SHARDS
}

impl Table {
    pub(crate) fn new() -> Self {
        let empty = Shard::of(Vec::new());
        Self { shards: std::array::from_fn(|_| empty.clone()) }
    }

    /// Where `route` is counted, if it is in the first place where it is looked for.
    #[inline(always)]
    pub(crate) fn first_spot(&self, route: RouteId) -> Option<Spot> {
        let entries = &*self.shards[shard_of(route)].entries;
        let first = entries.get(first_place(route, entries.len()))?;
        (first.route == route).then_some(first.spot)
    }

    /// Where `route` is counted; [`Spot::NOWHERE`] if the table does not know.
    pub(crate) fn spot(&self, route: RouteId) -> Spot {
        find(&self.shards[shard_of(route)].entries, route).map_or(Spot::NOWHERE, |(_, spot)| spot)
    }

    /// The slot that counts for `route`.
    pub(crate) fn slot(&self, route: RouteId) -> Option<&Arc<Slot>> {
        let shard = &self.shards[shard_of(route)];
        shard.slots[find(&shard.entries, route)?.0].as_ref()
    }

    /// This table with one route's slot changed or (`None`) without it.
    pub(crate) fn with(&self, route: RouteId, slot: Option<Arc<Slot>>) -> Self {
        let mut next = self.clone();
        let shard = &mut next.shards[shard_of(route)];
        let pairs = shard.entries.iter().zip(shard.slots.iter());
        let others = pairs.filter(|(entry, _)| entry.route != route);
        let others = others.filter_map(|(entry, slot)| Some((entry.route, slot.clone()?)));
        *shard = Shard::of(others.chain(slot.map(|slot| (route, slot))).collect());
        next
    }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod table_test;
