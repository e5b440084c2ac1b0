//! Carrying a folder of an older schema version to the one that this build writes.
//!
//! ```text
//! <data dir>/db/                    upgraded in place, step by step
//! <data dir>/db.before-<version>/   the folder as it was: a RocksDB checkpoint (hard links)
//! ```
//!
//! Owns: the order of the steps, the checkpoint beside the folder, the mark under `meta|upgrade`.
//! 1. The checkpoint is taken, then the mark is written: so the mark says that it is whole, and what a
//!    kill left of one without a mark is thrown away.
//! 2. Each step commits batches through [`Work::commit`]; where it goes on is in the same batch as what
//!    it changed. Its last batch moves the schema mark; the last step's removes the upgrade mark.
//! 3. The checkpoint stays until this version has written its first round of checkpoints
//!    ([`Store::forget_older`], called by the recorder). Until then it is, with the WAL, a way back that
//!    loses no column; after that the WAL is released, it no longer would be, and its hard links only
//!    keep space from being returned. Whatever a start finds of it goes the same way, so none piles up.
//!
//! Invariants: a kill between any two batches, and in any of them, is gone on from (M1); the folder of a
//! newer version is not written to (M2); a checkpoint that cannot be taken leaves the folder as it was
//! (M3); a damaged value does not stop a step: the step leaves it to its readers, or sets it aside.
//! Must not: read a clock, log (whoever watches does).
//! Proof: `migrate_test.rs`; `tests/tests/golden_folders.rs` with real folders of every version.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::{Mark as _, Upgrade};
use rocksdb::checkpoint::Checkpoint;

use crate::{Batch, Store, StoreError};

mod to_2;
mod to_3;
mod to_4;

/// What RocksDB calls a checkpoint in the making; also what is being removed.
const HALF: &str = ".tmp";

/// How far an upgrade has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpgradeProgress {
    /// The version that the folder had.
    pub from: u64,
    /// The version that the step in work leads to.
    pub to: u64,
    /// What of that step is done, in the step's own measure.
    pub done: u64,
    /// Of how much; 0 where the step has nothing to count.
    pub total: u64,
}

/// Hears of every batch of an upgrade, after it is durable. `Break` ends the upgrade between two
/// batches; the next opening goes on.
pub type WatchUpgrade<'a> = &'a dyn Fn(UpgradeProgress) -> ControlFlow<()>;

/// One step: what carries a folder to version `to` from the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) to: u64,
    /// May be called again from wherever the last commit left it.
    pub(crate) run: fn(&mut Work<'_>) -> Result<(), StoreError>,
}

/// Every step, in order.
pub(crate) const STEPS: &[Step] = &[
    Step { to: 2, run: to_2::run },
    Step { to: 3, run: to_3::run },
    Step { to: 4, run: to_4::run },
];

// A version without the step that leads to it does not compile.
const _: () = assert!(STEPS[STEPS.len() - 1].to == keyviz_migrations::CURRENT);

/// The version that `steps` lead to.
pub(crate) fn known(steps: &[Step]) -> u64 {
    steps.last().map_or(1, |step| step.to)
}

/// What a step works with.
pub(crate) struct Work<'a> {
    store: &'a Store,
    mark: Upgrade,
    watch: WatchUpgrade<'a>,
}

impl<'a> Work<'a> {
    /// The store in work.
    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    /// Where this step goes on: empty at its beginning, else what its last commit said.
    pub(crate) fn position(&self) -> &[u8] {
        &self.mark.position
    }

    /// Writes a batch together with where the step goes on, and tells whoever watches.
    ///
    /// # Errors
    /// [`StoreError::Write`]; [`StoreError::UpgradeStopped`] when the watcher wants that (the batch is
    /// durable).
    pub(crate) fn commit(
        &mut self,
        mut batch: Batch,
        position: &[u8],
        (done, total): (u64, u64),
    ) -> Result<(), StoreError> {
        let mark = Upgrade { position: position.to_vec(), ..self.mark.clone() };
        batch.put_mark(NODE_GROUP, &Key::Upgrade, &mark);
        self.store.commit_as("upgrade-batch", &batch)?;
        self.mark = mark;
        self.tell((done, total))
    }
}

impl Work<'_> {
    fn tell(&self, (done, total): (u64, u64)) -> Result<(), StoreError> {
        let Upgrade { from, to, .. } = self.mark;
        match (self.watch)(UpgradeProgress { from, to, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(StoreError::UpgradeStopped { from, to }),
        }
    }
}

