//! The envelope of every stored value:
//!
//! ```text
//! | version: u8 | payload | crc32: u32 little-endian over version and payload |
//! ```

use thiserror::Error;

/// Why bytes could not be decoded. The owner adds the key or file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages name the fields
pub enum CodecError {
    #[error("{what} is cut short")]
    Truncated { what: &'static str },
    #[error("{what} has format version {found}, this build knows up to {known}; upgrade keyviz")]
    Version { what: &'static str, found: u8, known: u8 },
    #[error(
        "{what} fails its checksum (stored {stored:#010x}, computed {computed:#010x}): it is damaged"
    )]
    Checksum { what: &'static str, stored: u32, computed: u32 },
    #[error("{what} holds {field}: it is damaged or foreign")]
    Invalid { what: &'static str, field: &'static str },
}

/// Wraps a payload.
pub fn seal(version: u8, payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(payload.len() + 5);
    value.push(version);
    value.extend_from_slice(payload);
    let crc = crc32fast::hash(&value);
    value.extend_from_slice(&crc.to_le_bytes());
    value
}

/// Checks checksum and version and returns the payload.
///
/// # Errors
/// [`CodecError::Truncated`], [`CodecError::Checksum`], [`CodecError::Version`].
pub fn open<'a>(what: &'static str, known: u8, value: &'a [u8]) -> Result<&'a [u8], CodecError> {
    open_versioned(what, known, value).map(|(_, payload)| payload)
}

/// Like [`open`], for a layout that has several versions up to `known`: which one it is, too.
///
/// # Errors
/// As [`open`].
pub fn open_versioned<'a>(
    what: &'static str,
    known: u8,
    value: &'a [u8],
) -> Result<(u8, &'a [u8]), CodecError> {
    open_with(what, known, value, Checksum::Compute)
}

/// Whether the checksum of a value is yet to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is.
    Compute,
    /// It was right ([`is_sound`]), and the value has been in memory since then.
    Known,
}

/// Whether a value passes its checksum.
pub fn is_sound(value: &[u8]) -> bool {
    let parts = value.split_last_chunk::<4>();
    parts.is_some_and(|(body, crc)| u32::from_le_bytes(*crc) == crc32fast::hash(body))
}

/// Like [`open_versioned`].
///
/// # Errors
/// As [`open`].
pub(crate) fn open_with<'a>(
    what: &'static str,
    known: u8,
    value: &'a [u8],
    checksum: Checksum,
) -> Result<(u8, &'a [u8]), CodecError> {
    let (body, crc) = value.split_last_chunk::<4>().ok_or(CodecError::Truncated { what })?;
    let (&found, payload) = body.split_first().ok_or(CodecError::Truncated { what })?;
    if checksum == Checksum::Compute {
        let (stored, computed) = (u32::from_le_bytes(*crc), crc32fast::hash(body));
        if stored != computed {
            return Err(CodecError::Checksum { what, stored, computed });
        }
    }
    if found == 0 || found > known {
        return Err(CodecError::Version { what, found, known });
    }
    Ok((found, payload))
}
