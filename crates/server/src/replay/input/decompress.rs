//! Compression of the input, recognised by its first bytes.
//!
//! Responsible for: choosing the decoder by magic bytes (a file's name does not count) and
//! decoding gzip with any number of members and Zstandard with any number of frames.
//! Bytes recognised: gzip `1f 8b`; Zstandard frame `28 b5 2f fd`; Zstandard skippable frame
//! `50..5f 2a 4d 18`. Everything else is passed through unchanged.
//! Invariant: whoever reads the result to its end has read every raw byte.
//! Must not: decode more than one layer, or keep more than the decoder's window (128 MiB at most
//! for Zstandard, the library's own limit).
//! Proved by: `decompress_test.rs`.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};

#[cfg(test)]
#[path = "decompress_test.rs"]
mod tests;

/// A raw or decoded stream of bytes.
pub(crate) type RawReader = Box<dyn Read + Send>;

/// How the input is compressed; shown as the name of the tool that can test it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not compressed.
    None,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::None => "uncompressed",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        })
    }
}

/// Looks at the first bytes of `raw` and returns the stream behind its compression.
///
/// # Errors
/// Whatever reading the first bytes or setting up the decoder fails with.
pub(super) fn decompress(mut raw: RawReader) -> io::Result<(Compression, RawReader)> {
    let mut magic = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut magic)?;
    let compression = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::None,
    };
    let whole = Cursor::new(magic).chain(raw);
    let reader: RawReader = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(whole))?),
    };
    Ok((compression, reader))
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(64 << 10, reader)
}
