//! The second pass over the input: accesses become columns.
//!
//! Responsible for: counting every access with the real sampler, and draining it at the end of
//! each window of the plan, idle ones too, in order. An input that is not in the order of its
//! windows is sorted first (`sort.rs`), so that there is one column a window in any case.
//! State: one sampler, the ledger, and the chunk of the sort.
//! Invariants: one column a window, covering all of it; the ledger counts the same accesses
//! independently.
//! Must not: send anything (it hands columns over), or read a clock.
//! Proved by: `columns_test.rs`, `replay_test.rs`.

use std::sync::Arc;

use indicatif::ProgressBar;
use keyviz_lineage::Column;
use keyviz_sampler::{Sampler, Settings};
use tokio::sync::mpsc;

use super::error::ReplayError;
use super::input::{self, Access, InputOptions, Op};
use super::ledger::Ledger;
use super::plan::Plan;
use super::routes::route_id;
use super::sort;
use super::trace_file::TraceFile;

#[cfg(test)]
#[path = "columns_test.rs"]
mod tests;

/// What the second pass needs.
pub(super) struct SecondPass {
    pub(super) file: Arc<TraceFile>,
    pub(super) name_hint: String,
    pub(super) options: InputOptions,
    pub(super) plan: Arc<Plan>,
    /// As the first pass found it.
    pub(super) in_order: bool,
    pub(super) raw_digest: [u8; 32],
    pub(super) sort_bytes: usize,
    pub(super) max_cells: usize,
    pub(super) bar: ProgressBar,
}

impl SecondPass {
    /// Reads everything, blocking, and hands the columns over. Ends early, with what the ledger
    /// holds by then, when nobody takes them any more.
    ///
    /// # Errors
    /// What the input fails with, [`ReplayError::Changed`], [`ReplayError::TooManyCells`].
    pub(super) fn run(self, columns: &mpsc::Sender<Column>) -> Result<Ledger, ReplayError> {
        let pass = self.file.pass(&self.bar);
        let accesses = input::open_reader(pass.reader, &self.name_hint, &self.options)?
            .filter_map(|item| item.map(Result::ok).map_err(ReplayError::from).transpose());
        let mut counting = Counting::new(&self.plan, self.file.name(), self.max_cells);
        let taken = if self.in_order {
            counting.count(accesses, columns)?
        } else {
            counting.count(sort::by_time(accesses, self.sort_bytes)?, columns)?
        };
        if taken && pass.digest.value() != self.raw_digest {
            return Err(counting.changed());
        }
        // Only a pass that saw the same bytes may complete the trace.
        if taken {
            counting.close_until(self.plan.windows, columns)?;
        }
        Ok(counting.ledger)
    }
}

struct Counting<'a> {
    plan: &'a Plan,
    name: &'a str,
    sampler: Sampler,
    ledger: Ledger,
}

impl<'a> Counting<'a> {
    fn new(plan: &'a Plan, name: &'a str, max_cells: usize) -> Counting<'a> {
        // Every route has a row of its own: a replay is compared with its ledger cell by cell.
        let settings = Settings { tracked_routes: plan.routes.len().max(1), ..Settings::default() };
        let sampler = Sampler::with_settings(plan.step, plan.first_ms, settings);
        for spec in plan.routes.specs() {
            sampler.register(spec.route, plan.group, spec.range);
        }
        Counting { plan, name, sampler, ledger: Ledger::new(plan.routes.len(), max_cells) }
    }

    fn changed(&self) -> ReplayError {
        ReplayError::Changed { name: self.name.to_owned() }
    }

    /// Counts accesses in the order of their windows. Returns whether every column was taken.
    fn count(
        &mut self,
        accesses: impl Iterator<Item = Result<Access, ReplayError>>,
        columns: &mpsc::Sender<Column>,
    ) -> Result<bool, ReplayError> {
        for access in accesses {
            let access = access?;
            let window = self.plan.window_of(access.time_ms);
            let window = window.filter(|window| *window >= self.ledger.windows());
            let window = window.ok_or_else(|| self.changed())?;
            if !self.close_until(window, columns)? {
                return Ok(false);
            }
            let route = self.plan.routes.index_of(&access.key);
            let op = match access.op {
                Op::Read => keyviz_sampler::Op::Read,
                Op::Write => keyviz_sampler::Op::Write,
            };
            self.sampler.observe(route_id(route), &access.key, op, access.size_bytes);
            self.ledger.add(route, &access);
        }
        Ok(true)
    }

    /// Drains the windows before `window`.
    fn close_until(
        &mut self,
        window: usize,
        columns: &mpsc::Sender<Column>,
    ) -> Result<bool, ReplayError> {
        while self.ledger.windows() < window {
            let end_ms = self.plan.start_ms(self.ledger.windows() + 1);
            let column = self.sampler.flush(end_ms);
            self.ledger.close()?;
            if columns.blocking_send(column).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
