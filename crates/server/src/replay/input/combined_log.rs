//! Apache and nginx logs in the combined (or common) format.
//!
//! Responsible for: taking time, method, path and response size from lines such as
//! `127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.0" 200 2326 "-" "agent"`.
//! The key is the path's bytes without the query string: the log's own escapes (`\xHH`, `\"`,
//! `\\`, `\n` ...) are undone, percent escapes are not. A target with scheme and host loses them.
//! The time may also be RFC 3339; its zone counts. Blank lines are skipped.
//! Invariant: a line whose request is not a method and a path is refused (TLS handshakes and `-`
//! are usual in such logs).
//! Proved by: `combined_log_test.rs`.

use std::io;

use regex::bytes::Regex;

use super::fields::{self, Operations, Reason, excerpt};
use super::lines::{Line, Lines};
use super::options::InputOptions;
use super::{Access, RawReader, Refused, Source, time};

#[cfg(test)]
#[path = "combined_log_test.rs"]
mod tests;

/// Anything (host, ident, user), `[time]`, `"request"`, status, bytes, and the rest if any.
const LINE: &str = concat!(
    r#"(?-u)^.*?\[(?<time>[^\[\]]*)\] "(?<request>(?:[^"\\]|\\.)*)" "#,
    r"(?:[0-9]{3}|-) (?<size>-?[0-9]+|-)(?: |$)",
);

/// The accesses of a combined log.
pub(super) struct CombinedSource {
    lines: Lines,
    parser: Parser,
}

struct Parser {
    line: Regex,
    operations: Operations,
}

impl CombinedSource {
    pub(super) fn new(reader: RawReader, options: &InputOptions) -> CombinedSource {
        let line = Regex::new(LINE).expect("LINE"); // invariant: a constant that every test compiles
        let parser = Parser { line, operations: Operations::methods(options) };
        CombinedSource { lines: Lines::new(reader), parser }
    }
}

impl Source for CombinedSource {
    fn next_access(&mut self) -> io::Result<Option<Result<Access, Refused>>> {
        loop {
            let line = self.lines.number() + 1;
            let access = match self.lines.next_line()? {
                None => return Ok(None),
                Some(Line::TooLong) => Err(Reason::TooLong { last_line: line }),
                Some(Line::Text(text)) if text.trim_ascii().is_empty() => continue,
                Some(Line::Text(text)) => self.parser.decode(line, text),
            };
            return Ok(Some(access.map_err(|reason| Refused { line, reason })));
        }
    }

    fn line(&self) -> u64 {
        self.lines.number()
    }
}

impl Parser {
    fn decode(&self, line: u64, text: &[u8]) -> Result<Access, Reason> {
        let parts = self.line.captures(text).ok_or(Reason::NotCombined)?;
        let request = unescape(&parts["request"]);
        let bad_request = || Reason::BadRequest { text: excerpt(&request) };
        let (method, target) = split_request(&request).ok_or_else(bad_request)?;
        let key = path_of(method, target).ok_or_else(bad_request)?;
        fields::check_key_length(key.len())?;
        Ok(Access {
            time_ms: decode_time(&parts["time"])?,
            key: key.to_vec(),
            op: self.operations.decode(method)?,
            size_bytes: match &parts["size"] {
                b"-" => 0,
                size => fields::decode_size(size)?,
            },
            line,
        })
    }
}

fn decode_time(text: &[u8]) -> Result<u64, Reason> {
    let parsed = match time::parse_log_ms(text) {
        Err(time::TimeError::Malformed) => time::parse_rfc3339_ms(text),
        other => other,
    };
    parsed
        .map_err(|error| fields::time_reason(error, text, "a time like 10/Oct/2000:13:55:36 -0700"))
}

/// Method and target of `METHOD target HTTP/x`; the protocol may be missing, the target may hold
/// spaces.
fn split_request(request: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = request.iter().position(|byte| *byte == b' ')?;
    let (method, rest) = (&request[..space], &request[space + 1..]);
    let target = match rest.iter().rposition(|byte| *byte == b' ') {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => &rest[..at],
        _ => rest,
    };
    let token = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    (!method.is_empty() && method.iter().all(token)).then_some((method, target))
}

/// The path of a request's target.
fn path_of<'a>(method: &[u8], target: &'a [u8]) -> Option<&'a [u8]> {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let target = &target[..end];
    if target.starts_with(b"/") || target == b"*" {
        return Some(target);
    }
    if method == b"CONNECT" && !target.is_empty() {
        return Some(target);
    }
    let authority = target.windows(3).position(|window| window == b"://")? + 3;
    let path = target[authority..].iter().position(|byte| *byte == b'/');
    Some(path.map_or(b"/", |at| &target[authority + at..]))
}

/// Undoes the escapes of the log's writer.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, used) = match (first, after) {
            (b'\\', [b'x', high, low, ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'b', ..]) => (0x08, 2),
            (b'\\', [b'f', ..]) => (0x0c, 2),
            (b'\\', [b'v', ..]) => (0x0b, 2),
            (b'\\', [quoted @ (b'"' | b'\\'), ..]) => (*quoted, 2),
            _ => (*first, 1),
        };
        plain.push(byte);
        rest = &rest[used..];
    }
    plain
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
