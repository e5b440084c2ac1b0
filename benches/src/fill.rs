//! A week of 10,000 ranges in a real store: what it takes to write, and where the bytes are.

use std::collections::BTreeMap;

use crate::filled::{FIRST_HOUR, Figures, Filling, Outcome, Size};
use crate::workload::Load;
use crate::{machine, report};

/// The week of the design: 403 M cells.
pub(crate) const WEEK: Size =
    Size { load: Load { ranges: 10_000, scale: 1.0 }, hours: 7 * 24, nodes: 1 };
/// The last hours come as a node sends them, every five minutes.
const LIVE_HOURS: u64 = 3;
const PERSISTS_AN_HOUR: u16 = 12;

/// The same with a hundredth of the traffic. `questions.rs` fills and asks the dense one.
pub(crate) fn run_sparse() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let size = Size { load: Load { scale: 0.01, ..WEEK.load }, ..WEEK };
    fill("sparse", folder.path(), size).map(drop)
}

/// A few hours of the week: what writing takes, in half a minute.
pub(crate) fn run_persist() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    fill("six hours", folder.path(), Size { hours: 2 * LIVE_HOURS, ..WEEK }).map(drop)
}

/// Fills a store hour by hour, the last hours persist by persist, and reports.
pub(crate) fn fill(name: &str, folder: &std::path::Path, size: Size) -> Outcome<Filling> {
    let mut filling = Filling::start(folder, size)?;
    let live_from = FIRST_HOUR + size.hours - LIVE_HOURS.min(size.hours);
    for hour in FIRST_HOUR..live_from {
        filling.hour(hour, 1)?;
    }
    let whole = filling.take_figures()?;
    for hour in live_from..FIRST_HOUR + size.hours {
        filling.hour(hour, PERSISTS_AN_HOUR)?;
    }
    let live = filling.take_figures()?;
    written(&format!("{name} fill"), &whole, &live);
    let entropy = whole.entropy_bytes + live.entropy_bytes;
    stored(&format!("{name} store of a week"), &filling, folder, entropy)?;
    Ok(filling)
}

fn written(name: &str, whole: &Figures, live: &Figures) {
    let an_hour = |seconds: f64, hours: u64| seconds * 1e3 / hours.max(1) as f64;
    let plain = an_hour(whole.plain_cpu, whole.sampled_hours);
    let encode = an_hour(whole.encode_cpu, whole.sampled_hours);
    let once = an_hour(whole.write_cpu, whole.hours);
    let title = |what: &str| format!("{name}: {what}");
    let same = "baseline writing the same bytes to a file";
    report::line(&title(&format!("CPU an hour, persisted once, {same}")), once, "ms", plain);
    let often = an_hour(live.write_cpu, live.hours);
    report::line(&title(&format!("CPU an hour, persisted 12 times, {same}")), often, "ms", plain);
    let share = "CPU an hour, encoding of blocks, baseline all of it persisted once";
    report::line(&title(share), encode, "ms", once);
    for (what, figures) in [("once", whole), ("12 times", live)] {
        let what = format!("bytes to disk, an hour persisted {what}, baseline its entropy");
        let hours = figures.hours.max(1) as f64;
        let megabytes = |bytes: f64| bytes / hours / 1e6;
        let entropy = megabytes(figures.entropy_bytes);
        report::line(&title(&what), megabytes(figures.written_bytes), "MB", entropy);
    }
    let refused = (whole.refused + live.refused) as f64;
    let applied = (whole.hours + live.hours * u64::from(PERSISTS_AN_HOUR)) as f64;
    report::line(&title("batches that would have stalled, baseline all"), refused, "", applied);
}

/// One kind of key.
#[derive(Default)]
struct Tier {
    keys: u64,
    value_bytes: u64,
    /// First and last key of each group.
    spans: BTreeMap<[u8; 8], (Vec<u8>, Vec<u8>)>,
}

/// `range`, `coverage` ..., and for roll-ups also how many windows an hour.
fn tier_of(key: &[u8]) -> Option<(String, [u8; 8])> {
    let (group, logical) = key.split_first_chunk::<8>()?;
    let mut parts = logical.split(|&byte| byte == b'|').skip(2);
    let name = String::from_utf8_lossy(parts.next()?).into_owned();
    let windows = parts.next().and_then(|part| part.first().copied());
    let name = match (name.as_str(), windows) {
        ("rollup", Some(windows)) => format!("roll-ups of {} min", 60 / windows.max(1)),
        ("range", _) => "blocks".to_owned(),
        _ => name,
    };
    Some((name, *group))
}

fn stored(name: &str, filling: &Filling, folder: &std::path::Path, entropy: f64) -> Outcome<()> {
    let db = folder.join("db");
    let (cells, store) = (filling.size.cells() as f64, &filling.store);
    let mut tiers: BTreeMap<String, Tier> = BTreeMap::new();
    store.view(0).visit_pairs(&mut |key, value| {
        let Some((name, group)) = tier_of(key) else { return };
        let tier = tiers.entry(name).or_default();
        tier.keys += 1;
        tier.value_bytes += value.len() as u64;
        tier.spans.entry(group).or_insert_with(|| (key.to_vec(), key.to_vec())).1 = key.to_vec();
    })?;
    let a_cell = entropy / cells;
    let mut fine = 0.0;
    for (tier_name, tier) in tiers.iter().filter(|(_, tier)| tier.keys > 100) {
        let end = |last: &[u8]| [last, &[0]].concat();
        let spans = tier.spans.values();
        let on_disk: u64 = spans.map(|(first, last)| store.disk_bytes(first, &end(last))).sum();
        let title = format!("{name}: {tier_name}, on disk, baseline entropy of the cells");
        report::line(&title, on_disk as f64 / cells, "bytes/cell", a_cell);
        let title = format!("{name}: {tier_name}, values alone, same baseline");
        report::line(&title, tier.value_bytes as f64 / cells, "bytes/cell", a_cell);
        if tier_name != "roll-ups of 5 min" {
            fine += on_disk as f64;
        }
    }
    let title =
        format!("{name}: all but the 5 min tier, baseline ClickHouse, the best of design.md");
    report::line(&title, fine / cells, "bytes/cell", 1.49);
    let all = machine::bytes_of(&db, ".sst")? as f64;
    let title = format!("{name}: all SST files, as RocksDB left them, baseline entropy");
    report::line(&title, all / cells, "bytes/cell", a_cell);
    Ok(())
}
