//! The options of the input: how a file's records become accesses.
//!
//! Responsible for: the command-line arguments, their defaults, the guess of the format from the
//! file's name, and a stable text of the options for the caller's digest.
//! Invariants: two option sets that read an input differently have different digest texts; an
//! option that a format would ignore is an error, not a surprise.
//! Must not: open files or look at their content.
//! Proved by: `options_test.rs`.

use std::fmt::{self, Write as _};

use super::InputError;

#[cfg(test)]
#[path = "options_test.rs"]
mod tests;

/// The format of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Delimited fields with a header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache/nginx combined (or common) log.
    Combined,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
            Format::Combined => "combined",
        })
    }
}

/// What the time column counts from the Unix epoch, or that it is a date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TimeUnit {
    /// Seconds.
    #[default]
    #[value(name = "s")]
    Seconds,
    /// Milliseconds.
    #[value(name = "ms")]
    Milliseconds,
    /// Microseconds.
    #[value(name = "us")]
    Microseconds,
    /// Nanoseconds.
    #[value(name = "ns")]
    Nanoseconds,
    /// A date and time such as 2000-10-10T13:55:36.5-07:00
    #[value(name = "rfc3339")]
    Rfc3339,
}

/// How the key column spells the key's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyEncoding {
    /// The text's own bytes
    #[default]
    #[value(name = "utf8")]
    Utf8,
    /// Hexadecimal digits, with or without 0x
    #[value(name = "hex")]
    Hex,
    /// A decimal number below 2^64, as 8 bytes big-endian
    #[value(name = "u64be")]
    U64Be,
}

/// How the records of the input become accesses; use with `#[command(flatten)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputOptions {
    /// Format of the input [default: by name: .csv .tsv, .ndjson .jsonl .json, .log]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Column (NDJSON: field, dots descend) with the time [default: time]
    #[arg(long, value_name = "NAME|INDEX")]
    pub(crate) time_column: Option<String>,
    /// Unit of the time; fractions are exact, times finer than 1 ms are rounded down
    #[arg(long, value_enum, default_value = "s")]
    pub(crate) time_unit: TimeUnit,
    /// Column with the key [default: key]
    #[arg(long, value_name = "NAME|INDEX")]
    pub(crate) key_column: Option<String>,
    /// How the key is spelled
    #[arg(long, value_enum, default_value = "utf8")]
    pub(crate) key_encoding: KeyEncoding,
    /// Column with the operation [default: op]
    #[arg(long, value_name = "NAME|INDEX")]
    pub(crate) op_column: Option<String>,
    /// Operation that is a read; repeatable. Once --read or --write is given, no other operation
    /// is known (combined: methods that are not listed keep their default) [default: r read get
    /// scan in any case; combined: GET HEAD OPTIONS]
    #[arg(long, value_name = "VALUE")]
    pub(crate) read: Vec<String>,
    /// Operation that is a write; repeatable [default: w write put set del delete in any case;
    /// combined: every other method]
    #[arg(long, value_name = "VALUE")]
    pub(crate) write: Vec<String>,
    /// Column with the size in bytes [default: none, every size is 0]
    #[arg(long, value_name = "NAME|INDEX")]
    pub(crate) size_column: Option<String>,
    /// One ASCII character, or \t, between the fields of a CSV [default: , or for .tsv a tab]
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// The CSV has no header line; columns are 0-based indexes
    #[arg(long)]
    pub(crate) no_header: bool,
}

/// A delimiter that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("a delimiter is one ASCII character (or \\t), not a quote and not a line end")]
pub(crate) struct BadDelimiter;

fn parse_delimiter(text: &str) -> Result<u8, BadDelimiter> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [b'"' | b'\r' | b'\n'] => Err(BadDelimiter),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(BadDelimiter),
    }
}

impl InputOptions {
    /// The column of the time: as given, or `time`.
    pub(super) fn effective_time_column(&self) -> &str {
        self.time_column.as_deref().unwrap_or("time")
    }

