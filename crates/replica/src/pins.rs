//! Pins: what is kept beyond the retention (contract section 6).
//!
//! A pin names a window and a range of keys. The node that is asked proposes it to every group, and
//! each group settles for itself, when it applies the command, what that is: the hours of the window
//! in which a lineage lived or has blocks, the virtual buckets of those hours, the ancestors that the
//! leader named, and for the group as a whole roll-ups, coverage, indexes and events of those hours.
//! From then on that is what is kept, and no more: lineages that come later are not in it.
//!
//! Invariants: a group's part of a pin is a function of its commands (R7); what was retained when a
//! pin was asked for is not dropped before it is applied (the cutoffs are held meanwhile); a pin is in
//! every group or in none, unless the process dies in between (then it is listed, and can be removed).
//! Must not: read a clock while applying.
//! Proof: `pins_test.rs`, and `tests/tests/pins.rs` with real processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use futures::channel::oneshot;
use futures::executor::block_on;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::pin::MAX_NOTE_BYTES;
use keyviz_codec::rollup::Tier;
use keyviz_codec::{Key, Pin};
use keyviz_lineage::{
    Cause, GroupId, HOUR_MS, Hlc, KeyRange, Life, LineageGraph, LineageId, LineageRecord, Series,
    id, unix_hour,
};
use keyviz_store::pins::join_hours;
use keyviz_store::retention::Hold;
use keyviz_store::{Batch, History as _, Pins, Store, StoreError, View};
use thiserror::Error;
use uuid::Uuid;

use crate::command::{Command, Outcome};
use crate::config::RecorderError;
use crate::ingest::Job;
use crate::recorder::Recorder;

/// The most pins there are at a time.
pub const MAX_PINS: usize = 64;

/// What a group is asked to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinOrder {
    /// Its id, the same in every group.
    pub id: Uuid,
    /// When it was asked for.
    pub created: Hlc,
    /// The first Unix hour, of all that was retained then.
    pub first_hour: u64,
    /// The first one of which the finest columns were retained.
    pub first_fine_hour: u64,
    /// The last one.
    pub last_hour: u64,
    /// Whose columns.
    pub range: KeyRange,
    /// Why.
    pub note: String,
    /// Lineages of the group whose records are kept, too: what the others came from.
    pub also: Vec<LineageId>,
    /// The most bytes that all pins of this group may keep.
    pub max_bytes: u64,
}

/// Why a pin was not set, or not removed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum PinError {
    #[error("the window from {from_ms} to {to_ms} is empty; --from must lie before --to")]
    Empty { from_ms: u64, to_ms: u64 },
    #[error(
        "the window ends at {to_ms}, after now ({now_ms}); only what is past can be pinned, ask for a --to that has been"
    )]
    NotPast { to_ms: u64, now_ms: u64 },
    #[error(
        "nothing of the window from {from_ms} to {to_ms} is retained any more: what is kept begins at {oldest_ms}"
    )]
    Expired { from_ms: u64, to_ms: u64, oldest_ms: u64 },
    #[error("a note of {bytes} bytes is too long; at most {MAX_NOTE_BYTES} fit")]
    Note { bytes: usize },
    #[error("there are {MAX_PINS} pins already; remove one with `keyviz unpin ID` first")]
    TooMany,
    #[error(
        "this pin takes {bytes} bytes in group {group} and {left_bytes} are left; choose a shorter window or fewer keys, remove a pin, or raise --pin-max-bytes"
    )]
    TooLarge { group: GroupId, bytes: u64, left_bytes: u64 },
    #[error("there is no pin {id}; `keyviz pins` lists them")]
    Unknown { id: Uuid },
    #[error("another node leads group {group}; ask that one")]
    NotLeader { group: GroupId },
    #[error("the pin could not be stored: {reason}; ask again")]
    Unheld { reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
}

/// A pin over all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinSummary {
    /// Its id.
    pub id: Uuid,
    /// When it was asked for.
    pub created: Hlc,
    /// From when anything is kept, Unix milliseconds.
    pub from_ms: u64,
    /// From when the finest columns are.
    pub fine_from_ms: u64,
    /// Until when.
    pub to_ms: u64,
    /// Whose columns.
    pub range: KeyRange,
    /// Why.
    pub note: String,
    /// Bytes that it kept when it was set.
    pub bytes: u64,
    /// Lineages that it keeps, ancestors and virtual buckets included.
    pub lineages: usize,
    /// The groups that hold a part of it.
    pub groups: Vec<GroupId>,
}

