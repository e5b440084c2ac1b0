//! `keyviz wal dump` and `keyviz wal verify`: the write-ahead log of a stopped node, for people.
//!
//! Exit codes: 0 clean (notes do not count), 1 something was found, 2 it could not be looked at.
//! Proof: `tests/tests/tools.rs`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyviz_replica::{EntrySeen, check_wal, read_record};
use keyviz_store::{DataDir, Findings};
use keyviz_wal::{Inspection, RealFs, Record, inspect};
use serde_json::{Value, json};

use super::check::in_use;
use super::{Folder, Output, findings_json, mib, print, print_json, write_findings};
use crate::node::rfc3339;
use crate::query_cli::key_text::inert;

/// Look into the write-ahead log of a stopped node
#[derive(Args, Clone, Debug)]
pub(crate) struct WalArgs {
    #[command(subcommand)]
    command: WalCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum WalCommand {
    /// Print every intact record: where it lies, whose it is, what it holds
    Dump(LookArgs),
    /// Read every segment and say what is damaged. Exit code 0: clean, 1: something was found
    Verify(LookArgs),
}

#[derive(Args, Clone, Debug)]
struct LookArgs {
    #[command(flatten)]
    folder: Folder,
    /// What to print; JSON of `dump` is one object a line
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Looks and prints.
///
/// # Errors
/// A folder that cannot be looked at: none, in use, or none of keyviz's.
pub(crate) fn run(args: &WalArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        WalCommand::Dump(args) => dump(args).map(|()| ExitCode::SUCCESS),
        WalCommand::Verify(args) => verify(args),
    }
}

fn verify(args: &LookArgs) -> anyhow::Result<ExitCode> {
    let folder = DataDir::lock_for_reading(&args.folder.data_dir).map_err(in_use)?;
    let mut findings = Findings::default();
    let seen = check_wal(&RealFs, &folder.wal(), &mut findings)?;
    match args.output {
        Output::Json => print_json(&verified_json(&seen, &findings))?,
        Output::Table => print(|out| {
            for segment in &seen.segments {
                writeln!(
                    out,
                    "{}: {}, {} records, {} to {}",
                    name(&segment.path),
                    mib(segment.bytes),
                    segment.records,
                    segment.first_sequence,
                    segment.last_sequence
                )?;
            }
            write_findings(&findings, out)
        })?,
    }
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn verified_json(seen: &Inspection, findings: &Findings) -> Value {
    let segments: Vec<Value> = seen
        .segments
        .iter()
        .map(|segment| {
            json!({
                "file": name(&segment.path),
                "bytes": segment.bytes,
                "records": segment.records,
                "first_sequence": segment.first_sequence,
                "last_sequence": segment.last_sequence,
            })
        })
        .collect();
    json!({
        "segments": segments,
        "is_clean": findings.is_clean(),
        "findings": findings_json(findings),
        "findings_left_out": findings.left_out(),
    })
}

fn dump(args: &LookArgs) -> anyhow::Result<()> {
    let folder = DataDir::lock_for_reading(&args.folder.data_dir).map_err(in_use)?;
    print(|out| {
        let mut written = Ok(());
        let mut visit = |path: &Path, record: Record<'_>| {
            if written.is_ok() {
                written = match args.output {
                    Output::Json => writeln!(out, "{}", record_json(path, &record)),
                    Output::Table => write_record(out, path, &record),
                };
            }
        };
        inspect(&RealFs, &folder.wal(), &mut visit).map_err(io::Error::other)?;
        written
    })
}

fn write_record(out: &mut dyn Write, path: &Path, record: &Record<'_>) -> io::Result<()> {
    let bytes = record.payload.len();
    write!(out, "{} {:>8} {bytes:>8} bytes  ", name(path), record.sequence)?;
    let seen = match read_record(record) {
        Ok(seen) => seen,
        Err(reason) => return writeln!(out, "cannot be used: {}", inert(&reason)),
    };
    let (node, boot) = (inert(&seen.source.node), seen.source.boot);
    write!(out, "{node} {boot} {:>8}  ", seen.sequence)?;
    match seen.entry {
        EntrySeen::Nothing => writeln!(out, "no column"),
        EntrySeen::Leave => writeln!(out, "leaves"),
        EntrySeen::Column(column) => writeln!(
            out,
            "column {} of {} ms: {} rows, {} buckets, groups {:?}",
            rfc3339(column.window.start_ms),
            column.window.step.ms(),
            column.rows.len(),
            column.buckets.len(),
            column.groups
        ),
    }
}

fn record_json(path: &Path, record: &Record<'_>) -> Value {
    let mut line = json!({
        "file": name(path),
        "wal_sequence": record.sequence,
        "bytes": record.payload.len(),
    });
    match read_record(record) {
        Err(reason) => line["cannot_be_used"] = reason.into(),
        Ok(seen) => {
            line["node_id"] = seen.source.node.into();
            line["boot_id"] = seen.source.boot.to_string().into();
            line["sequence"] = seen.sequence.into();
            line["entry"] = match seen.entry {
                EntrySeen::Nothing => "none".into(),
                EntrySeen::Leave => "leave".into(),
                EntrySeen::Column(column) => json!({
                    "window_unix_ms": column.window.start_ms,
                    "step_ms": column.window.step.ms(),
                    "rows": column.rows.len(),
                    "buckets": column.buckets.len(),
                    "groups": column.groups,
                }),
            };
        }
    }
    line
}

fn name(path: &Path) -> String {
    inert(&path.file_name().unwrap_or_default().to_string_lossy())
}
