//! Segments held open for a copy.
//!
//! Responsible for: giving the owner the bytes that every segment has at one instant, so that a backup
//! can copy them at leisure. An open file outlives its name: what is released or shed meanwhile is
//! still read in full, and what is appended after that instant is not read.
//! Owns: one open file a segment, read-only.
//! Invariants: bytes up to the length that was noted never change: the log only appends behind its last
//! good offset, and cuts only what lies behind it (W2, W5). A torn tail may be among them; a start
//! knows what to do with it.
//! Must not: change a file, or copy what was set aside (`.corrupt-<n>`).
//! Proved by: `hold_test.rs`.

use std::io;
use std::path::Path;

use crate::error::WalError;
use crate::fs::{Access, FileSystem, LogFile};
use crate::layout::FileName;

/// One segment, open for reading.
#[derive(Debug)]
pub struct HeldSegment {
    name: String,
    bytes: u64,
    file: Box<dyn LogFile>,
    at: u64,
}

impl HeldSegment {
    /// Its file name, without the folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it had when it was taken hold of, and how many will be read.
    pub fn file_bytes(&self) -> u64 {
        self.bytes
    }
}

impl io::Read for HeldSegment {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.bytes - self.at).unwrap_or(usize::MAX).min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        match self.file.read_at(self.at, &mut buf[..most])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.at += read as u64;
                Ok(read)
            }
        }
    }
}

/// Opens every segment in a folder, by name. An absent folder holds none. Call it where nothing is
/// appended or released meanwhile: on the log's own thread, or on a folder that nobody uses.
///
/// # Errors
/// [`WalError::Folder`] when the folder cannot be listed or a segment cannot be opened.
pub fn hold_segments(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<HeldSegment>, WalError> {
    let failed = |doing| move |source| WalError::Folder { dir: dir.to_path_buf(), doing, source };
    let mut entries = match fs.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed("list"))?,
    };
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut held = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.is_file) {
        let Some(name) = entry.name.to_str() else { continue };
        if !matches!(FileName::parse(name), FileName::Segment(_)) {
            continue;
        }
        let open = failed("open a segment of");
        let file = fs.open(&dir.join(name), Access::Read).map_err(open)?;
        let bytes = file.bytes().map_err(failed("read a segment of"))?;
        held.push(HeldSegment { name: name.to_owned(), bytes, file, at: 0 });
    }
    Ok(held)
}

#[cfg(test)]
#[path = "hold_test.rs"]
mod hold_test;