/// Has what is pinned kept from the first compaction on. Returns a hold for each pin that cannot be
/// read: it might keep anything.
pub(crate) fn load(store: &Store) -> Result<Vec<Hold>, StoreError> {
    let (mut pins, mut damaged) = (Vec::new(), Vec::new());
    let view = store.view(0);
    for group in view.groups()?.into_iter().chain([NODE_GROUP]) {
        for pin in view.pin_marks(group)? {
            match pin {
                Ok((id, pin)) => pins.push((group, id, pin)),
                Err(error) => {
                    tracing::error!(%error, "a pin is damaged: nothing is dropped while it is there; remove it with `keyviz unpin` and start again");
                    damaged.push(store.retention().hold());
                }
            }
        }
    }
    store.retention().set_pins(Pins::new(pins));
    Ok(damaged)
}

/// Every pin, oldest first.
pub(crate) fn summaries(pins: &Pins) -> Vec<PinSummary> {
    let mut found: BTreeMap<(Hlc, Uuid), PinSummary> = BTreeMap::new();
    for (id, group, pin) in pins.iter() {
        let summary = found.entry((pin.created, id)).or_insert_with(|| PinSummary {
            id,
            created: pin.created,
            from_ms: pin.first_hour * HOUR_MS,
            fine_from_ms: pin.first_fine_hour * HOUR_MS,
            to_ms: pin.last_hour.saturating_add(1).saturating_mul(HOUR_MS),
            range: pin.range.clone(),
            note: pin.note.clone(),
            bytes: 0,
            lineages: 0,
            groups: Vec::new(),
        });
        summary.bytes += pin.bytes;
        summary.lineages += pin.lineages.len();
        summary.groups.push(group);
    }
    found.into_values().collect()
}

/// The lineages that a window of keys is about.
fn subjects<'a>(
    graph: &'a LineageGraph,
    range: &'a KeyRange,
) -> impl Iterator<Item = &'a LineageRecord> {
    // Stand-ins are not part of the replicated state.
    graph
        .records()
        .filter(|record| record.cause != Cause::Recovered && record.range.overlaps(range))
}

/// The part of an order that falls to `group`: what is there of it now.
pub(crate) fn settle(
    view: &View<'_>,
    graph: &LineageGraph,
    group: GroupId,
    order: &PinOrder,
) -> Result<Pin, StoreError> {
    let hours = order.first_hour..=order.last_hour;
    let fine = order.first_fine_hour..=order.last_hour;
    let (from_ms, to_ms) = (order.first_hour * HOUR_MS, (order.last_hour + 1) * HOUR_MS);
    let mut lineages: BTreeMap<LineageId, Vec<_>> = BTreeMap::new();
    let mut bytes = 0;
    for record in subjects(graph, &order.range).filter(|record| record.group == group) {
        let key_of = |hour| Key::Range { lineage: record.id, hour };
        let blocks = view.sizes(group, &key_of, &fine)?;
        let lived = Life::of(record).part(from_ms, to_ms);
        if blocks.is_empty() && lived.is_none() {
            continue;
        }
        let runs = lineages.entry(record.id).or_default();
        runs.extend(blocks.iter().map(|&(hour, _)| hour..=hour));
        let lived = lived.map(|(from_ms, to_ms)| unix_hour(from_ms)..=unix_hour(to_ms - 1));
        let lived = lived.map(|run| *run.start().max(fine.start())..=*run.end());
        runs.extend(lived.filter(|run| !run.is_empty()));
        bytes += blocks.iter().map(|&(_, bytes)| bytes).sum::<u64>();
    }
    for (hour, index) in view.buckets(group, fine.clone()) {
        // One that cannot be read says so to whoever asks.
        let Ok(index) = index else { continue };
        for (&bucket, _) in index.entries.iter().filter(|(_, at)| at.range.overlaps(&order.range)) {
            lineages.entry(bucket).or_default().push(hour..=hour);
            let key_of = |hour| Key::Range { lineage: bucket, hour };
            bytes += view.sizes(group, &key_of, &(hour..=hour))?.iter().map(|of| of.1).sum::<u64>();
        }
    }
    lineages.values_mut().for_each(join_hours);
    for &lineage in &order.also {
        if graph.get(lineage).is_some_and(|record| record.group == group) {
            lineages.entry(lineage).or_default();
        }
    }
    bytes += group_bytes(view, group, &hours, &fine)?;
    Ok(Pin {
        created: order.created,
        first_hour: order.first_hour,
        first_fine_hour: order.first_fine_hour,
        last_hour: order.last_hour,
        range: order.range.clone(),
        note: order.note.clone(),
        bytes,
        lineages,
    })
}

