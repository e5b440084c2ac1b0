//! Lines of bounded length, for the formats with one record a line.
//!
//! Responsible for: splitting at LF (a CR before it is dropped), counting lines, and stepping over
//! a line that is longer than [`MAX_LINE_BYTES`].
//! State: one line; the buffer never grows beyond twice the limit and is given back after a line
//! that reached it.
//! Must not: interpret the content.
//! Proved by: `lines_test.rs`.

use std::io::{self, BufRead, BufReader, Read};

use super::{MAX_LINE_BYTES, RawReader};

#[cfg(test)]
#[path = "lines_test.rs"]
mod tests;

/// One line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The line without its end.
    Text(&'a [u8]),
    /// The line is longer than the limit; it was skipped.
    TooLong,
}

/// The lines of an input.
pub(super) struct Lines {
    reader: BufReader<RawReader>,
    buffer: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(super) fn new(reader: RawReader) -> Lines {
        Lines { reader: BufReader::with_capacity(64 << 10, reader), buffer: Vec::new(), number: 0 }
    }

    /// The number (from 1) of the line that was read last; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.buffer.capacity() > MAX_LINE_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        if self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        } else if self.buffer.len() > MAX_LINE_BYTES {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Text(&self.buffer)))
    }
}
