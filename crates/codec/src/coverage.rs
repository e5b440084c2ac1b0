//! Coverage: which source recorded which window of an hour, for one group. This is what tells an
//! idle cell from a missing one, at a few bytes a window for all ranges of the group together.
//!
//! Value under `coverage|<hour>`, inside [`crate::envelope`], version 1, LEB128 varints:
//!
//! ```text
//! n steps | for each step: step ms | n sources | for each source, by (node, boot):
//!   node: length, UTF-8 | boot: 16 bytes | n windows
//!   for each window: index gap | covered ms - step ms, zigzag | unattributed
//! ```
//!
//! Invariant: a window that one boot recorded twice (its clock went back) has both lengths added, so
//! it reads as stretched.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use keyviz_lineage::{SourceId, Step};
use uuid::Uuid;

use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

const VERSION: u8 = 1;
const WHAT: &str = "coverage";

/// What one boot of one source said of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCover {
    /// How many milliseconds of it were covered (more than a step: stretched).
    pub covered_ms: u64,
    /// Operations on routes that the source did not know.
    pub unattributed: u64,
}

/// By their place in the hour, ascending.
type Windows = Vec<(u16, WindowCover)>;

/// Who recorded what in one hour of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    steps: BTreeMap<Step, BTreeMap<SourceId, Windows>>,
}

impl Coverage {
    /// Adds one source's window.
    pub fn add(&mut self, step: Step, source: &SourceId, index: u16, cover: WindowCover) {
        let sources = self.steps.entry(step).or_default();
        let windows = match sources.get_mut(source) {
            Some(windows) => windows,
            None => sources.entry(source.clone()).or_default(),
        };
        let at = match windows.binary_search_by_key(&index, |(held, _)| *held) {
            Ok(at) => at,
            Err(at) => {
                windows.insert(at, (index, WindowCover::default()));
                at
            }
        };
        let (_, held) = &mut windows[at];
        held.covered_ms = held.covered_ms.saturating_add(cover.covered_ms);
        held.unattributed = held.unattributed.saturating_add(cover.unattributed);
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (step, source, windows) in other.iter() {
            windows.iter().for_each(|&(index, cover)| self.add(step, source, index, cover));
        }
    }

    /// Every source's windows, by step: each with its place in the hour, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Step, &SourceId, &[(u16, WindowCover)])> {
        self.steps.iter().flat_map(|(&step, sources)| {
            sources.iter().map(move |(source, windows)| (step, source, windows.as_slice()))
        })
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.uint(self.steps.len() as u64);
        for (step, sources) in &self.steps {
            out.uint(step.ms());
            out.uint(sources.len() as u64);
            for (source, windows) in sources {
                out.prefixed(source.node.as_bytes());
                out.raw(source.boot.as_bytes());
                out.uint(windows.len() as u64);
                let mut next = 0;
                for &(index, cover) in windows {
                    out.uint(u64::from(index - next));
                    out.int(cover.covered_ms.wrapping_sub(step.ms()) as i64);
                    out.uint(cover.unattributed);
                    next = index + 1;
                }
            }
        }
        envelope::seal(VERSION, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut input = Reader::new(envelope::open(WHAT, VERSION, value)?, WHAT);
        let mut coverage = Self::default();
        for _ in 0..input.count()? {
            let step = Step::recordable_from_ms(input.uint()?)
                .map_err(|_| input.invalid("a step that cuts no hour"))?;
            for _ in 0..input.count()? {
                let node = input.text()?.to_owned();
                let source = SourceId { node, boot: Uuid::from_bytes(input.array()?) };
                let windows = decode_windows(&mut input, step)?;
                match coverage.steps.entry(step).or_default().entry(source) {
                    Entry::Vacant(free) => drop(free.insert(windows)),
                    Entry::Occupied(held) => {
                        let source = held.key().clone();
                        windows
                            .iter()
                            .for_each(|&(at, cover)| coverage.add(step, &source, at, cover));
                    }
                }
            }
        }
        input.end()?;
        Ok(coverage)
    }
}

fn decode_windows(input: &mut Reader<'_>, step: Step) -> Result<Windows, CodecError> {
    let (mut next, mut windows) = (0u64, Windows::new());
    for _ in 0..input.count()? {
        let index =
            next.checked_add(input.uint()?).filter(|&index| index < step.columns_per_hour() as u64);
        let index = index.ok_or_else(|| input.invalid("a window outside its hour"))?;
        next = index + 1;
        let covered_ms = step.ms().wrapping_add(input.int()? as u64);
        let unattributed = input.uint()?;
        windows.push((index as u16, WindowCover { covered_ms, unattributed }));
    }
    Ok(windows)
}

#[cfg(test)]
#[path = "coverage_test.rs"]
mod coverage_test;
