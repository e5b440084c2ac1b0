//! Replies, and their bytes in RESP2 and RESP3.
//!
//! Responsible for: one [`Reply`] for both protocols; a map is flattened in RESP2. The encoding
//! itself is `redis-protocol`'s.
//! Proof: `reply_test.rs`.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::types::BytesFrame as Resp2;
use redis_protocol::resp3::types::{BytesFrame as Resp3, VerbatimStringFormat};
use redis_protocol::{resp2, resp3};

use crate::error::CommandError;

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(&'static str),
    Error(String),
    Int(i64),
    Bulk(Bytes),
    /// Text to be shown as it is: a bulk string in RESP2.
    Text(String),
    Null,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    pub(crate) const OK: Self = Self::Simple("OK");

    /// A count.
    pub(crate) fn count(count: usize) -> Self {
        Self::Int(count as i64)
    }

    /// A bulk string.
    pub(crate) fn bulk(text: impl Into<Bytes>) -> Self {
        Self::Bulk(text.into())
    }

    /// Appends the bytes to `out`.
    pub(crate) fn encode(
        self,
        protocol: Protocol,
        out: &mut BytesMut,
    ) -> Result<(), RedisProtocolError> {
        match protocol {
            Protocol::Resp2 => resp2::encode::extend_encode(out, &self.into_resp2(), false),
            Protocol::Resp3 => {
                resp3::encode::complete::extend_encode(out, &self.into_resp3(), false)
            }
        }
        .map(|_| ())
    }

    fn into_resp2(self) -> Resp2 {
        match self {
            Self::Simple(text) => Resp2::SimpleString(Bytes::from_static(text.as_bytes())),
            Self::Error(text) => Resp2::Error(one_line(text).into()),
            Self::Int(number) => Resp2::Integer(number),
            Self::Bulk(bytes) => Resp2::BulkString(bytes),
            Self::Text(text) => Resp2::BulkString(text.into()),
            Self::Null => Resp2::Null,
            Self::Array(items) => Resp2::Array(items.into_iter().map(Self::into_resp2).collect()),
            Self::Map(pairs) => {
                let flat = pairs.into_iter().flat_map(|(key, value)| [key, value]);
                Resp2::Array(flat.map(Self::into_resp2).collect())
            }
        }
    }

    fn into_resp3(self) -> Resp3 {
        let attributes = None;
        match self {
            Self::Simple(text) => {
                Resp3::SimpleString { data: Bytes::from_static(text.as_bytes()), attributes }
            }
            Self::Error(text) => Resp3::SimpleError { data: one_line(text).into(), attributes },
            Self::Int(data) => Resp3::Number { data, attributes },
            Self::Bulk(data) => Resp3::BlobString { data, attributes },
            Self::Text(text) => Resp3::VerbatimString {
                data: text.into(),
                format: VerbatimStringFormat::Text,
                attributes,
            },
            Self::Null => Resp3::Null,
            Self::Array(items) => {
                let data = items.into_iter().map(Self::into_resp3).collect();
                Resp3::Array { data, attributes }
            }
            Self::Map(pairs) => {
                let pairs = pairs.into_iter();
                let data: HashMap<_, _> =
                    pairs.map(|(key, value)| (key.into_resp3(), value.into_resp3())).collect();
                Resp3::Map { data, attributes }
            }
        }
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Self {
        Self::Error(error.to_string())
    }
}

/// An error must not end its line early.
fn one_line(text: String) -> String {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ") } else { text }
}

#[cfg(test)]
#[path = "reply_test.rs"]
mod reply_test;
