//! The one seam for replication.
//!
//! A group's commands go through [`GroupLog::propose`] and are applied by the [`StateMachine`].
//! [`LocalGroupLog`] is a log of one replica: RocksDB's own synced WAL is the log, and applying is
//! committing. A Raft log or a host's own consensus is another implementation of the same trait. It
//! hands each command with its place in the log to [`StateMachine::apply_at`], in order, and after a
//! restart may begin again anywhere at or before the applied index.

use std::pin::Pin;
use std::sync::Arc;

use keyviz_lineage::GroupId;

use crate::command::{Command, Outcome, ProposeError};
use crate::state_machine::StateMachine;

/// The answer to a proposal, once it is applied here.
pub type Proposed<'a> = Pin<Box<dyn Future<Output = Result<Outcome, ProposeError>> + Send + 'a>>;

/// Orders a group's commands and has them applied.
pub trait GroupLog: Send + Sync {
    /// Whether this node leads the group. Only its leader may propose what keyviz itself decides
    /// (backfills, sweeps, the far side of a move): it alone knows that everything before is applied.
    ///
    /// On a node that does not lead, a column with a route that has no record yet is answered
    /// `Unavailable`: nothing is consumed, the source keeps it in its buffer and sends it again, until
    /// the leader's record has come through the log or this node leads.
    fn leads(&self, group: GroupId) -> bool;

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
    /// The only replica leads.
    fn leads(&self, _group: GroupId) -> bool {
        true
    }

    fn propose(&self, group: GroupId, command: Command) -> Proposed<'_> {
        Box::pin(std::future::ready(self.machine.apply(group, &command)))
    }
}
