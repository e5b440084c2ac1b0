//! What one thread keeps: its pages, and its view of each sampler's route table.
//!
//! Invariants: reading takes no lock, no reference count and no borrow flag (T1: pages only ever
//! appear, in a tree of `OnceCell`s); what a thread holds is let go when it ends (T2).
//! Must not: be used after the thread's end; whoever observes there counts beside the cells.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicU64, Ordering};

use keyviz_lineage::RouteId;

use crate::cell::LARGE_BYTES;
use crate::chunk::{CHUNK_CELLS, Chunk, Page};
use crate::sync::Arc;
use crate::table::Table;
use crate::{Op, cell};

/// Chunks go by number into this many folders of this many pages: a byte chooses each, so that
/// nothing is checked. Routes of chunks beyond them (65,535: 4 million routes) are counted aside.
const FOLDERS: usize = if cfg!(loom) { 2 } else { 256 };
const FOLDER_PAGES: usize = if cfg!(loom) { 2 } else { 256 };

type Folder = [OnceCell<Page>; FOLDER_PAGES];

/// Where a cell is in every thread's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    folder: u8,
    page: u8,
    cell: u8,
}

impl Spot {
    /// No page is ever there.
    pub(crate) const NOWHERE: Self =
        Self { folder: (FOLDERS - 1) as u8, page: (FOLDER_PAGES - 1) as u8, cell: 0 };

    /// Of a cell (0 to 63) of a chunk.
    pub(crate) const fn of(chunk: u32, cell: usize) -> Self {
        let (folder, page) = (chunk as usize / FOLDER_PAGES, chunk as usize % FOLDER_PAGES);
        if folder * FOLDER_PAGES + page + 1 >= FOLDERS * FOLDER_PAGES {
            return Self::NOWHERE;
        }
        Self { folder: folder as u8, page: page as u8, cell: cell as u8 }
    }

    /// Counts one operation in the calling thread's cell. Returns whether it could: else the slot must.
    #[inline(always)]
    pub(crate) fn observe(self, pages: &Pages, key_len: usize, op: Op, value_len: u64) -> bool {
        if (value_len | key_len as u64) < LARGE_BYTES / 2
            && let Some(cell) = pages.cell(self)
        {
            cell.add(op, key_len as u64 + value_len);
            return true;
        }
        false
    }
}

/// A thread's pages, and its choice of the operations that are sampled.
pub(crate) struct Pages {
    folders: [OnceCell<Box<Folder>>; FOLDERS],
    /// A xorshift generator; 0 until it was seeded.
    random: Cell<u64>,
}

/// How many threads seeded a generator.
static SEEDED: AtomicU64 = AtomicU64::new(0);

impl Pages {
    pub(crate) const fn new() -> Self {
        Self { folders: [const { OnceCell::new() }; FOLDERS], random: Cell::new(0) }
    }

    /// The cell, unless this thread has not touched the chunk yet.
    #[inline(always)]
    pub(crate) fn cell(&self, spot: Spot) -> Option<&cell::Cell> {
        let folder = self.folders[usize::from(spot.folder) % FOLDERS].get()?;
        let page = folder[usize::from(spot.page) % FOLDER_PAGES].get()?;
        Some(&page[usize::from(spot.cell) % CHUNK_CELLS])
    }

    /// Whether this thread accepts an operation of which one in 2^`class` is.
    pub(crate) fn picks(&self, class: u32, seed: u64) -> bool {
        let mut state = self.random.get();
        if state == 0 {
            // Each thread its own sequence: seeds far apart, mixed as splitmix64 does.
            let ordinal = SEEDED.fetch_add(1, Ordering::Relaxed) + 1;
            state = seed.wrapping_add(ordinal.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) | 1;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        // The upper bits of the product are the better ones.
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> (64 - class) == 0
    }

    /// The cell, of a page that is made if need be: the one time that a thread allocates (and locks
    /// the chunk) for these routes.
    pub(crate) fn touch(&self, chunk: &Chunk, spot: Spot) -> Option<&cell::Cell> {
        if spot == Spot::NOWHERE {
            return None;
        }
        let folder = self.folders[usize::from(spot.folder) % FOLDERS]
            .get_or_init(|| Box::new([const { OnceCell::new() }; FOLDER_PAGES]));
        folder[usize::from(spot.page) % FOLDER_PAGES].get_or_init(|| chunk.attach());
        self.cell(spot)
    }
}

/// One thread's view of one sampler's table.
#[derive(Debug)]
pub(crate) struct View {
    /// Of the table; no two tables of the process have the same.
    pub(crate) version: u64,
    pub(crate) table: Arc<Table>,
    /// Of the sampler, gone when it is.
    life: std::sync::Weak<()>,
    /// Those of the other samplers.
    next: Option<Box<View>>,
}

/// See the module's header.
pub(crate) struct Local {
    pub(crate) pages: Pages,
    /// The sampler's that was asked for last comes first.
    views: Cell<Option<Box<View>>>,
}

impl Local {
    const fn new() -> Self {
        Self { pages: Pages::new(), views: Cell::new(None) }
    }

    /// Counts in this thread's cell of `route`. Returns whether it could: the thread's view is of this
    /// version, and the route is plain and was touched.
    #[inline(always)]
    pub(crate) fn observe(
        &self,
        version: u64,
        route: RouteId,
        key_len: usize,
        op: Op,
        value_len: u64,
    ) -> bool {
        let Some(view) = self.views.take() else { return false };
        let is_counted = view.version == version
            && view.table.spot(route).observe(&self.pages, key_len, op, value_len);
        // Nothing was put there meanwhile: there is nothing to drop.
        std::mem::forget(self.views.replace(Some(view)));
        is_counted
    }

    /// This thread's table of the sampler of `life`, brought up to date from `load`.
    pub(crate) fn table(
        &self,
        life: &std::sync::Arc<()>,
        version: u64,
        load: impl FnOnce() -> Arc<Table>,
    ) -> Arc<Table> {
        let (mut found, mut others) = (None, None);
        let mut views = self.views.take();
        while let Some(mut view) = views {
            views = view.next.take();
            if std::ptr::eq(view.life.as_ptr(), std::sync::Arc::as_ptr(life)) {
                found = Some(view);
            } else if view.life.strong_count() > 0 {
                view.next = others;
                others = Some(view);
            }
        }
        let mut front = match found {
            Some(view) if view.version == version => view,
            // Loaded after the version, the table is of that version or a later one.
            Some(mut view) => {
                (view.version, view.table) = (version, load());
                view
            }
            None => {
                let life = std::sync::Arc::downgrade(life);
                Box::new(View { version, table: load(), life, next: None })
            }
        };
        front.next = others;
        let table = Arc::clone(&front.table);
        self.views.set(Some(front));
        table
    }
}

thread_local! {
    static LOCAL: Local = const { Local::new() };
}

/// Runs `work` with what this thread keeps; `None` while the thread ends.
#[inline(always)]
pub(crate) fn with<T>(work: impl FnOnce(&Local) -> T) -> Option<T> {
    LOCAL.try_with(work).ok()
}
