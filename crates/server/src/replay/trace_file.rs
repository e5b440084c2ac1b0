//! The raw bytes of the input, readable more than once.
//!
//! Responsible for: a replay reads its input twice (first for time span and key quantiles, then
//! for the counts), so what cannot be read twice (standard input, a pipe) is copied to an unnamed
//! temporary file first.
//! State: one open file; the digest and the progress of the passes over it.
//! Invariants: every pass reads the same stretch of the same open file, so a log that grows, or a
//! file that is replaced by another, does not change between passes; a change in place shows in
//! the digest of the next pass.
//! Must not: interpret the bytes.
//! Proved by: `trace_file_test.rs`.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use indicatif::ProgressBar;

use super::error::ReplayError;
use super::input::{self, InputError, RawReader};

#[cfg(test)]
#[path = "trace_file_test.rs"]
mod tests;

/// BLAKE2b-256.
pub(super) type Digest256 = Blake2b<U32>;

/// An input that can be read any number of times.
#[derive(Debug)]
pub(super) struct TraceFile {
    file: Arc<File>,
    bytes: u64,
    name: String,
}

/// One pass over the raw bytes.
pub(super) struct Pass {
    /// The bytes; goes into `input::open_reader`.
    pub(super) reader: RawReader,
    /// What has been read so far.
    pub(super) digest: PassDigest,
}

/// The digest of what a [`Pass`] has read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct PassDigest(Arc<Mutex<Digest256>>);

impl PassDigest {
    /// The state of the digest, ready for more.
    pub(super) fn state(&self) -> Digest256 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The digest of what has been read.
    pub(super) fn value(&self) -> [u8; 32] {
        self.state().finalize().into()
    }

    fn update(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
    }
}

impl TraceFile {
    /// Opens a regular file, or copies anything else to a temporary one.
    ///
    /// # Errors
    /// [`ReplayError::Input`] if the path cannot be opened, [`ReplayError::Spool`] if it cannot be
    /// copied.
    pub(super) fn open(path: &Path, bar: &ProgressBar) -> Result<TraceFile, ReplayError> {
        if path == Path::new("-") {
            return TraceFile::spool("standard input", input::open_raw(path)?, bar);
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, file)) if metadata.is_file() => {
                Ok(TraceFile { file: Arc::new(file), bytes: metadata.len(), name })
            }
            Ok((_, file)) => TraceFile::spool(&name, Box::new(file), bar),
            Err(source) => Err(InputError::Open { name, source }.into()),
        }
    }

    /// Copies `reader` to an unnamed temporary file.
    pub(super) fn spool(
        name: &str,
        reader: RawReader,
        bar: &ProgressBar,
    ) -> Result<TraceFile, ReplayError> {
        let copy = || -> io::Result<(File, u64)> {
            let mut file = tempfile::tempfile()?;
            let bytes = io::copy(&mut bar.wrap_read(reader), &mut file)?;
            file.flush()?;
            Ok((file, bytes))
        };
        match copy() {
            Ok((file, bytes)) => {
                Ok(TraceFile { file: Arc::new(file), bytes, name: name.to_owned() })
            }
            Err(source) => Err(ReplayError::Spool {
                name: name.to_owned(),
                folder: std::env::temp_dir(),
                source,
            }),
        }
    }

    /// Its length in raw bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A pass from the first byte, which moves `bar` along.
    pub(super) fn pass(&self, bar: &ProgressBar) -> Pass {
        let digest = PassDigest::default();
        let stretch = Stretch { file: Arc::clone(&self.file), at: 0, end: self.bytes };
        let reader = Counted { stretch, digest: digest.clone(), bar: bar.clone() };
        Pass { reader: Box::new(reader), digest }
    }
}

/// Reads `[at, end)` of a file that others may read at the same time.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Read for Stretch {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(out.len());
        let count = self.file.read_at(&mut out[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

struct Counted {
    stretch: Stretch,
    digest: PassDigest,
    bar: ProgressBar,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.stretch.read(out)?;
        self.digest.update(&out[..count]);
        self.bar.inc(count as u64);
        Ok(count)
    }
}
