//! NDJSON input: one JSON object a line, columns are its fields.
//!
//! Responsible for: checking that a line is a JSON object and handing its fields over as written
//! (numbers keep every digit). Blank lines and a byte order mark at the start are skipped.
//! Invariant: a line without one of the fields is refused and names the fields it has; the next
//! line may have them.
//! Must not: decode fields.
//! Proved by: `ndjson_test.rs`.

use std::borrow::Cow;
use std::io;

use serde::de::IgnoredAny;

use super::fields::{Decoder, Reason, Texts, excerpt, name_list};
use super::lines::{Line, Lines};
use super::options::InputOptions;
use super::{Access, RawReader, Refused, Source, json_text};

#[cfg(test)]
#[path = "ndjson_test.rs"]
mod tests;

/// The accesses of an NDJSON input.
pub(super) struct NdjsonSource {
    lines: Lines,
    fields: Fields,
}

/// Which fields make an access, and how.
struct Fields {
    time: String,
    key: String,
    op: String,
    size: Option<String>,
    decoder: Decoder,
}

impl NdjsonSource {
    pub(super) fn new(reader: RawReader, options: &InputOptions) -> NdjsonSource {
        let fields = Fields {
            time: options.effective_time_column().to_owned(),
            key: options.effective_key_column().to_owned(),
            op: options.effective_op_column().to_owned(),
            size: options.size_column.clone(),
            decoder: Decoder::new(options),
        };
        NdjsonSource { lines: Lines::new(reader), fields }
    }
}

impl Source for NdjsonSource {
    fn next_access(&mut self) -> io::Result<Option<Result<Access, Refused>>> {
        loop {
            let line = self.lines.number() + 1;
            let text = match self.lines.next_line()? {
                None => return Ok(None),
                Some(Line::TooLong) => {
                    let reason = Reason::TooLong { last_line: line };
                    return Ok(Some(Err(Refused { line, reason })));
                }
                Some(Line::Text(text)) => text,
            };
            let mark = if line == 1 { text.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let text = mark.unwrap_or(text).trim_ascii();
            if !text.is_empty() {
                let access = self.fields.decode(line, text);
                return Ok(Some(access.map_err(|reason| Refused { line, reason })));
            }
        }
    }

    fn line(&self) -> u64 {
        self.lines.number()
    }
}

impl Fields {
    fn decode(&self, line: u64, text: &[u8]) -> Result<Access, Reason> {
        let text = std::str::from_utf8(text)
            .map_err(|error| Reason::NotUtf8 { valid_bytes: error.valid_up_to() })?;
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            // The line's number comes from the refusal; this one is always 1.
            let detail = error.to_string().replace(" at line 1 column ", " at column ");
            return Err(Reason::BadJson { detail: excerpt(detail.as_bytes()) });
        }
        if !text.starts_with('{') {
            return Err(Reason::NotAnObject { found: kind(text) });
        }
        let time = field(text, &self.time, "--time-column")?;
        let key = field(text, &self.key, "--key-column")?;
        let op = field(text, &self.op, "--op-column")?;
        let size = self.size.as_ref().map(|size| field(text, size, "--size-column")).transpose()?;
        let texts = Texts {
            time: time.as_bytes(),
            key: key.as_bytes(),
            op: op.as_bytes(),
            size: size.as_ref().map(|size| size.as_bytes()),
        };
        self.decoder.decode(line, texts)
    }
}

/// The text of a field: a string's content, or a number as written.
fn field<'a>(object: &'a str, path: &str, option: &'static str) -> Result<Cow<'a, str>, Reason> {
    let Some(value) = json_text::lookup(object, path) else {
        let names: Vec<Cow<'_, str>> = json_text::names(object).collect();
        let existing = name_list(names.iter().map(AsRef::as_ref));
        return Err(Reason::MissingField { field: path.to_owned(), option, existing });
    };
    match kind(value) {
        "a string" => json_text::decode_string(value)
            .ok_or_else(|| Reason::BadJson { detail: format!("bad escape in `{path}`") }),
        "a number" => Ok(Cow::Borrowed(value)),
        found => Err(Reason::FieldType { field: path.to_owned(), option, found }),
    }
}

/// What a JSON value is, told by its first character.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
