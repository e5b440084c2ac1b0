//! The block: what was recorded of one lineage (or virtual bucket) in one Unix hour, by contributor.
//!
//! Value under `range|<lineage>|<hour>`, inside [`crate::envelope`], version 3. All integers are LEB128
//! varints where nothing else is said.
//!
//! ```text
//! head: 1 = bounds | 2 = groups | 4 = one step of one contributor                          byte
//! bounds, with bit 0: start: length, bytes | bytes that the end shares with it | rest of the end:
//!   length, bytes
//! n steps, without bit 2 | for each step, finest first:
//!   windows an hour: 6 (10 min) to 3600 (1 s)
//!   n contributors, without bit 2 | for each contributor, by (node, group, term):
//!     node: 0 = the one before, or 1 + length, UTF-8
//!     group, with bit 1: 0 = the one that stores the block
//!     term
//!     cells: shape | windows | flags | four heads | four columns of bits     see `block::cells`
//! ```
//!
//! [`SeriesReader`] reads one series of it without the others. Versions 1 and 2 are
//! read by `block::old`.
//! Invariants: an hour whose step changed keeps both blocks (B1); a cell is there only if something
//! was counted or flagged (B2); indexes ascend and lie within the hour (B3).
//! Proof: `block_test.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_lineage::{Counts, Flags, GroupId, KeyRange, Step};

use crate::envelope::Checksum;
use crate::varint::Reader;
use crate::{Cell, CodecError, cell, envelope};

mod cells;
mod old;
mod series_reader;
mod value;

pub use series_reader::{SeriesCells, SeriesColumn, SeriesReader};
pub use value::BlockRoom;

/// The head says the keys of the lineage.
const WITH_BOUNDS: u8 = 1;
/// Contributors say their groups.
const WITH_GROUPS: u8 = 2;
const WHAT: &str = "column block";

/// Whose counts these are: one node in one term. (Boots of a node add up: contract section 5.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contributor {
    /// The node.
    pub node: Arc<str>,
    /// The group that it counted for: 0 = the one that stores the block, as for every lineage. A
    /// virtual bucket has members in several.
    pub group: GroupId,
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
    /// Ascending.
    contributors: Vec<(Contributor, Vec<CellEntry>)>,
}

impl Block {
    /// An empty block of `step` columns.
    pub fn new(step: Step) -> Self {
        Self { step, contributors: Vec::new() }
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
        match self.place_of(who) {
            Ok(at) => add_to(&mut self.contributors[at].1, entry),
            Err(at) => self.contributors.insert(at, (who.clone(), vec![entry])),
        }
    }

    /// Where a contributor is, or would be.
    fn place_of(&self, who: &Contributor) -> Result<usize, usize> {
        self.contributors.binary_search_by(|(held, _)| held.cmp(who))
    }

    /// Adds every cell of `other` (same step).
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.step, other.step, "B1: blocks of two steps stay apart");
        for (who, cells) in &other.contributors {
            match self.place_of(who) {
                Ok(at) => {
                    let held = &mut self.contributors[at].1;
                    held.reserve(cells.len());
                    cells.iter().for_each(|&entry| add_to(held, entry));
                }
                Err(at) => self.contributors.insert(at, (who.clone(), cells.clone())),
            }
        }
    }

    /// The merged cells of the block, by window index (contract section 5, "Across nodes").
    pub fn cells(&self) -> BTreeMap<u16, Cell> {
        let mut cells = BTreeMap::new();
        self.visit_cells(&mut |index, cell| {
            cells.insert(index, cell);
        });
        cells
    }

    /// The cells of its only contributor, if it has one: they are the merged ones.
    pub(crate) fn of_one(&self) -> Option<&[CellEntry]> {
        if let [(_, cells)] = &*self.contributors { Some(cells) } else { None }
    }

    /// [`Block::cells`] one by one, ascending.
    pub(crate) fn visit_cells(&self, visit: &mut impl FnMut(u16, Cell)) {
        if let [(who, cells)] = &*self.contributors {
            return cells.iter().for_each(|entry| visit(entry.index, cell::merge(&[(who, entry)])));
        }
        let parts = self
            .contributors
            .iter()
            .flat_map(|(who, cells)| cells.iter().map(move |entry| (who, entry)));
        let mut parts: Vec<(&Contributor, &CellEntry)> = parts.collect();
        // Contributors of one window keep their order.
        parts.sort_by_key(|(_, entry)| entry.index);
        for parts in parts.chunk_by(|a, b| a.1.index == b.1.index) {
            visit(parts[0].1.index, cell::merge(parts));
        }
    }

    fn has_groups(&self) -> bool {
        self.contributors.iter().any(|(who, _)| who.group != 0)
    }
}

fn add_to(cells: &mut Vec<CellEntry>, entry: CellEntry) {
    // Time goes on: most come behind all others.
    if cells.last().is_none_or(|last| last.index < entry.index) {
        return cells.push(entry);
    }
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
    bounds: Option<KeyRange>,
}

impl HourBlocks {
    /// The blocks, finest step first.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The keys of the lineage, where this hour says them: they are in some of its hours only, for the
    /// case that its record is lost.
    pub fn bounds(&self) -> Option<&KeyRange> {
        self.bounds.as_ref()
    }

    /// Says the keys of the lineage.
    pub fn set_bounds(&mut self, range: KeyRange) {
        self.bounds = Some(range);
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
        if self.bounds.is_none() {
            self.bounds.clone_from(&other.bounds);
        }
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_in(&mut BlockRoom::default())
    }

    /// [`HourBlocks::encode`] of one block after the other, in the same room.
    pub fn encode_in(&self, room: &mut BlockRoom) -> Vec<u8> {
        value::encode(self, room)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        Self::decode_in(value, &mut BlockRoom::default())
    }

    /// [`HourBlocks::decode`] of one value after the other, in the same room; best given back by
    /// [`BlockRoom::recycle`].
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode_in(value: &[u8], room: &mut BlockRoom) -> Result<Self, CodecError> {
        let (version, mut input) = open(value)?;
        match version {
            value::VERSION => value::decode(input, room),
            old => old::decode(old, &mut input),
        }
    }

    /// [`HourBlocks::bounds`] of a stored value, without decoding the cells.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode_bounds(value: &[u8]) -> Result<Option<KeyRange>, CodecError> {
        let (version, mut input) = open(value)?;
        match version {
            value::VERSION => value::Open::new(input).map(|open| open.bounds),
            old => old::open(old, &mut input).map(|(_, bounds)| bounds),
        }
    }
}

/// The version of a stored value, and its payload.
fn open(value: &[u8]) -> Result<(u8, Reader<'_>), CodecError> {
    open_with(value, Checksum::Compute)
}

fn open_with(value: &[u8], checksum: Checksum) -> Result<(u8, Reader<'_>), CodecError> {
    let (version, payload) = envelope::open_with(WHAT, value::VERSION, value, checksum)?;
    Ok((version, Reader::new(payload, WHAT)))
}

#[cfg(test)]
#[path = "block_test.rs"]
mod block_test;
