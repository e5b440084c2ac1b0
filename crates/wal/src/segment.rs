//! One segment file: the active one, and what is remembered of a closed one.
//!
//! Responsible for: writing at the last good offset, cutting a failed write off, syncing.
//! Owns: the active segment's file handle and its last good offset.
//! Invariants: `bytes` is the end of the last frame that was written whole; nothing is written at
//! any other offset.
//! Must not: decide what happens after a failure (that is `wal`), or know of other segments.
//! Proved by: `fault_test.rs`.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{FileSystem, LogFile, write_all_at};
use crate::layout::{HEADER_LEN, Header, Seed, SegmentName};
use crate::report::Shed;
use crate::unsynced::Unsynced;

/// A failed call and the file that it was for.
#[derive(Debug)]
pub(crate) struct FileError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// A segment that is not written any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub(crate) path: PathBuf,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// First sequence that no later segment holds.
    pub(crate) first_sequence: u64,
    /// Last sequence that no later segment holds.
    pub(crate) last_sequence: u64,
    /// Records that no later segment holds.
    pub(crate) records: u64,
    /// Last sequence in the file.
    pub(crate) held_through: u64,
}

/// A segment all of whose records are in a later one or in memory: it goes once they are safe there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superseded {
    pub(crate) segment: SegmentInfo,
    /// It may hold acknowledged records, so it stays until the others are synced. Otherwise it
    /// stays until they are written.
    pub(crate) until_synced: bool,
}

impl SegmentInfo {
    /// What is lost if the file goes; `None` if nothing is.
    pub(crate) fn as_shed(&self) -> Option<Shed> {
        (self.records > 0).then_some(Shed {
            first_sequence: self.first_sequence,
            last_sequence: self.last_sequence,
            records: self.records,
            bytes: self.bytes,
        })
    }
}

/// What shedding the oldest of `segments` would lose until `total_bytes` is within `max_bytes`.
pub(crate) fn plan_shed<'a>(
    segments: impl Iterator<Item = &'a SegmentInfo>,
    mut total_bytes: u64,
    max_bytes: u64,
) -> Vec<Shed> {
    let mut shed = Vec::new();
    for segment in segments {
        if total_bytes <= max_bytes {
            break;
        }
        total_bytes = total_bytes.saturating_sub(segment.bytes);
        shed.extend(segment.as_shed());
    }
    shed
}

/// Records and the last sequence among them.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    records: u64,
    last_sequence: u64,
}

/// The segment that new records go to.
#[derive(Debug)]
pub(crate) struct Active {
    path: PathBuf,
    file: Box<dyn LogFile>,
    seed: Seed,
    hour: u64,
    first_sequence: u64,
    bytes: u64,
    written: Extent,
    synced: Extent,
}

impl Active {
    /// Creates the file; [`Self::begin`] makes it a segment.
    pub(crate) fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        name: SegmentName,
        first_sequence: u64,
    ) -> Result<Self, FileError> {
        debug_assert!(name.id >= first_sequence, "W9");
        let path = dir.join(name.file_name());
        match fs.create(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                seed: Seed::new(name.id),
                hour: name.hour,
                first_sequence,
                bytes: 0,
                written: Extent::default(),
                synced: Extent::default(),
            }),
            Err(source) => Err(FileError { path, source }),
        }
    }

    /// Writes the header and the frames that an earlier segment did not make durable.
    pub(crate) fn begin(&mut self, name: SegmentName, carried: &mut Unsynced) -> io::Result<()> {
        let header = Header { name, first_sequence: self.first_sequence };
        write_all_at(self.file.as_mut(), 0, &header.encode())?;
        self.bytes = HEADER_LEN as u64;
        if !carried.is_empty() {
            let (records, last_sequence) = (carried.records(), carried.last_sequence());
            self.write(carried.resealed(&self.seed.clone()), records, last_sequence)?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Length up to the last good offset.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Last sequence written; 0 if there is none.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.written.last_sequence
    }

    /// Whether the next frame belongs into another segment.
    pub(crate) fn is_over(&self, hour: u64, frame_bytes: u64, segment_bytes: u64) -> bool {
        let full = self.bytes + frame_bytes > segment_bytes;
        self.written.records > 0 && (full || self.hour != hour)
    }

    /// Writes whole frames after the last good offset.
    pub(crate) fn write(
        &mut self,
        frames: &[u8],
        records: u64,
        last_sequence: u64,
    ) -> io::Result<()> {
        write_all_at(self.file.as_mut(), self.bytes, frames)?;
        self.bytes += frames.len() as u64;
        self.written.records += records;
        self.written.last_sequence = last_sequence;
        Ok(())
    }

    /// Cuts what a failed write may have left after the last good offset.
    pub(crate) fn cut_back(&mut self) -> io::Result<()> {
        self.file.truncate(self.bytes)
    }

    /// Makes everything written durable. After an error the file must not be used (W5).
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.written;
        Ok(())
    }

    /// Closes it; all its records count as its own.
    pub(crate) fn close(&self) -> SegmentInfo {
        SegmentInfo {
            path: self.path.clone(),
            bytes: self.bytes,
            first_sequence: self.first_sequence,
            last_sequence: self.written.last_sequence,
            records: self.written.records,
            held_through: self.written.last_sequence,
        }
    }

    /// Abandons it; only what was synced counts as its own.
    pub(crate) fn abandon(&self) -> SegmentInfo {
        SegmentInfo {
            bytes: self.file.bytes().unwrap_or(self.bytes).max(self.bytes),
            last_sequence: self.synced.last_sequence,
            records: self.synced.records,
            ..self.close()
        }
    }
}
