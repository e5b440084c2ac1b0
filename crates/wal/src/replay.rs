//! Hands the intact records to the owner, in sequence order, one segment in memory at a time.
//!
//! Responsible for: reading again what the start found intact, and the report about the start.
//! Owns: the plan of pieces still to read and the buffer of the segment being read.
//! Invariants: each sequence is delivered once; a record is verified again before it is delivered.
//! Must not: change a file, hold more than one segment, stop at what it cannot read.
//! Proved by: `model_test.rs`, `damage_test.rs`.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fs::{Access, FileSystem, read_lenient};
use crate::layout::{Frame, Seed};
use crate::report::RecoveryReport;

/// A record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its sequence.
    pub sequence: u64,
    /// What the payload is, as appended.
    pub kind: u8,
    /// The owner's flags, as appended.
    pub flags: u8,
    /// The bytes.
    pub payload: &'a [u8],
}

/// Records of one segment that are to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) path: PathBuf,
    pub(crate) segment_id: u64,
    /// Length of the file.
    pub(crate) file_bytes: usize,
    /// Offset of an intact frame at or before the first one to deliver.
    pub(crate) start: usize,
    /// First sequence to deliver.
    pub(crate) first_sequence: u64,
    /// Last sequence to deliver.
    pub(crate) last_sequence: u64,
}

/// What a start found: the report, and the intact records.
#[derive(Debug)]
pub struct Recovery {
    fs: Arc<dyn FileSystem>,
    report: RecoveryReport,
    plan: VecDeque<Piece>,
    buffer: Vec<u8>,
    loaded: Option<PathBuf>,
    /// Where the next frame of the first piece begins; `None` if the piece was not begun.
    at: Option<usize>,
}

impl Recovery {
    pub(crate) fn new(
        fs: Arc<dyn FileSystem>,
        report: RecoveryReport,
        plan: VecDeque<Piece>,
        buffer: Vec<u8>,
    ) -> Self {
        Self { fs, report, plan, buffer, loaded: None, at: None }
    }

    /// The report. It is complete once the records have been read to their end.
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The next intact record, in sequence order; `None` after the last.
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        let frame = self.next_frame()?;
        Some(Record {
            sequence: frame.sequence,
            kind: frame.kind,
            flags: frame.flags,
            payload: frame.payload(&self.buffer),
        })
    }

    fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let piece = self.plan.front()?;
            let (first, last) = (piece.first_sequence, piece.last_sequence);
            let seed = Seed::new(piece.segment_id);
            let at = match self.at {
                Some(at) => at,
                None => {
                    let start = piece.start;
                    if let Err(e) = self.load() {
                        self.give_up(first, "read it again", &e);
                        continue;
                    }
                    start
                }
            };
            let frame = Frame::peek(&self.buffer, at)
                .filter(|f| f.sequence <= last && f.verifies(&self.buffer, &seed));
            let Some(frame) = frame else {
                let changed = io::Error::from(io::ErrorKind::InvalidData);
                self.give_up(first, "read the same bytes again", &changed);
                continue;
            };
            self.at = Some(frame.end);
            if frame.sequence == last {
                self.plan.pop_front();
                self.at = None;
            } else if let Some(piece) = self.plan.front_mut()
                && frame.sequence >= first
            {
                piece.first_sequence = frame.sequence + 1;
            }
            if frame.sequence >= first {
                return Some(frame);
            }
        }
    }

    /// Reads the first piece's segment into the buffer, if it is not there.
    fn load(&mut self) -> io::Result<()> {
        let Some(piece) = self.plan.front() else { return Ok(()) };
        if self.loaded.as_ref() == Some(&piece.path) {
            return Ok(());
        }
        self.loaded = None;
        let file = self.fs.open(&piece.path, Access::Read)?;
        // Blocks that cannot be read fail their frames only.
        read_lenient(file.as_ref(), piece.file_bytes, &mut self.buffer);
        self.loaded = Some(piece.path.clone());
        Ok(())
    }

    /// Drops what is left of the first piece.
    fn give_up(&mut self, first_sequence: u64, doing: &'static str, error: &io::Error) {
        self.at = None;
        if let Some(piece) = self.plan.pop_front() {
            self.report.unreplayed_records += piece.last_sequence + 1 - first_sequence;
            self.report.failed(piece.path, doing, error);
        }
    }
}