/// Carries `store`, whose folder has version `found`, through `steps`.
///
/// # Errors
/// [`StoreError::Checkpoint`], nothing was changed; [`StoreError::Upgrade`], what was done stays done,
/// and the next opening goes on.
pub(crate) fn run(
    store: &Store,
    found: u64,
    steps: &[Step],
    watch: WatchUpgrade<'_>,
) -> Result<(), StoreError> {
    let mut mark = begin(store, found, known(steps))?;
    let from = mark.from;
    for step in steps.iter().filter(|step| step.to > found) {
        // What an earlier step left is not this one's.
        if mark.to != step.to {
            mark = Upgrade { from, to: step.to, position: Vec::new() };
        }
        let mut work = Work { store, mark, watch };
        let done = work.tell((0, 0)).and_then(|()| (step.run)(&mut work));
        let done = done.and_then(|()| {
            end(store, from, step.to, step.to == known(steps))?;
            work.tell((1, 1))
        });
        match done {
            Ok(()) => mark = work.mark,
            Err(error @ StoreError::UpgradeStopped { .. }) => return Err(error),
            Err(source) => {
                let (path, checkpoint) = (store.path().to_owned(), beside(store.path(), from));
                let (to, source) = (step.to, Box::new(source));
                return Err(StoreError::Upgrade { path, from, to, checkpoint, source });
            }
        }
    }
    Ok(())
}

/// Goes on with the upgrade that is underway, or takes the checkpoint and begins one.
fn begin(store: &Store, found: u64, known: u64) -> Result<Upgrade, StoreError> {
    if let Some(held) = store.view(0).raw(NODE_GROUP, &Key::Upgrade)? {
        // One that does not decode says no less that a checkpoint was taken and a step begun; every
        // step may be taken again from its beginning.
        let unread = Upgrade { from: found, to: 0, position: Vec::new() };
        return Ok(Upgrade::decode(&held).unwrap_or(unread));
    }
    let path = beside(store.path(), found);
    let failed = |source: io::Error| StoreError::Leftover { path: path.clone(), source };
    // None is of use: had it been whole, the mark would be there.
    store.remove_older().map_err(failed)?;
    let taken = Checkpoint::new(&store.db).and_then(|taker| taker.create_checkpoint(&path));
    let synced = taken.map_err(|error| error.to_string()).and_then(|()| {
        let parent = path.parent().unwrap_or_else(|| Path::new("."));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(|e| e.to_string())
    });
    if let Err(reason) = synced {
        // What there is of it would only be in the way; if it cannot go now, it goes next time.
        let _ = store.remove_older();
        return Err(StoreError::Checkpoint { path, from: found, to: known, reason });
    }
    let mark = Upgrade { from: found, to: 0, position: Vec::new() };
    let mut batch = Batch::default();
    batch.put_mark(NODE_GROUP, &Key::Upgrade, &mark);
    store.commit_as("upgrade-batch", &batch)?;
    Ok(mark)
}

/// The last batch of a step.
fn end(store: &Store, from: u64, to: u64, is_last: bool) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put_mark(NODE_GROUP, &Key::Schema, &to);
    if is_last {
        batch.delete(NODE_GROUP, &Key::Upgrade);
    } else {
        let mark = Upgrade { from, to, position: Vec::new() };
        batch.put_mark(NODE_GROUP, &Key::Upgrade, &mark);
    }
    store.commit_as("upgrade-batch", &batch)
}

impl Store {
    /// Removes what an upgrade kept of the folder as it was, if anything: this version is open, and
    /// has written. Returns what was removed.
    ///
    /// # Errors
    /// [`StoreError::Leftover`]; it may be tried again, or the folder removed by hand.
    pub fn forget_older(&self) -> Result<Vec<PathBuf>, StoreError> {
        let path = sibling(self.path(), ".before-*");
        self.remove_older().map_err(|source| StoreError::Leftover { path, source })
    }

    fn remove_older(&self) -> io::Result<Vec<PathBuf>> {
        let found = older(self.path())?;
        for path in &found {
            // Half a checkpoint must not look like a whole one.
            if is_half(path) {
                fs::remove_dir_all(path)?;
            } else {
                let half = sibling(path, HALF);
                fs::rename(path, &half)?;
                fs::remove_dir_all(half)?;
            }
        }
        Ok(found)
    }
}

/// Where the checkpoint of a folder of version `from` lies.
fn beside(db: &Path, from: u64) -> PathBuf {
    sibling(db, &format!(".before-{from}"))
}

/// The same name with more behind it.
fn sibling(path: &Path, more: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(more);
    path.with_file_name(name)
}

fn is_half(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(HALF))
}

/// Whether a name beside `db` is a checkpoint's, whole or in the making.
pub(crate) fn is_checkpoint_of(db: &str, name: &str) -> bool {
    let version = name.strip_prefix(db).and_then(|rest| rest.strip_prefix(".before-"));
    let version = version.map(|rest| rest.strip_suffix(HALF).unwrap_or(rest));
    version.is_some_and(|version| version.parse::<u64>().is_ok())
}

/// A whole checkpoint beside `db`, if there is one.
pub(crate) fn whole_older(db: &Path) -> Option<PathBuf> {
    older(db).unwrap_or_default().pop().filter(|path| !is_half(path))
}

/// What lies beside `db` of upgrades, half-made ones first.
fn older(db: &Path) -> io::Result<Vec<PathBuf>> {
    let Some((parent, name)) = db.parent().zip(db.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if is_checkpoint_of(name, &entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort_by_key(|path| !is_half(path));
    Ok(found)
}

#[cfg(test)]
#[path = "migrate_test.rs"]
mod migrate_test;
