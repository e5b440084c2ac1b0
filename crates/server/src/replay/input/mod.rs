//! Input readers of `keyviz replay`: timestamped accesses in a file become an iterator.
//!
//! Responsible for: opening a file or standard input, undoing gzip or Zstandard, and turning each
//! record of a CSV file, an NDJSON file or an Apache/nginx combined log into one [`Access`].
//! State: the decoder and at most one record of the input (bounded by [`MAX_LINE_BYTES`]).
//! Invariants: every record of the input gives exactly one item, an access or a [`Refused`] with
//! its line; items come in the order of the input; after an [`InputError`] there is no other item;
//! no input makes it panic.
//! Must not: read a clock, know routes, columns or the network, or keep what it has handed out.
//! Proved by: `mod_test.rs` (whole files, compression, random bytes, the real trace) and the
//! `*_test.rs` next to each format.
//!
//! The caller hashes the raw (still compressed) bytes by wrapping what [`open_raw`] returns before
//! it goes into [`open_reader`]; by the end of the iteration every raw byte has been read.

mod combined_log;
mod csv;
mod decompress;
mod fields;
mod json_text;
mod lines;
mod ndjson;
mod options;
pub(crate) mod quantile;
mod time;

#[cfg(test)]
#[path = "mod_test.rs"]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;

pub(crate) use decompress::{Compression, RawReader};
pub(crate) use fields::Reason;
pub(crate) use options::{Format, InputOptions};

/// The longest line (for CSV: the longest record) that is read; a longer one is refused.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 20;

/// The longest key that is accepted, after decoding.
pub(crate) const MAX_KEY_BYTES: usize = 64 << 10;

/// Whether an access reads or writes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// The access reads.
    Read,
    /// The access writes (or deletes).
    Write,
}

/// One access of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Unix time in milliseconds; finer times are rounded down.
    pub(crate) time_ms: u64,
    /// The decoded key, at most [`MAX_KEY_BYTES`] long; may be empty.
    pub(crate) key: Vec<u8>,
    /// Read or write.
    pub(crate) op: Op,
    /// Bytes of the value as the trace says; 0 where it does not say. The key is not included.
    pub(crate) size_bytes: u64,
    /// The line (from 1) of the uncompressed input where the record starts.
    pub(crate) line: u64,
}

/// A record that cannot be used. The iteration goes on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct Refused {
    /// The line (from 1) of the uncompressed input where the record starts.
    pub(crate) line: u64,
    /// Why it cannot be used.
    pub(crate) reason: Reason,
}

/// Why an input cannot be opened, or not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The file could not be opened.
    #[error("cannot open {name}: {source}; check the path and its permissions")]
    Open { name: String, source: io::Error },
    /// The format is neither given nor told by the name.
    #[error(
        "cannot tell the format of {name} from its name; pass --format csv, --format ndjson or \
         --format combined"
    )]
    UnknownFormat { name: String },
    /// An option that the format has no use for.
    #[error("{option} has no meaning for the format {format}; leave it out, or pass --format")]
    UselessOption { option: &'static str, format: Format },
    /// A value is listed as read and as write.
    #[error("the operation `{value}` is given with --read and with --write; keep one of them")]
    ReadAndWrite { value: String },
    /// A column that the header does not have.
    #[error(
        "{name} has no column `{column}` for {option}; its columns are {existing}; pass {option} \
         with one of these names, a 0-based index, or the right --delimiter"
    )]
    MissingColumn { name: String, column: String, option: &'static str, existing: String },
    /// A column name that occurs more than once.
    #[error(
        "{name} has more than one column `{column}` (indexes {first} and {second}); pass {option} \
         with the index"
    )]
    AmbiguousColumn {
        name: String,
        column: String,
        option: &'static str,
        first: usize,
        second: usize,
    },
    /// The first record of a CSV file, which tells its columns, cannot be used.
    #[error("the first line of {name} does not tell its columns: {reason}")]
    Header { name: String, reason: Reason },
    /// The raw input failed.
    #[error("cannot read {name} after line {line}: {source}; nothing after it was used")]
    Read { name: String, line: u64, source: io::Error },
    /// The compressed input is damaged or cut off (or could not be read).
    #[error(
        "cannot decompress {name} ({compression}) after line {line}: {source}; check that the \
         file is complete, for example with `{compression} -t`"
    )]
    Decompress { name: String, compression: Compression, line: u64, source: io::Error },
}

