//! `keyviz restore`: a backup becomes a data folder, and every key of it is read before it may be served.
//!
//! Proof: `tests/tests/backup.rs`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keyviz_store::backup::{Backups, finish_restore, restore};

use super::check::Checked;
use super::{Output, check_apart, print, print_json};

/// Older blocks are decoded and compared with nothing: a compaction may have dropped what belongs to
/// them.
const COMPARED_MS: u64 = 7 * 24 * keyviz_lineage::HOUR_MS;

/// Make a data folder of a backup, verify every file and read every key. Exit code 0: it may be served,
/// 1: it may be, and holds what `keyviz check` complains of, 2: it was not restored
#[derive(Args, Clone, Debug)]
pub(crate) struct RestoreArgs {
    /// The folder of the backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder to make: new or empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Which backup. Default: the newest
    #[arg(long, value_name = "N")]
    backup: Option<u32>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Restores and prints.
///
/// # Errors
/// A backup that is not there or damaged, a target that is not empty.
pub(crate) fn run(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    check_apart(&args.from, &args.data_dir)?;
    let backups = Backups::open_for_reading(&args.from)?;
    restore_checked(&backups, args.backup, &args.data_dir, args.output)
}

/// Restores, reads everything, and only then lets the folder be served.
pub(super) fn restore_checked(
    backups: &Backups,
    id: Option<u32>,
    into: &Path,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let manifest = restore(backups, id, into)?;
    let checked = Checked::of_parts(&into.join("db"), &into.join("wal"), COMPARED_MS)?;
    finish_restore(into)?;
    let is_clean = checked.report.findings.is_clean();
    match output {
        Output::Json => {
            let mut json = checked.json();
            json["backup"] = serde_json::to_value(&manifest)?;
            print_json(&json)?;
        }
        Output::Table => print(|out| {
            writeln!(out, "{}", super::backup::in_words(&manifest))?;
            checked.write(out)?;
            let verdict = if is_clean { "OK" } else { "restored, with what is said above" };
            writeln!(out, "{verdict}: every file and every key was read")
        })?,
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
