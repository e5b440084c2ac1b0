//! A file system in memory that fails on demand and forgets what was not synced.
//!
//! ```text
//! path --names--> inode { live bytes, durable bytes, dirty ranges }
//!        durable names (as of the last sync_dir)
//! ```
//!
//! Responsible for: failing the n-th call of a kind, short writes, a lying fsync, files that cannot
//! be read, power cuts.
//! Owns: its files; clones share them, [`FaultyFs::fork`] copies them.
//! Invariants: a power cut keeps what was synced, names by `sync_dir`, bytes by `sync_data`; a
//! failed `sync_data` drops the dirty ranges, as Linux does, so that a second one says Ok and the
//! bytes are gone all the same.
//! Must not: be random; be used outside tests.
//! Proved by: `testing_test.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{Access, Entry, FileSystem, LogFile};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `create_dir_all`.
    CreateDir,
    /// `list`.
    List,
    /// `sync_dir`.
    SyncDir,
    /// `create`.
    Create,
    /// `open`.
    Open,
    /// `rename`.
    Rename,
    /// `remove`.
    Remove,
    /// `read_at`.
    Read,
    /// `write_at`.
    Write,
    /// `truncate`.
    Truncate,
    /// `sync_data`.
    SyncData,
}

impl Op {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::CreateDir,
        Self::List,
        Self::SyncDir,
        Self::Create,
        Self::Open,
        Self::Rename,
        Self::Remove,
        Self::Read,
        Self::Write,
        Self::Truncate,
        Self::SyncData,
    ];
}

/// What happens instead of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error, and nothing was done.
    Error(io::ErrorKind),
    /// A write takes this many bytes and then fails.
    TornWrite(usize),
    /// A write takes at most this many bytes and says so.
    ShortWrite(usize),
    /// A sync says Ok and does nothing.
    Lie,
}

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut {
    /// Whether names that were not synced (created, renamed, removed) are as they were last.
    pub keep_names: bool,
    /// How many of each file's unsynced bytes, in the order of writing, had reached the disk.
    pub keep_bytes: u64,
}

impl PowerCut {
    /// Everything that was not synced is gone.
    pub const HARD: Self = Self { keep_names: false, keep_bytes: 0 };
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync.
    dirty: Vec<Range<usize>>,
    /// Least length since the last sync.
    least: Option<usize>,
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.dirty.push(offset..end);
    }

    fn truncate(&mut self, bytes: usize) {
        self.live.resize(bytes, 0);
        self.least = Some(self.least.unwrap_or(bytes).min(bytes));
    }

    /// Brings the first `bytes` dirty bytes to the disk.
    fn write_back(&mut self, mut bytes: u64) {
        let all = bytes == u64::MAX;
        if all && let Some(least) = self.least.take() {
            self.durable.truncate(least);
        }
        for range in std::mem::take(&mut self.dirty) {
            let length = (range.len() as u64).min(bytes);
            bytes -= length;
            let end = (range.start + length as usize).min(self.live.len());
            if range.start < end {
                let needed = self.durable.len().max(end);
                self.durable.resize(needed, 0);
                self.durable[range.start..end].copy_from_slice(&self.live[range.start..end]);
            }
        }
        if all {
            self.durable.resize(self.live.len(), 0);
        }
    }
}

#[derive(Clone, Debug)]
struct Plan {
    op: Op,
    calls: Range<u64>,
    fault: Fault,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: HashMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    next_inode: u64,
    /// Handles of an earlier life are dead.
    life: u64,
    plans: Vec<Plan>,
    calls: HashMap<Op, u64>,
    denied: BTreeSet<PathBuf>,
    bad_reads: Vec<(u64, Range<u64>)>,
}

impl State {
    /// Counts a call; the fault to inject, if any.
    fn enter(&mut self, op: Op) -> io::Result<Option<Fault>> {
        let calls = self.calls.entry(op).or_default();
        *calls += 1;
        let call = *calls;
        match self.plans.iter().find(|p| p.op == op && p.calls.contains(&call)) {
            Some(Plan { fault: Fault::Error(kind), .. }) => Err((*kind).into()),
            other => Ok(other.map(|p| p.fault)),
        }
    }

    fn inode_at(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn add(&mut self, path: &Path) -> u64 {
        self.next_inode += 1;
        self.inodes.insert(self.next_inode, Inode::default());
        self.names.insert(path.to_path_buf(), self.next_inode);
        self.next_inode
    }

    fn sync_names(&mut self, dir: &Path) {
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        self.durable_names.retain(|path, _| !inside(path));
        let live = self.names.iter().filter(|(path, _)| inside(path));
        self.durable_names.extend(live.map(|(path, id)| (path.clone(), *id)));
    }
}

/// The file system. Without faults it behaves like a good one.
#[derive(Clone, Debug, Default)]
pub struct FaultyFs(Arc<Mutex<State>>);

impl FaultyFs {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the files, without faults and with all counters at 0.
    pub fn fork(&self) -> Self {
        let fork = Self(Arc::new(Mutex::new(self.state().clone())));
        fork.heal();
        fork.state().calls.clear();
        fork
    }

    /// Injects `fault` into the calls of kind `op` numbered `calls`, from 1, counted since the
    /// beginning or the fork.
    pub fn fail(&self, op: Op, calls: Range<u64>, fault: Fault) {
        self.state().plans.push(Plan { op, calls, fault });
    }