/// What is kept for the group as a whole.
fn group_bytes(
    view: &View<'_>,
    group: GroupId,
    hours: &std::ops::RangeInclusive<u64>,
    fine: &std::ops::RangeInclusive<u64>,
) -> Result<u64, StoreError> {
    let mut bytes = 0;
    let mut add = |key_of: &dyn Fn(u64) -> Key, hours| -> Result<(), StoreError> {
        bytes += view.sizes(group, key_of, hours)?.iter().map(|&(_, bytes)| bytes).sum::<u64>();
        Ok(())
    };
    add(&|hour| Key::Coverage { hour }, hours)?;
    add(&|hour| Key::Index { hour }, hours)?;
    add(&|hour| Key::Event { hlc: Hlc::new(hour * HOUR_MS, 0) }, hours)?;
    for series in Series::ALL {
        add(&|hour| Key::Rollup { tier: Tier::Hour, series, hour, chunk: 0 }, hours)?;
        add(&|hour| Key::Rollup { tier: Tier::FiveMinutes, series, hour, chunk: 0 }, fine)?;
    }
    Ok(bytes)
}

/// Applies an order: the set of pins that it makes, if it changes anything, and the bytes of its part
/// or why it is refused.
pub(crate) fn apply(
    view: &View<'_>,
    graph: &LineageGraph,
    group: GroupId,
    order: &PinOrder,
    batch: &mut Batch,
) -> Result<(Option<Pins>, Result<u64, PinError>), StoreError> {
    let of_group = || view.pins().iter().filter(|&(_, of, _)| of == group);
    if let Some((.., held)) = of_group().find(|&(id, ..)| id == order.id) {
        return Ok((None, Ok(held.bytes)));
    }
    if of_group().count() >= MAX_PINS {
        return Ok((None, Err(PinError::TooMany)));
    }
    let left_bytes = order.max_bytes.saturating_sub(of_group().map(|(.., pin)| pin.bytes).sum());
    let mut pin = settle(view, graph, group, order)?;
    pin.bytes += pin.encode().len() as u64;
    if pin.bytes > left_bytes {
        let bytes = pin.bytes;
        return Ok((None, Err(PinError::TooLarge { group, bytes, left_bytes })));
    }
    batch.put(group, &Key::Pin { id: order.id }, pin.encode());
    let bytes = pin.bytes;
    Ok((Some(view.pins().with(group, order.id, pin)), Ok(bytes)))
}

/// Removes a group's part of a pin.
pub(crate) fn remove(
    view: &View<'_>,
    group: GroupId,
    id: Uuid,
    batch: &mut Batch,
) -> Result<Option<Pins>, StoreError> {
    // One that cannot be read is not in the set.
    if view.raw(group, &Key::Pin { id })?.is_none() {
        return Ok(None);
    }
    batch.delete(group, &Key::Pin { id });
    Ok(Some(view.pins().without(group, id)))
}

impl Recorder {
    /// Every pin, oldest first.
    pub fn pins(&self) -> Vec<PinSummary> {
        summaries(&self.shared.store.retention().pins())
    }

