//! Wide reads of the finest columns: from the memory tier, with the open window over it; from the store
//! where an hour is not there.
//!
//! Invariant: what is told adds up to what [`History::series`] tells of each lineage (S2).
//! Proof: `memory_tier_test.rs`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use keyviz_codec::envelope::Checksum;
use keyviz_codec::{Block, CellEntry, HourBlocks, Key, SeriesCells, SeriesColumn, SeriesReader};
use keyviz_lineage::{GroupId, HOUR_MS, LineageId, Series};
use keyviz_store::{History, NOBODY, Part, StoreError, Wanted, visit_each};

use super::Shelves;
use crate::memory::Delta;
use crate::view::RecorderView;

/// [`History::cells`] of everything that is stored or acknowledged.
pub(crate) fn cells(
    view: &RecorderView<'_>,
    group: GroupId,
    series: Series,
    hours: RangeInclusive<u64>,
    wanted: &Wanted<'_>,
    visit: &mut dyn FnMut(u64, Part<'_>),
) {
    let mut from = *hours.start();
    if let Some((shelves, numbers)) = shelves_of(view, group, wanted) {
        let oldest_hour = view.oldest_ms() / HOUR_MS;
        let held = shelves.hours.range(hours.clone()).filter(|(hour, _)| **hour >= oldest_hour);
        let (reader, room) = (SeriesReader::default(), SeriesCells::default());
        let checksums = Checksum::Compute;
        let mut scan = Scan { group, series, reader, checksums, cells: room };
        let by_number = by_number(&numbers);
        for (&hour, shelf) in held {
            if from < hour {
                visit_each(view, group, series, from..=hour - 1, wanted, visit);
            }
            from = hour + 1;
            scan.checksums = shelf.checksums;
            let open = view.deltas_of(group, hour);
            let mut one = |place: usize, block: Option<&[u8]>| {
                scan.lineage_hour(wanted.lineages[place], hour, block, &open, visit);
            };
            if open.is_empty() && shelf.iter().len() / FEW_IN < numbers.len() {
                // As it lies in memory.
                for (number, block) in shelf.iter() {
                    let place = by_number.get(number as usize).filter(|place| **place != NOBODY);
                    place.into_iter().for_each(|&place| one(place as usize, Some(block)));
                }
                continue;
            }
            for (place, number) in numbers.iter().enumerate() {
                one(place, number.and_then(|number| shelf.get(number)));
            }
        }
    }
    if from <= *hours.end() {
        visit_each(view, group, series, from..=*hours.end(), wanted, visit);
    }
}

/// Fewer than one in so many of an hour's lineages are looked up one by one.
const FEW_IN: usize = 8;

type Numbered = Vec<Option<u32>>;

/// The place of each number among those that are wanted, [`NOBODY`] where it is not.
fn by_number(numbers: &Numbered) -> Vec<u32> {
    let most = numbers.iter().flatten().max().map_or(0, |&most| most as usize + 1);
    let mut places = vec![NOBODY; most];
    for (place, number) in (0..).zip(numbers) {
        number.iter().for_each(|&number| places[number as usize] = place);
    }
    places
}

/// The shelves that stand for this view's snapshot, and the numbers of the wanted lineages.
fn shelves_of<'v>(
    view: &'v RecorderView<'_>,
    group: GroupId,
    wanted: &Wanted<'_>,
) -> Option<(&'v Arc<Shelves>, Numbered)> {
    let shelves = view.shelves(group)?;
    let numbers = view.numbers(group).ok()?;
    let numbered = wanted.lineages.iter().map(|&(lineage, _)| numbers.get(lineage));
    Some((shelves, numbered.collect()))
}

/// One scan, with room to work in.
struct Scan {
    group: GroupId,
    series: Series,
    reader: SeriesReader,
    /// Of the blocks of this hour.
    checksums: Checksum,
    cells: SeriesCells,
}

/// What is told, and to whom.
struct Telling<'a, 'v> {
    series: Series,
    hour: u64,
    tag: u32,
    cells: &'a mut SeriesCells,
    visit: &'a mut (dyn FnMut(u64, Part<'_>) + 'v),
}

impl Scan {
    fn lineage_hour(
        &mut self,
        (lineage, tag): (LineageId, u32),
        hour: u64,
        block: Option<&[u8]>,
        open: &[&Delta],
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let open = open.iter().filter_map(|delta| delta.blocks.get(&(lineage, hour)));
        // Does not allocate where there is none, as of all hours but the last.
        let open: Vec<&HourBlocks> = open.collect();
        let (series, cells) = (self.series, &mut self.cells);
        let mut telling = Telling { series, hour, tag, cells, visit };
        let Some(block) = block else { return telling.merged(HourBlocks::default(), &open) };
        let error = |source| StoreError::damaged(self.group, &Key::Range { lineage, hour }, source);
        match self.reader.read_with(block, series, self.checksums) {
            Ok(stored) if open.is_empty() => stored.for_each(|column| telling.column(column)),
            Ok(stored) => match open[..] {
                // What the store has of an hour and what is not in it yet follow each other.
                [only] if are_apart(stored.clone(), only) => {
                    stored.for_each(|column| telling.column(column));
                    telling.blocks(only);
                }
                _ => match HourBlocks::decode(block) {
                    Ok(stored) => telling.merged(stored, &open),
                    Err(source) => telling.spoiled(error(source), &open),
                },
            },
            Err(source) => telling.spoiled(error(source), &open),
        }
    }
}

impl Telling<'_, '_> {
    fn column(&mut self, column: SeriesColumn<'_>) {
        (self.visit)(self.hour, Part::Cells { tag: self.tag, column });
    }

    /// What is stored cannot be read; what came since can.
    fn spoiled(&mut self, error: StoreError, open: &[&HourBlocks]) {
        (self.visit)(self.hour, Part::Unread { tag: self.tag, error });
        self.merged(HourBlocks::default(), open);
    }

    fn blocks(&mut self, of_hour: &HourBlocks) {
        for block in of_hour.blocks() {
            let column = self.cells.of(block, self.series);
            (self.visit)(self.hour, Part::Cells { tag: self.tag, column });
        }
    }

    fn merged(&mut self, mut stored: HourBlocks, open: &[&HourBlocks]) {
        if let ([], [only]) = (stored.blocks(), open) {
            return self.blocks(only);
        }
        open.iter().for_each(|blocks| stored.merge(blocks));
        self.blocks(&stored);
    }
}

/// Whether no window is in both.
fn are_apart<'a>(stored: impl Iterator<Item = SeriesColumn<'a>>, open: &HourBlocks) -> bool {
    let meets = |column: &SeriesColumn<'_>, cells: &[CellEntry]| {
        let is_behind = |entry: &CellEntry| column.windows.last() < Some(&entry.index);
        !cells.first().is_none_or(is_behind)
            && cells.iter().any(|entry| column.windows.binary_search(&entry.index).is_ok())
    };
    let meets_block = |column: &SeriesColumn<'_>| {
        let blocks = open.blocks().iter().filter(|block| block.step() == column.step);
        blocks.flat_map(Block::contributors).any(|(_, cells)| meets(column, cells))
    };
    !stored.into_iter().any(|column| meets_block(&column))
}
