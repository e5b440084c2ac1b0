//! What a WAL segment held that was shed: the only excuse for a lost acknowledged column. Kept outside
//! the WAL's cap. (The log that holds it frames and checksums it; there is no envelope.) Integers are
//! LEB128 varints.
//!
//! ```text
//! version: u8
//! n sources | for each: node: length, UTF-8 | boot: 16
//! n lists of groups | for each: how many, the first, then gaps - 1
//! n entries, at least 1 | for each, by WAL sequence:
//!   WAL sequence - that of the entry before | source: its place above | sequence
//!   0 = it held no column, 1 = the source left, 2 + place of its groups = a column:
//!     step ms | window ms / step ms
//! ```
//!
//! Proof: `shed_record_test.rs`, and the fuzz target of the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_lineage::column::MAX_NODE_BYTES;
use keyviz_lineage::{GroupId, SourceId, Step, Window};
use uuid::Uuid;

use crate::CodecError;
use crate::varint::{Reader, Writer};

const VERSION: u8 = 1;
const WHAT: &str = "shed record";

/// One record of the WAL that was shed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShedEntry {
    /// Its sequence in the WAL.
    pub wal_sequence: u64,
    /// Whose entry it held.
    pub source: SourceId,
    /// Under which number.
    pub sequence: u64,
    /// What it held.
    pub held: Held,
}

/// What a record held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A number that was consumed, and nothing else.
    Nothing,
    /// The source left.
    Leave,
    /// A column.
    Column {
        /// Its window.
        window: Window,
        /// The groups that it counted in, ascending; group 0 where it named none.
        groups: Arc<[GroupId]>,
    },
}

/// The payload of a shed record. Entries are in the order of their WAL sequences.
pub fn encode(entries: &[ShedEntry]) -> Vec<u8> {
    let mut out = Writer::default();
    out.raw(&[VERSION]);
    let (mut sources, mut lists) = (BTreeMap::new(), BTreeMap::new());
    for entry in entries {
        sources.entry(&entry.source).or_insert(0u64);
        if let Held::Column { groups, .. } = &entry.held {
            lists.entry(groups).or_insert(0u64);
        }
    }
    out.uint(sources.len() as u64);
    for (at, (source, place)) in (0..).zip(&mut sources) {
        *place = at;
        out.prefixed(source.node.as_bytes());
        out.raw(source.boot.as_bytes());
    }
    out.uint(lists.len() as u64);
    for (at, (groups, place)) in (0..).zip(&mut lists) {
        *place = at;
        out.ascending(groups.iter());
    }
    out.uint(entries.len() as u64);
    let mut last = 0;
    for ShedEntry { wal_sequence, source, sequence, held } in entries {
        out.uint(wal_sequence.wrapping_sub(last));
        out.uint(sources.get(source).copied().unwrap_or(0));
        out.uint(*sequence);
        match held {
            Held::Nothing => out.uint(0),
            Held::Leave => out.uint(1),
            Held::Column { window, groups } => {
                out.uint(2 + lists.get(groups).copied().unwrap_or(0));
                out.uint(window.step.ms());
                out.uint(window.start_ms / window.step.ms());
            }
        }
        last = *wal_sequence;
    }
    out.bytes
}

/// From a payload.
///
/// # Errors
/// See [`CodecError`].
pub fn decode(payload: &[u8]) -> Result<Vec<ShedEntry>, CodecError> {
    let (&version, rest) = payload.split_first().ok_or(CodecError::Truncated { what: WHAT })?;
    if version != VERSION {
        return Err(CodecError::Version { what: WHAT, found: version, known: VERSION });
    }
    let mut input = Reader::new(rest, WHAT);
    let mut sources = Vec::new();
    for _ in 0..input.count()? {
        let node = input.text()?.to_owned();
        if node.len() > MAX_NODE_BYTES {
            return Err(input.invalid("a node with too long a name"));
        }
        sources.push(SourceId { node, boot: Uuid::from_bytes(input.array()?) });
    }
    // Shared by their entries: a short record must not become a large one.
    let mut lists: Vec<Arc<[GroupId]>> = Vec::new();
    for _ in 0..input.count()? {
        lists.push(input.ascending(usize::MAX)?.into());
    }
    let (mut entries, mut last) = (Vec::new(), 0u64);
    for _ in 0..input.count()? {
        let wal_sequence = last.checked_add(input.uint()?);
        let wal_sequence =
            wal_sequence.ok_or_else(|| input.invalid("a sequence beyond 64 bits"))?;
        let source = usize::try_from(input.uint()?).ok().and_then(|at| sources.get(at)).cloned();
        let source = source.ok_or_else(|| input.invalid("a source that it does not name"))?;
        let sequence = input.uint()?;
        let held = match input.uint()? {
            0 => Held::Nothing,
            1 => Held::Leave,
            at => {
                let groups = usize::try_from(at - 2).ok().and_then(|at| lists.get(at)).cloned();
                let groups = groups.ok_or_else(|| input.invalid("groups that it does not name"))?;
                Held::Column { window: read_window(&mut input)?, groups }
            }
        };
        entries.push(ShedEntry { wal_sequence, source, sequence, held });
        last = wal_sequence;
    }
    input.end()?;
    Ok(entries)
}

fn read_window(input: &mut Reader<'_>) -> Result<Window, CodecError> {
    let step = Step::recordable_from_ms(input.uint()?)
        .map_err(|_| input.invalid("a step that cuts no hour"))?;
    let start_ms = input.uint()?.checked_mul(step.ms());
    let start_ms = start_ms.ok_or_else(|| input.invalid("a window beyond 64 bits"))?;
    Window::new(start_ms, step).map_err(|_| input.invalid("a window that its step does not cut"))
}

#[cfg(test)]
#[path = "shed_record_test.rs"]
mod shed_record_test;
