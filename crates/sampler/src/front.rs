//! What the hot path reads of a thread: plain pointers in a thread-local without a destructor, so that
//! nothing has to be asked before they are followed.
//!
//! ```text
//! Front (no destructor)                    Local (has one, owns)
//! folders[256]: an empty one, or --------> folder -> page -> cell
//! version, table: NONE and null, or -----> the foremost view's table
//! ```
//! Invariants: a pointer is null, to [`EMPTY`], or into what this thread's `Local` owns and has not changed
//! since (F1: `Local` sets it after it has made or changed what it points to, and clears it before it
//! changes or drops that); that of a folder is never null; a version that is not
//! [`NONE`] has its table beside it (F2). Nobody but the thread
//! itself reads or writes a front, and none of what runs between reading and following a pointer
//! comes back here (F3), so that F1 holds as long as it is followed.
//! Must not: own anything; lend a reference beyond one call.
//! Proof: `tests/stress.rs`, also built with AddressSanitizer (`make asan`).
#![allow(unsafe_code)] // F1 to F3; everything else of the crate is safe

use std::cell::{Cell, OnceCell};
use std::ptr;

use keyviz_lineage::RouteId;

use crate::Op;
use crate::local::{FOLDER_PAGES, FOLDERS, Folder, Spot};
use crate::table::Table;

/// No table has this version, and no sampler.
const NONE: u64 = u64::MAX;

/// A folder without pages.
struct Empty(Folder);

static EMPTY: Empty = Empty([const { OnceCell::new() }; FOLDER_PAGES]);

// SAFETY: nobody ever writes to it: `Front` only reads, and pages are made in folders of a `Local`.
unsafe impl Sync for Empty {}

/// See the module's header.
pub(crate) struct Front {
    folders: [Cell<*const Folder>; FOLDERS],
    version: Cell<u64>,
    table: Cell<*const Table>,
}

thread_local! {
    static FRONT: Front = const {
        Front {
            folders: [const { Cell::new(&raw const EMPTY.0) }; FOLDERS],
            version: Cell::new(NONE),
            table: Cell::new(ptr::null()),
        }
    };
}

/// `try_with` is inlined where `with` is not; without a destructor there is no time at which it fails.
#[inline(always)]
fn with(count: impl FnOnce(&Front) -> bool) -> bool {
    FRONT.try_with(count).unwrap_or(false)
}

impl Front {
    #[inline(always)]
    fn look_up(&self, version: u64, find: impl FnOnce(&Table) -> Option<Spot>) -> Option<Spot> {
        if self.version.get() != version {
            return None;
        }
        // SAFETY: F2 (a sampler's version is never NONE), F1; the spot is copied out before anything
        // else runs (F3).
        find(unsafe { &*self.table.get() })
    }

    #[inline(always)]
    fn count(&self, spot: Spot, key_len: usize, op: Op, value_len: u64) -> bool {
        // SAFETY: F1; it is read only here, and what follows does not come back (F3).
        let folder = unsafe { &*self.folders[spot.folder()].get() };
        spot.count(folder, key_len, op, value_len)
    }
}

/// Counts one operation in this thread's cell at `spot`. Returns whether it could: the thread has touched
/// the chunk, and the operation is not large.
#[inline(always)]
pub(crate) fn count(spot: Spot, key_len: usize, op: Op, value_len: u64) -> bool {
    with(|front| front.count(spot, key_len, op, value_len))
}

/// As [`count`], at the spot of `route` in a sampler's table of `version`. Could not also where this
/// thread's foremost view is of another version, or the route is not where it is looked for first (then
/// [`count_beyond`] may).
#[inline(always)]
pub(crate) fn count_by_id(
    version: u64,
    route: RouteId,
    key_len: usize,
    op: Op,
    value_len: u64,
) -> bool {
    with(|front| {
        let spot = front.look_up(version, |table| table.first_spot(route));
        spot.is_some_and(|spot| front.count(spot, key_len, op, value_len))
    })
}

/// As [`count_by_id`], wherever in the table the route is.
pub(crate) fn count_beyond(
    version: u64,
    route: RouteId,
    key_len: usize,
    op: Op,
    value_len: u64,
) -> bool {
    with(|front| {
        let spot = front.look_up(version, |table| Some(table.spot(route)));
        spot.is_some_and(|spot| front.count(spot, key_len, op, value_len))
    })
}

/// The thread's folder at `at` was made. It stays where it is until [`clear`].
pub(crate) fn set_folder(at: usize, folder: &Folder) {
    FRONT.with(|front| front.folders[at % FOLDERS].set(folder));
}

/// The thread's foremost view is of this table, which it holds, or (`None`) is about to change.
pub(crate) fn set_table(view: Option<(u64, &Table)>) {
    FRONT.with(|front| {
        let (version, table) =
            view.map_or((NONE, ptr::null()), |(version, table)| (version, ptr::from_ref(table)));
        front.version.set(version);
        front.table.set(table);
    });
}

/// The thread lets go of everything.
pub(crate) fn clear() {
    set_table(None);
    FRONT.with(|front| front.folders.iter().for_each(|folder| folder.set(&raw const EMPTY.0)));
}
