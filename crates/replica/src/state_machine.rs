//! The one deterministic state machine: a command in, one RocksDB batch out.
//!
//! Owns: the lineage graph of every group on this node.
//! Invariants: the applied index and the applied WAL sequence are in the same batch as what they
//! stand for (R3); applying the same command twice changes nothing; no stored block is overwritten by
//! one that holds less (it is merged; one that fails its checksum is set aside under `damaged|`); the
//! bytes of a group are a function of its commands alone (R7).
//!
//! The applied index is the place in the group's log of the last command that changed something. A
//! command that changes nothing (a duplicate, a refusal) leaves no trace, not even there: whoever
//! sends everything again costs no disk write. So a log that begins again behind the applied index
//! meets only commands that change nothing once more.
//! Must not: read a clock or draw randomness.
//! Proof: `state_machine_test.rs`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use keyviz_codec::marks::{Applied, LeaderEvent, Mark, Member};
use keyviz_codec::{Key, lineage_record};
use keyviz_lineage::graph::Plan;
use keyviz_lineage::{
    Cause, Change, GraphError, GroupId, LineageGraph, LineageId, LineageRecord, Transition,
    unix_hour,
};
use keyviz_store::{Batch, Numbers, Store, StoreError, View};

use crate::command::{Command, Outcome, ProposeError, Sweep};
use crate::memory_tier::{self, MemoryTier};
use crate::newest::NewestHours;
use crate::numbers::Registry;
use crate::persist::{After, Before, merge_delta};
use crate::pins;

/// Applies commands to the store and keeps the graph that they make.
#[derive(Debug)]
pub struct StateMachine {
    store: Arc<Store>,
    graph: RwLock<Arc<LineageGraph>>,
    /// One command at a time; whoever applies one knows what the store has.
    applying: Mutex<NewestHours>,
    /// Which number each lineage has in the roll-ups.
    numbers: Mutex<Registry>,
    /// What is held of the newest blocks.
    memory_tier: MemoryTier,
    /// The end of the latest window that was recorded: where a lineage that closes late may reach.
    recorded_until_ms: AtomicU64,
}

/// What a command does to the graph, once its batch is durable.
enum GraphChange {
    Install(Plan),
    Remove(LineageId),
    Note { lineages: Vec<LineageId>, from_ms: u64, until_ms: u64 },
}

impl StateMachine {
    /// A machine over a store whose lineage records are `graph`, without a memory tier.
    pub fn new(store: Arc<Store>, graph: LineageGraph) -> Self {
        let (graph, applying) = (RwLock::new(Arc::new(graph)), Mutex::default());
        let (numbers, memory_tier) = (Mutex::default(), MemoryTier::default());
        Self { store, graph, applying, numbers, memory_tier, recorded_until_ms: AtomicU64::new(0) }
    }

    /// With a memory tier of at most so many bytes, which is empty until it is filled
    /// ([`StateMachine::fill_memory_tier`]).
    #[must_use]
    pub fn with_memory_tier(mut self, max_bytes: u64) -> Self {
        self.memory_tier = MemoryTier::new(max_bytes);
        self
    }

    /// Reads what the memory tier lacks of a group's last 24 hours, as it is `now_ms`.
    ///
    /// # Errors
    /// A read failure of the store, which is then read in place of the tier.
    pub fn fill_memory_tier(&self, group: GroupId, now_ms: u64) -> Result<(), StoreError> {
        self.memory_tier.trim(unix_hour(now_ms));
        while memory_tier::fill::step(self, group, now_ms, &|| false)? {}
        Ok(())
    }

    /// The store that it applies to.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// What is held of the newest blocks.
    pub(crate) fn memory_tier(&self) -> &MemoryTier {
        &self.memory_tier
    }

    /// The numbers of a group's lineages: at least those that `view` sees.
    ///
    /// # Errors
    /// A read failure of the store.
    pub(crate) fn numbers(
        &self,
        view: &View<'_>,
        group: GroupId,
    ) -> Result<Arc<Numbers>, StoreError> {
        let mut held = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        held.of(view, group).cloned()
    }

