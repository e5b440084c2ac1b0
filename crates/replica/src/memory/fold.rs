//! Folds the cells of columns, as they were logged, into the blocks of lineages.
//!
//! Columns are column-major, blocks are not. So columns of one source and hour that tell the same rows
//! are turned together: some rows of all of them are decoded at a time, few enough for the processor's
//! caches, and each lineage's block is looked up once for all of its cells.
//! Must not: touch anything but blocks. What else a column tells is in its delta before.
//! Proof: `memory_test.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyviz_codec::column_record::{CellReader, CellTile, Cells};
use keyviz_codec::{CellEntry, Contributor};
use keyviz_lineage::{GroupId, Window};

use super::{Delta, GroupMemory};
use crate::placement::Placement;

/// A column whose cells are not in the blocks yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) window: Window,
    /// As they were logged.
    pub(super) cells: Box<[u8]>,
    pub(super) placement: Arc<Placement>,
}

impl Waiting {
    /// Whether `next` tells the same rows in a later window of the same hour.
    fn goes_on(&self, next: &Self) -> bool {
        let (window, later) = (self.window, next.window);
        Arc::ptr_eq(&self.placement, &next.placement)
            && (window.step, window.hour()) == (later.step, later.hour())
            && window.start_ms < later.start_ms
    }
}

/// Columns that are turned together at most.
const COLUMNS: usize = 64;
/// Rows that are decoded at a time; a multiple of four.
const ROWS: usize = 128;

/// Folds columns into the open deltas of their groups.
pub(super) fn fold(waiting: &[Waiting], groups: &mut BTreeMap<GroupId, GroupMemory>) {
    let (mut tiles, mut entries) = (Vec::new(), Vec::with_capacity(COLUMNS));
    for alike in waiting.chunk_by(Waiting::goes_on).flat_map(|alike| alike.chunks(COLUMNS)) {
        let Some(Waiting { placement, .. }) = alike.first() else { continue };
        tiles.resize_with(tiles.len().max(alike.len()), CellTile::default);
        let tiles = &mut tiles[..alike.len()];
        Turning { alike, placement, tiles, entries: &mut entries }.turn(groups);
    }
}

/// Columns that are being turned.
struct Turning<'w, 't> {
    alike: &'w [Waiting],
    placement: &'w Placement,
    /// One a column.
    tiles: &'t mut [CellTile],
    /// The cells of one row.
    entries: &'t mut Vec<CellEntry>,
}

impl Turning<'_, '_> {
    fn turn(&mut self, groups: &mut BTreeMap<GroupId, GroupMemory>) {
        let rows = self.placement.lineages.len();
        let cells = self.alike.iter().map(|waiting| Cells::parse(&waiting.cells, rows));
        let Ok(cells) = cells.collect::<Result<Vec<_>, _>>() else {
            // invariant: they are part of records that were parsed when they came
            debug_assert!(false, "cells that add up do so for good");
            return;
        };
        let one_term = cells.first().and_then(Cells::one_term);
        let one_term = one_term.filter(|_| cells.iter().all(|c| c.one_term() == one_term));
        let mut readers: Vec<CellReader<'_>> = cells.iter().map(Cells::reader).collect();
        for start in (0..rows).step_by(ROWS) {
            let tile = start..rows.min(start + ROWS);
            for (reader, tile_of) in readers.iter_mut().zip(&mut *self.tiles) {
                reader.read(tile.len(), tile_of);
            }
            let runs = &self.placement.runs;
            let from = runs.partition_point(|(_, run)| run.end <= tile.start);
            for (group, run) in runs[from..].iter().take_while(|(_, run)| run.start < tile.end) {
                let delta = Arc::make_mut(&mut groups.entry(*group).or_default().open);
                for row in run.start.max(tile.start)..run.end.min(tile.end) {
                    self.turn_row(delta, row, row - tile.start, one_term);
                }
            }
        }
    }

    /// `at` is its place in the tiles.
    fn turn_row(&mut self, delta: &mut Delta, row: usize, at: usize, one_term: Option<u64>) {
        let Some(Window { step, .. }) = self.alike.first().map(|waiting| waiting.window) else {
            return;
        };
        let (lineage, placement) = (self.placement.lineages[row], self.placement);
        self.entries.clear();
        let columns = self.alike.iter().zip(&*self.tiles);
        self.entries.extend(columns.map(|(waiting, tile)| {
            let (counts, flags) = tile.cell(at);
            CellEntry { index: waiting.window.index_in_hour() as u16, counts, flags }
        }));
        let blocks = delta.blocks.entry((lineage, self.alike[0].window.hour())).or_default();
        if let Some(range) = placement.unrecorded.get(&lineage) {
            blocks.set_bounds(range.clone());
        }
        let block = blocks.block_mut(step);
        let mut who = Contributor { node: Arc::clone(&placement.node), group: 0, term: 0 };
        if let Some(term) = one_term {
            who.term = term;
            return block.add_all(&who, self.entries);
        }
        let (mut rest, mut from) = (&self.entries[..], 0);
        for same in self.tiles.chunk_by(|a, b| a.term(at) == b.term(at)) {
            let entries;
            (entries, rest) = rest.split_at(same.len());
            who.term = self.tiles[from].term(at);
            from += same.len();
            block.add_all(&who, entries);
        }
    }
}
