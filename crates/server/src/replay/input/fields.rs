//! From the texts of a record's fields to an access, and the reasons for refusing a record.
//!
//! Responsible for: decoding time, key, operation and size in the same way for every format.
//! Invariants: a field is used entirely or the record is refused, nothing is guessed; a reason
//! holds at most a short excerpt of the input.
//! Must not: know how a format finds its fields.
//! Proved by: `fields_test.rs`.

use super::options::{InputOptions, KeyEncoding, TimeUnit};
use super::time::{self, Decimal, TimeError};
use super::{Access, MAX_KEY_BYTES, MAX_LINE_BYTES, Op};

#[cfg(test)]
#[path = "fields_test.rs"]
mod tests;

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// The time is not in the form that the options announce.
    #[error("the time `{text}` is not {expected}; check --time-column and --time-unit")]
    BadTime { text: String, expected: &'static str },
    /// The time is not within 64 bits of Unix milliseconds.
    #[error("the time `{text}` is before 1970 or too far ahead; check --time-unit")]
    TimeOutOfRange { text: String },
    /// The key is not hexadecimal.
    #[error("the key `{text}` is not an even number of hexadecimal digits; check --key-encoding")]
    BadHexKey { text: String },
    /// The key is not an unsigned 64-bit number.
    #[error("the key `{text}` is not a decimal number below 2^64; check --key-encoding")]
    BadNumberKey { text: String },
    /// The key is not UTF-8.
    #[error("the key `{text}` is not UTF-8; write such keys in hex and pass --key-encoding hex")]
    KeyNotUtf8 { text: String },
    /// The key is too long.
    #[error("the key has {bytes} bytes, more than the {MAX_KEY_BYTES} allowed; shorten it")]
    KeyTooLong { bytes: usize },
    /// The operation is neither a read nor a write.
    #[error("the operation `{text}` is not known; name it with --read or --write")]
    UnknownOp { text: String },
    /// The size is not a number of bytes.
    #[error("the size `{text}` is not a whole number of bytes below 2^64; check --size-column")]
    BadSize { text: String },
    /// The size is below zero.
    #[error("the size `{text}` is negative; correct it or leave --size-column out")]
    NegativeSize { text: String },
    /// The record has more or fewer fields than the first line.
    #[error("it has {found} fields where the first line has {expected}; quote the delimiter")]
    FieldCount { found: usize, expected: usize },
    /// A quoted field is still open at the end of the input.
    #[error("a quote opened here is not closed by the end of the input (line {last_line})")]
    UnclosedQuote { last_line: u64 },
    /// The line or CSV record is too long.
    #[error(
        "it is longer than {MAX_LINE_BYTES} bytes and was skipped up to line {last_line}; split \
         it, or close its quote"
    )]
    TooLong { last_line: u64 },
    /// The line is not UTF-8.
    #[error("it is not UTF-8 from byte {valid_bytes} on; convert the file, for example with iconv")]
    NotUtf8 { valid_bytes: usize },
    /// The line is not JSON.
    #[error("it is not JSON: {detail}")]
    BadJson { detail: String },
    /// The line is JSON, but not an object.
    #[error("it holds {found}, not an object; write one object a line, for example with jq -c")]
    NotAnObject { found: &'static str },
    /// The object lacks a field.
    #[error("it has no field `{field}`, only {existing}; check {option}")]
    MissingField { field: String, option: &'static str, existing: String },
    /// The field is neither a string nor a number.
    #[error("its field `{field}` is {found}, not a string or a number; check {option}")]
    FieldType { field: String, option: &'static str, found: &'static str },
    /// The line does not have the form of a combined log.
    #[error("it is not a combined log line (host ident user [time] \"request\" status bytes)")]
    NotCombined,
    /// The request is not a method and a target.
    #[error("the request `{text}` is not a method and a path; such lines have no key")]
    BadRequest { text: String },
}

/// A short, printable form of a piece of the input.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const EXCERPT_BYTES: usize = 60;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_BYTES)]);
    let more = if bytes.len() > EXCERPT_BYTES { "..." } else { "" };
    format!("{}{more}", shown.escape_debug())
}

