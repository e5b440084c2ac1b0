//! CSV input: delimited fields, quoted as in RFC 4180, with a header line.
//!
//! Responsible for: finding the columns by name or index, and one item a record; blank lines are
//! skipped. The parser is the `csv` crate's; [`Feed`] stands between it and the input, hands over
//! at most one line a call, counts lines, and stops a record that is too long.
//! State: one record, its bytes at most twice [`MAX_LINE_BYTES`] and 16 bytes a field (so 256 MiB
//! for a record of nothing but delimiters); the memory of a large record is given back after it.
//! Invariants: the parser asks the feed for more only when it has used everything it was given, so
//! what the feed knows (line, bytes since the record began, end of input) is about the current
//! record. The feed ends the last line if the input does not; therefore a record that still needs
//! the end of the input to be complete has an open quote, and is refused instead of passing for a
//! field that swallowed the rest of the file.
//! Must not: decode fields.
//! Proved by: `csv_test.rs`.

use std::io::{self, BufRead, BufReader, Read};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::fields::{Decoder, Reason, Texts, name_list};
use super::options::InputOptions;
use super::{Access, InputError, MAX_LINE_BYTES, Origin, RawReader, Refused, Source};

#[cfg(test)]
#[path = "csv_test.rs"]
mod tests;

/// Bytes or fields of a record above which its memory is not kept for the next one.
const LARGE_RECORD: usize = 1 << 20;

/// Gives the parser the input line by line, with the bounds described in the module's header.
struct Feed {
    reader: BufReader<RawReader>,
    /// The line (from 1) that is being handed over.
    line: u64,
    at_line_start: bool,
    /// Nothing but blank lines was handed over since [`Feed::begin_record`].
    before_record: bool,
    /// The line where the record starts.
    record_line: u64,
    record_bytes: usize,
    /// The record was stopped because it is too long.
    stopped: bool,
    /// The end of the input was handed over.
    ended: bool,
}

impl Feed {
    fn new(reader: RawReader) -> Feed {
        Feed {
            reader: BufReader::with_capacity(64 << 10, reader),
            line: 0,
            at_line_start: true,
            before_record: true,
            record_line: 0,
            record_bytes: 0,
            stopped: false,
            ended: false,
        }
    }

    fn begin_record(&mut self) {
        self.before_record = true;
        self.record_bytes = 0;
        self.stopped = false;
    }

    /// Steps over what is left of the current line.
    fn skip_line(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            self.reader.skip_until(b'\n')?;
            self.at_line_start = true;
        }
        Ok(())
    }

    /// Takes note of what is about to be handed over: part of one line, with its end or without.
    fn note(&mut self, piece: &[u8]) {
        if self.at_line_start {
            self.line += 1;
        }
        self.at_line_start = piece.ends_with(b"\n");
        let blank = piece.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if self.before_record && !blank {
            self.before_record = false;
            self.record_line = self.line;
        }
        if !self.before_record {
            self.record_bytes += piece.len();
        }
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // One byte more than the limit, for the line's end.
        let room = (MAX_LINE_BYTES + 1).saturating_sub(self.record_bytes).min(out.len());
        if room == 0 {
            self.stopped = true;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record is too long"));
        }
        let available = loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if available.is_empty() {
            if self.at_line_start {
                self.ended = true;
                return Ok(0);
            }
            self.at_line_start = true;
            out[0] = b'\n';
            return Ok(1);
        }
        let available = &available[..available.len().min(room)];
        let line_end = available.iter().position(|byte| *byte == b'\n');
        let count = line_end.map_or(available.len(), |at| at + 1);
        out[..count].copy_from_slice(&available[..count]);
        self.reader.consume(count);
        self.note(&out[..count]);
        Ok(count)
    }
}

/// The record that was read, as far as the parser is concerned.
enum Outcome {
    Record,
    Refused(Refused),
    End,
}

/// Records, one at a time.
struct Records {
    reader: Reader<Feed>,
    record: ByteRecord,
    delimiter: u8,
}

impl Records {
    fn new(reader: RawReader, delimiter: u8) -> Records {
        let reader = Records::parser(Feed::new(reader), delimiter);
        Records { reader, record: ByteRecord::new(), delimiter }
    }

    fn parser(feed: Feed, delimiter: u8) -> Reader<Feed> {
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(64 << 10)
            .from_reader(feed)
    }

    fn feed(&self) -> &Feed {
        self.reader.get_ref()
    }

    /// Reads the next record into `self.record`.
    fn advance(&mut self) -> io::Result<Outcome> {
        self.reader.get_mut().begin_record();
        if self.record.as_slice().len() > LARGE_RECORD || self.record.len() > LARGE_RECORD {
            self.record = ByteRecord::new();
        }
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) if self.feed().ended => {
                let reason = Reason::UnclosedQuote { last_line: self.feed().line };
                Ok(Outcome::Refused(Refused { line: self.feed().record_line, reason }))
            }
            Ok(true) => Ok(Outcome::Record),
            Ok(false) => Ok(Outcome::End),
            Err(_) if self.feed().stopped => self.recover().map(Outcome::Refused),
            Err(error) => Err(match error.into_kind() {
                ErrorKind::Io(error) => error,
                other => io::Error::other(format!("{other:?}")),
            }),
        }
    }

    /// Gives up a record that is too long and starts afresh after its current line.
    fn recover(&mut self) -> io::Result<Refused> {
        let empty = Feed::new(Box::new(io::empty()));
        let mut feed = std::mem::replace(self.reader.get_mut(), empty);
        feed.skip_line()?;
        let (line, reason) = (feed.record_line, Reason::TooLong { last_line: feed.line });
        self.reader = Records::parser(feed, self.delimiter);
        self.record = ByteRecord::new();
        Ok(Refused { line, reason })
    }
}

