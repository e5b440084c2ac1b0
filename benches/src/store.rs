//! What the store does once at start and once a lineage-hour: looking for lineages without a record,
//! and whether a lineage has blocks in a day; and a week of one range, as a query reads it.

use std::hint::black_box;

use keyviz_codec::{CellEntry, Contributor, HourBlocks, Key};
use keyviz_lineage::{Counts, Flags, HOUR_MS, Hlc, LineageId, Series, Step, id};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, History, Store, StoreError, StoreOptions};

use crate::report;

const GROUP: u64 = 1;
const LINEAGES: u64 = 10_000;
const HOURS: u64 = 168;

fn lineage(n: u64) -> LineageId {
    id::derive(Hlc::new(n, 0), GROUP, &[0; 16], 0)
}

/// Blocks of ten busy windows for every lineage and hour, compacted.
fn fill(store: &Store) -> Result<(), StoreError> {
    let who = Contributor { node: "node-1".into(), group: 0, term: 3 };
    let mut hour_blocks = HourBlocks::default();
    for index in 0..10 {
        let counts = Counts { reads: 40, writes: 9, read_bytes: 4_800, write_bytes: 1_260 };
        let entry = CellEntry { index, counts, flags: Flags::NONE };
        hour_blocks.block_mut(Step::MINUTE).add(&who, entry);
    }
    let value = hour_blocks.encode();
    for hour in 0..HOURS {
        let mut batch = Batch::default();
        for n in 0..LINEAGES {
            batch.put(GROUP, &Key::Range { lineage: lineage(n), hour }, value.clone());
        }
        store.commit(&batch)?;
    }
    store.flush()?;
    store.compact();
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let options = StoreOptions { retention: Retention::new(HOURS * HOUR_MS) };
    let store = Store::open(folder.path(), options)?;
    fill(&store)?;
    let view = store.view(HOURS * HOUR_MS);
    let ids: Vec<LineageId> = (0..LINEAGES).map(lineage).collect();
    let gets = || ids.iter().for_each(|&id| drop(view.block(GROUP, id, HOURS / 2)));

    let (all_known, got) = report::paired(|| drop(view.unrecorded(GROUP, &|_| true)), gets);
    report::line(
        "start: lineages without a record, 10,000 x 168 hours, all have one; baseline one get a lineage",
        all_known * 1e3,
        "ms",
        got * 1e3,
    );
    // One in a hundred has lost its record, and no block says its keys: all of them are read.
    let known = |id: LineageId| !id::tick_of(id).unix_ms().is_multiple_of(100);
    let (some_lost, got) = report::paired(|| drop(view.unrecorded(GROUP, &known)), gets);
    report::line(
        "start: the same, 100 have none and 168 silent blocks; baseline one get a lineage",
        some_lost * 1e3,
        "ms",
        got * 1e3,
    );
    let one = lineage(LINEAGES / 2);
    let series = || {
        let mut sum = 0;
        view.series(GROUP, one, Series::Reads, 0..=HOURS - 1, &mut |_, column| {
            sum += column.map_or(0, |column| column.values.iter().sum::<u64>());
        });
        black_box(sum);
    };
    let whole = || {
        let hours = view.blocks(GROUP, one, 0..=HOURS - 1).into_iter().flat_map(|(_, hour)| hour);
        let cells = hours.flat_map(|hour| hour.blocks()[0].cells().into_values());
        black_box(cells.map(|cell| cell.counts.reads).sum::<u64>());
    };
    let (by_series, by_block) = report::paired(series, whole);
    report::line(
        "query: one series of one range, 168 hours x 10 cells; baseline whole blocks into maps",
        by_series * 1e3,
        "ms",
        by_block * 1e3,
    );
    let days = || ids.iter().for_each(|&id| drop(view.has_blocks(GROUP, id, 168..=191)));
    let (seeks, got) = report::paired(days, gets);
    report::line(
        "checkpoint: has the day a block, 10,000 lineages; baseline one get a lineage",
        seeks * 1e3,
        "ms",
        got * 1e3,
    );
    Ok(())
}
