//! What must hold of every decoder, whatever the bytes: no panic, and what is accepted survives
//! being written and read again. Some layouts are canonical besides (one value, one spelling): keys,
//! envelopes, lineage records, lineage numbers, bucket indexes, marks.
//!
//! An input is what a decoder takes, but for the checksum: the first byte of a stored value is its
//! format version, the rest its payload, and the check seals them, because no fuzzer finds a CRC.

pub mod graph;
pub mod key_range;

use keyviz_codec::column_record::{CellTile, Cells, ColumnRecord};
use keyviz_codec::marks::{Applied, BootMark, Freeze, LeaderEvent, Mark, Member, Upgrade};
use keyviz_codec::rollup::{Chunk, Columns, Entry, SLOTS, Tier};
use keyviz_codec::{
    BucketIndex, Coverage, HourBlocks, Key, Pin, SeriesReader, column_record, envelope,
    lineage_record, numbers as lineage_numbers, shed_record as shed_records,
};
use keyviz_lineage::Series;
use keyviz_lineage::column::{Column, SourceId};

/// Panics if something does not hold.
pub type Check = fn(&[u8]);

/// Every check under the name of its target, its folder in `corpus/`.
pub const ALL: [(&str, Check); 13] = [
    ("bucket_index", bucket_index),
    ("column_record", column_record),
    ("coverage", coverage),
    ("envelope", envelope),
    ("graph", graph::graph),
    ("hour_blocks", hour_blocks),
    ("key", key),
    ("key_range", key_range::key_range),
    ("lineage_record", lineage_record),
    ("marks", marks),
    ("numbers", numbers),
    ("rollup", rollup),
    ("shed_record", shed_record),
];

fn sealed(input: &[u8]) -> Option<Vec<u8>> {
    input.split_first().map(|(&version, payload)| envelope::seal(version, payload))
}

/// The index of virtual buckets; merging it with itself changes nothing (I1).
pub fn bucket_index(input: &[u8]) {
    let Some(value) = sealed(input) else { return };
    let Ok(mut index) = BucketIndex::decode(&value) else { return };
    assert_eq!(index.encode(), value, "I3");
    let before = index.clone();
    index.merge(&before);
    assert_eq!(index, before, "I1");
}

/// A column's WAL record, and a skip mark. What is read of a record without decoding it is what is in
/// it.
pub fn column_record(input: &[u8]) {
    if let Ok(record) = ColumnRecord::parse(input) {
        read_in_pieces(&record);
    }
    if let Ok((source, sequence)) = column_record::decode_skip(input) {
        assert_eq!(column_record::encode_skip(&source, sequence), input);
    }
    if let Ok((source, sequence, column)) = column_record::decode(input) {
        same_column(&source, sequence, &column);
    }
}

fn read_in_pieces(record: &ColumnRecord<'_>) {
    let Ok(cells) = Cells::parse(record.cells(), record.rows()) else {
        panic!("cells that were parsed with the record");
    };
    let whole = record.column().ok();
    let (mut reader, mut tile) = (cells.reader(), CellTile::default());
    for start in (0..record.rows()).step_by(8) {
        let count = (record.rows() - start).min(8);
        reader.read(count, &mut tile);
        let Some(whole) = &whole else { continue };
        for (at, row) in whole.rows[start..start + count].iter().enumerate() {
            assert_eq!((tile.cell(at), tile.term(at)), ((row.counts, row.flags), row.term));
            assert!(cells.one_term().is_none_or(|term| term == row.term));
        }
    }
    let rest = record.without_rows().ok();
    if let Some(whole) = whole {
        assert_eq!(rest, Some(Column { rows: Vec::new(), ..whole }));
    }
}

fn same_column(source: &SourceId, sequence: u64, column: &Column) {
    assert_eq!(column.validate(), Ok(()));
    // What every consumer asks of a column.
    let _ = (column.is_short(), column.is_stretched(), column.window.end_ms());
    let again = column_record::encode(source, sequence, column);
    assert_eq!(column_record::decode(&again), Ok((source.clone(), sequence, column.clone())));
}

