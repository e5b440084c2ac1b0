//! The one catalogue of what the host keeps in its database, and the seal around its own records.
//!
//! | key | value | use |
//! |---|---|---|
//! | a user key, raw | see `value.rs` | user data |
//! | `!admin\|host\|meta\|catalogue` | sealed `CatalogueMeta` | version and counters |
//! | `!admin\|host\|meta\|node` | sealed `NodeMeta` | node id, term of the last start |
//! | `!admin\|host\|range\|<route, u64 big-endian>` | sealed `StoredRange` | one live range |
//! | `!admin\|host\|transition\|<number, u64 big-endian>` | sealed `StoredTransition` | sent again at each start |
//!
//! A sealed record: 1 byte format version, JSON, 4 bytes CRC32 (little-endian) of all before it.
//! Invariant: an unknown version or a wrong checksum is an error that names the key.
//! Proof: `keys_test.rs`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::HostError;

/// The system namespace: hidden from reads and scans, refused to writes (contract section 6).
pub(crate) const RESERVED: &[u8] = b"!admin|";
/// The first key behind the system namespace.
pub(crate) const RESERVED_END: &[u8] = b"!admin}";
pub(crate) const CATALOGUE_META: &[u8] = b"!admin|host|meta|catalogue";
pub(crate) const NODE_META: &[u8] = b"!admin|host|meta|node";
pub(crate) const RANGES: &[u8] = b"!admin|host|range|";
pub(crate) const TRANSITIONS: &[u8] = b"!admin|host|transition|";

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Whether `key` belongs to the system.
pub(crate) fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(RESERVED)
}

/// The key of the record `number` under `prefix`.
pub(crate) fn numbered(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

/// Puts a record into the bytes that are stored.
pub(crate) fn seal<T: Serialize>(key: &[u8], record: &T) -> Result<Vec<u8>, HostError> {
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, record).map_err(|error| damaged(key, error.to_string()))?;
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Takes a record out of the bytes that were stored under `key`.
pub(crate) fn unseal<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, HostError> {
    let (body, checksum) = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(|| damaged(key, format!("only {} bytes", bytes.len())))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(damaged(key, "wrong checksum".to_owned()));
    }
    match body.split_first() {
        Some((&FORMAT, json)) => {
            serde_json::from_slice(json).map_err(|error| damaged(key, error.to_string()))
        }
        Some((version, _)) => Err(damaged(key, format!("format {version}, known is {FORMAT}"))),
        None => Err(damaged(key, "empty".to_owned())),
    }
}

/// An error about the value of `key`.
pub(crate) fn damaged(key: &[u8], reason: String) -> HostError {
    HostError::Damaged { key: key.to_vec(), reason }
}

#[cfg(test)]
#[path = "keys_test.rs"]
mod keys_test;
