//! For loom only: the parts of a sampler that threads share, without the thread-local storage that a
//! model cannot have. `tests/loom.rs` says what each model proves.

use keyviz_lineage::{Counts, KeyRange, Step};

use crate::Op;
use crate::cell::{Cell, Taken};
use crate::chunk::Space;
use crate::local::Pages;
use crate::registry::Registry;
use crate::slot::Slot;
use crate::sub_range::SubRanges;
use crate::sync::{Arc, Mutex, Published, lock};
use crate::table::Table;

/// One thread's pages. Dropping them is the thread's end.
pub struct Thread(Pages);

impl Thread {
    /// A thread that has not touched anything.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Pages::new())
    }
}

/// A route's slot, as a handle or a table holds it.
#[derive(Clone)]
pub struct Handle(Arc<Slot>);

impl Handle {
    /// One write of `bytes`, counted in the thread's cell, or aside.
    pub fn write(&self, thread: Option<&Thread>, bytes: u64) {
        self.0.observe(thread.map(|thread| &thread.0), b"", Op::Write, bytes);
    }
}

/// What a sampler shares: the registry behind its lock, the table that observers load.
pub struct Shared {
    registry: Mutex<Registry>,
    table: Published<Table>,
}

impl Shared {
    /// A sampler without routes.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let registry = Registry::new(Space::new(), 10);
        let table = Published::new(Arc::clone(&registry.table));
        Self { registry: Mutex::new(registry), table }
    }

    /// Registers a route of all keys.
    pub fn register(&self, route: u64) -> Handle {
        let mut registry = lock(&self.registry);
        let slot = registry.register(route, 1, SubRanges::new(KeyRange::all(), 1), 0);
        self.table.store(Arc::clone(&registry.table));
        Handle(slot)
    }

    /// Removes a route at time 0.
    pub fn remove(&self, route: u64) {
        let mut registry = lock(&self.registry);
        registry.remove(route, 0);
        self.table.store(Arc::clone(&registry.table));
    }

    /// What the table says counts a route.
    pub fn look_up(&self, route: u64) -> Option<Handle> {
        self.table.load().slot(route).cloned().map(Handle)
    }

    /// Takes everything, long after every grace. By route: writes and their bytes.
    pub fn flush(&self) -> Vec<(u64, u64, u64)> {
        let mut rows = Vec::new();
        lock(&self.registry).take(
            1_000_000,
            0,
            Step::MINUTE,
            |_| 0,
            |tracked, part| {
                let counts = part.counts;
                if !counts[0].is_idle() {
                    rows.push((tracked.slot.route, counts[0].writes, counts[0].write_bytes));
                }
            },
        );
        rows
    }

    /// How many routes it still drains.
    pub fn tracked(&self) -> usize {
        lock(&self.registry).tracked.len()
    }
}

/// One cell with what a reader took of it.
pub struct OneCell(Cell);

impl OneCell {
    /// A cell at zero.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Cell::new())
    }

    /// One write; only one thread may.
    pub fn write(&self, bytes: u64) {
        self.0.add(Op::Write, bytes);
    }

    /// A reader that has taken nothing.
    pub fn reader(&self) -> Reader<'_> {
        Reader(&self.0, Taken::default())
    }
}

/// A reader of one cell.
pub struct Reader<'a>(&'a Cell, Taken);

impl Reader<'_> {
    /// What was counted since the last take.
    pub fn take(&mut self) -> Counts {
        self.0.take(&mut self.1)
    }
}
