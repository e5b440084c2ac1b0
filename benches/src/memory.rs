//! What a process holds in memory that has the week's store open: a child of its own, so that nothing
//! of the bench is counted.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use keyviz_lineage::clock::ManualClock;
use keyviz_replica::{Progress, Recorder, RecorderConfig};

use crate::fill::WEEK;
use crate::filled::Outcome;
use crate::{machine, questions, report};

/// The design's goal, for 10,000 ranges and 24 h in memory.
const GOAL_MIB: f64 = 150.0;

/// Starts the child over the data folder of a week and reports what it says.
pub(crate) fn run_on(data: &Path) -> Outcome<()> {
    let output = Command::new(std::env::current_exe()?)
        .arg("hold")
        .env("KEYVIZ_BENCH_DATA", data)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// The child: opens, asks for the last 24 h, and says what it holds.
pub(crate) fn hold() -> Outcome<()> {
    let data = std::env::var_os("KEYVIZ_BENCH_DATA").ok_or("hold is for the bench itself")?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (bare, _) = machine::resident_bytes()?;
    report::line("resident: the process alone, baseline itself", mib(bare), "MiB", mib(bare));
    let clock = Arc::new(ManualClock::at(WEEK.end_ms()));
    let recorder = Recorder::open(RecorderConfig::new(data), clock, &Progress::default())?;
    let (open, _) = machine::resident_bytes()?;
    report::goal("resident: 10,000 ranges x 7 days open", mib(open), "MiB", GOAL_MIB);
    questions::filled(&recorder, WEEK)?;
    let (held, _) = machine::resident_bytes()?;
    report::goal("resident: the last 24 h in memory", mib(held), "MiB", GOAL_MIB);
    drop(questions::ask(&recorder, &[questions::last_day(WEEK)])?);
    let (after, most) = machine::resident_bytes()?;
    report::goal("resident: after 24 h x 60 s was asked for", mib(after), "MiB", GOAL_MIB);
    report::goal("resident: at most", mib(most), "MiB", GOAL_MIB);
    Ok(())
}
