//! The commands of a group: everything that changes its history.

use std::sync::Arc;

use keyviz_lineage::{GraphError, Transition};
use keyviz_store::StoreError;
use thiserror::Error;

use crate::memory::Delta;

/// A change to one group's history. Holds all that applying it needs: no clock is read there.
#[derive(Clone, Debug)]
pub enum Command {
    /// Transitions in order, in one batch. Each is accepted or refused by itself.
    Transitions(Vec<Transition>),
    /// What was recorded since the last one.
    PersistColumns {
        /// Blocks, coverage and members, with the WAL records that they come from.
        delta: Arc<Delta>,
    },
}

/// What applying a command did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The group's applied index after it.
    pub index: u64,
    /// For [`Command::Transitions`]: how many records each one changed (0 = known already), or why
    /// it was refused.
    pub transitions: Vec<Result<usize, GraphError>>,
}

/// Why a command was not applied. It may be proposed again: applying is idempotent.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum ProposeError {
    #[error(transparent)]
    Store(#[from] StoreError),
}
