//! Small marks that say how far something has come. Each value is inside [`crate::envelope`],
//! version 1, LEB128 varints.
//!
//! ```text
//! Applied      command index | wal sequence
//! Member       n spans | for each: from ms | 0, or 1 + left ms
//! BootMark     last sequence | last window's end ms | touched ms | n digests | digests, u64 little-endian, oldest first
//! LeaderEvent  node: length, UTF-8 | term
//! Freeze       since ms | ms left of it | 0 = the clocks parted by, 1 = no column for | ms
//! Upgrade      from version | to version | position: length, bytes
//! number       varint
//! ```

use std::collections::VecDeque;

use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

const VERSION: u8 = 1;

/// How many digests of past entries a boot mark keeps.
pub const DIGESTS_KEPT: usize = 1_024;

/// How far a group has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Commands applied.
    pub index: u64,
    /// Every WAL record up to and with this one is in the group's blocks.
    pub wal_sequence: u64,
}

/// From when to when a source is expected in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `(from, left)` in Unix milliseconds; the last may be open.
    pub spans: Vec<(u64, Option<u64>)>,
}

impl Member {
    /// Whether the source is expected to record the window that starts at `window_ms`.
    pub fn expected_at(&self, window_ms: u64) -> bool {
        self.spans
            .iter()
            .any(|&(from, left)| from <= window_ms && left.is_none_or(|left| window_ms < left))
    }

    /// Whether the source is expected to record any window that starts in `[from_ms, to_ms)`.
    pub fn expected_within(&self, from_ms: u64, to_ms: u64) -> bool {
        self.spans
            .iter()
            .any(|&(from, left)| from < to_ms && left.is_none_or(|left| from_ms < left))
    }

    /// The source sent a column for the window at `window_ms`. Returns whether that is news.
    pub fn arrived(&mut self, window_ms: u64) -> bool {
        if self.expected_at(window_ms) {
            return false;
        }
        match self.spans.iter_mut().find(|(_, left)| left.is_none()) {
            Some((from, _)) => *from = window_ms,
            None => self.spans.push((window_ms, None)),
        }
        true
    }

    /// The source said that it leaves: nothing is expected from `left_ms` on.
    pub fn leave(&mut self, left_ms: u64) {
        for (from, left) in &mut self.spans {
            if left.is_none() {
                *left = Some(left_ms.max(*from));
            }
        }
    }
}

/// The last entry taken from one boot of a source, and what the latest ones looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootMark {
    /// Entries 1 to this were taken.
    pub last_sequence: u64,
    /// Where the newest window it sent ends, Unix milliseconds; 0 = it sent none.
    pub last_window_end_ms: u64,
    /// When it last sent anything, by this node's clock: what retention judges the mark by.
    pub touched_ms: u64,
    /// Digests of the entries up to `last_sequence`, oldest first; 0 = not known.
    pub digests: VecDeque<u64>,
}

impl BootMark {
    /// Takes entry `sequence`. What lies between it and the last one (shed from a WAL) stays
    /// without a digest.
    pub fn take(&mut self, sequence: u64, digest: u64, window_end_ms: u64, now_ms: u64) {
        if sequence.checked_sub(1) != Some(self.last_sequence) {
            self.digests.clear();
        }
        self.last_sequence = sequence;
        self.last_window_end_ms = self.last_window_end_ms.max(window_end_ms);
        self.touched_ms = self.touched_ms.max(now_ms);
        self.digests.push_back(digest);
        if self.digests.len() > DIGESTS_KEPT {
            self.digests.pop_front();
        }
    }

    /// The digest of a taken entry, if it is still known.
    pub fn digest_of(&self, sequence: u64) -> Option<u64> {
        let back = usize::try_from(self.last_sequence.checked_sub(sequence)?).ok()?;
        let index = self.digests.len().checked_sub(back + 1)?;
        self.digests.get(index).copied().filter(|&digest| digest != 0)
    }
}

/// What two sends of one entry must agree in.
pub fn digest(payload: &[u8]) -> u64 {
    (payload.len() as u64) << 32 | u64::from(crc32fast::hash(payload))
}

/// A change of leader or term.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEvent {
    /// The node that leads.
    pub node: String,
    /// Its term.
    pub term: u64,
}

/// Garbage collection is frozen because a clock jumped (contract section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// When it was noticed, by the wall clock of that moment, Unix milliseconds.
    pub since_ms: u64,
    /// For how much longer it lasts, in milliseconds of uptime, when this was written.
    pub left_ms: u64,
    /// What happened.
    pub why: FreezeReason,
}

