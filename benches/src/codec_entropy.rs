//! What a stored cell costs against the entropy of what it says, and how fast blocks and roll-ups are
//! written and read, against copying the raw numbers.
//!
//! The workload is that of `workload.rs`, dense, and sparse at a hundredth of that: every seventh of
//! 10,000 ranges, three hours each. `store_fill.rs` has all of them for a week.

use std::hint::black_box;

use keyviz_codec::rollup::{self, Chunk, Columns, SLOTS, Tier};
use keyviz_codec::{CellEntry, Contributor, HourBlocks, SeriesReader};
use keyviz_lineage::{Flags, Series, Step};

use crate::report;
use crate::workload::{Hour, Load, Numbers, WINDOWS, Workload};

const RANGES: u64 = 10_000;
/// Every so many ranges are measured, for so many hours of the week.
const RANGE_STRIDE: u64 = 7;
const HOURS: u64 = 3;
/// Chunks of roll-ups, of each series.
const CHUNKS: usize = 8;

/// A lineage-hour as it is stored; adds what it says to `bits`.
fn hour_blocks(workload: &Workload, rank: u64, hour: u64, bits: &mut f64) -> HourBlocks {
    let who = Contributor { node: "node-1".into(), group: 0, term: 12 };
    let mut hour_blocks = HourBlocks::default();
    let block = hour_blocks.block_mut(Step::MINUTE);
    *bits += workload.hour(Hour { rank, hour, node: 0, nodes: 1 }, |index, counts| {
        if !counts.is_idle() {
            block.add(&who, CellEntry { index, counts, flags: Flags::NONE });
        }
    });
    hour_blocks
}

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    for (name, scale) in [("dense", 1.0), ("sparse", 0.01)] {
        let workload = Workload::new(Load { ranges: RANGES, scale });
        let (mut hours, mut bits) = (Vec::new(), 0.0);
        for rank in (1..=RANGES).step_by(RANGE_STRIDE as usize) {
            (0..HOURS).for_each(|hour| hours.push(hour_blocks(&workload, rank, hour, &mut bits)));
        }
        blocks(name, &hours, bits / 8.0)?;
        for tier in Tier::ALL {
            chunks(name, tier, &workload)?;
        }
    }
    Ok(())
}

/// Blocks: their size, and the time to write them, read them whole, and read one series.
fn blocks(
    name: &str,
    hours: &[HourBlocks],
    entropy_bytes: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let encoded: Vec<Vec<u8>> = hours.iter().map(HourBlocks::encode).collect();
    let cells = (hours.len() * usize::from(WINDOWS) * 4) as f64;
    let bytes = encoded.iter().map(Vec::len).sum::<usize>() as f64;
    report::line(
        &format!("{name} block size, baseline entropy"),
        bytes / cells,
        "bytes/cell",
        entropy_bytes / cells,
    );
    let raw: Vec<Vec<u64>> = hours.iter().map(|_| vec![1; usize::from(WINDOWS) * 4]).collect();
    let copy = || raw.iter().for_each(|values| drop(black_box(values.clone())));
    let rate = |what: &str, cells: f64, work: &mut dyn FnMut()| {
        let (ours, theirs) = report::paired(work, copy);
        let bench = format!("{name} block {what}, baseline copying raw u64s");
        report::line(&bench, cells / ours / 1e6, "M cells/s", cells / theirs / 1e6);
    };
    rate("encode", cells, &mut || hours.iter().for_each(|hour| drop(black_box(hour.encode()))));
    rate("decode", cells, &mut || {
        encoded.iter().for_each(|value| drop(black_box(HourBlocks::decode(value))));
    });
    let mut reader = SeriesReader::default();
    for series in Series::ALL {
        rate(&format!("read of {}", series.name()), cells / 4.0, &mut || {
            for value in &encoded {
                let Ok(columns) = reader.read(value, series) else { continue };
                columns.for_each(|column| {
                    let _ = black_box(column.values);
                });
            }
        });
    }
    Ok(())
}

/// Roll-ups: their size, and the time to write and read chunks of ranges of random ranks.
fn chunks(name: &str, tier: Tier, workload: &Workload) -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = Numbers(7);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut blocks_bytes = 0;
    for _ in 0..CHUNKS {
        let mut of_series = [(); 4].map(|()| Chunk::new(tier));
        for slot in 0..SLOTS {
            let hour = hour_blocks(workload, 1 + numbers.next() % RANGES, 0, &mut 0.0);
            blocks_bytes += hour.encode().len();
            for (chunk, entry) in of_series.iter_mut().zip(rollup::of(&hour, tier)) {
                chunk.set(slot, Some(entry));
            }
        }
        chunks.extend(of_series);
    }
    let encoded: Vec<Vec<u8>> = chunks.iter().map(Chunk::encode).collect();
    let bytes = encoded.iter().map(Vec::len).sum::<usize>() as f64;
    // A sum and a maximum for each window.
    let numbers = (chunks.len() * SLOTS * tier.windows() * 2) as f64;
    let tier_name = tier.name();
    report::line(
        &format!("{name} {tier_name} roll-up size, baseline raw u64s"),
        bytes / numbers,
        "bytes/number",
        8.0,
    );
    report::line(
        &format!("{name} {tier_name} roll-up of a lineage-hour, baseline its block"),
        bytes / (CHUNKS * SLOTS) as f64,
        "bytes",
        blocks_bytes as f64 / (CHUNKS * SLOTS) as f64,
    );
    let raw: Vec<Vec<u64>> = chunks.iter().map(|_| vec![1; SLOTS * tier.windows() * 2]).collect();
    let copy = || raw.iter().for_each(|values| drop(black_box(values.clone())));
    let rate = |what: &str, numbers: f64, work: &mut dyn FnMut()| {
        let (ours, theirs) = report::paired(work, copy);
        let bench = format!("{name} {tier_name} roll-up {what}, baseline copying raw u64s");
        report::line(&bench, numbers / ours / 1e6, "M numbers/s", numbers / theirs / 1e6);
    };
    rate("encode", numbers, &mut || {
        chunks.iter().for_each(|chunk| drop(black_box(chunk.encode())));
    });
    let mut columns = Columns::default();
    rate("read", numbers, &mut || {
        encoded.iter().for_each(|value| drop(black_box(columns.read(value))));
    });
    rate("read of sums", numbers / 2.0, &mut || {
        encoded.iter().for_each(|value| drop(black_box(columns.read_sums(value))));
    });
    Ok(())
}
