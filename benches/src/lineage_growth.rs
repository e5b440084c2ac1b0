//! How much a busy cluster's lineage takes: one that splits and merges in turn, one transition a
//! second, for a week and a day, through the state machine, a real store and the hourly sweep.
//!
//! Records are set against the births that fit the retention, bytes on disk against an encoded record,
//! bytes in memory against the record's own struct and keys. Every transition is one synced batch:
//! minutes on a fast disk (`TMPDIR` says where).

use std::sync::Arc;

use keyviz_codec::lineage_record;
use keyviz_lineage::{
    Change, HOUR_MS, Hlc, KeyRange, LineageGraph, LineageRecord, RouteSpec, Transition, unix_hour,
};
use keyviz_replica::{Command, StateMachine, removable};
use keyviz_store::retention::Retention;
use keyviz_store::{Store, StoreOptions};

use crate::report;

const GROUP: u64 = 1;
const RETENTION_HOURS: u64 = 7 * 24;
const START_MS: u64 = 480_000 * HOUR_MS;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs for so many days; a week and one by default.
pub(crate) fn run(days: Option<u64>) -> Outcome<()> {
    let hours = days.unwrap_or(8) * 24;
    let folder = tempfile::tempdir()?;
    let retention = Retention::new(RETENTION_HOURS * HOUR_MS);
    let store = Arc::new(Store::open(folder.path(), StoreOptions { retention })?);
    let before = resident_bytes()?;
    let machine = StateMachine::new(Arc::clone(&store), LineageGraph::default());
    let mut cluster = Cluster { live: Vec::new(), next_route: 1 };
    let (mut after_sweeps, mut most) = (Vec::new(), 0);
    for second in 0..hours * 3_600 {
        let now_ms = START_MS + second * 1_000;
        let transition = Transition {
            group: GROUP,
            proposal: u128::from(second + 1).to_be_bytes(),
            hlc: Hlc::new(now_ms, 0),
            catalogue_version: second + 1,
            change: cluster.next()?,
        };
        let applied = machine.apply(GROUP, &Command::Transitions(vec![transition]))?;
        applied.transitions.into_iter().collect::<Result<Vec<_>, _>>()?;
        most = most.max(machine.graph().len().0);
        if second % 3_600 == 0 {
            sweep(&machine, &store, now_ms)?;
            after_sweeps.push(machine.graph().len().0);
        }
    }
    let records = machine.graph().len().0 as f64;
    let resident = resident_bytes()?.saturating_sub(before) as f64;
    store.flush()?;
    store.compact();
    let (mut encoded, mut held) = (0, 0);
    for record in machine.graph().records() {
        encoded += lineage_record::encode(record).len();
        held += struct_bytes(record);
    }
    let (encoded, held) = (encoded as f64 / records, held as f64 / records);
    let births_an_hour = 1.5 * 3_600.0;
    let fit = births_an_hour * hours.min(RETENTION_HOURS) as f64;
    let what = format!("after {} transitions, one a second", hours * 3_600);
    report::line(
        &format!("lineage records {what}, baseline births in the retention"),
        records,
        "records",
        fit,
    );
    report::line("lineage records at most, same baseline", most as f64, "records", fit);
    let last_day = &after_sweeps[after_sweeps.len().saturating_sub(24)..];
    let (low, high) = (last_day.iter().min(), last_day.iter().max());
    let low = low.copied().unwrap_or(0) as f64;
    report::line(
        "lineage records after a sweep of the last day: most, baseline fewest",
        high.copied().unwrap_or(0) as f64,
        "records",
        low,
    );
    let on_disk = sst_bytes(folder.path())? as f64 / records;
    report::line(
        "lineage record on disk, compacted, baseline its encoding",
        on_disk,
        "bytes",
        encoded,
    );
    report::line(
        "lineage record resident, baseline its struct and keys",
        resident / records,
        "bytes",
        held,
    );
    Ok(())
}

fn sweep(machine: &StateMachine, store: &Store, now_ms: u64) -> Outcome<()> {
    let before_hour = store.retention().first_hour_of_any_tier_at(now_ms);
    debug_assert!(before_hour <= unix_hour(now_ms));
    let found = removable(&machine.graph(), &store.view(now_ms), before_hour)?;
    for (group, sweep) in found {
        machine.apply(group, &Command::SweepLineage(sweep))?;
    }
    Ok(())
}

/// One range, then its halves, then one range again.
struct Cluster {
    live: Vec<u64>,
    next_route: u64,
}

impl Cluster {
    fn next(&mut self) -> Outcome<Change> {
        let route = self.next_route;
        let all = || RouteSpec { route, range: KeyRange::all() };
        let change = match self.live[..] {
            [] => Change::Create { routes: vec![all()] },
            [parent] => {
                let middle = b"table/orders/row/5000".as_slice();
                let (low, high) = (KeyRange::new(*b"", middle)?, KeyRange::new(middle, *b"")?);
                let children = [(route, low), (route + 1, high)];
                let children = children.map(|(route, range)| RouteSpec { route, range }).to_vec();
                Change::Split { parent, children }
            }
            _ => Change::Merge { parents: self.live.clone(), survivor: all() },
        };
        self.live = (route..route + change.births()).collect();
        self.next_route += change.births();
        Ok(change)
    }
}

fn struct_bytes(record: &LineageRecord) -> usize {
    let keys = |range: &KeyRange| range.start().len() + range.end().len();
    let parents: usize =
        record.parents.iter().map(|parent| size_of_val(parent) + keys(&parent.range)).sum();
    size_of::<LineageRecord>() + keys(&record.range) + parents
}

/// What this process holds in memory, by the kernel's account.
fn resident_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

fn sst_bytes(folder: &std::path::Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|end| end == "sst") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
