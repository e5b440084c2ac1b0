//! What one thread keeps: its pages, and its view of each sampler's route table.
//!
//! Invariants: reading takes no lock, no reference count and no borrow flag (T1: pages only ever
//! appear, in a tree of `OnceCell`s); what a thread holds is let go when it ends (T2), and its
//! [`front`] is told of it first.
//! Must not: be used after the thread's end; whoever observes there counts beside the cells.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cell::LARGE_BYTES;
use crate::chunk::{CHUNK_CELLS, Chunk, Page};
use crate::sync::Arc;
use crate::table::Table;
use crate::{Op, cell, front};

/// Chunks go by number into this many folders of this many pages: a byte chooses each, so that
/// nothing is checked. Routes of chunks beyond them (65,535: 4 million routes) are counted aside.
pub(crate) const FOLDERS: usize = if cfg!(loom) { 2 } else { 256 };
pub(crate) const FOLDER_PAGES: usize = if cfg!(loom) { 2 } else { 256 };

pub(crate) type Folder = [OnceCell<Page>; FOLDER_PAGES];

/// Where a cell is in every thread's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(4))] // loaded at once
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

    /// Among a thread's folders.
    #[inline(always)]
    pub(crate) const fn folder(self) -> usize {
        self.folder as usize % FOLDERS
    }

    /// Its cell in its folder, unless the thread has not touched the chunk yet.
    #[inline(always)]
    fn cell(self, folder: &Folder) -> Option<&cell::Cell> {
        let page = folder[usize::from(self.page) % FOLDER_PAGES].get()?;
        Some(&page[usize::from(self.cell) % CHUNK_CELLS])
    }

    /// Counts one operation in its cell. Returns whether it could: else the slot must.
    #[inline(always)]
    pub(crate) fn count(self, folder: &Folder, key_len: usize, op: Op, value_len: u64) -> bool {
        if (value_len | key_len as u64) < LARGE_BYTES / 2
            && let Some(cell) = self.cell(folder)
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
    /// Whether they are the calling thread's own, which its [`front`] points into.
    is_fronted: bool,
}

/// How many threads seeded a generator.
static SEEDED: AtomicU64 = AtomicU64::new(0);

impl Pages {
    /// Nobody's.
    #[cfg(any(test, loom))]
    pub(crate) const fn new() -> Self {
        Self::of(false)
    }

    /// `is_fronted` only for the one [`Local`] of a thread.
    const fn of(is_fronted: bool) -> Self {
        let folders = [const { OnceCell::new() }; FOLDERS];
        Self { folders, random: Cell::new(0), is_fronted }
    }

    /// The cell, unless this thread has not touched the chunk yet.
    #[inline(always)]
    pub(crate) fn cell(&self, spot: Spot) -> Option<&cell::Cell> {
        spot.cell(self.folders[spot.folder()].get()?)
    }

    /// Whether this thread accepts an operation of which one in 2^`class` is.
    pub(crate) fn picks(&self, class: u32, seed: u64) -> bool {
        // The upper bits are the better ones.
        self.random(seed) >> (64 - class) == 0
    }

    /// This thread's next random number.
    #[inline]
    pub(crate) fn random(&self, seed: u64) -> u64 {
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
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The cell, of a page that is made if need be: the one time that a thread allocates (and locks
    /// the chunk) for these routes.
    pub(crate) fn touch(&self, chunk: &Chunk, spot: Spot) -> Option<&cell::Cell> {
        if spot == Spot::NOWHERE {
            return None;
        }
        let folder = self.folders[spot.folder()]
            .get_or_init(|| Box::new([const { OnceCell::new() }; FOLDER_PAGES]));
        if self.is_fronted {
            front::set_folder(spot.folder(), folder);
        }
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

impl View {
    fn is_of(&self, life: &std::sync::Arc<()>) -> bool {
        std::ptr::eq(self.life.as_ptr(), std::sync::Arc::as_ptr(life))
    }
}

/// See the module's header.
pub(crate) struct Local {
    pub(crate) pages: Pages,
    /// The sampler's that was asked for last comes first.
    views: Cell<Option<Box<View>>>,
}

impl Local {
    const fn new() -> Self {
        Self { pages: Pages::of(true), views: Cell::new(None) }
    }

    /// Runs `work` on this thread's table of the sampler of `life`, brought up to date from `load`.
    pub(crate) fn with_table<T>(
        &self,
        life: &std::sync::Arc<()>,
        version: u64,
        load: impl FnOnce() -> Arc<Table>,
        work: impl FnOnce(&Table) -> T,
    ) -> T {
        let views = self.views.take();
        let is_foremost = |view: &View| view.version == version && view.is_of(life);
        let foremost = match views {
            Some(view) if is_foremost(&view) => view,
            views => {
                front::set_table(None);
                let view = Self::foremost(views, life, version, load);
                front::set_table(Some((version, &view.table)));
                view
            }
        };
        // Also if `work` panics: the front points into it.
        let kept = PutBack { local: self, view: Some(foremost) };
        let table = kept.view.as_ref().map(|view| &*view.table);
        work(table.expect("invariant: it was put there above"))
    }

    /// All views, the one of the sampler of `life` first and up to date, without those of samplers that
    /// are gone.
    #[cold]
    fn foremost(
        mut views: Option<Box<View>>,
        life: &std::sync::Arc<()>,
        version: u64,
        load: impl FnOnce() -> Arc<Table>,
    ) -> Box<View> {
        let (mut found, mut others) = (None, None);
        while let Some(mut view) = views {
            views = view.next.take();
            if view.is_of(life) {
                found = Some(view);
            } else if view.life.strong_count() > 0 {
                view.next = others;
                others = Some(view);
            }
        }
        let mut foremost = match found {
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
        foremost.next = others;
        foremost
    }
}

/// Puts a thread's views back when it goes.
struct PutBack<'a> {
    local: &'a Local,
    view: Option<Box<View>>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        self.local.views.set(self.view.take());
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        front::clear();
    }
}

thread_local! {
    static LOCAL: Local = const { Local::new() };
}

/// Runs `work` with what this thread keeps; `None` while the thread ends.
pub(crate) fn with<T>(work: impl FnOnce(&Local) -> T) -> Option<T> {
    LOCAL.try_with(work).ok()
}
