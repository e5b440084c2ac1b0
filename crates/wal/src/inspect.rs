//! A look at a log that changes nothing.
//!
//! Responsible for: saying of every segment which records are intact and what is damaged, and handing
//! the records to the owner. What a start would do about it is `recovery`'s; it judges the same scan.
//! Owns: nothing; one segment in memory at a time.
//! Invariants: no file is created, written, renamed or removed; a record is delivered once for each
//! segment that holds it, in the order of segment ids.
//! Must not: fail for what a file holds.
//! Proved by: `inspect_test.rs`.

use std::path::{Path, PathBuf};

use crate::error::WalError;
use crate::fs::{Access, Entry, FileSystem, read_lenient};
use crate::layout::{FileName, Frame, Header, HeaderFault, MAX_FILE_BYTES, Seed, SegmentName};
use crate::replay::Record;
use crate::report::{Finding, Reason};
use crate::scan::{Scan, scan};

/// One segment as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Intact records in it.
    pub records: u64,
    /// The first intact record's sequence; 0 if there is none.
    pub first_sequence: u64,
    /// The last intact record's sequence; 0 if there is none.
    pub last_sequence: u64,
}

/// What lies in a log's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The segments, by id.
    pub segments: Vec<SegmentView>,
    /// Damage, torn tails and files that are none of the log's: [`Finding::Damaged`],
    /// [`Finding::TornTail`], [`Finding::LeftInPlace`] and [`Finding::Foreign`] only.
    pub findings: Vec<Finding>,
    /// Segments that an earlier start set aside.
    pub set_aside: Vec<PathBuf>,
}

/// Reads every segment in a folder and hands its intact records to `visit`, with the file that they
/// are in. An absent folder holds nothing.
///
/// # Errors
/// [`WalError::Folder`] when the folder cannot be listed.
pub fn inspect(
    fs: &dyn FileSystem,
    dir: &Path,
    visit: &mut dyn FnMut(&Path, Record<'_>),
) -> Result<Inspection, WalError> {
    let mut entries = match fs.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Inspection::default());
        }
        listed => listed.map_err(|source| WalError::Folder {
            dir: dir.to_path_buf(),
            doing: "list",
            source,
        })?,
    };
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut inspection, mut segments) = (Inspection::default(), Vec::new());
    for entry in entries {
        let path = dir.join(&entry.name);
        match entry.name.to_str().map_or(FileName::Foreign, FileName::parse) {
            FileName::Segment(name) => segments.push((name, entry)),
            FileName::Aside(..) | FileName::Partial => inspection.set_aside.push(path),
            FileName::Owners => {}
            FileName::Foreign => inspection.findings.push(Finding::Foreign { path }),
        }
    }
    segments.sort_by_key(|(name, _)| name.id);
    let mut tails = Vec::new();
    let mut buffer = Vec::new();
    for (name, entry) in &segments {
        let path = dir.join(&entry.name);
        match read(fs, &path, *name, entry, &mut buffer) {
            Err(reason) => inspection.findings.push(Finding::LeftInPlace { path, reason }),
            Ok(scan) => {
                inspection.segments.push(deliver(&scan, &buffer, *name, &path, visit));
                for stretch in &scan.damage {
                    let (offset, bytes) =
                        (stretch.start as u64, (stretch.end - stretch.start) as u64);
                    let path = path.clone();
                    inspection.findings.push(Finding::Damaged { path, offset, bytes });
                }
                tails.push((path, scan));
            }
        }
    }
    judge_tails(tails, &mut inspection.findings);
    Ok(inspection)
}

/// The scan of one segment, with its bytes in the buffer; or why it cannot be one.
fn read(
    fs: &dyn FileSystem,
    path: &Path,
    name: SegmentName,
    entry: &Entry,
    buffer: &mut Vec<u8>,
) -> Result<Scan, Reason> {
    if !entry.is_file {
        return Err(Reason::NotAFile);
    }
    if entry.bytes > MAX_FILE_BYTES {
        return Err(Reason::Oversized { bytes: entry.bytes });
    }
    let file = fs.open(path, Access::Read).map_err(|e| Reason::Unreadable { kind: e.kind() })?;
    let unreadable = read_lenient(file.as_ref(), entry.bytes as usize, buffer);
    let lost: u64 = unreadable.stretches.iter().map(|(_, length)| length).sum();
    if let Some(error) = unreadable.first_error.filter(|_| lost == buffer.len() as u64) {
        return Err(Reason::Unreadable { kind: error.kind() });
    }
    match Header::decode(buffer) {
        Ok(header) if header.name == name => Ok(scan(buffer, Some(header), name.id)),
        Ok(Header { name: SegmentName { hour, id }, .. }) => Err(Reason::Misnamed { hour, id }),
        Err(HeaderFault::Version(version)) => Err(Reason::UnknownVersion { version }),
        Err(HeaderFault::Damaged) => Ok(scan(buffer, None, name.id)),
    }
}

fn deliver(
    scan: &Scan,
    buffer: &[u8],
    name: SegmentName,
    path: &Path,
    visit: &mut dyn FnMut(&Path, Record<'_>),
) -> SegmentView {
    let seed = Seed::new(name.id);
    let mut view = SegmentView {
        path: path.to_path_buf(),
        bytes: buffer.len() as u64,
        records: 0,
        first_sequence: scan.extents.first().map_or(0, |extent| extent.first_sequence),
        last_sequence: scan.extents.last().map_or(0, |extent| extent.last_sequence),
    };
    for extent in &scan.extents {
        let mut at = extent.start;
        while at < extent.end {
            let frame = Frame::peek(buffer, at).filter(|frame| frame.verifies(buffer, &seed));
            // The scan has verified it.
            let Some(frame) = frame else { break };
            let Frame { sequence, kind, flags, .. } = frame;
            visit(path, Record { sequence, kind, flags, payload: frame.payload(buffer) });
            view.records += 1;
            at = frame.end;
        }
    }
    view
}

/// A bad tail is torn (a write that a crash cut short, or that was given up and written to the next
/// segment) where no later record is missing for it; otherwise it is damage.
fn judge_tails(tails: Vec<(PathBuf, Scan)>, findings: &mut Vec<Finding>) {
    let mut first_after = u64::MAX;
    let mut judged = Vec::new();
    for (path, scan) in tails.into_iter().rev() {
        if let Some(tail) = scan.tail {
            let (offset, bytes) = (tail.start as u64, (tail.end - tail.start) as u64);
            let expected = scan.next_sequence();
            let is_followed =
                first_after == u64::MAX || expected.is_some_and(|expected| first_after <= expected);
            let is_torn = expected.is_some() && is_followed || tail.start == 0 && bytes < 40;
            judged.push(match is_torn {
                true => Finding::TornTail { path, offset, bytes },
                false => Finding::Damaged { path, offset, bytes },
            });
        }
        first_after = first_after.min(scan.first_sequence().unwrap_or(u64::MAX));
    }
    findings.extend(judged.into_iter().rev());
}

#[cfg(test)]
#[path = "inspect_test.rs"]
mod inspect_test;