/// Names for a message, cut off after twenty.
pub(super) fn name_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let mut names = names.peekable();
    let shown: Vec<String> =
        names.by_ref().take(SHOWN).map(|name| format!("`{}`", excerpt(name.as_bytes()))).collect();
    match (shown.is_empty(), names.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What an operation that is not listed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unlisted {
    /// Nothing: it is refused.
    Refused,
    /// The usual words of traces, in any case.
    Words,
    /// The methods of HTTP.
    Methods,
}

/// Which operations are reads and which are writes.
#[derive(Debug, Clone)]
pub(super) struct Operations {
    read: Vec<Vec<u8>>,
    write: Vec<Vec<u8>>,
    unlisted: Unlisted,
}

impl Operations {
    /// The values of `--read` and `--write`; without any, the usual words.
    pub(super) fn words(options: &InputOptions) -> Operations {
        let listed = !options.read.is_empty() || !options.write.is_empty();
        let unlisted = if listed { Unlisted::Refused } else { Unlisted::Words };
        Operations { unlisted, ..Operations::methods(options) }
    }

    /// The values of `--read` and `--write`; for others, what HTTP says about the method.
    pub(super) fn methods(options: &InputOptions) -> Operations {
        let bytes = |values: &[String]| values.iter().map(|v| v.clone().into_bytes()).collect();
        Operations {
            read: bytes(&options.read),
            write: bytes(&options.write),
            unlisted: Unlisted::Methods,
        }
    }

    /// Reads an operation.
    pub(super) fn decode(&self, text: &[u8]) -> Result<Op, Reason> {
        const READ_WORDS: [&str; 4] = ["r", "read", "get", "scan"];
        const WRITE_WORDS: [&str; 6] = ["w", "write", "put", "set", "del", "delete"];
        let text = text.trim_ascii();
        let one_of = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w.as_bytes()));
        if self.read.iter().any(|value| value.as_slice() == text) {
            return Ok(Op::Read);
        }
        if self.write.iter().any(|value| value.as_slice() == text) {
            return Ok(Op::Write);
        }
        match self.unlisted {
            Unlisted::Methods if matches!(text, b"GET" | b"HEAD" | b"OPTIONS") => Ok(Op::Read),
            Unlisted::Methods => Ok(Op::Write),
            Unlisted::Words if one_of(&READ_WORDS) => Ok(Op::Read),
            Unlisted::Words if one_of(&WRITE_WORDS) => Ok(Op::Write),
            _ => Err(Reason::UnknownOp { text: excerpt(text) }),
        }
    }
}

/// The texts of one record's fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) time: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) op: &'a [u8],
    /// `None` if no size column is asked for.
    pub(super) size: Option<&'a [u8]>,
}

/// Decodes the fields of the formats whose columns are chosen by options.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    time_unit: TimeUnit,
    key_encoding: KeyEncoding,
    operations: Operations,
}

impl Decoder {
    pub(super) fn new(options: &InputOptions) -> Decoder {
        Decoder {
            time_unit: options.time_unit,
            key_encoding: options.key_encoding,
            operations: Operations::words(options),
        }
    }

    /// Decodes one record. Spaces around the time, the operation, the size and a number or hex
    /// key do not count; a UTF-8 key is taken as it is.
    pub(super) fn decode(&self, line: u64, texts: Texts<'_>) -> Result<Access, Reason> {
        Ok(Access {
            time_ms: self.decode_time(texts.time.trim_ascii())?,
            key: self.decode_key(texts.key)?,
            op: self.operations.decode(texts.op)?,
            size_bytes: texts.size.map_or(Ok(0), |text| decode_size(text.trim_ascii()))?,
            line,
        })
    }

    fn decode_time(&self, text: &[u8]) -> Result<u64, Reason> {
        let expected = match self.time_unit {
            TimeUnit::Seconds => "a decimal number of seconds",
            TimeUnit::Milliseconds => "a decimal number of milliseconds",
            TimeUnit::Microseconds => "a decimal number of microseconds",
            TimeUnit::Nanoseconds => "a decimal number of nanoseconds",
            TimeUnit::Rfc3339 => "an RFC 3339 time like 2000-10-10T13:55:36-07:00",
        };
        time::parse_time_ms(text, self.time_unit)
            .map_err(|error| time_reason(error, text, expected))
    }

    fn decode_key(&self, text: &[u8]) -> Result<Vec<u8>, Reason> {
        match self.key_encoding {
            KeyEncoding::Utf8 => {
                check_key_length(text.len())?;
                match std::str::from_utf8(text) {
                    Ok(_) => Ok(text.to_vec()),
                    Err(_) => Err(Reason::KeyNotUtf8 { text: excerpt(text) }),
                }
            }
            KeyEncoding::Hex => {
                let text = text.trim_ascii();
                let digits =
                    text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
                check_key_length(digits.len() / 2)?;
                hex::decode(digits).map_err(|_| Reason::BadHexKey { text: excerpt(text) })
            }
            KeyEncoding::U64Be => {
                let text = text.trim_ascii();
                parse_number(text)
                    .map(|number| number.to_be_bytes().to_vec())
                    .ok_or_else(|| Reason::BadNumberKey { text: excerpt(text) })
            }
        }
    }
}

/// Refuses keys above [`MAX_KEY_BYTES`].
pub(super) fn check_key_length(bytes: usize) -> Result<(), Reason> {
    if bytes > MAX_KEY_BYTES { Err(Reason::KeyTooLong { bytes }) } else { Ok(()) }
}

/// The reason for a time that cannot be used.
pub(super) fn time_reason(error: TimeError, text: &[u8], expected: &'static str) -> Reason {
    match error {
        TimeError::Malformed => Reason::BadTime { text: excerpt(text), expected },
        TimeError::OutOfRange => Reason::TimeOutOfRange { text: excerpt(text) },
    }
}

/// A size: a whole number, also written as `512.0` or `1e3` (as JSON writers do).
pub(super) fn decode_size(text: &[u8]) -> Result<u64, Reason> {
    let number = Decimal::parse(text);
    if number.is_some_and(|number| number.is_negative()) {
        return Err(Reason::NegativeSize { text: excerpt(text) });
    }
    number
        .and_then(|number| number.exact_u64())
        .ok_or_else(|| Reason::BadSize { text: excerpt(text) })
}

/// Digits only; no sign, no fraction.
fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
