use keyviz_lineage::Counts;
use proptest::prelude::*;

use super::*;
use crate::{CellEntry, Contributor};

type Found = Vec<(Step, Vec<(u16, u64, Flags)>)>;

fn read(reader: &mut SeriesReader, value: &[u8], series: Series) -> Found {
    let columns = reader.read(value, series).unwrap();
    columns.map(|column| (column.step, column.cells().collect())).collect()
}

/// S1.
fn check(hour: &HourBlocks) {
    let value = hour.encode();
    assert_eq!(HourBlocks::decode(&value).as_ref(), Ok(hour));
    let mut reader = SeriesReader::default();
    for series in Series::ALL {
        let cells = |block: &super::super::Block| {
            let cells = block.cells().into_iter();
            cells.map(|(window, cell)| (window, cell.counts.get(series), cell.flags)).collect()
        };
        let expected: Found =
            hour.blocks().iter().map(|block| (block.step(), cells(block))).collect();
        assert_eq!(read(&mut reader, &value, series), expected);
        for (block, expected) in hour.blocks().iter().zip(expected) {
            let mut room = SeriesCells::default();
            let column = room.of(block, series);
            assert_eq!((column.step, column.cells().collect()), expected);
        }
    }
}

fn entry(index: u16, counts: [u64; 4], flags: u16) -> CellEntry {
    let [reads, writes, read_bytes, write_bytes] = counts;
    let counts = Counts { reads, writes, read_bytes, write_bytes };
    CellEntry { index, counts, flags: Flags(flags) }
}

fn who(node: &str, group: u64, term: u64) -> Contributor {
    Contributor { node: node.into(), group, term }
}

#[test]
fn a_count_at_its_top_flags_the_cell_in_every_series() {
    let mut hour = HourBlocks::default();
    let block = hour.block_mut(Step::MINUTE);
    block.add(&who("a", 0, 1), entry(3, [1, 2, u64::MAX, 4], 0));
    block.add(&who("a", 0, 1), entry(4, [1, 0, 3, 0], 1));
    check(&hour);
    let value = hour.encode();
    let cells = read(&mut SeriesReader::default(), &value, Series::Writes);
    assert_eq!(cells, [(Step::MINUTE, vec![(3, 2, Flags::SATURATED), (4, 0, Flags(1))])]);
}

#[test]
fn nodes_that_disagree_are_merged_as_cells_are() {
    let mut hour = HourBlocks::default();
    let block = hour.block_mut(Step::MINUTE);
    block.add(&who("a", 0, 5), entry(1, [3, 10, 30, 100], 0));
    block.add(&who("b", 0, 5), entry(1, [4, 12, 40, 100], 0));
    block.add(&who("b", 0, 6), entry(1, [0, 7, 0, 70], 1));
    block.add(&who("c", 0, 5), entry(2, [1, 0, 10, 0], 0));
    block.add(&who("c", 0, 6), entry(9, [0, u64::MAX, 0, 1], 0));
    check(&hour);
}

#[test]
fn what_is_read_of_one_block_leaves_nothing_for_the_next() {
    let mut many = HourBlocks::default();
    for index in 0..60 {
        many.block_mut(Step::MINUTE).add(&who("a", 0, 1), entry(index, [9, 8, 700, 600], 1));
    }
    let mut reader = SeriesReader::default();
    read(&mut reader, &many.encode(), Series::ReadBytes);
    assert!(reader.read(b"not a block", Series::Reads).is_err());
    assert!(read(&mut reader, &HourBlocks::default().encode(), Series::Reads).is_empty());
    let mut one = HourBlocks::default();
    one.block_mut(Step::MINUTE).add(&who("a", 0, 1), entry(7, [1, 0, 0, 0], 0));
    let found = read(&mut reader, &one.encode(), Series::Reads);
    assert_eq!(found, [(Step::MINUTE, vec![(7, 1, Flags::NONE)])]);
}

proptest! {
    #[test]
    fn it_reads_what_the_cells_of_the_block_are(
        cells in prop::collection::vec(
            (0usize..3, 0u64..2, 0u64..3, 0u16..60, prop::array::uniform4((any::<u64>(), 0u32..70)), 0u16..3),
            0..120,
        ),
        nodes in 1usize..4,
        steps in prop::collection::vec(prop::sample::select(vec![1_000, 10_000, 60_000]), 1..3),
        own in any::<bool>(),
    ) {
        let mut hour = HourBlocks::default();
        for (at, &(node, group, term, index, counts, flags)) in cells.iter().enumerate() {
            let step = Step::from_ms(steps[at % steps.len()]).unwrap();
            let (group, term) = if nodes == 1 { (0, 1) } else { (if own { 0 } else { group }, term) };
            let who = who(["a", "bc", "d"][node % nodes], group, term);
            let counts = counts.map(|(value, shift)| value.checked_shr(shift).unwrap_or(0));
            hour.block_mut(step).add(&who, entry(index, counts, flags));
        }
        check(&hour);
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..300), head in 0u8..8) {
        let mut reader = SeriesReader::default();
        for payload in [payload.clone(), [&[head][..], &payload].concat(), [&[4, 60, 1, 1][..], &payload].concat()] {
            for version in 1..=value::VERSION {
                let value = crate::envelope::seal(version, &payload);
                for series in Series::ALL {
                    let read = reader.read(&value, series).map(|columns| columns.count());
                    prop_assert!(read.is_ok() || HourBlocks::decode(&value).is_err());
                }
            }
        }
    }
}
