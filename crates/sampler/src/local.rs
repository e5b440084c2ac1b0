//! What one thread keeps: its pages, and its view of each sampler's route table.
//!
//! Invariants: reading takes no lock, no reference count and no borrow flag (T1: pages only ever
//! appear, in a tree of `OnceCell`s); what a thread holds is let go when it ends (T2).
//! Must not: be used after the thread's end; whoever observes there counts beside the cells.
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use std::cell::{Cell, OnceCell};

use keyviz_lineage::RouteId;

use crate::chunk::{Chunk, Page};
use crate::sync::Arc;
use crate::table::Table;
use crate::{Op, cell};

/// Chunks go by number into this many folders of this many pages. Routes of chunks beyond them
/// (262,143: 16 million routes, or as many cut ones) are counted aside.
const FOLDERS: usize = if cfg!(loom) { 2 } else { 512 };
const FOLDER_PAGES: usize = if cfg!(loom) { 2 } else { 512 };

type Folder = [OnceCell<Page>; FOLDER_PAGES];

/// A thread's pages by the number of their chunk.
pub(crate) struct Pages([OnceCell<Box<Folder>>; FOLDERS]);

impl Pages {
    pub(crate) const fn new() -> Self {
        Self([const { OnceCell::new() }; FOLDERS])
    }

    /// The cell, unless this thread has not touched the chunk yet. The chunk is one that
    /// [`Pages::has_place_for`].
    #[inline(always)]
    pub(crate) fn cell(&self, chunk: u32, cell: usize) -> Option<&cell::Cell> {
        let folder = self.0[chunk as usize / FOLDER_PAGES % FOLDERS].get()?;
        folder[chunk as usize % FOLDER_PAGES].get()?.get(cell)
    }

    /// A chunk that is never touched: what is looked for there is not found.
    pub(crate) const NOWHERE: u32 = (FOLDERS * FOLDER_PAGES - 1) as u32;

    pub(crate) const fn has_place_for(chunk: u32) -> bool {
        chunk < Self::NOWHERE
    }

    /// The cell, of a page that is made if need be: the one time that a thread allocates (and locks
    /// the chunk) for these routes.
    pub(crate) fn touch(&self, chunk: &Chunk, cell: usize) -> Option<&cell::Cell> {
        let at = chunk.number as usize;
        let folder = self.0[at / FOLDER_PAGES % FOLDERS]
            .get_or_init(|| Box::new([const { OnceCell::new() }; FOLDER_PAGES]));
        folder[at % FOLDER_PAGES].get_or_init(|| chunk.attach()).get(cell)
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