    /// Returns what was known before.
    fn install_numbers(&self, group: GroupId, numbers: &Arc<Numbers>) -> Option<Arc<Numbers>> {
        let mut held = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        held.install(group, Arc::clone(numbers))
    }

    /// Windows until `until_ms` were recorded; those of `strays` in `[from_ms, until_ms)`, where the
    /// graph does not expect them. To be told before anybody can see them. Not part of the replicated
    /// state: each node says it of what it holds, and each start finds it again.
    pub(crate) fn note_recorded(&self, strays: &[LineageId], from_ms: u64, until_ms: u64) {
        self.recorded_until_ms.fetch_max(until_ms, Ordering::Relaxed);
        let graph = self.graph();
        let news = strays.iter().filter(|&&id| !graph.knows_of(id, from_ms, until_ms));
        let news: Vec<LineageId> = news.copied().collect();
        drop(graph);
        if news.is_empty() {
            return;
        }
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        self.install(vec![GraphChange::Note { lineages: news, from_ms, until_ms }]);
    }

    /// The graph as it is now.
    pub fn graph(&self) -> Arc<LineageGraph> {
        Arc::clone(&self.graph.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies the next command of `group`.
    ///
    /// # Errors
    /// The store's; nothing was changed, and the command may be applied again.
    pub fn apply(&self, group: GroupId, command: &Command) -> Result<Outcome, ProposeError> {
        self.apply_one(group, None, command)
    }

    /// Applies the command at `index` of the group's log (from 1). One at or before the applied index
    /// was applied before and changes nothing.
    ///
    /// # Errors
    /// As [`StateMachine::apply`].
    pub fn apply_at(
        &self,
        group: GroupId,
        index: u64,
        command: &Command,
    ) -> Result<Outcome, ProposeError> {
        self.apply_one(group, Some(index), command)
    }

    fn apply_one(
        &self,
        group: GroupId,
        index: Option<u64>,
        command: &Command,
    ) -> Result<Outcome, ProposeError> {
        let mut newest = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        // The view only merges: what has expired does not matter to it.
        let view = self.store.view(0);
        let mut applied = view.applied(group)?;
        let index = index.unwrap_or(applied.index + 1);
        let mut outcome = Outcome { index: applied.index, ..Outcome::default() };
        if index <= applied.index {
            return Ok(outcome);
        }
        let mut batch = Batch::default();
        let (mut changes, mut after, mut pins) = (Vec::new(), None, None);
        match command {
            Command::Transitions(transitions) => {
                outcome.transitions =
                    self.transitions(&view, group, transitions, &mut batch, &mut changes)?;
            }
            Command::PersistColumns { delta } => {
                if delta.last_wal > applied.wal_sequence {
                    put_members(group, &delta.members, &mut batch);
                    let (graph, numbers) = (&*self.graph(), &self.numbers(&view, group)?);
                    let shelves = self.memory_tier.at(group, applied);
                    let before = Before { graph, numbers, newest: &newest, shelves };
                    after = Some(merge_delta(&view, &before, group, delta, &mut batch)?);
                    applied.wal_sequence = delta.last_wal;
                }
            }
            Command::SweepLineage(sweep) => {
                if sweep.persisted_to == applied.wal_sequence {
                    outcome.swept = self.sweep(&view, group, sweep, &mut batch, &mut changes)?;
                }
            }
            Command::Pin(order) => {
                let (changed, pinned) =
                    pins::apply(&view, &self.graph(), group, order, &mut batch)?;
                (pins, outcome.pinned) = (changed, Some(pinned));
            }
            Command::Unpin { id } => pins = pins::remove(&view, group, *id, &mut batch)?,
            Command::RestoreLineage { record } => {
                self.restore(&view, group, record, &mut batch, &mut changes)?;
            }
        }
        if !batch.is_empty() {
            applied.index = index;
            outcome.index = index;
            put_applied(group, applied, &mut batch);
            // Readers have to know the new numbers no later than the store does; ones that the store
            // does not know say nothing to them.
            let install = |after: &After| self.install_numbers(group, &after.numbers);
            let before = after.as_ref().map(install);
            let prepare = |after: &After| self.memory_tier.prepare(group, &batch, &after.numbers);
            let prepared = after.as_ref().map(prepare).unwrap_or_default();
            if let Err(error) = self.store.commit_as(batch_name(command), &batch) {
                // They are given anew, and then stored.
                before.flatten().inspect(|numbers| drop(self.install_numbers(group, numbers)));
                return Err(error.into());
            }
            self.memory_tier.committed(group, applied, prepared);
            if let Some(pins) = pins {
                self.store.retention().set_pins(pins);
            }
            if let Some(After { stored, .. }) = after {
                newest.learn(group, stored);
            }
            if outcome.swept > 0 {
                newest.forget(group);
            }
            self.install(changes);
        }
        Ok(outcome)
    }

    /// Plans the transitions one on top of the other.
    fn transitions(
        &self,
        view: &View<'_>,
        group: GroupId,
        transitions: &[Transition],
        batch: &mut Batch,
        changes: &mut Vec<GraphChange>,
    ) -> Result<Vec<Result<usize, GraphError>>, StoreError> {
        let graph = self.graph();
        // What the earlier ones make of the graph, where there are later ones to see it.
        let mut ahead: Option<LineageGraph> = None;
        let mut results = Vec::with_capacity(transitions.len());
        for (at, transition) in transitions.iter().enumerate() {
            debug_assert_eq!(transition.group, group, "a command changes one group only");
            let planned = ahead.as_ref().unwrap_or(&graph).plan(transition);
            let planned = match expired(view, transition, &planned)? {
                Some(expired) => Err(expired),
                None => planned,
            };
            results.push(planned.as_ref().map(|plan| plan.records.len()).map_err(Clone::clone));
            let Ok(plan) = planned else { continue };
            for record in &plan.records {
                let key = Key::Lineage { lineage: record.id };
                batch.put(group, &key, lineage_record::encode(record));
            }
            if let Change::Leader { node, term } = &transition.change {
                let event = LeaderEvent { node: node.clone(), term: *term };
                put_event(view, transition, &event, batch)?;
            }
            if plan.records.is_empty() {
                continue;
            }
            if at + 1 < transitions.len() {
                let ahead = ahead.get_or_insert_with(|| LineageGraph::clone(&graph));
                ahead.install_plan(plan.clone());
            }
            changes.push(GraphChange::Install(plan));
        }
        Ok(results)
    }

    /// Removes the records that the leader named. Only closed ones ever go.
    fn sweep(
        &self,
        view: &View<'_>,
        group: GroupId,
        sweep: &Sweep,
        batch: &mut Batch,
        changes: &mut Vec<GraphChange>,
    ) -> Result<u64, StoreError> {
        let graph = self.graph();
        let mut swept = 0;
        for &lineage in &sweep.lineages {
            let held = graph.get(lineage).filter(|held| held.group == group && !held.is_live());
            // It may have been pinned since the leader looked.
            if held.is_some() && !view.pins().keeps_lineage(group, lineage) {
                batch.delete(group, &Key::Lineage { lineage });
                changes.push(GraphChange::Remove(lineage));
                swept += 1;
            }
        }
        if swept > 0 && swept_before(view, group)? < sweep.before_hour {
            batch.put_mark(group, &Key::Swept, &sweep.before_hour);
        }
        Ok(swept)
    }

    /// Takes over what is known of a lost lineage. A live one would have to be free of others: that
    /// is a backfill.
    fn restore(
        &self,
        view: &View<'_>,
        group: GroupId,
        record: &LineageRecord,
        batch: &mut Batch,
        changes: &mut Vec<GraphChange>,
    ) -> Result<(), StoreError> {
        debug_assert!(record.group == group && !record.is_live(), "a closed lineage of this group");
        let graph = self.graph();
        // A stand-in is not a record.
        let held = graph.get(record.id).filter(|held| held.cause != Cause::Recovered);
        if record.group != group || record.is_live() || held.is_some() {
            return Ok(());
        }
        let key = Key::Lineage { lineage: record.id };
        match view.raw(group, &key) {
            Ok(Some(damaged)) => batch.put(group, &key.quarantine(), damaged),
            Ok(None) => {}
            // Nothing of it can be read.
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
        batch.put(group, &key, lineage_record::encode(record));
        changes.push(GraphChange::Install(Plan { records: vec![record.clone()] }));
        Ok(())
    }

    fn install(&self, changes: Vec<GraphChange>) {
        if changes.is_empty() {
            return;
        }
        let until_ms = self.recorded_until_ms.load(Ordering::Relaxed);
        let mut held = self.graph.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(graph) = Arc::get_mut(&mut held) {
            return change_graph(graph, changes, until_ms);
        }
        drop(held);
        // Somebody still reads the graph as it was. Only one command is applied at a time, so it does
        // not change while it is copied.
        let mut next = LineageGraph::clone(&self.graph());
        change_graph(&mut next, changes, until_ms);
        *self.graph.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}

/// What its batch is called among the store's failpoints.
fn batch_name(command: &Command) -> &'static str {
    match command {
        Command::PersistColumns { .. } => "persist-batch",
        Command::Transitions(_) | Command::RestoreLineage { .. } => "lineage-batch",
        Command::SweepLineage(_) => "sweep-batch",
        Command::Pin(_) | Command::Unpin { .. } => "pin-batch",
    }
}

fn change_graph(graph: &mut LineageGraph, changes: Vec<GraphChange>, recorded_until_ms: u64) {
    for change in changes {
        match change {
            GraphChange::Install(plan) => graph.install_plan_at(plan, recorded_until_ms),
            GraphChange::Remove(lineage) => drop(graph.remove(lineage)),
            GraphChange::Note { lineages, from_ms, until_ms } => {
                for lineage in lineages {
                    graph.note_recorded(lineage, from_ms, until_ms);
                }
            }
        }
    }
}

/// What speaks of a time whose lineages may have been removed can no longer be told from a
/// repetition: a birth from nothing would rise from the dead, and parents may be unknown because they
/// are gone. What still finds its parents alive is as good as ever.
fn expired(
    view: &View<'_>,
    transition: &Transition,
    planned: &Result<Plan, GraphError>,
) -> Result<Option<GraphError>, StoreError> {
    let may_repeat = match planned {
        Ok(plan) => matches!(transition.change, Change::Create { .. }) && !plan.records.is_empty(),
        Err(error) => !matches!(
            error,
            GraphError::Shape { .. } | GraphError::Parent { .. } | GraphError::IdTaken { .. }
        ),
    };
    let decided_ms = transition.hlc.unix_ms();
    if !may_repeat {
        return Ok(None);
    }
    let before_hour = swept_before(view, transition.group)?;
    Ok((unix_hour(decided_ms) < before_hour).then(|| GraphError::Expired {
        change: transition.change.name(),
        group: transition.group,
        decided_ms,
        swept_ms: before_hour * keyviz_lineage::HOUR_MS,
    }))
}

/// A mark that fails its checksum is written anew with the next sweep; until then nothing expires.
fn swept_before(view: &View<'_>, group: GroupId) -> Result<u64, StoreError> {
    match view.swept(group) {
        Err(StoreError::Damaged { key, source, .. }) => {
            tracing::error!(group, key, error = %source, "damaged mark taken as absent");
            Ok(0)
        }
        read => read,
    }
}

fn put_event(
    view: &View<'_>,
    transition: &Transition,
    event: &LeaderEvent,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let (group, key) = (transition.group, Key::Event { hlc: transition.hlc });
    let value = event.encode();
    match view.raw(group, &key) {
        Ok(Some(held)) if held == value => {}
        // It is written again; what was there cannot be read.
        Err(error) if !error.is_damage() => return Err(error),
        _ => batch.put(group, &key, value),
    }
    Ok(())
}

fn put_applied(group: GroupId, applied: Applied, batch: &mut Batch) {
    batch.put_mark(group, &Key::Applied, &applied);
}

fn put_members(group: GroupId, members: &BTreeMap<String, Member>, batch: &mut Batch) {
    for (node, member) in members {
        batch.put_mark(group, &Key::Member { node: node.clone() }, member);
    }
}

#[cfg(test)]
#[path = "state_machine_test.rs"]
mod state_machine_test;