/// The outer error ends the iteration; the inner one refuses a single record.
pub(crate) type Item = Result<Result<Access, Refused>, InputError>;

/// What one format implements: the next record, or `None` at the end of the input.
trait Source {
    /// An `io::Error` is final: the source is not asked again.
    fn next_access(&mut self) -> io::Result<Option<Result<Access, Refused>>>;

    /// The last line (from 1) that was read; 0 before the first.
    fn line(&self) -> u64;
}

/// Where the bytes come from, for messages.
#[derive(Debug, Clone)]
struct Origin {
    name: String,
    compression: Compression,
}

impl Origin {
    fn read_error(&self, line: u64, source: io::Error) -> InputError {
        let name = self.name.clone();
        match self.compression {
            Compression::None => InputError::Read { name, line, source },
            compression => InputError::Decompress { name, compression, line, source },
        }
    }
}

/// The accesses of one input, in its order; see [`Item`] for the two kinds of error.
pub(crate) struct Accesses {
    source: Box<dyn Source + Send>,
    origin: Origin,
    ended: bool,
}

impl Iterator for Accesses {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.ended {
            return None;
        }
        match self.source.next_access() {
            Ok(Some(item)) => Some(Ok(item)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(self.origin.read_error(self.source.line(), error)))
            }
        }
    }
}

impl std::iter::FusedIterator for Accesses {}

/// Opens the raw bytes of `path`, or standard input for `-`.
///
/// # Errors
/// [`InputError::Open`] if the file cannot be opened.
pub(crate) fn open_raw(path: &Path) -> Result<RawReader, InputError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(InputError::Open { name: path.display().to_string(), source }),
    }
}

/// Opens `path` (`-` is standard input) and returns its accesses.
///
/// # Errors
/// See [`open_reader`], and [`InputError::Open`].
#[cfg(test)]
pub(crate) fn open(path: &Path, options: &InputOptions) -> Result<Accesses, InputError> {
    let name = path.to_string_lossy();
    options.check(&name)?;
    open_reader(open_raw(path)?, &name, options)
}

/// Returns the accesses of a raw, possibly compressed, stream of bytes.
///
/// `name_hint` is the file's name: the format is guessed from it unless `--format` is given, and
/// messages show it (`-` as "standard input"). An empty input has no accesses and is no error,
/// whatever the format.
///
/// # Errors
/// Options that do not fit each other or the format, a CSV header without the columns asked for,
/// and a failure to read the first bytes.
pub(crate) fn open_reader(
    raw: RawReader,
    name_hint: &str,
    options: &InputOptions,
) -> Result<Accesses, InputError> {
    let format = options.check(name_hint)?;
    let name = options::display_name(name_hint);
    let (compression, reader) = match decompress::decompress(raw) {
        Ok(opened) => opened,
        Err(source) => return Err(InputError::Read { name, line: 0, source }),
    };
    let origin = Origin { name, compression };
    let source: Box<dyn Source + Send> = match format {
        Format::Csv => {
            let delimiter = options.effective_delimiter(name_hint);
            Box::new(csv::CsvSource::open(reader, delimiter, options, &origin)?)
        }
        Format::Ndjson => Box::new(ndjson::NdjsonSource::new(reader, options)),
        Format::Combined => Box::new(combined_log::CombinedSource::new(reader, options)),
    };
    Ok(Accesses { source, origin, ended: false })
}
