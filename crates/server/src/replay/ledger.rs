//! What was read, cell by cell, for the comparison at the end.
//!
//! Responsible for: counts per window and route, added up from the accesses themselves (not from
//! what the sampler makes of them).
//! State: one dense row for the window in work, and 40 bytes for each cell with traffic of the
//! windows before it, up to a limit.
//! Invariants: windows are closed in order, each once; a sum saturates.
//! Proved by: `ledger_test.rs`.

use std::ops::Range;

use keyviz_lineage::{Counts, Series};

use super::error::ReplayError;
use super::input::{Access, Op};

#[cfg(test)]
#[path = "ledger_test.rs"]
mod tests;

/// The most cells that are kept (640 MiB).
pub(super) const MAX_CELLS: usize = 16 << 20;

/// What was read.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The window in work, by route.
    open: Vec<Counts>,
    /// The routes of `open` with traffic.
    touched: Vec<u32>,
    /// The cells of all closed windows, window by window, each by route.
    cells: Vec<Cell>,
    /// Where the cells of each closed window end.
    ends: Vec<usize>,
    max_cells: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    route: u32,
    counts: Counts,
}

impl Ledger {
    /// An empty ledger for `routes` routes.
    pub(super) fn new(routes: usize, max_cells: usize) -> Ledger {
        Ledger {
            open: vec![Counts::default(); routes],
            touched: Vec::new(),
            cells: Vec::new(),
            ends: Vec::new(),
            max_cells,
        }
    }

    /// Adds an access on the route at index `route` to the window in work.
    pub(super) fn add(&mut self, route: usize, access: &Access) {
        let counts = &mut self.open[route];
        if counts.is_idle() {
            self.touched.push(route as u32); // invariant: at most `MAX_ROUTES` routes
        }
        let bytes = (access.key.len() as u64).saturating_add(access.size_bytes);
        counts.add(&match access.op {
            Op::Read => Counts { reads: 1, read_bytes: bytes, ..Counts::default() },
            Op::Write => Counts { writes: 1, write_bytes: bytes, ..Counts::default() },
        });
    }

    /// Closes the window in work; the next one begins.
    ///
    /// # Errors
    /// [`ReplayError::TooManyCells`].
    pub(super) fn close(&mut self) -> Result<(), ReplayError> {
        if self.cells.len() + self.touched.len() > self.max_cells {
            return Err(ReplayError::TooManyCells { limit: self.max_cells });
        }
        self.touched.sort_unstable();
        for route in self.touched.drain(..) {
            let counts = std::mem::take(&mut self.open[route as usize]);
            self.cells.push(Cell { route, counts });
        }
        self.ends.push(self.cells.len());
        Ok(())
    }

    /// How many windows are closed.
    pub(super) fn windows(&self) -> usize {
        self.ends.len()
    }

    /// What was read of `series` in `windows` in all, by route within `routes`.
    pub(super) fn sums(
        &self,
        windows: Range<usize>,
        routes: &Range<usize>,
        series: Series,
    ) -> Vec<u64> {
        let mut sums = vec![0_u64; routes.len()];
        for window in windows.start..windows.end.min(self.windows()) {
            let begin = if window == 0 { 0 } else { self.ends[window - 1] };
            let cells = &self.cells[begin..self.ends[window]];
            let first = cells.partition_point(|cell| (cell.route as usize) < routes.start);
            for cell in cells[first..].iter().take_while(|cell| (cell.route as usize) < routes.end)
            {
                let sum = &mut sums[cell.route as usize - routes.start];
                *sum = sum.saturating_add(cell.counts.get(series));
            }
        }
        sums
    }
}
