//! The body of an answer in long format: encoded chunk by chunk, when the client has read the last one.
//!
//! Invariants: a slow client holds the answer and one chunk, no thread; an error breaks the body off,
//! so that nobody takes half of it for all.
//! Must not: know what a cell says (see [`super::long`]).
//! Proof: `tests/tests/formats.rs`.

use std::io;

use arrow_ipc::writer::StreamWriter;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::error::HttpError;
use super::format::Format;
use super::long::Long;

/// Says `PARTIAL` where something could not be read: lines have no place for it.
const STATUS: &str = "keyviz-status";

enum Encoder {
    Ndjson,
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

/// An answer on its way.
struct Encoding {
    long: Long,
    encoder: Encoder,
    next_row: usize,
    is_done: bool,
}

/// # Errors
/// What cannot be encoded at all.
pub(super) fn respond(long: Long, format: Format) -> Result<Response, HttpError> {
    let status = long.status();
    let encoder = Encoder::new(&long, format).map_err(|error| HttpError::internal(&error))?;
    let encoding = Encoding { long, encoder, next_row: 0, is_done: false };
    let body = Body::from_stream(futures::stream::iter(encoding));
    let headers = [(header::CONTENT_TYPE.as_str(), format.media_type()), (STATUS, status)];
    Ok((headers, body).into_response())
}

impl Encoder {
    fn new(long: &Long, format: Format) -> io::Result<Self> {
        match format {
            Format::Json | Format::Ndjson => Ok(Self::Ndjson),
            Format::Arrow => {
                let writer = StreamWriter::try_new(Vec::new(), &long.schema());
                writer.map(|writer| Self::Arrow(Box::new(writer))).map_err(io::Error::other)
            }
            Format::Parquet => {
                let schema = long.schema();
                let metadata = schema.metadata().iter();
                let metadata =
                    metadata.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_key_value_metadata(Some(metadata.collect()))
                    .build();
                // Readers that know Arrow would see dictionaries; plain text and bytes suit all.
                let options = ArrowWriterOptions::new()
                    .with_properties(properties)
                    .with_skip_arrow_metadata(true);
                let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options);
                writer.map(|writer| Self::Parquet(Box::new(writer))).map_err(io::Error::other)
            }
        }
    }
}

impl Encoding {
    /// The next bytes; none may be ready although more come.
    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let rows = self.next_row..self.next_row + self.long.chunk_rows(self.next_row);
        self.next_row = rows.end;
        self.is_done = rows.is_empty();
        let long = &self.long;
        match &mut self.encoder {
            Encoder::Ndjson => long.ndjson(rows).map_err(io::Error::from),
            Encoder::Arrow(writer) => {
                let wrote = if rows.is_empty() {
                    writer.finish()
                } else {
                    long.batch(rows).and_then(|batch| writer.write(&batch))
                };
                wrote.map_err(io::Error::other)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Encoder::Parquet(writer) => {
                if rows.is_empty() {
                    writer.finish().map_err(io::Error::other)?;
                } else {
                    let batch = long.batch(rows).map_err(io::Error::other)?;
                    writer.write(&batch).map_err(io::Error::other)?;
                }
                // Taken, not written to: offsets are counted above the vector.
                Ok(std::mem::take(writer.inner_mut()))
            }
        }
    }
}

impl Iterator for Encoding {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_done {
            match self.chunk() {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => return Some(Ok(chunk)),
                Err(error) => {
                    self.is_done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
