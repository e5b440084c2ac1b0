//! `keyviz repair`: says what it would do, key by key, and does it unless it is a dry run.
//!
//! Proof: `tests/tests/tools.rs`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use keyviz_store::repair::{RepairPlan, plan, repair};
use keyviz_store::{DataDir, OfflineStore, Severity};

use super::check::in_use;
use super::{Folder, Progress, print, write_findings};
use crate::query_cli::key_text::inert;

/// Set aside what does not decode, so that a node starts and answers with the rest. RocksDB as it was is
/// kept beside it. Exit code 0: nothing is wrong any more, 1: something is left (or would be)
#[derive(Args, Clone, Debug)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    folder: Folder,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Plans, prints and repairs.
///
/// # Errors
/// A folder that cannot be looked at or written.
pub(crate) fn run(args: &RepairArgs) -> anyhow::Result<ExitCode> {
    let path = &args.folder.data_dir;
    let lock = if args.dry_run { DataDir::lock_for_reading } else { DataDir::lock_existing };
    let folder = lock(path).map_err(in_use)?;
    let found = {
        let store = OfflineStore::open(&folder.db())?;
        let progress = Progress::start();
        plan(&store, &mut |keys| progress.tell(keys, 0, "looking for damage"))
    };
    print(|out| write(&found, args.dry_run, out))?;
    if !args.dry_run {
        let kept = repair(&folder, &found)?;
        print(|out| match kept {
            None => Ok(()),
            Some(kept) => writeln!(
                out,
                "done: {} values set aside; RocksDB as it was is in {} (remove it once you do not need it)",
                found.steps.len(),
                kept.display()
            ),
        })?;
    }
    let is_done = found.left.is_clean() && (found.steps.is_empty() || !args.dry_run);
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write(plan: &RepairPlan, dry_run: bool, out: &mut dyn Write) -> io::Result<()> {
    let verb = if dry_run { "would set aside" } else { "sets aside" };
    for step in &plan.steps {
        writeln!(out, "{verb:<15} group {}  {}", step.group, inert(&step.key.to_string()))?;
        writeln!(out, "{:15} because {}", "", inert(&step.why))?;
        writeln!(out, "{:15} to {}; then: {}", "", inert(&step.to().to_string()), step.then)?;
    }
    if plan.steps.is_empty() {
        writeln!(out, "there is nothing to set aside")?;
    }
    if plan.left.count(Severity::Error) > 0 {
        writeln!(out, "what repair leaves as it is:")?;
        write_findings(&plan.left, out)?;
    }
    Ok(())
}