/// What the clock did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeReason {
    /// Wall and monotonic time parted by so many milliseconds.
    Parted(u64),
    /// At start, the wall clock was so many milliseconds past the newest stored window.
    Behind(u64),
}

/// How far the upgrade of a folder to another schema version has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The version that the folder had when it began.
    pub from: u64,
    /// The version that the step in work leads to.
    pub to: u64,
    /// Where that step goes on, in its own words; empty = at its beginning.
    pub position: Vec<u8>,
}

/// A mark that can be stored.
pub trait Mark: Sized {
    /// Its name in errors.
    const WHAT: &'static str;
    #[doc(hidden)]
    fn write(&self, out: &mut Sink<'_>);
    #[doc(hidden)]
    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError>;

    /// The stored value.
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut Sink(&mut out));
        envelope::seal(VERSION, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut input = Reader::new(envelope::open(Self::WHAT, VERSION, value)?, Self::WHAT);
        let mark = Self::read(&mut Source(&mut input))?;
        input.end()?;
        Ok(mark)
    }
}

/// Where a mark writes itself.
#[derive(Debug)]
pub struct Sink<'a>(&'a mut Writer);
/// Where a mark reads itself from.
#[derive(Debug)]
pub struct Source<'a, 'b>(&'a mut Reader<'b>);

impl Mark for Applied {
    const WHAT: &'static str = "applied mark";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.uint(self.index);
        out.0.uint(self.wal_sequence);
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        Ok(Self { index: input.0.uint()?, wal_sequence: input.0.uint()? })
    }
}

impl Mark for Member {
    const WHAT: &'static str = "member mark";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.uint(self.spans.len() as u64);
        for (from, left) in &self.spans {
            out.0.uint(*from);
            out.0.uint(left.map_or(0, |left| left.saturating_add(1)));
        }
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        let count = input.0.count()?;
        let spans = (0..count)
            .map(|_| Ok((input.0.uint()?, input.0.uint()?.checked_sub(1))))
            .collect::<Result<_, CodecError>>()?;
        Ok(Self { spans })
    }
}

impl Mark for BootMark {
    const WHAT: &'static str = "boot mark";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.uint(self.last_sequence);
        out.0.uint(self.last_window_end_ms);
        out.0.uint(self.touched_ms);
        out.0.uint(self.digests.len() as u64);
        self.digests.iter().for_each(|digest| out.0.raw(&digest.to_le_bytes()));
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        let (last_sequence, last_window_end_ms) = (input.0.uint()?, input.0.uint()?);
        let touched_ms = input.0.uint()?;
        let count = input.0.count()?;
        let digests = (0..count)
            .map(|_| Ok(u64::from_le_bytes(input.0.array()?)))
            .collect::<Result<_, CodecError>>()?;
        Ok(Self { last_sequence, last_window_end_ms, touched_ms, digests })
    }
}

impl Mark for LeaderEvent {
    const WHAT: &'static str = "leader event";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.prefixed(self.node.as_bytes());
        out.0.uint(self.term);
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        Ok(Self { node: input.0.text()?.to_owned(), term: input.0.uint()? })
    }
}

impl Mark for Freeze {
    const WHAT: &'static str = "freeze mark";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.uint(self.since_ms);
        out.0.uint(self.left_ms);
        let (why, by_ms) = match self.why {
            FreezeReason::Parted(by_ms) => (0, by_ms),
            FreezeReason::Behind(by_ms) => (1, by_ms),
        };
        out.0.uint(why);
        out.0.uint(by_ms);
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        let (since_ms, left_ms) = (input.0.uint()?, input.0.uint()?);
        let why = match (input.0.uint()?, input.0.uint()?) {
            (0, by_ms) => FreezeReason::Parted(by_ms),
            (1, by_ms) => FreezeReason::Behind(by_ms),
            _ => return Err(input.0.invalid("a reason that is none")),
        };
        Ok(Self { since_ms, left_ms, why })
    }
}

impl Mark for Upgrade {
    const WHAT: &'static str = "upgrade mark";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.uint(self.from);
        out.0.uint(self.to);
        out.0.prefixed(&self.position);
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        let (from, to) = (input.0.uint()?, input.0.uint()?);
        Ok(Self { from, to, position: input.0.prefixed()?.to_vec() })
    }
}

impl Mark for u64 {
    const WHAT: &'static str = "number";

    fn write(&self, out: &mut Sink<'_>) {
        out.0.uint(*self);
    }

    fn read(input: &mut Source<'_, '_>) -> Result<Self, CodecError> {
        input.0.uint()
    }
}

#[cfg(test)]
#[path = "marks_test.rs"]
mod marks_test;
