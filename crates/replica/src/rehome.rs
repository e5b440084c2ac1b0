//! Homes for rows that a replay brings back: each was acknowledged, so each must find a lineage.
//!
//! Usually its record is there. Where the record was lost (damaged), in this order:
//! 1. a child still names it as its parent: it is restored, under its own id, closed where the child
//!    began (so what is stored under that id is found again);
//! 2. its keys are free: it is backfilled, live, as a row of an unknown route would be;
//! 3. others own its keys by now: it is restored under a new id, closed with the row's window;
//! 4. this node does not lead the group, so it must not decide: the row is kept under an id made of
//!    its route and bounds. It is found by the bounds that its block says, from the next start on
//!    (`stand_ins.rs`).
//!
//! Must not: look at rows that the store has already. What it has may have been swept since.
//! Proof: `rehome_test.rs`.

use std::sync::Arc;

use keyviz_lineage::{
    Cause, Column, GroupId, Hlc, LineageId, LineageRecord, ParentRef, Row, Window, id,
};
use keyviz_store::StoreError;

use crate::admit::{self, Admitted, Holds};
use crate::command::{Command, ProposeError};
use crate::group_log::GroupLog;
use crate::issuer::Issuer;
use crate::state_machine::StateMachine;

/// Finds lineages for replayed rows.
pub(crate) struct Rehome {
    pub(crate) machine: Arc<StateMachine>,
    pub(crate) log: Arc<dyn GroupLog>,
    pub(crate) issuer: Issuer,
    /// Rows whose own record was lost.
    pub(crate) rehomed: u64,
}

impl Rehome {
    /// Every row of the column with its lineage, but those of groups that are `left_out`.
    pub(crate) fn place(
        &mut self,
        column: &Column,
        left_out: &[GroupId],
    ) -> Result<Admitted, StoreError> {
        let mut admitted = admit::place(&self.machine.graph(), column, true, left_out);
        for at in std::mem::take(&mut admitted.unknown) {
            let row = &column.rows[at];
            self.rehomed += 1;
            let lineage = self.home(row, column.window)?;
            tracing::warn!(
                route = row.route,
                group = row.group,
                %lineage,
                window_unix_ms = column.window.start_ms,
                "a replayed row had lost its lineage record and got another"
            );
            admitted.strays.push(lineage);
            admitted.lineages[at] = Some(lineage);
            admitted.holds = Holds::NEVER;
        }
        let (from_ms, until_ms) = (column.window.start_ms, column.window.end_ms());
        self.machine.note_recorded(&admitted.strays, from_ms, until_ms);
        Ok(admitted)
    }

    fn home(&mut self, row: &Row, window: Window) -> Result<LineageId, StoreError> {
        // An earlier row of this column may have brought it back.
        if let Some(record) = self.machine.graph().resolve(row.group, row.route, &row.range, window)
        {
            return Ok(record.id);
        }
        if !self.log.leads(row.group) {
            return Ok(id::unrecorded_id(row.group, row.route, &row.range));
        }
        if let Some(record) = self.as_children_tell(row, window) {
            return self.restore(record);
        }
        let (hlc, proposal) = self.issuer.draw(1)?;
        let backfill = Command::Transitions(vec![admit::backfill(row, hlc, proposal)]);
        self.propose(row.group, backfill)?;
        if let Some(record) = self.machine.graph().resolve(row.group, row.route, &row.range, window)
        {
            return Ok(record.id);
        }
        let begin = Hlc::new(window.start_ms, 0);
        let lineage = id::derive(hlc, row.group, &proposal, 0);
        let closed = Hlc::new(window.end_ms(), 0);
        self.restore(LineageRecord { proposal, ..record(row, lineage, begin, closed) })
    }

    /// The lost record as far as its children tell it: of several, the latest that was born before
    /// the window's end, else the earliest.
    fn as_children_tell(&self, row: &Row, window: Window) -> Option<LineageRecord> {
        let graph = self.machine.graph();
        let mut told: Vec<(&ParentRef, Hlc)> = Vec::new();
        for child in graph.records() {
            let lost = child.parents.iter().filter(|parent| {
                parent.group == row.group
                    && parent.range == row.range
                    // Not here, or only what stands in for it.
                    && graph.get(parent.id).is_none_or(|held| held.cause == Cause::Recovered)
            });
            told.extend(lost.map(|parent| (parent, child.valid_from)));
        }
        let rank = |parent: &ParentRef| {
            let started = parent.valid_from.unix_ms() < window.end_ms();
            let order = if started { parent.valid_from.0 } else { !parent.valid_from.0 };
            (started, order, parent.id)
        };
        let (best, _) = told.iter().max_by_key(|(parent, _)| rank(parent))?;
        // A child without a move between them was born when it closed; one that was backfilled, later.
        let closed = told.iter().filter(|(parent, _)| parent.id == best.id).map(|(_, born)| *born);
        Some(record(row, best.id, best.valid_from, closed.min()?))
    }

    fn restore(&self, record: LineageRecord) -> Result<LineageId, StoreError> {
        let (group, id) = (record.group, record.id);
        self.propose(group, Command::RestoreLineage { record: Box::new(record) })?;
        Ok(id)
    }

    fn propose(&self, group: GroupId, command: Command) -> Result<(), StoreError> {
        let proposed = futures::executor::block_on(self.log.propose(group, command));
        proposed.map(drop).map_err(|ProposeError::Store(error)| error)
    }
}

/// A closed lineage that owned the row's keys.
fn record(row: &Row, id: LineageId, valid_from: Hlc, valid_to: Hlc) -> LineageRecord {
    LineageRecord {
        id,
        range: row.range.clone(),
        route: row.route,
        group: row.group,
        valid_from,
        valid_to: Some(valid_to.max(valid_from)),
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Backfill,
        version: 0,
    }
}

#[cfg(test)]
#[path = "rehome_test.rs"]
mod rehome_test;
