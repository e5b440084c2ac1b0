//! Blocks and column records: size against raw u64s, time against copying the same bytes.

use std::hint::black_box;

use keyviz_codec::{CellEntry, Contributor, HourBlocks, column_record};
use keyviz_lineage::{Column, Counts, Flags, KeyRange, Row, SourceId, Step, Window};

use crate::report;

/// A reproducible stream of numbers (xorshift64).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn counts(numbers: &mut Numbers, hot: bool) -> Counts {
    let reads = numbers.below(if hot { 5_000 } else { 12 });
    let writes = numbers.below(if hot { 900 } else { 3 });
    Counts {
        reads,
        writes,
        read_bytes: reads * 120 + numbers.below(64),
        write_bytes: writes * 140 + numbers.below(64),
    }
}

pub(crate) fn column(rows: u64, window: u64) -> Column {
    let mut numbers = Numbers::new(window + 1);
    let key = |n: u64| {
        if n == 0 || n == rows { Vec::new() } else { format!("user:{n:012}").into_bytes() }
    };
    let row = |n: u64| Row {
        route: n + 1,
        group: 1,
        term: 3,
        range: KeyRange::new(key(n), key(n + 1)).unwrap_or_default(),
        counts: counts(&mut Numbers::new(n * 977 + window + 1), n.is_multiple_of(97)),
        flags: Flags::NONE,
    };
    let start_ms = window * 60_000;
    Column {
        // invariant: a multiple of the step
        window: Window { start_ms, step: Step::MINUTE },
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 60_000,
        unattributed: numbers.below(9),
        groups: vec![1],
        rows: (0..rows).map(row).collect(),
        buckets: Vec::new(),
    }
}

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    blocks();
    records();
    Ok(())
}

fn blocks() {
    let mut numbers = Numbers::new(7);
    let who = Contributor { node: "node-1".into(), group: 0, term: 3 };
    let blocks: Vec<HourBlocks> = (0..1_000)
        .map(|lineage| {
            let mut hour = HourBlocks::default();
            for index in 0..60 {
                let counts = counts(&mut numbers, lineage % 97 == 0);
                hour.block_mut(Step::MINUTE)
                    .add(&who, CellEntry { index, counts, flags: Flags::NONE });
            }
            hour
        })
        .collect();
    let encoded: Vec<Vec<u8>> = blocks.iter().map(HourBlocks::encode).collect();
    let (cells, bytes) = (blocks.len() * 60 * 4, encoded.iter().map(Vec::len).sum::<usize>());
    report::line(
        "block size, baseline 8 bytes a cell",
        bytes as f64 / cells as f64,
        "bytes/cell",
        8.0,
    );
    let copy = || encoded.iter().for_each(|value| drop(black_box(value.clone())));
    let (ours, theirs) =
        report::paired(|| blocks.iter().for_each(|hour| drop(black_box(hour.encode()))), copy);
    report::line(
        "block encode, baseline copying the bytes",
        ours * 1e9 / cells as f64,
        "ns/cell",
        theirs * 1e9 / cells as f64,
    );
    let decode = || encoded.iter().for_each(|value| drop(black_box(HourBlocks::decode(value))));
    let (ours, theirs) = report::paired(decode, copy);
    report::line(
        "block decode, baseline copying the bytes",
        ours * 1e9 / cells as f64,
        "ns/cell",
        theirs * 1e9 / cells as f64,
    );
}

fn records() {
    let source = SourceId { node: "node-1".into(), boot: uuid::Uuid::from_u128(1) };
    for rows in [1_000, 10_000, 100_000] {
        let column = column(rows, 28_000_000);
        let payload = column_record::encode(&source, 1, &column);
        let copy = || drop(black_box(payload.clone()));
        let (encode, copied) =
            report::paired(|| drop(black_box(column_record::encode(&source, 1, &column))), copy);
        report::line(
            &format!(
                "column record encode, {rows} rows ({} bytes), baseline copying it",
                payload.len()
            ),
            encode * 1e6,
            "us",
            copied * 1e6,
        );
        let (decode, copied) =
            report::paired(|| drop(black_box(column_record::decode(&payload))), copy);
        report::line(
            &format!("column record decode, {rows} rows, baseline copying it"),
            decode * 1e6,
            "us",
            copied * 1e6,
        );
    }
}