    /// The column of the key: as given, or `key`.
    pub(super) fn effective_key_column(&self) -> &str {
        self.key_column.as_deref().unwrap_or("key")
    }

    /// The column of the operation: as given, or `op`.
    pub(super) fn effective_op_column(&self) -> &str {
        self.op_column.as_deref().unwrap_or("op")
    }

    /// The delimiter of a CSV: as given, or by the name a tab or a comma.
    pub(super) fn effective_delimiter(&self, name_hint: &str) -> u8 {
        let by_name = if extension(name_hint) == "tsv" { b'\t' } else { b',' };
        self.delimiter.unwrap_or(by_name)
    }

    /// Checks the options against each other and returns the format: as given, or by the name.
    ///
    /// # Errors
    /// [`InputError::UnknownFormat`], [`InputError::UselessOption`], [`InputError::ReadAndWrite`].
    pub(super) fn check(&self, name_hint: &str) -> Result<Format, InputError> {
        let format = match (self.format, extension(name_hint).as_str()) {
            (Some(format), _) => format,
            (None, "csv" | "tsv") => Format::Csv,
            (None, "ndjson" | "jsonl" | "json") => Format::Ndjson,
            (None, "log") => Format::Combined,
            _ => return Err(InputError::UnknownFormat { name: display_name(name_hint) }),
        };
        let only_csv = [("--delimiter", self.delimiter.is_some()), ("--no-header", self.no_header)];
        let not_combined = [
            ("--time-column", self.time_column.is_some()),
            ("--time-unit", self.time_unit != TimeUnit::Seconds),
            ("--key-column", self.key_column.is_some()),
            ("--key-encoding", self.key_encoding != KeyEncoding::Utf8),
            ("--op-column", self.op_column.is_some()),
            ("--size-column", self.size_column.is_some()),
        ];
        let useless = match format {
            Format::Csv => None,
            Format::Ndjson => only_csv.iter().find(|(_, given)| *given),
            Format::Combined => only_csv.iter().chain(&not_combined).find(|(_, given)| *given),
        };
        if let Some((option, _)) = useless {
            return Err(InputError::UselessOption { option, format });
        }
        if let Some(value) = self.read.iter().find(|value| self.write.contains(value)) {
            return Err(InputError::ReadAndWrite { value: value.clone() });
        }
        Ok(format)
    }

    /// The options, with defaults filled in, as a text that is the same whenever the input would
    /// be read in the same way: for the caller's digest of options and input.
    ///
    /// # Errors
    /// As [`super::open_reader`] for options that do not fit.
    pub(crate) fn digest_text(&self, name_hint: &str) -> Result<String, InputError> {
        let format = self.check(name_hint)?;
        let mut text = format!("input v1 format={format}");
        if format != Format::Combined {
            // `{:?}` quotes and escapes, so that no value can pass for another option.
            let _ = write!(
                text,
                " time={:?}/{:?} key={:?}/{:?} op={:?} size={:?}",
                self.effective_time_column(),
                self.time_unit,
                self.effective_key_column(),
                self.key_encoding,
                self.effective_op_column(),
                self.size_column,
            );
        }
        if format == Format::Csv {
            let delimiter = self.effective_delimiter(name_hint);
            let _ = write!(text, " delimiter={delimiter} header={}", !self.no_header);
        }
        for (label, values) in [("read", &self.read), ("write", &self.write)] {
            let mut sorted: Vec<&String> = values.iter().collect();
            sorted.sort_unstable();
            sorted.dedup();
            let _ = write!(text, " {label}={sorted:?}");
        }
        Ok(text)
    }
}

/// The file's name for messages.
pub(super) fn display_name(name_hint: &str) -> String {
    if name_hint == "-" { "standard input".to_owned() } else { name_hint.to_owned() }
}

/// The last extension in lower case, below a `.gz` or `.zst`; empty if there is none.
fn extension(name_hint: &str) -> String {
    let name = name_hint.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let compressed = [".gz", ".gzip", ".zst", ".zstd"];
    let name = compressed.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    name.rsplit_once('.').map(|(_, end)| end.to_owned()).unwrap_or_default()
}
