//! The commands of a group: everything that changes its history.
//!
//! A command holds all that applying it needs: no clock is read there, and nothing is looked up but
//! what the group's earlier commands have made. So every replica that applies the same commands in
//! the same order holds the same bytes.

use std::sync::Arc;

use keyviz_lineage::{GraphError, LineageId, LineageRecord, Transition};
use keyviz_store::StoreError;
use thiserror::Error;
use uuid::Uuid;

use crate::memory::Delta;
use crate::pins::{PinError, PinOrder};

/// A change to one group's history.
#[derive(Clone, Debug)]
pub enum Command {
    /// Transitions in order, in one batch. Each is accepted or refused by itself.
    Transitions(Vec<Transition>),
    /// What was recorded since the last one.
    PersistColumns {
        /// Blocks, coverage and members, with the WAL records that they come from.
        delta: Arc<Delta>,
    },
    /// Closed lineages that nothing retained needs any more go.
    SweepLineage(Sweep),
    /// A past window is kept beyond the retention.
    Pin(Box<PinOrder>),
    /// It is no longer. Changes nothing where it is not there.
    Unpin {
        /// The pin.
        id: Uuid,
    },
    /// A closed lineage whose record was lost (damaged) is there again. Changes nothing where the
    /// record still is.
    RestoreLineage {
        /// What is known of it.
        record: Box<LineageRecord>,
    },
}

/// What a sweep removes. The group's leader looks (at the clock, at what is stored and in memory) and
/// names the lineages; replicas only remove what is named. A rule that each of them evaluated would
/// not do: what compaction has dropped by now, and what a later tier or a pin keeps, is not the same
/// everywhere at the same command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// The first hour that was retained when the leader looked.
    pub before_hour: u64,
    /// The group's applied WAL sequence when it looked. Blocks come by [`Command::PersistColumns`]
    /// only, which raises it; so a sweep that meets another value does nothing, and the next one
    /// looks again.
    pub persisted_to: u64,
    /// The lineages that go.
    pub lineages: Vec<LineageId>,
}

/// What applying a command did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The group's applied index after it.
    pub index: u64,
    /// For [`Command::Transitions`]: how many records each one changed (0 = known already), or why
    /// it was refused.
    pub transitions: Vec<Result<usize, GraphError>>,
    /// For [`Command::SweepLineage`]: how many records it removed.
    pub swept: u64,
    /// For [`Command::Pin`]: the bytes that it keeps in this group, or why it was refused.
    pub pinned: Option<Result<u64, PinError>>,
}

/// Why a command was not applied. It may be proposed again: applying is idempotent.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum ProposeError {
    #[error(transparent)]
    Store(#[from] StoreError),
}
