//! Versions 1 and 2 of the block's value: read, never written any more.
//!
//! Version 1, all integers LEB128 varints:
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
//! Version 2:
//!
//! ```text
//! head: 1 = bounds, 2 = groups, 3 = both
//! bounds: start: length, bytes | end: length, bytes
//! then as version 1; with groups, contributors go by (node, group, term) and have their group
//! (0 = the one that stores the block) before their term
//! ```
//!
//! Proof: the stored values of both versions in `block_test.rs` and under `fuzz/corpus/hour_blocks`.

use std::sync::Arc;

use keyviz_lineage::{Flags, KeyRange, Series, Step};

use super::{Block, CellEntry, Contributor, HourBlocks, WITH_BOUNDS, WITH_GROUPS};
use crate::CodecError;
use crate::varint::Reader;

pub(super) const PLAIN: u8 = 1;

/// The head (0 in version 1) and the bounds.
pub(super) fn open(
    version: u8,
    input: &mut Reader<'_>,
) -> Result<(u64, Option<KeyRange>), CodecError> {
    if version == PLAIN {
        return Ok((0, None));
    }
    let head = input.uint()?;
    if head == 0 || head & !u64::from(WITH_BOUNDS | WITH_GROUPS) != 0 {
        return Err(input.invalid("an unknown head"));
    }
    let bounds = if head & u64::from(WITH_BOUNDS) == 0 { None } else { Some(input.range()?) };
    Ok((head, bounds))
}

pub(super) fn decode(version: u8, input: &mut Reader<'_>) -> Result<HourBlocks, CodecError> {
    let (head, bounds) = open(version, input)?;
    let with_groups = head & u64::from(WITH_GROUPS) != 0;
    let mut blocks: Vec<Block> = Vec::new();
    for _ in 0..input.count()? {
        let block = decode_block(input, with_groups)?;
        if blocks.last().is_some_and(|last| last.step >= block.step) {
            return Err(input.invalid("steps out of order"));
        }
        blocks.push(block);
    }
    input.end()?;
    if with_groups && !blocks.iter().any(Block::has_groups) {
        return Err(input.invalid("groups that are all its own"));
    }
    Ok(HourBlocks { blocks, bounds })
}

fn decode_block(input: &mut Reader<'_>, with_groups: bool) -> Result<Block, CodecError> {
    let step = Step::recordable_from_ms(input.uint()?)
        .map_err(|_| input.invalid("a step that cuts no hour"))?;
    let mut block = Block::new(step);
    for _ in 0..input.count()? {
        let node = Arc::from(input.text()?);
        let group = if with_groups { input.uint()? } else { 0 };
        let who = Contributor { node, group, term: input.uint()? };
        let cells = decode_cells(input, step)?;
        match block.place_of(&who) {
            Ok(_) => return Err(input.invalid("a contributor given twice")),
            Err(at) => block.contributors.insert(at, (who, cells)),
        }
    }
    Ok(block)
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
