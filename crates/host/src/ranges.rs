//! The live ranges: who holds a key, what was counted on it, and changing them while in use.
//!
//! Owns: the catalogue in memory with the sampler's handle of every range, the HLC.
//! Invariants: an operation holds [`Ranges::resolve`]'s guard from resolving its routes until it
//! has executed, and a change takes the write side, so no count lands on a range that does not hold
//! the key (G1); a change is stored before it takes effect (R1) and its transition is queued before
//! anyone can observe on the new ranges, so no column overtakes it (G2).
//! Lock order: this table, then the sampler's registry, then the outbox. Never the table twice.
//! Proof: `ranges_test.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use keyviz_api::ambient;
use keyviz_lineage::{Change, Clock, GroupId, Hlc, HlcClock, KeyRange, RouteId, Transition};
use keyviz_sampler::{Op, RouteHandle, Sampler};

use crate::catalogue::{Catalogue, Plan, Range};
use crate::error::{CatalogueError, HostError};
use crate::outbox::Outbox;
use crate::records::{Boot, Commit, Loaded, Records};

/// A range that is in use.
#[derive(Debug)]
pub(crate) struct Live {
    route: RouteId,
    handle: RouteHandle,
    /// Since this range opened in this run, for RANGES; the sampler's own counts are drained.
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Live {
    /// Counts one operation.
    pub(crate) fn observe(&self, key: &[u8], op: Op, value_len: usize) {
        self.handle.observe(key, op, value_len as u64);
        let count = match op {
            Op::Read => &self.reads,
            Op::Write => &self.writes,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Table {
    catalogue: Catalogue,
    /// As long as `catalogue.ranges` and in the same order.
    live: Vec<Live>,
    hlc: HlcClock,
    next_transition: u64,
}

/// The right to execute operations: nothing changes while it is held.
#[derive(Debug)]
pub(crate) struct Routes<'a>(RwLockReadGuard<'a, Table>);

impl Routes<'_> {
    /// The range that holds `key`.
    pub(crate) fn of(&self, key: &[u8]) -> &Live {
        &self.0.live[self.0.catalogue.index_of(key)]
    }
}

/// One line of RANGES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeInfo {
    pub(crate) route: RouteId,
    pub(crate) group: GroupId,
    pub(crate) keys: KeyRange,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// The live ranges.
pub(crate) struct Ranges {
    table: RwLock<Table>,
    records: Records,
    sampler: Arc<Sampler>,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    /// Every group that this host answers for, ascending.
    groups: Vec<GroupId>,
}

/// The ranges of a store that has none yet.
#[derive(Clone, Debug)]
pub(crate) struct Initial {
    pub(crate) boundaries: Vec<Vec<u8>>,
    /// The host answers for groups 1 to this, and for those that hold ranges already.
    pub(crate) groups: u64,
}

impl Ranges {
    /// Loads the ranges, or creates the `initial` ones, announces them, and takes the lead of every
    /// group in the term of this start.
    pub(crate) fn open(
        records: Records,
        sampler: Arc<Sampler>,
        outbox: Arc<Outbox>,
        clock: Arc<dyn Clock>,
        initial: &Initial,
        boot: &Boot,
    ) -> Result<Self, HostError> {
        let loaded = records.load()?;
        let is_new = loaded.is_none();
        let loaded = loaded.unwrap_or_else(|| Loaded {
            catalogue: Catalogue::empty(),
            hlc: Hlc::default(),
            next_transition: 0,
        });
        let register = |range: &Range| live(&sampler, range);
        let live = loaded.catalogue.ranges.iter().map(register).collect();
        let mut groups = loaded.catalogue.groups();
        groups.extend(1..=initial.groups);
        groups.sort_unstable();
        groups.dedup();
        let table = Table {
            catalogue: loaded.catalogue,
            live,
            hlc: HlcClock::after(loaded.hlc),
            next_transition: loaded.next_transition,
        };
        let table = RwLock::new(table);
        let ranges = Self { table, records, sampler, outbox, clock, groups };
        if is_new {
            let mut table = ranges.write();
            let plan = table.catalogue.plan_create(&initial.boundaries, initial.groups)?;
            ranges.commit(&mut table, &plan)?;
        } else {
            for transition in ranges.records.transitions()? {
                ranges.outbox.transition_again(&transition);
            }
        }
        ranges.take_lead(boot)?;
        Ok(ranges)
    }

    fn take_lead(&self, boot: &Boot) -> Result<(), HostError> {
        let mut table = self.write();
        self.sampler.serve(self.groups.iter().copied());
        let mut transitions = Vec::new();
        for &group in &self.groups {
            self.sampler.lead(group, Some(boot.term));
            transitions.push(Transition {
                group,
                proposal: ambient::new_proposal_id(),
                hlc: table.hlc.next(self.clock.unix_ms()),
                catalogue_version: table.catalogue.version,
                change: Change::Leader { node: boot.node_id.clone(), term: boot.term },
            });
        }
        self.records.commit(&Commit {
            after: &table.catalogue,
            closed: &[],
            opened: &[],
            transitions: &[],
            next_transition: table.next_transition,
            hlc: table.hlc.last(),
        })?;
        for transition in &transitions {
            self.outbox.transition(transition);
        }
        Ok(())
    }

    /// The ranges as they are, until the guard is dropped. Never taken twice by one thread.
    pub(crate) fn resolve(&self) -> Routes<'_> {
        Routes(self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` while no operation is in flight.
    pub(crate) fn exclusively<T>(&self, work: impl FnOnce() -> T) -> T {
        let _table = self.write();
        work()
    }

    /// Splits the range that holds `key`. Returns the two new routes.
    pub(crate) fn split(&self, key: &[u8]) -> Result<Vec<RouteId>, HostError> {
        let mut table = self.write();
        let plan = table.catalogue.plan_split(key)?;
        self.commit(&mut table, &plan)
    }

    /// Merges the range that holds `key` with its right neighbour. Returns the new route.
    pub(crate) fn merge(&self, key: &[u8]) -> Result<Vec<RouteId>, HostError> {
        let mut table = self.write();
        let plan = table.catalogue.plan_merge(key)?;
        self.commit(&mut table, &plan)
    }

    /// Moves the range that holds `key` to another group in use. Returns the new route.
    pub(crate) fn relocate(&self, key: &[u8], group: GroupId) -> Result<Vec<RouteId>, HostError> {
        let mut table = self.write();
        if !self.groups.contains(&group) {
            return Err(CatalogueError::UnknownGroup { group }.into());
        }
        let plan = table.catalogue.plan_move(key, group)?;
        self.commit(&mut table, &plan)
    }

    /// Every range in key order.
    pub(crate) fn list(&self) -> Vec<RangeInfo> {
        let table = self.resolve().0;
        let pairs = table.catalogue.ranges.iter().zip(&table.live);
        pairs
            .map(|(range, live)| RangeInfo {
                route: range.route,
                group: range.group,
                keys: range.keys.clone(),
                reads: live.reads.load(Ordering::Relaxed),
                writes: live.writes.load(Ordering::Relaxed),
            })
            .collect()
    }

    /// What counts the operations on the ranges.
    pub(crate) fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// The catalogue's version and how many ranges there are.
    pub(crate) fn version(&self) -> (u64, usize) {
        let table = self.resolve().0;
        (table.catalogue.version, table.live.len())
    }

    /// Stores a plan, then lets it take effect.
    fn commit(&self, table: &mut Table, plan: &Plan) -> Result<Vec<RouteId>, HostError> {
        let now_ms = self.clock.unix_ms();
        let version = table.catalogue.version;
        let mut transitions = Vec::new();
        for (group, change) in &plan.changes {
            // One tick for each lineage that is born, two for a move: its other side comes later.
            let ticks = change.births().max(2);
            transitions.push(Transition {
                group: *group,
                proposal: ambient::new_proposal_id(),
                hlc: table.hlc.reserve(now_ms, ticks),
                catalogue_version: version,
                change: change.clone(),
            });
        }
        let after = table.catalogue.after(plan);
        table.next_transition = self.records.commit(&Commit {
            after: &after,
            closed: &plan.closes,
            opened: &plan.opens,
            transitions: &transitions,
            next_transition: table.next_transition,
            hlc: table.hlc.last(),
        })?;
        let old = std::mem::take(&mut table.live);
        let mut kept: HashMap<RouteId, Live> = old.into_iter().map(|l| (l.route, l)).collect();
        let ranges = after.ranges.iter();
        table.live = ranges
            .map(|range| kept.remove(&range.route).unwrap_or_else(|| live(&self.sampler, range)))
            .collect();
        table.catalogue = after;
        for &route in kept.keys() {
            self.sampler.remove(route, now_ms);
        }
        for transition in &transitions {
            self.outbox.transition(transition);
        }
        Ok(plan.opens.iter().map(|range| range.route).collect())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        // Nothing panics while it is held: a change is whole before the guard goes.
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn live(sampler: &Sampler, range: &Range) -> Live {
    let handle = sampler.register(range.route, range.group, range.keys.clone());
    let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
    Live { route: range.route, handle, reads, writes }
}

#[cfg(test)]
#[path = "ranges_test.rs"]
mod ranges_test;
