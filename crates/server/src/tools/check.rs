//! `keyviz check`: reads everything in a data folder and says what is wrong.
//!
//! Exit codes: 0 clean (notes do not count), 1 something was found, 2 it could not be checked.
//! Proof: `tests/tests/tools.rs`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use keyviz_api::ambient::SystemClock;
use keyviz_lineage::Clock as _;
use keyviz_replica::check_wal;
use keyviz_store::retention::Retention;
use keyviz_store::{CheckReport, DataDir, OfflineStore, StoreError};
use keyviz_wal::{Inspection, RealFs};
use serde_json::{Value, json};

use super::{Folder, Output, Progress, findings_json, mib, print, print_json, write_findings};
use crate::config::duration;

/// Read everything in a data folder and say what is wrong, without changing a byte. Exit code 0: clean,
/// 1: something was found, 2: it could not be checked
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    folder: Folder,
    /// The retention that the folder's node runs with: what has expired is not compared with anything
    #[arg(long, env = "KEYVIZ_RETENTION", default_value = "7d")]
    retention: String,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Checks and prints.
///
/// # Errors
/// A folder that cannot be checked: none, in use, of a newer keyviz.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let retention = duration("retention", &args.retention)?;
    let folder = DataDir::lock_for_reading(&args.folder.data_dir).map_err(in_use)?;
    let checked = Checked::of(&folder, u64::try_from(retention.as_millis()).unwrap_or(u64::MAX))?;
    match args.output {
        Output::Json => print_json(&checked.json())?,
        Output::Table => print(|out| checked.write(out))?,
    }
    Ok(if checked.report.findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A folder that a node uses cannot be looked at from outside: what to do instead.
pub(super) fn in_use(error: StoreError) -> anyhow::Error {
    let is_locked = matches!(error, StoreError::Locked { .. });
    let error = anyhow::Error::from(error);
    if is_locked {
        return error.context(
            "a running node uses this folder; stop it first, or take a backup of it (keyviz backup \
             --endpoint), restore that into another folder and look at it there",
        );
    }
    error
}

/// What was found in a folder.
pub(super) struct Checked {
    pub(super) report: CheckReport,
    wal: Inspection,
}

impl Checked {
    /// Reads the store and the WAL of a folder that the caller holds.
    pub(super) fn of(folder: &DataDir, retention_ms: u64) -> anyhow::Result<Self> {
        Self::of_parts(&folder.db(), &folder.wal(), retention_ms)
    }

    pub(super) fn of_parts(
        db: &std::path::Path,
        wal: &std::path::Path,
        retention_ms: u64,
    ) -> anyhow::Result<Self> {
        let first_hour =
            Retention::new(retention_ms).first_hour_at(SystemClock::shared().unix_ms());
        let store = OfflineStore::open(db)?;
        let progress = Progress::start();
        let mut report = keyviz_store::check(&store, first_hour, &mut |at| {
            progress.tell(at.keys, at.bytes, &at.what);
        });
        let wal = check_wal(&RealFs, wal, &mut report.findings)
            .context("the write-ahead log could not be looked at")?;
        Ok(Self { report, wal })
    }

    fn records(&self) -> u64 {
        self.wal.segments.iter().map(|segment| segment.records).sum()
    }

    fn wal_bytes(&self) -> u64 {
        self.wal.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let CheckReport { schema, keys, bytes, groups, expired, .. } = &self.report;
        let schema = schema.map_or("unknown".to_owned(), |schema| schema.to_string());
        let expired = match expired {
            0 => String::new(),
            expired => format!(" ({expired} expired, not yet dropped)"),
        };
        writeln!(
            out,
            "schema {schema}; {keys} keys{expired}, {}, {groups} groups; WAL: {} segments, {} records, {}",
            mib(*bytes),
            self.wal.segments.len(),
            self.records(),
            mib(self.wal_bytes())
        )?;
        write_findings(&self.report.findings, out)
    }

    pub(super) fn json(&self) -> Value {
        let CheckReport { schema, keys, bytes, groups, expired, set_aside, findings } =
            &self.report;
        json!({
            "schema": schema,
            "keys": keys,
            "bytes": bytes,
            "groups": groups,
            "expired_keys": expired,
            "set_aside_keys": set_aside,
            "wal": {
                "segments": self.wal.segments.len(),
                "records": self.records(),
                "bytes": self.wal_bytes(),
            },
            "is_clean": findings.is_clean(),
            "findings": findings_json(findings),
            "findings_left_out": findings.left_out(),
        })
    }
}
