//! Version 3 of the block's value, the one that is written. Drawn in [`super`].
//!
//! Invariants: steps and contributors ascend (V1); what needs no more than one step and one contributor
//! says neither number (V2); a value holds at most [`FOLDED_CELLS`] + [`CELLS_A_BYTE`] x its bytes cells,
//! so that a small value cannot unfold to a large block (V3: where equal numbers without any bits would
//! break that, they are written with bits).
//! Must not: know keys, or why there are bounds.
//! Proof: `block_test.rs`.

use std::str::Utf8Error;
use std::sync::Arc;

use keyviz_lineage::{Flags, HOUR_MS, KeyRange, Step};

use super::cells::{self, Cells, Encoder, Values};
use super::{Block, CellEntry, Contributor, HourBlocks, WITH_BOUNDS, WITH_GROUPS};
use crate::column::Fold;
use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

pub(super) const VERSION: u8 = 3;
/// One step of one contributor.
const ONE: u8 = 4;
/// Of so many contributors the memory is kept for the next block.
const MOST_SPARE: usize = 16;
/// V3: that many cells whatever the bytes.
const FOLDED_CELLS: usize = 4_096;
/// V3.
const CELLS_A_BYTE: usize = 4;

/// Room to encode in and to decode in, for one block after the other.
#[derive(Debug, Default)]
pub struct BlockRoom {
    out: Writer,
    encoder: Encoder,
    windows: Vec<u16>,
    flags: Vec<Flags>,
    values: Values,
    /// The last node that was read.
    node: Option<Arc<str>>,
    /// Cells of blocks that nobody needs any more.
    spare: Vec<Vec<CellEntry>>,
}

impl BlockRoom {
    /// Takes a block that nobody needs any more: the next one is decoded into its memory.
    pub fn recycle(&mut self, hour: HourBlocks) {
        let contributors = hour.blocks.into_iter().flat_map(|block| block.contributors);
        let free = MOST_SPARE - self.spare.len();
        self.spare.extend(contributors.map(|(_, cells)| cells).take(free));
    }

    fn node(&mut self, name: &[u8]) -> Result<Arc<str>, Utf8Error> {
        match &self.node {
            Some(node) if node.as_bytes() == name => Ok(Arc::clone(node)),
            _ => {
                let node: Arc<str> = std::str::from_utf8(name)?.into();
                self.node = Some(Arc::clone(&node));
                Ok(node)
            }
        }
    }
}

pub(super) fn encode(hour: &HourBlocks, room: &mut BlockRoom) -> Vec<u8> {
    let contributors = hour.blocks.iter().flat_map(|block| &block.contributors);
    let cells: usize = contributors.map(|(_, cells)| cells.len()).sum();
    encode_folded(hour, Fold::Yes, room);
    if cells > most_cells(&room.out.bytes) {
        encode_folded(hour, Fold::No, room);
    }
    envelope::seal(VERSION, &room.out.bytes)
}

fn most_cells(payload: &[u8]) -> usize {
    FOLDED_CELLS + CELLS_A_BYTE * payload.len()
}

fn encode_folded(hour: &HourBlocks, fold: Fold, room: &mut BlockRoom) {
    let with_groups = hour.blocks.iter().any(Block::has_groups);
    let is_one = matches!(&*hour.blocks, [block] if block.contributors.len() == 1);
    let (out, encoder) = (&mut room.out, &mut room.encoder);
    out.bytes.clear();
    let bits = [(hour.bounds.is_some(), WITH_BOUNDS), (with_groups, WITH_GROUPS), (is_one, ONE)];
    out.raw(&[bits.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum()]);
    if let Some(bounds) = &hour.bounds {
        write_bounds(bounds, out);
    }
    if !is_one {
        out.uint(hour.blocks.len() as u64);
    }
    for block in &hour.blocks {
        out.uint(block.step.columns_per_hour() as u64);
        if !is_one {
            out.uint(block.contributors.len() as u64);
        }
        let mut last: Option<&str> = None;
        for (who, cells) in &block.contributors {
            if last == Some(&who.node) {
                out.uint(0);
            } else {
                out.uint(who.node.len() as u64 + 1);
                out.raw(who.node.as_bytes());
            }
            last = Some(&who.node);
            if with_groups {
                out.uint(who.group);
            }
            out.uint(who.term);
            encoder.write(cells, block.step.columns_per_hour(), fold, out);
        }
    }
}

fn write_bounds(bounds: &KeyRange, out: &mut Writer) {
    let (start, end) = (bounds.start(), bounds.end());
    let shared = shared(start, end);
    out.prefixed(start);
    out.uint(shared as u64);
    out.prefixed(&end[shared..]);
}

fn shared(start: &[u8], end: &[u8]) -> usize {
    start.iter().zip(end).take_while(|(a, b)| a == b).count()
}

fn read_bounds(input: &mut Reader<'_>) -> Result<KeyRange, CodecError> {
    let start = input.prefixed()?;
    let said = input.uint()?;
    let head = start.get(..usize::try_from(said).unwrap_or(usize::MAX));
    let head = head.ok_or_else(|| input.invalid("more shared bytes than there are"))?;
    let end = [head, input.prefixed()?].concat();
    if shared(start, &end) != head.len() {
        return Err(input.invalid("shared bytes that are written twice"));
    }
    KeyRange::new(start, end).map_err(|_| input.invalid("an inverted range"))
}

/// A value whose head is read: what is left of it, step by step.
#[derive(Debug)]
pub(super) struct Open<'a> {
    input: Reader<'a>,
    head: u8,
    steps_left: usize,
    last_step: Option<Step>,
    /// Windows an hour.
    places: usize,
    cells_left: usize,
    node: &'a [u8],
    pub(super) bounds: Option<KeyRange>,
}

