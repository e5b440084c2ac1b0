//! The WAL: appending and syncing a 10,000-row column, against writing and syncing the same bytes
//! bare; and replay, against reading the files. Processor time of both, against the goals.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use keyviz_codec::column_record::{self, CellTile, Cells, ColumnRecord};
use keyviz_lineage::SourceId;
use keyviz_wal::{RealFs, Wal, WalOptions};

use crate::{codec, machine, report};

const RECORDS: usize = 20;
/// Processor time of appending one column without a sync, and of replaying a full log.
const APPEND_GOAL_US: f64 = 100.0;
const REPLAY_GOAL_MS: f64 = 100.0;
const CPU_ROUNDS: usize = 9;

type Outcome = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn run() -> Outcome {
    let payload = column_record::encode(&source(), 1, &codec::column(10_000, 28_000_000));
    let folder = tempfile::tempdir()?;
    append(folder.path(), &payload)?;
    replay(folder.path(), &payload)
}

fn source() -> SourceId {
    SourceId { node: "node-1".into(), boot: uuid::Uuid::from_u128(1) }
}

fn open(folder: &Path) -> Result<(Wal, keyviz_wal::Recovery), keyviz_wal::WalError> {
    let options = WalOptions::with_max_bytes(64 << 20);
    Wal::open(Arc::new(RealFs), &folder.join("wal"), options)
}

/// The median processor time of this thread, in seconds.
fn cpu(mut work: impl FnMut()) -> f64 {
    let spent = (0..CPU_ROUNDS).map(|_| {
        let before = machine::thread_cpu();
        work();
        machine::thread_cpu() - before
    });
    report::median(spent.collect())
}

/// Remembers the first failure of something that is timed.
fn keep(failed: &RefCell<Option<String>>, result: Result<(), String>) {
    if let Err(reason) = result {
        failed.borrow_mut().get_or_insert(reason);
    }
}

fn append(folder: &Path, payload: &[u8]) -> Outcome {
    let (mut wal, mut recovery) = open(folder)?;
    let column = codec::column(10_000, 28_000_000);
    while recovery.next_record().is_some() {}
    let mut bare = std::fs::File::create(folder.join("bare"))?;
    let failed = RefCell::new(None);
    for synced in [false, true] {
        let mut ours = || {
            for _ in 0..RECORDS {
                let appended = wal.append(480_000, 1, 0, payload);
                let done = if synced { appended.and_then(|_| wal.commit()) } else { appended };
                keep(&failed, done.map(drop).map_err(|error| error.to_string()));
            }
        };
        let theirs = || {
            for _ in 0..RECORDS {
                let written = bare.write_all(payload);
                let done = if synced { written.and_then(|()| bare.sync_data()) } else { written };
                keep(&failed, done.map_err(|error| error.to_string()));
            }
        };
        if !synced {
            let bench = "WAL encoding a column of 10,000 ranges, processor time";
            let encoding = cpu(|| {
                for _ in 0..RECORDS {
                    black_box(column_record::encode(&source(), 1, black_box(&column)));
                }
            });
            let micros = encoding * 1e6 / RECORDS as f64;
            report::line(
                &format!("{bench}, baseline the goal of appending it"),
                micros,
                "us",
                APPEND_GOAL_US,
            );
            let seconds = cpu(&mut ours);
            let bench = format!("WAL append of {} bytes, processor time", payload.len());
            report::goal(&bench, seconds * 1e6 / RECORDS as f64, "us", APPEND_GOAL_US);
        }
        let (ours, theirs) = report::paired(ours, theirs);
        let what = if synced { "append and fdatasync" } else { "append" };
        let bench = format!("WAL {what} of {} bytes, baseline the same bare", payload.len());
        let micros = |seconds: f64| seconds * 1e6 / RECORDS as f64;
        report::line(&bench, micros(ours), "us", micros(theirs));
    }
    failed.into_inner().map_or(Ok(()), |reason| Err(reason.into()))
}

/// Decodes every array of what was counted, column by column.
fn read_arrays(payload: &[u8], tile: &mut CellTile) -> Result<(), keyviz_codec::CodecError> {
    let record = ColumnRecord::parse(payload)?;
    Cells::parse(record.cells(), record.rows())?.reader().read(record.rows(), tile);
    black_box(tile);
    Ok(())
}

fn replay(folder: &Path, payload: &[u8]) -> Outcome {
    let (mut wal, mut recovery) = open(folder)?;
    while recovery.next_record().is_some() {}
    while wal.usage().ratio() < 0.9 {
        wal.append(480_000, 1, 0, payload)?;
    }
    wal.commit()?;
    let bytes = wal.usage().bytes;
    drop(wal);
    let failed = RefCell::new(None);
    let mut tile = CellTile::default();
    let mut ours = || match open(folder) {
        Err(error) => keep(&failed, Err(error.to_string())),
        Ok((_, mut recovery)) => {
            while let Some(record) = recovery.next_record() {
                keep(&failed, read_arrays(record.payload, &mut tile).map_err(|e| e.to_string()));
            }
        }
    };
    let theirs = || {
        let read = std::fs::read_dir(folder.join("wal")).and_then(|entries| {
            entries
                .into_iter()
                .try_for_each(|entry| std::fs::read(entry?.path()).map(|b| drop(black_box(b))))
        });
        keep(&failed, read.map_err(|error| error.to_string()));
    };
    let bench = format!("WAL replay of {} MiB, records only, processor time", bytes >> 20);
    let records = || match open(folder) {
        Err(error) => keep(&failed, Err(error.to_string())),
        Ok((_, mut recovery)) => while black_box(recovery.next_record()).is_some() {},
    };
    report::goal(&bench, cpu(records) * 1e3, "ms", REPLAY_GOAL_MS);
    let bench = format!("WAL replay of {} MiB into columns, processor time", bytes >> 20);
    report::goal(&bench, cpu(&mut ours) * 1e3, "ms", REPLAY_GOAL_MS);
    let (ours, theirs) = report::paired(ours, theirs);
    let bench =
        format!("WAL replay of {} MiB into columns, baseline reading the files", bytes >> 20);
    report::line(&bench, ours * 1e3, "ms", theirs * 1e3);
    failed.into_inner().map_or(Ok(()), |reason| Err(reason.into()))
}
