//! RocksDB's settings, one at a time: what each does to this load. The table at the head of
//! `crates/store/src/open.rs` comes from here. The baseline of every line is the same figure with
//! keyviz's own settings, measured in the same run.
//!
//! Each store takes a week of 2,000 ranges hour by hour, as a checkpoint does it: for every block a look
//! whether it is there, then all of an hour in one synced batch. Times are processor time, which other
//! processes disturb least; only cold reads are by the clock.

use std::time::Instant;

use keyviz_codec::{CellEntry, Contributor, HourBlocks, Key};
use keyviz_lineage::{Flags, HOUR_MS, Series, Step};
use keyviz_store::retention::Retention;
use keyviz_store::tuning::{Filter, Tuning};
use keyviz_store::{Batch, History as _, Store, StoreOptions};

use crate::filled::{FIRST_HOUR, Outcome, Size};
use crate::workload::{Hour, Load, Workload};
use crate::{machine, report};

const GROUP: u64 = 1;
const HOURS: u64 = 168;
const SIZE: Size = Size { load: Load { ranges: 2_000, scale: 1.0 }, hours: HOURS, nodes: 1 };
/// Lineages that are read a week each.
const SERIES_READ: u64 = 500;
const COLD_READ: u64 = 25;

/// The encoded blocks, by hour.
type Values = Vec<Vec<(Key, Vec<u8>)>>;

fn values() -> Values {
    let workload = Workload::new(SIZE.load);
    let who = Contributor { node: "node-1".into(), group: 0, term: 12 };
    let block = |place: u64, hour: u64| {
        let mut blocks = HourBlocks::default();
        let block = blocks.block_mut(Step::MINUTE);
        let whose = Hour { rank: SIZE.rank_of(place), hour, node: 0, nodes: 1 };
        workload.hour(whose, |index, counts| {
            block.add(&who, CellEntry { index, counts, flags: Flags::NONE });
        });
        (Key::Range { lineage: Size::lineage(place), hour }, blocks.encode())
    };
    let hours = FIRST_HOUR..FIRST_HOUR + HOURS;
    hours.map(|hour| (0..SIZE.ranges()).map(|place| block(place, hour)).collect()).collect()
}

