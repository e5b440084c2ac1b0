//! The block: what was recorded of one lineage (or virtual bucket) in one Unix hour, by contributor.
//!
//! Value under `range|<lineage>|<hour>`, inside [`crate::envelope`]. All integers are LEB128 varints.
//!
//! Version 1:
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
//! Version 2 is written only where there is more to say, so that it costs the others nothing:
//!
//! ```text
//! head: 1 = bounds, 2 = groups, 3 = both
//! bounds: start: length, bytes | end: length, bytes
//! then as version 1; with groups, contributors go by (node, group, term) and have their group
//! (0 = the one that stores the block) before their term
//! ```
//!
//! A part can be skipped by its length, so one series is read without decoding the others.
//! Invariants: an hour whose step changed keeps both blocks (B1); a cell is there only if something
//! was counted or flagged (B2); indexes ascend and lie within the hour (B3).

use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_lineage::{Counts, Flags, GroupId, KeyRange, Series, Step};

use crate::varint::{Reader, Writer};
use crate::{Cell, CodecError, cell, envelope};

const PLAIN: u8 = 1;
const EXTENDED: u8 = 2;
const WITH_BOUNDS: u64 = 1;
const WITH_GROUPS: u64 = 2;
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

    fn has_groups(&self) -> bool {
        self.contributors.keys().any(|who| who.group != 0)
    }

    fn encode(&self, out: &mut Writer, with_groups: bool) {
        out.uint(self.step.ms());
        out.uint(self.contributors.len() as u64);
        for (who, cells) in &self.contributors {
            out.prefixed(who.node.as_bytes());
            if with_groups {
                out.uint(who.group);
            }
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

    fn decode(input: &mut Reader<'_>, with_groups: bool) -> Result<Self, CodecError> {
        let step = Step::recordable_from_ms(input.uint()?)
            .map_err(|_| input.invalid("a step that cuts no hour"))?;
        let mut block = Self::new(step);
        for _ in 0..input.count()? {
            let node = Arc::from(input.text()?);
            let group = if with_groups { input.uint()? } else { 0 };
            let who = Contributor { node, group, term: input.uint()? };
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
        let with_groups = self.blocks.iter().any(Block::has_groups);
        let mut out = Writer::default();
        let head = if self.bounds.is_some() { WITH_BOUNDS } else { 0 }
            | if with_groups { WITH_GROUPS } else { 0 };
        if head != 0 {
            out.uint(head);
        }
        if let Some(bounds) = &self.bounds {
            out.range(bounds);
        }
        out.uint(self.blocks.len() as u64);
        self.blocks.iter().for_each(|block| block.encode(&mut out, with_groups));
        envelope::seal(if head == 0 { PLAIN } else { EXTENDED }, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let (mut input, head, bounds) = open(value)?;
        let with_groups = head & WITH_GROUPS != 0;
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..input.count()? {
            let block = Block::decode(&mut input, with_groups)?;
            if blocks.last().is_some_and(|last| last.step >= block.step) {
                return Err(input.invalid("steps out of order"));
            }
            blocks.push(block);
        }
        input.end()?;
        if with_groups && !blocks.iter().any(Block::has_groups) {
            return Err(input.invalid("groups that are all its own"));
        }
        Ok(Self { blocks, bounds })
    }

    /// [`HourBlocks::bounds`] of a stored value, without decoding the cells.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode_bounds(value: &[u8]) -> Result<Option<KeyRange>, CodecError> {
        open(value).map(|(_, _, bounds)| bounds)
    }
}

/// What stands before the steps: the head (0 in version 1) and the bounds.
fn open(value: &[u8]) -> Result<(Reader<'_>, u64, Option<KeyRange>), CodecError> {
    let (version, payload) = envelope::open_versioned(WHAT, EXTENDED, value)?;
    let mut input = Reader::new(payload, WHAT);
    if version == PLAIN {
        return Ok((input, 0, None));
    }
    let head = input.uint()?;
    if head == 0 || head & !(WITH_BOUNDS | WITH_GROUPS) != 0 {
        return Err(input.invalid("an unknown head"));
    }
    let bounds = if head & WITH_BOUNDS == 0 { None } else { Some(input.range()?) };
    Ok((input, head, bounds))
}

#[cfg(test)]
#[path = "block_test.rs"]
mod block_test;