/// Who recorded what in an hour; merging two of them.
pub fn coverage(input: &[u8]) {
    let Some(mut coverage) = sealed(input).and_then(|value| Coverage::decode(&value).ok()) else {
        return;
    };
    assert_eq!(Coverage::decode(&coverage.encode()).as_ref(), Ok(&coverage));
    coverage.merge(&coverage.clone());
    assert_eq!(Coverage::decode(&coverage.encode()).as_ref(), Ok(&coverage));
}

/// The envelope: canonical, and every flipped bit is found.
pub fn envelope(input: &[u8]) {
    const KNOWN: u8 = 3;
    if let Ok(payload) = envelope::open("input", KNOWN, input) {
        assert_eq!(envelope::seal(input[0], payload), input);
    }
    let Some(mut value) = sealed(input) else { return };
    let opened = envelope::open("input", KNOWN, &value);
    assert_eq!(opened.is_ok(), (1..=KNOWN).contains(&input[0]));
    assert!(opened.is_err() || opened == Ok(&input[1..]));
    let bit = input.iter().fold(0, |sum, &byte| sum * 31 % 65_521 + usize::from(byte))
        % (value.len() * 8);
    value[bit / 8] ^= 1 << (bit % 8);
    assert!(envelope::open("input", KNOWN, &value).is_err(), "bit {bit}");
}

/// The blocks of a lineage-hour; merging two of them, the cells they make, and their roll-ups.
pub fn hour_blocks(input: &[u8]) {
    let Some(value) = sealed(input) else { return };
    let bounds = HourBlocks::decode_bounds(&value);
    let Ok(mut hour) = HourBlocks::decode(&value) else {
        // A series may be read that others spoil, or refused.
        let mut reader = SeriesReader::default();
        Series::ALL.into_iter().for_each(|series| drop(reader.read(&value, series)));
        return;
    };
    assert_eq!(bounds, Ok(hour.bounds().cloned()));
    same_series(&hour, &value);
    assert_eq!(HourBlocks::decode(&hour.encode()).as_ref(), Ok(&hour));
    hour.merge(&hour.clone());
    let again = hour.encode();
    assert_eq!(HourBlocks::decode(&again).as_ref(), Ok(&hour));
    same_series(&hour, &again);
    Tier::ALL.into_iter().for_each(|tier| check_entries(&hour, tier));
    for block in hour.blocks() {
        let columns = block.step().columns_per_hour();
        assert!(block.cells().keys().all(|&index| usize::from(index) < columns), "B3");
    }
}

/// S1: a series that is read by itself is that of the merged cells.
fn same_series(hour: &HourBlocks, value: &[u8]) {
    let mut reader = SeriesReader::default();
    for series in Series::ALL {
        let found = reader.read(value, series);
        let found = found.unwrap_or_else(|error| panic!("S1: {error}")); // invariant: it was decoded
        assert_eq!(found.len(), hour.blocks().len());
        for (column, block) in found.zip(hour.blocks()) {
            assert_eq!(column.step, block.step());
            let cells = block.cells().into_iter();
            let cells = cells.map(|(at, cell)| (at, cell.counts.get(series), cell.flags));
            assert!(column.cells().eq(cells), "S1: {series:?}");
        }
    }
}

/// Keys: canonical, and quarantined ones can be told again.
pub fn key(input: &[u8]) {
    let Some((group, key)) = Key::parse(input) else { return };
    assert_eq!(key.encode(group), input);
    let (_, _) = (key.to_string(), key.expiry_hour());
    let aside = key.quarantine();
    assert_eq!(Key::parse(&aside.encode(group)), Some((group, aside)));
}

