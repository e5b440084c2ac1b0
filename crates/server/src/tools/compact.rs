//! `keyviz compact`: rewrites a stopped node's files once, with sizes before and after.
//!
//! Must not: let the retention drop anything. A node does that once it has watched its clock; this tool
//! has watched none, and one look at a wrong clock could erase a week.
//! Proof: `tests/tests/tools.rs`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use keyviz_store::retention::Retention;
use keyviz_store::stats::Level;
use keyviz_store::{DataDir, Store, StoreOptions};

use super::check::in_use;
use super::{Folder, Progress, mib, print};

/// Rewrite the files of a stopped node into one level, without what was overwritten. Nothing expires by
/// this: a running node drops what is older than the retention once it trusts its clock
#[derive(Args, Clone, Debug)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    folder: Folder,
}

/// Compacts and prints.
///
/// # Errors
/// A folder that cannot be opened, or a compaction that RocksDB did not finish.
pub(crate) fn run(args: &CompactArgs) -> anyhow::Result<ExitCode> {
    let folder = DataDir::lock_existing(&args.folder.data_dir).map_err(in_use)?;
    let done = {
        let progress = Progress::start();
        progress.tell(0, 0, "rewriting every file");
        // No call allows anything to be dropped.
        let options = StoreOptions { retention: Retention::new(u64::MAX) };
        Store::open(&folder.db(), options)?.compact_all()?
    };
    let sums = |levels: &BTreeMap<i32, Level>| {
        let sum = |of: fn(&Level) -> u64| levels.values().map(of).sum::<u64>();
        let (files, bytes) = (sum(|level| level.files), sum(|level| level.bytes));
        format!("{files} files in {} levels, {} bytes ({})", levels.len(), bytes, mib(bytes))
    };
    print(|out| {
        writeln!(out, "before: {}", sums(&done.before))?;
        writeln!(out, "after:  {}", sums(&done.after))?;
        writeln!(
            out,
            "nothing was dropped by age: only a running node that trusts its clock does that"
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
