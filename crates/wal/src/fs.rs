//! The few file-system calls that the log needs, so that a test can make each of them fail.
//!
//! Responsible for: the two traits and their implementation over `std`.
//! Owns: nothing; a [`LogFile`] owns its file handle.
//! Invariants: `write_at` may write less than it was given and says how much; `create` never opens
//! a file that is there already.
//! Must not: retry, buffer, or turn an error into success (but for a folder that cannot be synced
//! because its file system does not know how).
//! Proved by: `wal_test.rs` over [`RealFs`], `fault_test.rs` over `testing::FaultyFs`.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file's name without its folder.
    pub name: OsString,
    /// False for folders, links, sockets and the like.
    pub is_file: bool,
    /// Length in bytes (0 for what is not a file).
    pub bytes: u64,
}

/// How [`FileSystem::open`] opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing.
    ReadWrite,
}

/// A file system. Errors are those of the operating system.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Creates a folder and its parents; no error if it is there.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// The names in a folder, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a file that is not there yet, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens a file that is there.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file another name in the same folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file. Offsets and lengths are in bytes.
pub trait LogFile: fmt::Debug + Send {
    /// Length of the file.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads into `buf` from `offset`; returns how much (0 at the end of the file).
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes from `buf` at `offset`; returns how much, which may be less than given.
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<usize>;
    /// Cuts (or grows) the file to `bytes`.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl FileSystem for RealFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // Metadata of the name itself: a link to a file is not a segment of ours.
            let metadata = entry.metadata();
            let is_file = metadata.as_ref().is_ok_and(|m| m.is_file());
            let bytes = metadata.map_or(0, |m| if is_file { m.len() } else { 0 });
            entries.push(Entry { name: entry.file_name(), is_file, bytes });
        }
        Ok(entries)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match File::open(dir)?.sync_all() {
            Err(e)
                if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                Ok(()) // such a file system cannot do better
            }
            other => other,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(access == Access::ReadWrite).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

#[derive(Debug)]
struct RealFile(File);

impl LogFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, buf, offset)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<usize> {
        FileExt::write_at(&self.0, buf, offset)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Writes all of `bytes` at `offset`; after an error any part of them may be in the file.
pub(crate) fn write_all_at(
    file: &mut dyn LogFile,
    mut offset: u64,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                let n = n.min(bytes.len());
                offset += n as u64;
                bytes = &bytes[n..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Block that is given up as unreadable when a read fails, in bytes.
const READ_BLOCK_BYTES: usize = 4096;

/// What [`read_lenient`] could not read.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    /// Stretches of the file as (offset, length); their bytes in the buffer are zero.
    pub(crate) stretches: Vec<(u64, u64)>,
    /// The first error.
    pub(crate) first_error: Option<io::Error>,
}

/// Reads the first `bytes` of a file into `buf`, which it resizes. Blocks that cannot be read are
/// zero in the buffer and listed, so that one bad sector costs one block and not the file. A file
/// that ends early shortens the buffer.
pub(crate) fn read_lenient(file: &dyn LogFile, bytes: usize, buf: &mut Vec<u8>) -> Unreadable {
    buf.resize(bytes, 0);
    let mut unreadable = Unreadable::default();
    let mut at = 0;
    let mut step = bytes; // all at once until the first error
    while at < bytes {
        let end = bytes.min(at + step);
        match file.read_at(at as u64, &mut buf[at..end]) {
            Ok(0) => {
                buf.truncate(at);
                break;
            }
            Ok(n) => at += n.min(end - at),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if end - at > READ_BLOCK_BYTES => {
                step = READ_BLOCK_BYTES;
                unreadable.first_error.get_or_insert(e);
            }
            Err(e) => {
                buf[at..end].fill(0);
                unreadable.first_error.get_or_insert(e);
                match unreadable.stretches.last_mut() {
                    Some((start, length)) if *start + *length == at as u64 => {
                        *length += (end - at) as u64;
                    }
                    _ => unreadable.stretches.push((at as u64, (end - at) as u64)),
                }
                at = end;
            }
        }
    }
    unreadable
}