/// Where the fields of a record are.
#[derive(Debug)]
struct Columns {
    count: usize,
    time: usize,
    key: usize,
    op: usize,
    size: Option<usize>,
}

/// The accesses of a CSV input.
pub(super) struct CsvSource {
    records: Records,
    /// `None` if the input is empty.
    columns: Option<Columns>,
    decoder: Decoder,
    /// The current record was read to learn the columns and is not used yet.
    first_is_data: bool,
}

impl CsvSource {
    /// Reads the first record and finds the columns.
    ///
    /// # Errors
    /// [`InputError::Header`], [`InputError::MissingColumn`], [`InputError::AmbiguousColumn`], and
    /// failures to read.
    pub(super) fn open(
        reader: RawReader,
        delimiter: u8,
        options: &InputOptions,
        origin: &Origin,
    ) -> Result<CsvSource, InputError> {
        let mut records = Records::new(reader, delimiter);
        let columns = match records.advance() {
            Ok(Outcome::End) => None,
            Ok(Outcome::Record) => Some(find_columns(&records.record, options, &origin.name)?),
            Ok(Outcome::Refused(refused)) => {
                let name = origin.name.clone();
                return Err(InputError::Header { name, reason: refused.reason });
            }
            Err(error) => return Err(origin.read_error(records.feed().line, error)),
        };
        let first_is_data = options.no_header && columns.is_some();
        Ok(CsvSource { records, columns, decoder: Decoder::new(options), first_is_data })
    }
}

impl Source for CsvSource {
    fn next_access(&mut self) -> io::Result<Option<Result<Access, Refused>>> {
        let Some(columns) = &self.columns else {
            return Ok(None);
        };
        if !std::mem::take(&mut self.first_is_data) {
            match self.records.advance()? {
                Outcome::Record => {}
                Outcome::Refused(refused) => return Ok(Some(Err(refused))),
                Outcome::End => return Ok(None),
            }
        }
        let line = self.records.feed().record_line;
        let access = decode(&self.records.record, columns, &self.decoder, line);
        Ok(Some(access.map_err(|reason| Refused { line, reason })))
    }

    fn line(&self) -> u64 {
        self.records.feed().line
    }
}

fn decode(
    record: &ByteRecord,
    columns: &Columns,
    decoder: &Decoder,
    line: u64,
) -> Result<Access, Reason> {
    if record.len() != columns.count {
        return Err(Reason::FieldCount { found: record.len(), expected: columns.count });
    }
    let size = columns.size.map(|column| &record[column]);
    let texts = Texts {
        time: &record[columns.time],
        key: &record[columns.key],
        op: &record[columns.op],
        size,
    };
    decoder.decode(line, texts)
}

fn find_columns(
    first: &ByteRecord,
    options: &InputOptions,
    name: &str,
) -> Result<Columns, InputError> {
    let names: Vec<String> = if options.no_header {
        Vec::new()
    } else {
        first.iter().map(|field| String::from_utf8_lossy(field).trim().to_owned()).collect()
    };
    let find = |column: &str, option| find_column(&names, first.len(), column, option, name);
    Ok(Columns {
        count: first.len(),
        time: find(options.effective_time_column(), "--time-column")?,
        key: find(options.effective_key_column(), "--key-column")?,
        op: find(options.effective_op_column(), "--op-column")?,
        size: options.size_column.as_ref().map(|size| find(size, "--size-column")).transpose()?,
    })
}

/// A column by its name, or else by its index.
fn find_column(
    names: &[String],
    count: usize,
    column: &str,
    option: &'static str,
    input: &str,
) -> Result<usize, InputError> {
    let mut matches = (0..names.len()).filter(|index| names[*index] == column);
    match (matches.next(), matches.next()) {
        (Some(index), None) => return Ok(index),
        (Some(first), Some(second)) => {
            let (name, column) = (input.to_owned(), column.to_owned());
            return Err(InputError::AmbiguousColumn { name, column, option, first, second });
        }
        (None, _) => {}
    }
    let digits_only = column.bytes().all(|byte| byte.is_ascii_digit());
    match column.parse::<usize>() {
        Ok(index) if digits_only && index < count => Ok(index),
        _ => {
            let existing = if names.is_empty() {
                format!("the indexes 0 to {} (there is no header)", count.saturating_sub(1))
            } else {
                name_list(names.iter().map(String::as_str))
            };
            let (name, column) = (input.to_owned(), column.to_owned());
            Err(InputError::MissingColumn { name, column, option, existing })
        }
    }
}
