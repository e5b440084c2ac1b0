//! The one deterministic state machine: a command in, one RocksDB batch out.
//!
//! Owns: the lineage graph of every group on this node.
//! Invariants: the applied index and the applied WAL sequence are in the same batch as what they
//! stand for (R3); applying the same command twice changes nothing; no stored block is overwritten by
//! one that holds less (it is merged; one that fails its checksum is set aside under `damaged|`).
//! Must not: read a clock or draw randomness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use keyviz_codec::marks::{Applied, LeaderEvent, Member};
use keyviz_codec::{Key, lineage_record};
use keyviz_lineage::{Change, GroupId, LineageGraph, Transition};
use keyviz_store::{Batch, Store, StoreError, View};

use crate::bounds;
use crate::command::{Command, Outcome, ProposeError};
use crate::memory::Delta;

/// Applies commands to the store and keeps the graph that they make.
#[derive(Debug)]
pub struct StateMachine {
    store: Arc<Store>,
    graph: RwLock<Arc<LineageGraph>>,
    /// One command at a time.
    applying: Mutex<()>,
}

impl StateMachine {
    /// A machine over a store whose lineage records are `graph`.
    pub fn new(store: Arc<Store>, graph: LineageGraph) -> Self {
        Self { store, graph: RwLock::new(Arc::new(graph)), applying: Mutex::new(()) }
    }

    /// The graph as it is now.
    pub fn graph(&self) -> Arc<LineageGraph> {
        Arc::clone(&self.graph.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies one command to `group`.
    ///
    /// # Errors
    /// The store's; nothing was changed, and the command may be applied again.
    pub fn apply(&self, group: GroupId, command: &Command) -> Result<Outcome, ProposeError> {
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        // The view only merges: what has expired does not matter to it.
        let view = self.store.view(0);
        let mut applied = view.applied(group)?;
        applied.index += 1;
        let mut batch = Batch::default();
        let mut outcome = Outcome { index: applied.index, ..Outcome::default() };
        let mut graph = None;
        match command {
            Command::Transitions(transitions) => {
                let (changed, results) = self.transitions(group, transitions, &mut batch);
                outcome.transitions = results;
                graph = changed;
            }
            Command::PersistColumns { delta } => {
                if delta.last_wal > applied.wal_sequence {
                    put_members(group, &delta.members, &mut batch);
                    merge_delta(&view, &self.graph(), group, delta, &mut batch)?;
                    applied.wal_sequence = delta.last_wal;
                }
            }
        }
        if !batch.is_empty() {
            put_applied(group, applied, &mut batch);
            self.store.commit(&batch)?;
        }
        if let Some(graph) = graph {
            *self.graph.write().unwrap_or_else(PoisonError::into_inner) = graph;
        }
        Ok(outcome)
    }

    /// Plans the transitions one on top of the other. Returns the new graph if it changed.
    fn transitions(
        &self,
        group: GroupId,
        transitions: &[Transition],
        batch: &mut Batch,
    ) -> (Option<Arc<LineageGraph>>, Vec<Result<usize, keyviz_lineage::GraphError>>) {
        let mut graph = self.graph();
        let mut changed = false;
        let mut results = Vec::with_capacity(transitions.len());
        for transition in transitions {
            debug_assert_eq!(transition.group, group, "a command changes one group only");
            results.push(graph.plan(transition).map(|plan| {
                for record in &plan.records {
                    let key = Key::Lineage { lineage: record.id };
                    batch.put(group, &key, lineage_record::encode(record));
                }
                let count = plan.records.len();
                if count > 0 {
                    changed = true;
                    Arc::make_mut(&mut graph).install_plan(plan);
                }
                if let Change::Leader { node, term } = &transition.change {
                    let event = LeaderEvent { node: node.clone(), term: *term };
                    batch.put_mark(group, &Key::Event { hlc: transition.hlc }, &event);
                }
                count
            }));
        }
        (changed.then_some(graph), results)
    }
}

fn put_applied(group: GroupId, applied: Applied, batch: &mut Batch) {
    batch.put_mark(group, &Key::Applied, &applied);
}

fn put_members(group: GroupId, members: &BTreeMap<String, Member>, batch: &mut Batch) {
    for (node, member) in members {
        batch.put_mark(group, &Key::Member { node: node.clone() }, member);
    }
}

fn merge_delta(
    view: &View<'_>,
    graph: &LineageGraph,
    group: GroupId,
    delta: &Delta,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    for (&(lineage, hour), blocks) in &delta.blocks {
        let key = Key::Range { lineage, hour };
        let read = view.block(group, lineage, hour);
        let said = match &read {
            Ok(Some(_)) => None,
            Ok(None) => bounds::of_new_block(view, graph, group, lineage, hour)?,
            // What it said is lost with it.
            Err(_) => graph.get(lineage).map(|record| record.range.clone()),
        };
        let mut merged = match salvage(view, group, &key, read, batch)? {
            Some(mut stored) => {
                stored.merge(blocks);
                stored
            }
            None => blocks.clone(),
        };
        if let Some(range) = said {
            merged.set_bounds(range);
        }
        batch.put(group, &key, merged.encode());
    }
    for (&hour, coverage) in &delta.coverage {
        let key = Key::Coverage { hour };
        let stored = salvage(view, group, &key, view.coverage_of(group, hour), batch)?;
        let mut merged = stored.unwrap_or_default();
        merged.merge(coverage);
        batch.put(group, &key, merged.encode());
    }
    for (&hour, index) in &delta.index {
        let key = Key::Index { hour };
        let stored = salvage(view, group, &key, view.index_of(group, hour), batch)?;
        let mut merged = stored.unwrap_or_default();
        merged.merge(index);
        batch.put(group, &key, merged.encode());
    }
    Ok(())
}

/// A stored value that fails its checksum must not stop what is new: its bytes are set aside, and
/// the new value takes its place.
fn salvage<T>(
    view: &View<'_>,
    group: GroupId,
    key: &Key,
    read: Result<Option<T>, StoreError>,
    batch: &mut Batch,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Damaged { source, .. }) => {
            tracing::error!(group, key = %key, error = %source, "damaged value set aside under damaged|");
            if let Some(bytes) = view.raw(group, key)? {
                batch.put(group, &key.quarantine(), bytes);
            }
            Ok(None)
        }
        other => other,
    }
}
