//! Requests out of a byte stream.
//!
//! Responsible for: finding where a request ends and refusing it early; taking it apart is
//! `redis-protocol`'s decoder. Inline commands ("PING\r\n") are taken apart here.
//! Owns: how far the unfinished request was looked at, so that each byte is looked at once however
//! many pieces it comes in; the share of the [`Budget`] that it holds.
//! Invariants: a request that would exceed [`MAX_FRAME_BYTES`] is refused by its announced length,
//! before it is buffered (F1); what all unfinished requests may hold together is bounded (F2);
//! requests do not nest, so a hostile one cannot exhaust the stack of the decoder (F3).
//! Proof: `frame_test.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf as _, Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::types::BytesFrame;
use thiserror::Error;

use crate::inline;
use crate::parse::Words;

/// The longest request.
pub(crate) const MAX_FRAME_BYTES: usize = 64 << 20;
/// What all unfinished requests may hold together.
pub(crate) const MAX_BUFFERED_BYTES: usize = 512 << 20;
const MAX_WORDS: i64 = 1_024 * 1_024;
const MAX_LINE_BYTES: usize = 64 << 10;
/// Requests up to this are not charged to the budget.
const FREE_BYTES: usize = 64 << 10;

/// Why a connection is closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum FrameError {
    #[error("ERR Protocol error: {0}")]
    Protocol(&'static str),
    #[error("ERR Protocol error: expected '$', got '{}'", [*.0].escape_ascii())]
    NotBulk(u8),
    #[error("ERR Protocol error: a request of more than {limit_bytes} bytes; send less at once")]
    TooLarge { limit_bytes: usize },
    #[error(
        "ERR requests of more than {limit_bytes} bytes in all are being received; try again later"
    )]
    OverBudget { limit_bytes: usize },
}

/// Bytes that unfinished requests hold, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicUsize);

impl Budget {
    fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|&sum| sum <= MAX_BUFFERED_BYTES);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The reader of one connection.
#[derive(Debug)]
pub(crate) struct FrameReader {
    budget: Arc<Budget>,
    charged: usize,
    /// Where the next line of the unfinished request begins; may lie behind what has arrived.
    at: usize,
    /// The unfinished request's words, once its first line is known.
    words: Option<Expected>,
}

#[derive(Clone, Copy, Debug)]
struct Expected {
    all: i64,
    left: i64,
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

impl FrameReader {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, charged: 0, at: 0, words: None }
    }

    /// Takes the next whole request off the front of `buffer`. `None`: more bytes are needed.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Words>, FrameError> {
        loop {
            match buffer.first() {
                None => return Ok(None),
                Some(b'*') => {
                    let Some((end, words)) = self.find_end(buffer)? else { return Ok(None) };
                    self.finish();
                    if words == 0 {
                        buffer.advance(end);
                        continue;
                    }
                    return decode(buffer, end).map(Some);
                }
                Some(_) => match inline_words(buffer)? {
                    None => return Ok(None),
                    Some(words) if words.is_empty() => {}
                    Some(words) => return Ok(Some(words)),
                },
            }
        }
    }

    /// How many bytes the unfinished request is known to need, for sizing the buffer.
    pub(crate) fn needed(&self) -> usize {
        self.at
    }

    /// Where the request ends and how many words it has, when all of it is there.
    fn find_end(&mut self, buffer: &[u8]) -> Result<Option<(usize, i64)>, FrameError> {
        let mut words = match self.words {
            Some(words) => words,
            None => {
                let Some((line, next)) = line_at(buffer, 1, "too big mbulk count string")? else {
                    return Ok(None);
                };
                let all = number(line).filter(|&all| all <= MAX_WORDS);
                let all = all.ok_or(FrameError::Protocol("invalid multibulk length"))?.max(0);
                self.at = next;
                Expected { all, left: all }
            }
        };
        self.words = Some(words);
        while words.left > 0 {
            match buffer.get(self.at) {
                None => return Ok(None),
                Some(b'$') => {}
                Some(&other) => return Err(FrameError::NotBulk(other)),
            }
            let line = line_at(buffer, self.at + 1, "too big bulk count string")?;
            let Some((line, next)) = line else { return Ok(None) };
            let len = number(line).and_then(|len| usize::try_from(len).ok());
            let len = len.ok_or(FrameError::Protocol("invalid bulk length"))?;
            let end = next.saturating_add(len).saturating_add(2);
            self.charge(end)?;
            self.at = end;
            words.left -= 1;
            self.words = Some(words);
        }
        Ok((self.at <= buffer.len()).then_some((self.at, words.all)))
    }

    /// F1, F2
    fn charge(&mut self, bytes: usize) -> Result<(), FrameError> {
        if bytes > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge { limit_bytes: MAX_FRAME_BYTES });
        }
        if bytes > FREE_BYTES && bytes > self.charged {
            if !self.budget.take(bytes - self.charged) {
                return Err(FrameError::OverBudget { limit_bytes: MAX_BUFFERED_BYTES });
            }
            self.charged = bytes;
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.budget.give_back(self.charged);
        (self.charged, self.at, self.words) = (0, 0, None);
    }
}

/// The line from `from` without its end, and where the next one begins.
fn line_at<'a>(
    buffer: &'a [u8],
    from: usize,
    too_long: &'static str,
) -> Result<Option<(&'a [u8], usize)>, FrameError> {
    let rest = buffer.get(from..).unwrap_or_default();
    match rest.iter().take(MAX_LINE_BYTES).position(|&byte| byte == b'\n') {
        Some(0) => Err(FrameError::Protocol("a line must end with CR LF")),
        Some(end) if rest[end - 1] != b'\r' => {
            Err(FrameError::Protocol("a line must end with CR LF"))
        }
        Some(end) => Ok(Some((&rest[..end - 1], from + end + 1))),
        None if rest.len() >= MAX_LINE_BYTES => Err(FrameError::Protocol(too_long)),
        None => Ok(None),
    }
}

fn number(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// The words of the request that is `end` bytes long.
fn decode(buffer: &mut BytesMut, end: usize) -> Result<Words, FrameError> {
    let broken = FrameError::Protocol("broken request");
    let mut request = buffer.split_to(end);
    match decode_bytes_mut(&mut request) {
        Ok(Some((BytesFrame::Array(frames), used, _))) if used == end => frames
            .into_iter()
            .map(|frame| match frame {
                BytesFrame::BulkString(word) => Ok(word),
                _ => Err(FrameError::Protocol("broken request")),
            })
            .collect(),
        _ => Err(broken),
    }
}

/// The words of an inline command. `None`: its line has not ended yet.
fn inline_words(buffer: &mut BytesMut) -> Result<Option<Words>, FrameError> {
    let Some(end) = buffer.iter().take(MAX_LINE_BYTES).position(|&byte| byte == b'\n') else {
        if buffer.len() >= MAX_LINE_BYTES {
            return Err(FrameError::Protocol("too big inline request"));
        }
        return Ok(None);
    };
    let line = buffer.split_to(end + 1);
    let words = inline::split(line.trim_ascii_end())
        .ok_or(FrameError::Protocol("unbalanced quotes in request"))?;
    Ok(Some(words.into_iter().map(Bytes::from).collect()))
}

#[cfg(test)]
#[path = "frame_test.rs"]
mod frame_test;
