//! Bad segments set aside: `<segment>.corrupt-<n>`.
//!
//! Responsible for: copying or moving bad segments under the next number, keeping the newest 4.
//! Owns: the numbers of the files set aside.
//! Invariants: a copy appears under its name only once it is whole and synced; a segment of the
//! same name and length is copied once, so that restarts do not push other files out.
//! Must not: judge what is bad, or touch a segment in place.
//! Proved by: `damage_test.rs`.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{FileSystem, write_all_at};
use crate::layout::{SegmentName, aside_name};
use crate::report::{Finding, Reason};

/// Files set aside that are kept.
const KEEP_FILES: usize = 4;

/// A file set aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) name: SegmentName,
    pub(crate) bytes: u64,
}

/// The files set aside in one folder.
#[derive(Debug)]
pub(crate) struct Aside<'a> {
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    kept: Vec<Kept>,
}

impl<'a> Aside<'a> {
    pub(crate) fn new(fs: &'a dyn FileSystem, dir: &'a Path, mut kept: Vec<Kept>) -> Self {
        kept.sort_by_key(|k| k.number);
        Self { fs, dir, kept }
    }

    fn next(&self, name: SegmentName) -> (u64, PathBuf) {
        let number = self.kept.last().map_or(1, |k| k.number + 1);
        (number, self.dir.join(aside_name(name, number)))
    }

    /// Moves a segment. Returns what was done; if it could not be done, the file is where it was.
    pub(crate) fn move_here(
        &mut self,
        name: SegmentName,
        bytes: u64,
        reason: Reason,
    ) -> Vec<Finding> {
        let path = self.dir.join(name.file_name());
        let (number, to) = self.next(name);
        match self.fs.rename(&path, &to) {
            Ok(()) => {
                self.kept.push(Kept { number, name, bytes });
                let mut findings = vec![Finding::MovedAside { path, to, reason }];
                findings.extend(self.prune());
                findings
            }
            Err(e) => vec![
                Finding::Failed { path: path.clone(), doing: "move it aside", kind: e.kind() },
                Finding::LeftInPlace { path, reason },
            ],
        }
    }

    /// Copies a segment's content. Returns whether a copy is there now, and what was done.
    pub(crate) fn copy_here(&mut self, name: SegmentName, content: &[u8]) -> (bool, Vec<Finding>) {
        let bytes = content.len() as u64;
        if self.kept.iter().any(|k| k.name == name && k.bytes == bytes) {
            return (true, Vec::new());
        }
        let path = self.dir.join(name.file_name());
        let (number, to) = self.next(name);
        match self.write_copy(&to, content) {
            Ok(()) => {
                self.kept.push(Kept { number, name, bytes });
                let mut findings = vec![Finding::CopiedAside { path, to }];
                findings.extend(self.prune());
                (true, findings)
            }
            Err(e) => {
                (false, vec![Finding::Failed { path, doing: "copy it aside", kind: e.kind() }])
            }
        }
    }

    fn write_copy(&self, to: &Path, content: &[u8]) -> io::Result<()> {
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let mut file = self.fs.create(&partial)?;
        let copied = write_all_at(file.as_mut(), 0, content)
            .and_then(|()| file.sync_data())
            .and_then(|()| self.fs.rename(&partial, to))
            .and_then(|()| self.fs.sync_dir(self.dir));
        if copied.is_err() {
            self.fs.remove(&partial).ok(); // else the next start removes it
        }
        copied
    }

    fn prune(&mut self) -> Vec<Finding> {
        let excess = self.kept.len().saturating_sub(KEEP_FILES);
        let oldest: Vec<Kept> = self.kept.drain(..excess).collect();
        let mut findings = Vec::new();
        for old in oldest {
            let path = self.dir.join(aside_name(old.name, old.number));
            findings.push(match self.fs.remove(&path) {
                Ok(()) => Finding::Pruned { path },
                Err(e) => Finding::Failed { path, doing: "remove it", kind: e.kind() },
            });
        }
        findings
    }
}
