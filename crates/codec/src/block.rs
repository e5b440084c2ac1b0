//! The block: what was recorded of one lineage in one Unix hour, by contributor.
//!
//! Value under `range|<lineage>|<hour>`, inside [`crate::envelope`], version 1. All integers are
//! LEB128 varints.
//!
//! ```text
//! n steps | for each step, finest first:
//!   step ms | n contributors | for each contributor, by (node, term):
//!     node: length, UTF-8 | term | n cells
//!     indexes: first, then gaps - 1       window index within the hour
//!     flags part:   length 0, or one varint a cell
//!     series parts: 4 x (length | one varint a cell)   reads, writes, read bytes, write bytes
//! ```
//!
//! A part can be skipped by its length, so one series is read without decoding the others.
//! Invariants: an hour whose step changed keeps both blocks (B1); a cell is there only if something
//! was counted or flagged (B2); indexes ascend and lie within the hour (B3).
//! Issue of size and speed: a frame-of-reference layout will come as version 2.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_lineage::{Counts, Flags, Series, Step};

use crate::varint::{Reader, Writer};
use crate::{Cell, CodecError, cell, envelope};

const VERSION: u8 = 1;
const WHAT: &str = "column block";

/// Whose counts these are: one node in one term. (Boots of a node add up: contract section 5.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contributor {
    /// The node.
    pub node: Arc<str>,
    /// The term it led for these writes; 0 = unknown or not the leader.
    pub term: u64,
}

/// One contributor's counts in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellEntry {
    /// The window's place in its hour.
    pub index: u16,
    /// What was counted.
    pub counts: Counts,
    /// What the source itself knew to be inexact.
    pub flags: Flags,
}

/// One step's columns of one lineage-hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    step: Step,
    contributors: BTreeMap<Contributor, Vec<CellEntry>>,
}

impl Block {
    /// An empty block of `step` columns.
    pub fn new(step: Step) -> Self {
        Self { step, contributors: BTreeMap::new() }
    }

    /// The length of its columns.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Its contributors and their cells, cells by index.
    pub fn contributors(&self) -> impl Iterator<Item = (&Contributor, &[CellEntry])> {
        self.contributors.iter().map(|(who, cells)| (who, cells.as_slice()))
    }

    /// Adds to one contributor's cell. Saturates and says so in the flags.
    pub fn add(&mut self, who: &Contributor, entry: CellEntry) {
        if let Some(cells) = self.contributors.get_mut(who) {
            add_to(cells, entry);
        } else {
            self.contributors.insert(who.clone(), vec![entry]);
        }
    }

    /// Adds every cell of `other` (same step).
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.step, other.step, "B1: blocks of two steps stay apart");
        for (who, cells) in &other.contributors {
            cells.iter().for_each(|&entry| self.add(who, entry));
        }
    }

    /// The merged cells of the block, by window index (contract section 5, "Across nodes").
    pub fn cells(&self) -> BTreeMap<u16, Cell> {
        let mut by_index: BTreeMap<u16, Vec<(&Contributor, &CellEntry)>> = BTreeMap::new();
        for (who, cells) in &self.contributors {
            for entry in cells {
                by_index.entry(entry.index).or_default().push((who, entry));
            }
        }
        by_index.into_iter().map(|(index, parts)| (index, cell::merge(&parts))).collect()
    }

    fn encode(&self, out: &mut Writer) {
        out.uint(self.step.ms());
        out.uint(self.contributors.len() as u64);
        for (who, cells) in &self.contributors {
            out.prefixed(who.node.as_bytes());
            out.uint(who.term);
            out.uint(cells.len() as u64);
            let mut next = 0;
            for entry in cells {
                out.uint(u64::from(entry.index - next));
                next = entry.index + 1;
            }
            let flagged = cells.iter().any(|entry| !entry.flags.is_none());
            out.part(|part| {
                if flagged {
                    cells.iter().for_each(|entry| part.uint(u64::from(entry.flags.0)));
                }
            });
            for series in Series::ALL {
                out.part(|part| cells.iter().for_each(|entry| part.uint(entry.counts.get(series))));
            }
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let step = Step::recordable_from_ms(input.uint()?)
            .map_err(|_| input.invalid("a step that cuts no hour"))?;
        let mut block = Self::new(step);
        for _ in 0..input.count()? {
            let node = Arc::from(input.text()?);
            let who = Contributor { node, term: input.uint()? };
            let cells = decode_cells(input, step)?;
            if block.contributors.insert(who, cells).is_some() {
                return Err(input.invalid("a contributor given twice"));
            }
        }
        Ok(block)
    }
}

fn decode_cells(input: &mut Reader<'_>, step: Step) -> Result<Vec<CellEntry>, CodecError> {
    let count = input.count()?;
    let mut cells = Vec::with_capacity(count);
    let mut next = 0u64;
    for _ in 0..count {
        let index =
            next.checked_add(input.uint()?).filter(|&index| index < step.columns_per_hour() as u64);
        let index = index.ok_or_else(|| input.invalid("a window outside its hour"))?;
        next = index + 1;
        cells.push(CellEntry { index: index as u16, ..CellEntry::default() });
    }
    let mut flags = input.part()?;
    if flags.end().is_err() {
        for entry in &mut cells {
            entry.flags =
                Flags(u16::try_from(flags.uint()?).map_err(|_| flags.invalid("unknown flags"))?);
        }
        flags.end()?;
    }
    for series in Series::ALL {
        let mut values = input.part()?;
        for entry in &mut cells {
            *entry.counts.get_mut(series) = values.uint()?;
        }
        values.end()?;
    }
    Ok(cells)
}

fn add_to(cells: &mut Vec<CellEntry>, entry: CellEntry) {
    match cells.binary_search_by_key(&entry.index, |held| held.index) {
        Ok(at) => {
            let held = &mut cells[at];
            held.flags = held.flags.or(entry.flags);
            if held.counts.add(&entry.counts) {
                held.flags = held.flags.or(Flags::SATURATED);
            }
        }
        Err(at) => cells.insert(at, entry),
    }
}

/// Everything of one lineage-hour: one block a step, finest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourBlocks {
    blocks: Vec<Block>,
}

impl HourBlocks {
    /// The blocks, finest step first.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The block of one step, made if absent.
    pub fn block_mut(&mut self, step: Step) -> &mut Block {
        let at = match self.blocks.binary_search_by_key(&step, Block::step) {
            Ok(at) => at,
            Err(at) => {
                self.blocks.insert(at, Block::new(step));
                at
            }
        };
        &mut self.blocks[at]
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        for block in &other.blocks {
            self.block_mut(block.step).merge(block);
        }
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.uint(self.blocks.len() as u64);
        self.blocks.iter().for_each(|block| block.encode(&mut out));
        envelope::seal(VERSION, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut input = Reader::new(envelope::open(WHAT, VERSION, value)?, WHAT);
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..input.count()? {
            let block = Block::decode(&mut input)?;
            if blocks.last().is_some_and(|last| last.step >= block.step) {
                return Err(input.invalid("steps out of order"));
            }
            blocks.push(block);
        }
        input.end()?;
        Ok(Self { blocks })
    }
}

#[cfg(test)]
#[path = "block_test.rs"]
mod block_test;