/// Who contributed, and where the cells are.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Its name, which may not be UTF-8.
    pub(super) node: &'a [u8],
    pub(super) group: u64,
    pub(super) term: u64,
    pub(super) cells: Cells<'a>,
}

impl<'a> Open<'a> {
    /// Reads head and bounds.
    pub(super) fn new(mut input: Reader<'a>) -> Result<Self, CodecError> {
        let cells_left = most_cells(input.rest());
        let [head] = input.array()?;
        if head & !(WITH_BOUNDS | WITH_GROUPS | ONE) != 0 {
            return Err(input.invalid("an unknown head"));
        }
        let bounds = if head & WITH_BOUNDS == 0 { None } else { Some(read_bounds(&mut input)?) };
        let steps_left = if head & ONE != 0 { 1 } else { input.count()? };
        Ok(Self {
            input,
            head,
            steps_left,
            last_step: None,
            places: 0,
            cells_left,
            node: b"",
            bounds,
        })
    }

    /// Whether it is one step of one contributor.
    pub(super) fn is_one(&self) -> bool {
        self.head & ONE != 0
    }

    /// The next step, and how many contributors it has.
    pub(super) fn next_step(&mut self) -> Result<Option<(Step, usize)>, CodecError> {
        let Some(left) = self.steps_left.checked_sub(1) else { return Ok(None) };
        let input = &mut self.input;
        let columns = input.uint()?;
        let step = match columns {
            60 => Some(Step::MINUTE),
            0 => None,
            _ if !HOUR_MS.is_multiple_of(columns) => None,
            _ => Step::recordable_from_ms(HOUR_MS / columns).ok(),
        };
        let step = step.ok_or_else(|| input.invalid("a step that cuts no hour"))?;
        if self.last_step.is_some_and(|last| last >= step) {
            return Err(input.invalid("steps out of order"));
        }
        let count = if self.head & ONE != 0 { 1 } else { input.count()? };
        if self.head & ONE == 0 && self.last_step.is_none() && left == 0 && count == 1 {
            return Err(input.invalid("one contributor that is counted"));
        }
        (self.steps_left, self.last_step, self.places) = (left, Some(step), columns as usize);
        self.node = b"";
        Ok(Some((step, count)))
    }

    /// The step's next contributor up to its bits; [`Open::pass`] them before the one behind.
    #[inline(always)]
    pub(super) fn next_part(
        &mut self,
        is_first: bool,
        windows: &mut Vec<u16>,
        flags: &mut Vec<Flags>,
    ) -> Result<Part<'a>, CodecError> {
        let input = &mut self.input;
        match input.uint()? {
            0 if is_first => return Err(input.invalid("a node that was not named")),
            0 => {}
            length => {
                let node = input.raw(usize::try_from(length - 1).unwrap_or(usize::MAX))?;
                if !is_first && node <= self.node {
                    return Err(input.invalid("nodes out of order"));
                }
                self.node = node;
            }
        }
        let group = if self.head & WITH_GROUPS != 0 { input.uint()? } else { 0 };
        let term = input.uint()?;
        let places = self.places;
        let cells = Cells::parse(input, places, windows, flags)?;
        let left = self.cells_left.checked_sub(windows.len());
        self.cells_left = left.ok_or_else(|| input.invalid("more cells than bytes can hold"))?;
        Ok(Part { node: self.node, group, term, cells })
    }

    /// Reads all four series of a part and goes on behind it.
    pub(super) fn pass(
        &mut self,
        cells: &Cells<'_>,
        values: &mut Values,
    ) -> Result<(), CodecError> {
        let bytes = cells.read_all(values);
        let bytes = bytes.ok_or_else(|| self.input.invalid("columns that do not add up"))?;
        self.input.raw(bytes).map(|_| ())
    }

    /// An error of one column.
    pub(super) fn spoiled(&self) -> CodecError {
        self.input.invalid("a column that does not add up")
    }

    pub(super) fn end(&self) -> Result<(), CodecError> {
        self.input.end()
    }
}

pub(super) fn decode(input: Reader<'_>, room: &mut BlockRoom) -> Result<HourBlocks, CodecError> {
    let mut open = Open::new(input)?;
    let mut blocks: Vec<Block> = Vec::new();
    while let Some((step, count)) = open.next_step()? {
        let mut block = Block::new(step);
        let mut last: Option<(Arc<str>, u64, u64)> = None;
        for _ in 0..count {
            let part = open.next_part(last.is_none(), &mut room.windows, &mut room.flags)?;
            open.pass(&part.cells, &mut room.values)?;
            let node = match &last {
                Some((node, ..)) if node.as_bytes() == part.node => Arc::clone(node),
                _ => room
                    .node(part.node)
                    .map_err(|_| open.input.invalid("text that is not UTF-8"))?,
            };
            let this = (Arc::clone(&node), part.group, part.term);
            if last.is_some_and(|last| last >= this) {
                return Err(open.input.invalid("contributors out of order"));
            }
            last = Some(this);
            let who = Contributor { node, group: part.group, term: part.term };
            // They ascend.
            let mut cells = room.spare.pop().unwrap_or_default();
            cells::entries(&room.windows, &room.flags, &room.values, &mut cells);
            block.contributors.push((who, cells));
        }
        blocks.push(block);
    }
    open.end()?;
    if open.head & WITH_GROUPS != 0 && !blocks.iter().any(Block::has_groups) {
        return Err(open.input.invalid("groups that are all its own"));
    }
    Ok(HourBlocks { blocks, bounds: open.bounds })
}
