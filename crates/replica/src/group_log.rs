//! The one seam for replication.
//!
//! A group's commands go through [`GroupLog::propose`] and are applied by the [`StateMachine`].
//! [`LocalGroupLog`] is a log of one replica: RocksDB's own synced WAL is the log, and applying is
//! committing. A Raft log or a host's own consensus is another implementation of the same trait.

use std::pin::Pin;
use std::sync::Arc;

use keyviz_lineage::GroupId;

use crate::command::{Command, Outcome, ProposeError};
use crate::state_machine::StateMachine;

/// The answer to a proposal, once it is applied here.
pub type Proposed<'a> = Pin<Box<dyn Future<Output = Result<Outcome, ProposeError>> + Send + 'a>>;

/// Orders a group's commands and has them applied.
pub trait GroupLog: Send + Sync {
    /// Proposes a command; resolves once it is durable and applied on this node.
    fn propose(&self, group: GroupId, command: Command) -> Proposed<'_>;
}

/// A log of one replica.
#[derive(Debug)]
pub struct LocalGroupLog {
    machine: Arc<StateMachine>,
}

impl LocalGroupLog {
    /// A log that applies to `machine`.
    pub fn new(machine: Arc<StateMachine>) -> Self {
        Self { machine }
    }
}

impl GroupLog for LocalGroupLog {
    fn propose(&self, group: GroupId, command: Command) -> Proposed<'_> {
        Box::pin(std::future::ready(self.machine.apply(group, &command)))
    }
}