    /// Injects `fault` into the next `count` calls of kind `op`.
    pub fn fail_next(&self, op: Op, count: u64, fault: Fault) {
        let next = self.calls(op) + 1;
        self.fail(op, next..next.saturating_add(count), fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut state = self.state();
        state.plans.clear();
        state.denied.clear();
        state.bad_reads.clear();
    }

    /// How many calls of a kind there were.
    pub fn calls(&self, op: Op) -> u64 {
        self.state().calls.get(&op).copied().unwrap_or(0)
    }

    /// Opening `path` fails from now on.
    pub fn deny(&self, path: &Path) {
        self.state().denied.insert(path.to_path_buf());
    }

    /// Reads that touch `range` of `path` fail from now on.
    pub fn break_reads(&self, path: &Path, range: Range<u64>) {
        let mut state = self.state();
        if let Ok(id) = state.inode_at(path) {
            state.bad_reads.push((id, range));
        }
    }

    /// Cuts the power: open files are dead, and only what `cut` says is left.
    pub fn power_cut(&self, cut: PowerCut) {
        let mut state = self.state();
        state.life += 1;
        if cut.keep_names {
            state.durable_names = state.names.clone();
        }
        state.names = state.durable_names.clone();
        for inode in state.inodes.values_mut() {
            inode.write_back(cut.keep_bytes);
            *inode = Inode {
                live: inode.durable.clone(),
                durable: std::mem::take(&mut inode.durable),
                ..Inode::default()
            };
        }
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// A file's bytes, without faults.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let id = state.names.get(path)?;
        state.inodes.get(id).map(|inode| inode.live.clone())
    }

    /// Puts a durable file there, without faults.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let id = state.add(path);
        state.durable_names.insert(path.to_path_buf(), id);
        let inode = Inode { live: bytes.to_vec(), durable: bytes.to_vec(), ..Inode::default() };
        state.inodes.insert(id, inode);
    }

    /// Takes a file away durably, without faults.
    pub fn take(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }
}

impl FileSystem for FaultyFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Op::CreateDir)?;
        state.dirs.insert(dir.to_path_buf());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.enter(Op::List)?;
        let entry = |path: &PathBuf, is_file: bool, bytes: u64| {
            let name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
            Entry { name, is_file, bytes }
        };
        let inside = |path: &&PathBuf| path.parent() == Some(dir);
        let dirs = state.dirs.iter().filter(inside).map(|path| entry(path, false, 0));
        let files = state.names.iter().filter(|(path, _)| inside(path)).map(|(path, id)| {
            entry(path, true, state.inodes.get(id).map_or(0, |inode| inode.live.len() as u64))
        });
        Ok(dirs.chain(files).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.enter(Op::SyncDir)? != Some(Fault::Lie) {
            state.sync_names(dir);
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut state = self.state();
        state.enter(Op::Create)?;
        if state.names.contains_key(path) || state.dirs.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.add(path);
        let life = state.life;
        Ok(Box::new(Handle { fs: self.clone(), inode, life, writable: true }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn LogFile>> {
        let mut state = self.state();
        state.enter(Op::Open)?;
        if state.denied.contains(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let inode = state.inode_at(path)?;
        let writable = access == Access::ReadWrite;
        Ok(Box::new(Handle { fs: self.clone(), inode, life: state.life, writable }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Op::Rename)?;
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Op::Remove)?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[derive(Debug)]
struct Handle {
    fs: FaultyFs,
    inode: u64,
    life: u64,
    writable: bool,
}

impl Handle {
    /// The state and the fault to inject; an error if the handle must not do this.
    fn enter(&self, op: Op) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.fs.state();
        if state.life != self.life {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.writable && op != Op::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let fault = state.enter(op);
        if fault.is_err() && op == Op::SyncData {
            // As the kernel does: the pages count as clean from now on, and are not on the disk.
            state.inode(self.inode)?.dirty.clear();
        }
        fault.map(|fault| (state, fault))
    }
}

impl LogFile for Handle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.fs.state().inode(self.inode)?.live.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (mut state, _) = self.enter(Op::Read)?;
        let bad = |(id, range): &(u64, Range<u64>)| {
            let end = offset + buf.len() as u64;
            *id == self.inode && range.start < end && offset < range.end
        };
        if state.bad_reads.iter().any(bad) {
            return Err(io::ErrorKind::Other.into());
        }
        let live = &state.inode(self.inode)?.live;
        let from = live.get(offset as usize..).unwrap_or(&[]);
        let length = from.len().min(buf.len());
        buf[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<usize> {
        let (mut state, fault) = self.enter(Op::Write)?;
        let length = match fault {
            Some(Fault::TornWrite(n) | Fault::ShortWrite(n)) => n.min(buf.len()),
            _ => buf.len(),
        };
        state.inode(self.inode)?.write(offset as usize, &buf[..length]);
        match fault {
            Some(Fault::TornWrite(_)) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(length),
        }
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let (mut state, _) = self.enter(Op::Truncate)?;
        state.inode(self.inode)?.truncate(bytes as usize);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let (mut state, fault) = self.enter(Op::SyncData)?;
        if fault != Some(Fault::Lie) {
            state.inode(self.inode)?.write_back(u64::MAX);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "testing_test.rs"]
mod testing_test;
