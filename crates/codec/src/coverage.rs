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
//! That is version 1. Where columns were shed and lost, it is version 2 and goes on:
//!
//! ```text
//! n steps | for each step: step ms | n sources | for each source, by (node, boot):
//!   node: length, UTF-8 | boot: 16 bytes | places in the hour: how many, the first, then gaps - 1
//! ```
//!
//! Invariant: a window that one boot recorded twice (its clock went back) has both lengths added, so
//! it reads as stretched.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use keyviz_lineage::{SourceId, Step};
use uuid::Uuid;

use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

const PLAIN: u8 = 1;
const WITH_SHED: u8 = 2;
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
    /// Windows of which a column was acknowledged, shed from the WAL and lost.
    shed: BTreeMap<Step, BTreeMap<SourceId, BTreeSet<u64>>>,
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

    /// Notes that a column of one source's window was acknowledged, shed from the WAL and lost.
    pub fn add_shed(&mut self, step: Step, source: &SourceId, index: u16) {
        let sources = self.shed.entry(step).or_default();
        sources.entry(source.clone()).or_default().insert(u64::from(index));
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (step, source, windows) in other.iter() {
            windows.iter().for_each(|&(index, cover)| self.add(step, source, index, cover));
        }
        for (step, source, index) in other.shed() {
            self.add_shed(step, source, index);
        }
    }

    /// Windows that lost a column: step, source and place in the hour.
    pub fn shed(&self) -> impl Iterator<Item = (Step, &SourceId, u16)> {
        self.shed.iter().flat_map(|(&step, sources)| {
            let windows = sources.iter();
            windows
                .flat_map(move |(source, at)| at.iter().map(move |&at| (step, source, at as u16)))
        })
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
                put_source(&mut out, source);
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
        if self.shed.is_empty() {
            return envelope::seal(PLAIN, &out.bytes);
        }
        out.uint(self.shed.len() as u64);
        for (step, sources) in &self.shed {
            out.uint(step.ms());
            out.uint(sources.len() as u64);
            for (source, windows) in sources {
                put_source(&mut out, source);
                out.ascending(windows.iter());
            }
        }
        envelope::seal(WITH_SHED, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let (version, payload) = envelope::open_versioned(WHAT, WITH_SHED, value)?;
        let mut input = Reader::new(payload, WHAT);
        let mut coverage = Self::default();
        for _ in 0..input.count()? {
            let step = read_step(&mut input)?;
            for _ in 0..input.count()? {
                let source = read_source(&mut input)?;
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
        if version == WITH_SHED {
            coverage.read_shed(&mut input)?;
        }
        input.end()?;
        Ok(coverage)
    }

    fn read_shed(&mut self, input: &mut Reader<'_>) -> Result<(), CodecError> {
        for _ in 0..input.count()? {
            let step = read_step(input)?;
            let most = step.columns_per_hour();
            for _ in 0..input.count()? {
                let source = read_source(input)?;
                let windows = input.ascending(most)?;
                if windows.last().is_some_and(|&last| last >= most as u64) {
                    return Err(input.invalid("a window outside its hour"));
                }
                self.shed.entry(step).or_default().entry(source).or_default().extend(windows);
            }
        }
        Ok(())
    }
}

fn put_source(out: &mut Writer, source: &SourceId) {
    out.prefixed(source.node.as_bytes());
    out.raw(source.boot.as_bytes());
}

fn read_source(input: &mut Reader<'_>) -> Result<SourceId, CodecError> {
    let node = input.text()?.to_owned();
    Ok(SourceId { node, boot: Uuid::from_bytes(input.array()?) })
}

fn read_step(input: &mut Reader<'_>) -> Result<Step, CodecError> {
    Step::recordable_from_ms(input.uint()?).map_err(|_| input.invalid("a step that cuts no hour"))
}

fn decode_windows(input: &mut Reader<'_>, step: Step) -> Result<Windows, CodecError> {
    let (count, most) = (input.count()?, step.columns_per_hour() as u64);
    let (mut next, mut windows) = (0u64, Windows::with_capacity(count.min(most as usize)));
    for _ in 0..count {
        // The rule: the next window, all of it, and nobody unknown.
        if next < most && input.skip(&[0, 0, 0]) {
            let cover = WindowCover { covered_ms: step.ms(), unattributed: 0 };
            windows.push((next as u16, cover));
            next += 1;
            continue;
        }
        let index = next.checked_add(input.uint()?).filter(|&index| index < most);
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