/// What one set of settings costs.
struct Costs(Vec<(&'static str, f64)>);

fn cpu<T>(mut work: impl FnMut() -> Outcome<T>) -> Outcome<f64> {
    let start = machine::thread_cpu();
    work()?;
    Ok(machine::thread_cpu() - start)
}

fn measure(values: &Values, tuning: Tuning) -> Outcome<Costs> {
    let folder = tempfile::tempdir()?;
    let open = || {
        let options = StoreOptions { retention: Retention::new(HOURS * HOUR_MS) };
        Store::open_tuned(folder.path(), options, &tuning)
    };
    let store = open()?;
    let (process, written) = (machine::process_cpu(), machine::written_bytes()?);
    let start = Instant::now();
    for hour in values {
        let (view, mut batch) = (store.view(0), Batch::default());
        for (key, value) in hour {
            if view.raw(GROUP, key)?.is_none() {
                batch.put(GROUP, key, value.clone());
            }
        }
        while store.commit(&batch).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    store.flush()?;
    store.wait_for_compactions()?;
    let fill_wall = start.elapsed().as_secs_f64();
    let fill_cpu = machine::process_cpu() - process;
    let written = (machine::written_bytes()? - written) as f64;
    let bytes = machine::bytes_of(folder.path(), ".sst")? as f64;
    let keys = values.len() as f64 * SIZE.ranges() as f64;
    let mut costs = vec![
        ("fill, CPU us a block", fill_cpu * 1e6 / keys),
        ("fill, wall us a block", fill_wall * 1e6 / keys),
        ("written to disk, bytes a block", written / keys),
        ("on disk, bytes a block", bytes / keys),
    ];
    reads(&store, &mut costs)?;
    drop(store);
    let mut cold = Vec::new();
    for _ in 0..3 {
        let store = open()?;
        machine::forget(folder.path())?;
        let start = Instant::now();
        (0..COLD_READ).for_each(|n| week_of(&store, n * (SIZE.ranges() / COLD_READ)));
        cold.push(start.elapsed().as_secs_f64() * 1e3 / COLD_READ as f64);
    }
    costs.push(("week of one series, cold, wall ms", report::median(cold)));
    Ok(Costs(costs))
}

fn week_of(store: &Store, place: u64) {
    let view = store.view((FIRST_HOUR + HOURS) * HOUR_MS);
    let mut sum = 0;
    let hours = FIRST_HOUR..=FIRST_HOUR + HOURS - 1;
    view.series(GROUP, Size::lineage(place), Series::Reads, hours, &mut |_, column| {
        sum += column.map_or(0, |column| column.values.iter().sum::<u64>());
    });
    std::hint::black_box(sum);
}

fn reads(store: &Store, costs: &mut Vec<(&'static str, f64)>) -> Outcome<()> {
    let week = || {
        (0..SERIES_READ).for_each(|n| week_of(store, n * (SIZE.ranges() / SERIES_READ)));
        Ok(())
    };
    week()?;
    costs.push(("week of one series, CPU us", cpu(week)? * 1e6 / SERIES_READ as f64));
    let view = store.view((FIRST_HOUR + HOURS) * HOUR_MS);
    let got = |first: u64| {
        for n in 0..SIZE.ranges() {
            let key = Key::Range { lineage: Size::lineage(n), hour: first };
            std::hint::black_box(view.raw(GROUP, &key)?);
        }
        Ok(())
    };
    let there = cpu(|| got(FIRST_HOUR + HOURS / 2))?;
    let absent = cpu(|| got(FIRST_HOUR + HOURS))?;
    costs.push(("get of a block, CPU us", there * 1e6 / SIZE.ranges() as f64));
    costs.push(("get of none, CPU us", absent * 1e6 / SIZE.ranges() as f64));
    let scan = cpu(|| {
        let mut bytes = 0;
        view.visit_pairs(&mut |key, value| bytes += key.len() + value.len())?;
        std::hint::black_box(bytes);
        Ok(())
    })?;
    costs.push(("scan of all, CPU ms", scan * 1e3));
    Ok(())
}

fn variants() -> Vec<(String, Tuning)> {
    let own = Tuning::default();
    let mut found: Vec<(String, Tuning)> = Vec::new();
    let mut add = |name: String, tuning: Tuning| {
        if tuning != own {
            found.push((name, tuning));
        }
    };
    for block_bytes in [4 << 10, 16 << 10, 32 << 10, 64 << 10] {
        add(format!("block of {} KiB", block_bytes >> 10), Tuning { block_bytes, ..own });
    }
    for filter in [Filter::None, Filter::Bloom(10.0), Filter::Ribbon(10.0)] {
        add(format!("filter {filter:?}"), Tuning { filter, ..own });
    }
    for cache_mib in [8, 32, 64, 256] {
        add(
            format!("block cache of {cache_mib} MiB"),
            Tuning { cache_bytes: cache_mib << 20, ..own },
        );
    }
    for write_mib in [8, 32, 64] {
        let tuning = Tuning { write_buffer_bytes: write_mib << 20, ..own };
        add(format!("write buffer of {write_mib} MiB"), tuning);
    }
    for cached in [false, true] {
        let tuning = Tuning { cache_index_and_filter_blocks: cached, ..own };
        add(format!("indexes in the cache: {cached}"), tuning);
    }
    for data_block_hash in [false, true] {
        add(format!("hash in blocks: {data_block_hash}"), Tuning { data_block_hash, ..own });
    }
    for restart_interval in [4, 16, 32] {
        add(format!("restart every {restart_interval}"), Tuning { restart_interval, ..own });
    }
    for format_version in [5, 6, 7] {
        add(format!("format version {format_version}"), Tuning { format_version, ..own });
    }
    for optimize_filters_for_hits in [false, true] {
        let tuning = Tuning { optimize_filters_for_hits, ..own };
        add(format!("no filters in the last level: {optimize_filters_for_hits}"), tuning);
    }
    for background_jobs in [1, 2, 4] {
        add(format!("{background_jobs} background jobs"), Tuning { background_jobs, ..own });
    }
    for base_mib in [32, 64, 256, 1_024] {
        let tuning = Tuning { level_base_bytes: base_mib << 20, ..own };
        add(format!("first level of {base_mib} MiB"), tuning);
    }
    for universal in [false, true] {
        add(format!("universal compaction: {universal}"), Tuning { universal, ..own });
    }
    for mib in [None, Some(16)] {
        let background_bytes_per_second = mib.map(|mib: i64| mib << 20);
        let tuning = Tuning { background_bytes_per_second, ..own };
        add(format!("background writes, MiB a second: {mib:?}"), tuning);
    }
    found
}

pub(crate) fn run() -> Outcome<()> {
    let values = values();
    compressed(&values)?;
    let Costs(own) = measure(&values, Tuning::default())?;
    for (name, tuning) in variants() {
        let Costs(costs) = measure(&values, tuning)?;
        for ((what, value), (_, own)) in costs.into_iter().zip(&own) {
            report::line(&format!("settings: {name}: {what}"), value, "", *own);
        }
    }
    Ok(())
}

/// What a general compressor would make of a RocksDB block of these values. RocksDB is built without
/// one, so zstd takes them by itself.
fn compressed(values: &Values) -> Outcome<()> {
    for block_bytes in [4 << 10, 16 << 10] {
        let (mut plain, mut packed, mut block) = (0, 0, Vec::new());
        let by_lineage = (0..SIZE.ranges() as usize)
            .step_by(20)
            .flat_map(|place| values.iter().map(move |hour| &hour[place].1));
        let start = machine::thread_cpu();
        for value in by_lineage {
            block.extend_from_slice(value);
            if block.len() >= block_bytes {
                plain += block.len();
                packed += zstd::bulk::compress(&block, 1)?.len().min(block.len());
                block.clear();
            }
        }
        let seconds = machine::thread_cpu() - start;
        let name =
            format!("settings: zstd of {} KiB of blocks, baseline as they are", block_bytes >> 10);
        report::line(&name, packed as f64, "bytes", plain as f64);
        let speed = plain as f64 / seconds / 1e6;
        report::line(&format!("{name}: speed"), speed, "MB/s", speed);
    }
    Ok(())
}