    /// Keeps a past window of a range of keys beyond the retention. Blocking: a checkpoint, and a
    /// look at every lineage of the range.
    ///
    /// # Errors
    /// See [`PinError`]; then nothing is pinned.
    pub fn pin(
        &self,
        (from_ms, to_ms): (u64, u64),
        range: KeyRange,
        note: String,
    ) -> Result<PinSummary, PinError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.pinning.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = shared.clock.unix_ms();
        if from_ms >= to_ms {
            return Err(PinError::Empty { from_ms, to_ms });
        }
        if to_ms > now_ms {
            return Err(PinError::NotPast { to_ms, now_ms });
        }
        if note.len() > MAX_NOTE_BYTES {
            return Err(PinError::Note { bytes: note.len() });
        }
        // What is in memory has its size in the store then.
        shared.checkpoint.persist_and_wait(Duration::from_secs(10));
        let retention = shared.store.retention();
        let _held = retention.hold();
        let (cutoffs, retained) = (retention.cutoffs(), retention.cutoffs_at(now_ms));
        let (from_hour, last_hour) = (unix_hour(from_ms), unix_hour(to_ms - 1));
        let first_hour = from_hour.max(cutoffs.longest_hour).max(retained.longest_hour);
        let first_fine_hour = first_hour.max(cutoffs.fine_hour).max(retained.fine_hour);
        if first_hour > last_hour {
            let oldest_ms = first_hour * HOUR_MS;
            return Err(PinError::Expired { from_ms, to_ms, oldest_ms });
        }
        let (created, proposal) = self.draw()?;
        let order = PinOrder {
            id: id::derive(created, NODE_GROUP, &proposal, 0),
            created,
            first_hour,
            first_fine_hour: first_fine_hour.min(last_hour + 1),
            last_hour,
            range,
            note,
            also: Vec::new(),
            max_bytes: 0,
        };
        self.pin_everywhere(&order)
    }

    fn pin_everywhere(&self, order: &PinOrder) -> Result<PinSummary, PinError> {
        let graph = self.shared.machine.graph();
        let also = ancestors(&graph, order);
        drop(graph);
        let mut groups = self.shared.store.view(self.shared.clock.unix_ms()).groups()?;
        groups.insert(NODE_GROUP);
        if let Some(&group) = groups.iter().find(|&&group| !self.shared.log.leads(group)) {
            return Err(PinError::NotLeader { group });
        }
        let id = order.id;
        for &group in &groups {
            let pins = self.shared.store.retention().pins();
            let elsewhere = pins.iter().filter(|&(_, of, _)| of != group);
            let elsewhere: u64 = elsewhere.map(|(.., pin)| pin.bytes).sum();
            let order = PinOrder {
                also: also.get(&group).cloned().unwrap_or_default(),
                max_bytes: self.shared.config.pin_max_bytes.saturating_sub(elsewhere),
                ..order.clone()
            };
            let pinned = self.propose(group, Command::Pin(Box::new(order)));
            let refused = match pinned.map(|outcome| outcome.pinned) {
                Ok(Some(Err(refused))) => refused,
                Ok(_) => continue,
                Err(error) => error,
            };
            // In every group or in none.
            if let Err(error) = self.unpin_everywhere(id) {
                tracing::error!(%id, %error, "a refused pin is still there in part; remove it with `keyviz unpin`");
            }
            return Err(refused);
        }
        self.pins().into_iter().find(|pin| pin.id == id).ok_or(PinError::Unknown { id })
    }

    /// Stops keeping what a pin kept. Returns what it was, unless it could not be read; what is held
    /// because of that is held until the next start.
    ///
    /// # Errors
    /// See [`PinError`].
    pub fn unpin(&self, id: Uuid) -> Result<Option<PinSummary>, PinError> {
        let _one_at_a_time = self.shared.pinning.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.pins().into_iter().find(|pin| pin.id == id);
        match self.unpin_everywhere(id)? {
            0 => Err(PinError::Unknown { id }),
            _ => Ok(held),
        }
    }

    /// Returns how many groups held a part of it.
    fn unpin_everywhere(&self, id: Uuid) -> Result<usize, PinError> {
        let view = self.shared.store.view(self.shared.clock.unix_ms());
        let mut removed = 0;
        for group in view.groups()?.into_iter().chain([NODE_GROUP]) {
            if view.raw(group, &Key::Pin { id })?.is_some() {
                self.propose(group, Command::Unpin { id })?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn propose(&self, group: GroupId, command: Command) -> Result<Outcome, PinError> {
        let applied = block_on(self.shared.log.propose(group, command));
        applied.map_err(|error| PinError::Unheld { reason: error.to_string() })
    }

    /// An HLC of the node's, which the ingest thread issues.
    fn draw(&self) -> Result<(Hlc, keyviz_lineage::ProposalId), PinError> {
        let (reply, drawn) = oneshot::channel();
        self.jobs.send(Job::Draw { reply }).map_err(|_| RecorderError::Stopping)?;
        let drawn = block_on(drawn).map_err(|_| RecorderError::Stopping)?;
        drawn.map_err(|reason| PinError::Unheld { reason })
    }
}

/// What the lineages of a window came from, by group.
fn ancestors(graph: &LineageGraph, order: &PinOrder) -> BTreeMap<GroupId, Vec<LineageId>> {
    let (from_ms, to_ms) = (order.first_hour * HOUR_MS, (order.last_hour + 1) * HOUR_MS);
    let mut next: Vec<&LineageRecord> = subjects(graph, &order.range)
        .filter(|record| Life::of(record).part(from_ms, to_ms).is_some())
        .collect();
    let mut found: BTreeSet<(GroupId, LineageId)> = BTreeSet::new();
    while let Some(record) = next.pop() {
        let parents = record.parents.iter().filter_map(|parent| graph.get(parent.id));
        next.extend(parents.filter(|parent| found.insert((parent.group, parent.id))));
    }
    let mut by_group: BTreeMap<GroupId, Vec<LineageId>> = BTreeMap::new();
    for (group, lineage) in found {
        by_group.entry(group).or_default().push(lineage);
    }
    by_group
}

#[cfg(test)]
#[path = "pins_test.rs"]
mod pins_test;