/// A stored lineage record.
pub fn lineage_record(input: &[u8]) {
    let Some(value) = sealed(input) else { return };
    let Ok(record) = lineage_record::decode(&value) else { return };
    assert_eq!(lineage_record::encode(&record), value);
    let (born, end) = (record.valid_from.unix_ms(), record.valid_from.unix_ms().saturating_add(1));
    let _ = (record.alive_within(born, end), record.alive_at(born), record.range.to_string());
}

/// The small marks. The first byte says which.
pub fn marks(input: &[u8]) {
    let Some((&which, input)) = input.split_first() else { return };
    let Some(value) = sealed(input) else { return };
    match which % 8 {
        0 => drop(same_mark::<Applied>(&value)),
        1 => {
            let Some(mut mark) = same_mark::<Member>(&value) else { return };
            let from = mark.spans.first().map_or(0, |&(from, _)| from);
            mark.arrived(from.saturating_add(60_000));
            assert!(mark.expected_at(from.saturating_add(60_000)));
            mark.leave(from);
            assert!(mark.spans.iter().all(|(_, left)| left.is_some()));
        }
        2 => {
            let Some(mut mark) = same_mark::<BootMark>(&value) else { return };
            let next = mark.last_sequence.saturating_add(1);
            mark.take(next, 7, 60_000, 1);
            assert_eq!((mark.last_sequence, mark.digest_of(next)), (next, Some(7)));
        }
        3 => drop(same_mark::<LeaderEvent>(&value)),
        4 => drop(same_mark::<u64>(&value)),
        5 => drop(same_mark::<Upgrade>(&value)),
        6 => drop(same_mark::<Freeze>(&value)),
        _ => {
            let Ok(pin) = Pin::decode(&value) else { return };
            assert_eq!(pin.encode(), value);
            let hours = pin.lineages.values().flatten();
            assert!(hours.clone().all(|run| pin.fine_hours().contains(run.start())));
            assert!(hours.clone().all(|run| pin.fine_hours().contains(run.end())));
        }
    }
}

fn same_mark<M: Mark + PartialEq + std::fmt::Debug>(value: &[u8]) -> Option<M> {
    let mark = M::decode(value).ok()?;
    assert_eq!(mark.encode(), value);
    Some(mark)
}

/// Which lineages a chunk of roll-ups stands for.
pub fn numbers(input: &[u8]) {
    let Some(value) = sealed(input) else { return };
    let Ok(ids) = lineage_numbers::decode(&value) else { return };
    assert!((1..=SLOTS).contains(&ids.len()));
    assert_eq!(lineage_numbers::encode(&ids), value);
}

/// What was shed from the WAL.
pub fn shed_record(input: &[u8]) {
    let Ok(entries) = shed_records::decode(input) else { return };
    assert_eq!(shed_records::decode(&shed_records::encode(&entries)), Ok(entries));
}

/// A chunk of roll-ups: whole, without its maxima, and with a slot changed.
pub fn rollup(input: &[u8]) {
    let Some(value) = sealed(input) else { return };
    let mut columns = Columns::default();
    let sums = columns.read_sums(&value).map(|()| (columns.taken, columns.sums.clone()));
    let Ok(mut chunk) = Chunk::decode(&value) else { return };
    assert_eq!(columns.read(&value), Ok(()));
    assert_eq!(sums, Ok((columns.taken, columns.sums)));
    assert_eq!(Chunk::decode(&chunk.encode()).as_ref(), Ok(&chunk));
    let slot = input.len() % SLOTS;
    chunk.set(slot, Some(Entry::Uneven));
    assert_eq!(Chunk::decode(&chunk.encode()).as_ref(), Ok(&chunk));
}

/// R2: a maximum is at most its sum, which is nothing only if its cells are.
fn check_entries(hour: &HourBlocks, tier: Tier) {
    for entry in keyviz_codec::rollup::of(hour, tier) {
        let Entry::Even(windows) = entry else { return };
        for (at, held) in windows.iter().enumerate() {
            assert!(held.max <= held.sum && (held.max > 0) == (held.sum > 0), "R2");
            assert!(at < tier.windows() || held.sum == 0);
        }
    }
}
