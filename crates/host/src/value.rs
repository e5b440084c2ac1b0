//! How a user's value is stored.
//!
//! | bytes | content |
//! |---|---|
//! | 1 | kind: 1 = no expiry, 2 = with expiry |
//! | 8 | kind 2 only: expiry, Unix milliseconds, big-endian |
//! | rest | the value |
//!
//! Must not: read a clock. Whether a value has expired is asked with the time as an argument.
//! Proof: `commands_test.rs`.

use bytes::Bytes;

use crate::error::HostError;
use crate::keys::damaged;

const PLAIN: u8 = 1;
const EXPIRING: u8 = 2;

/// A user's value with its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) data: Bytes,
    /// Unix milliseconds; `None` = never.
    pub(crate) expires_ms: Option<u64>,
}

/// The bytes that are stored for `data`.
pub(crate) fn encode(data: &[u8], expires_ms: Option<u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len() + 9);
    match expires_ms {
        None => bytes.push(PLAIN),
        Some(ms) => {
            bytes.push(EXPIRING);
            bytes.extend_from_slice(&ms.to_be_bytes());
        }
    }
    bytes.extend_from_slice(data);
    bytes
}

/// Expiry and value of the bytes stored under `key`.
pub(crate) fn decode<'a>(
    key: &[u8],
    bytes: &'a [u8],
) -> Result<(Option<u64>, &'a [u8]), HostError> {
    match bytes.split_first() {
        Some((&PLAIN, data)) => Ok((None, data)),
        Some((&EXPIRING, rest)) => match rest.split_first_chunk::<8>() {
            Some((ms, data)) => Ok((Some(u64::from_be_bytes(*ms)), data)),
            None => Err(damaged(key, "expiry cut short".to_owned())),
        },
        Some((kind, _)) => Err(damaged(key, format!("unknown kind {kind}"))),
        None => Err(damaged(key, "no kind".to_owned())),
    }
}

/// Whether the bytes stored under a user key have expired. Damaged ones have not.
pub(crate) fn is_expired(bytes: &[u8], now_ms: u64) -> bool {
    matches!(decode(b"", bytes), Ok((Some(ms), _)) if ms <= now_ms)
}
