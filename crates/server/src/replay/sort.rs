//! Accesses in the order of time, for inputs that are not.
//!
//! Responsible for: an external merge sort, so that every window can be counted and sent once,
//! whole, however the input is ordered. (Sending what comes late as a further column would show
//! the window as stretched; keeping every window's counters open has no bound.)
//! State: at most one chunk of accesses in memory; sorted runs in one unnamed temporary file, each
//! access as
//!
//! | bytes | content (little-endian) |
//! |---|---|
//! | 8 | time, Unix milliseconds |
//! | 8 | size |
//! | 8 | line |
//! | 4 | length of the key, in the top bit 1 for a write |
//! | n | the key |
//!
//! Invariant: what comes out is what went in, by ascending time; an input that fits one chunk
//! never touches the disk.
//! Proved by: `sort_test.rs`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;

use super::error::ReplayError;
use super::input::{Access, Op};
use super::trace_file::Stretch;

#[cfg(test)]
#[path = "sort_test.rs"]
mod tests;

const WRITE_BIT: u32 = 1 << 31;
/// What an access takes in memory besides its key.
const ACCESS_BYTES: usize = size_of::<Access>() + 16;

/// Sorts `accesses` by time, with about `chunk_bytes` of memory.
///
/// # Errors
/// What the input fails with; [`ReplayError::Spool`] if the temporary file cannot be written.
pub(super) fn by_time(
    accesses: impl Iterator<Item = Result<Access, ReplayError>>,
    chunk_bytes: usize,
) -> Result<Merged, ReplayError> {
    let mut spill = Spill::default();
    let (mut chunk, mut held_bytes) = (Vec::new(), 0);
    for access in accesses {
        let access = access?;
        held_bytes += ACCESS_BYTES + access.key.len();
        chunk.push(access);
        if held_bytes >= chunk_bytes {
            spill.write(&mut chunk).map_err(spool_error)?;
            held_bytes = 0;
        }
    }
    chunk.sort_by_key(|access| access.time_ms);
    let mut runs = spill.into_runs().map_err(spool_error)?;
    runs.push(Run::Memory(chunk.into_iter()));
    Merged::new(runs)
}

fn spool_error(source: io::Error) -> ReplayError {
    let name = "what has to be sorted by time".to_owned();
    ReplayError::Spool { name, folder: std::env::temp_dir(), source }
}

/// The runs on disk while they are written.
#[derive(Default)]
struct Spill {
    file: Option<BufWriter<File>>,
    /// Where each run ends.
    ends: Vec<u64>,
}

impl Spill {
    fn write(&mut self, chunk: &mut Vec<Access>) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::with_capacity(1 << 20, tempfile::tempfile()?)),
        };
        chunk.sort_by_key(|access| access.time_ms);
        let mut at = self.ends.last().copied().unwrap_or(0);
        for access in chunk.drain(..) {
            at += encode(file, &access)?;
        }
        self.ends.push(at);
        Ok(())
    }

    fn into_runs(self) -> io::Result<Vec<Run>> {
        let Some(file) = self.file else { return Ok(Vec::new()) };
        let file = Arc::new(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let run = |(at, &end)| {
            let stretch = Stretch { file: Arc::clone(&file), at, end };
            Run::Disk(BufReader::with_capacity(64 << 10, stretch))
        };
        Ok(starts.zip(&self.ends).map(run).collect())
    }
}

fn encode(out: &mut impl Write, access: &Access) -> io::Result<u64> {
    let key_len = u32::try_from(access.key.len()).map_err(io::Error::other)?;
    let bit = if access.op == Op::Write { WRITE_BIT } else { 0 };
    out.write_all(&access.time_ms.to_le_bytes())?;
    out.write_all(&access.size_bytes.to_le_bytes())?;
    out.write_all(&access.line.to_le_bytes())?;
    out.write_all(&(key_len | bit).to_le_bytes())?;
    out.write_all(&access.key)?;
    Ok(28 + u64::from(key_len))
}

/// One sorted run.
enum Run {
    Memory(std::vec::IntoIter<Access>),
    Disk(BufReader<Stretch>),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Access>> {
        match self {
            Run::Memory(accesses) => Ok(accesses.next()),
            Run::Disk(reader) => decode(reader),
        }
    }
}

fn decode(reader: &mut BufReader<Stretch>) -> io::Result<Option<Access>> {
    if reader.buffer().is_empty() && reader.get_ref().at == reader.get_ref().end {
        return Ok(None);
    }
    let time_ms = u64::from_le_bytes(take(reader)?);
    let size_bytes = u64::from_le_bytes(take(reader)?);
    let line = u64::from_le_bytes(take(reader)?);
    let length = u32::from_le_bytes(take(reader)?);
    let op = if length & WRITE_BIT == 0 { Op::Read } else { Op::Write };
    let mut key = vec![0; (length & !WRITE_BIT) as usize];
    reader.read_exact(&mut key)?;
    Ok(Some(Access { time_ms, key, op, size_bytes, line }))
}

fn take<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The runs as one.
pub(super) struct Merged {
    runs: Vec<Run>,
    /// The next access of each run that has one.
    heads: Vec<Option<Access>>,
    order: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merged {
    fn new(runs: Vec<Run>) -> Result<Merged, ReplayError> {
        let heads = runs.iter().map(|_| None).collect();
        let mut merged = Merged { runs, heads, order: BinaryHeap::new() };
        for run in 0..merged.runs.len() {
            merged.refill(run)?;
        }
        Ok(merged)
    }

    fn refill(&mut self, run: usize) -> Result<(), ReplayError> {
        let head = self.runs[run].next().map_err(spool_error)?;
        if let Some(access) = &head {
            self.order.push(Reverse((access.time_ms, run)));
        }
        self.heads[run] = head;
        Ok(())
    }
}

impl Iterator for Merged {
    type Item = Result<Access, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, run)) = self.order.pop()?;
        let access = self.heads[run].take()?;
        Some(self.refill(run).map(|()| access))
    }
}
