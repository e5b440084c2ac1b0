//! `keyviz backup`: of a stopped folder, or through a running node; lists and verifies backups.
//!
//! A node backs itself up (`POST .../backup`, see `http/backup.rs`), because only it can take hold of its
//! write-ahead log between two commits.
//! Proof: `tests/tests/backup.rs`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::{ArgGroup, Args};
use keyviz_api::ambient::SystemClock;
use keyviz_lineage::Clock as _;
use keyviz_replica::backup_files;
use keyviz_store::backup::{Backups, Listed, Manifest};
use keyviz_store::retention::Retention;
use keyviz_store::{DataDir, Store, StoreOptions};
use keyviz_wal::{RealFs, hold_segments};
use serde_json::{Value, json};

use super::check::in_use;
use super::restore::restore_checked;
use super::{Output, check_apart, mib, print, print_json};
use crate::http_client::{self, Question};
use crate::node::rfc3339;
use crate::query_cli::key_text::inert;
use crate::shown_token::ShownToken;

const PATH: &str = "/admin/api/v1/keyviz/backup";

/// Take a backup of a data folder: RocksDB's files, each once however many backups share it, and the
/// write-ahead log that belongs to them
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["data_dir", "endpoint", "list", "verify"])))]
pub(crate) struct BackupArgs {
    /// Of the folder of a stopped node
    #[arg(long, value_name = "DIR", requires = "to")]
    data_dir: Option<PathBuf>,
    /// Of a running node, by its HTTP address; it writes to the folder that its --backup-dir names
    #[arg(long, value_name = "http://HOST:PORT", conflicts_with = "to")]
    endpoint: Option<String>,
    #[command(flatten)]
    token: ShownToken,
    /// The folder of the backups
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// List the backups in --to
    #[arg(long, requires = "to")]
    list: bool,
    /// Read a backup in --to back, every byte, into a temporary folder, and check it. Exit code 1:
    /// something was found
    #[arg(long, requires = "to")]
    verify: bool,
    /// Which backup to verify. Default: the newest
    #[arg(long, value_name = "N", requires = "verify", conflicts_with = "list")]
    backup: Option<u32>,
    /// Where --verify makes its temporary folder, which gets as large as the backup. Default: in TMPDIR
    #[arg(long, value_name = "DIR", requires = "verify")]
    scratch: Option<PathBuf>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Takes, lists or verifies.
///
/// # Errors
/// A folder that is not there, in use or not a backup folder; a node that refuses.
pub(crate) async fn run(args: BackupArgs) -> anyhow::Result<ExitCode> {
    if let Some(endpoint) = &args.endpoint {
        let taken = ask(endpoint, &args.token).await?;
        match args.output {
            Output::Json => print_json(&taken)?,
            Output::Table => {
                let words =
                    serde_json::from_value(taken).context("the node's answer is no manifest")?;
                print(|out| writeln!(out, "{}", in_words(&words)))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    tokio::task::spawn_blocking(move || args.run_here()).await.context("the backup")?
}

impl BackupArgs {
    fn run_here(&self) -> anyhow::Result<ExitCode> {
        // invariant: clap requires it for everything but --endpoint
        let to = self.to.as_deref().ok_or_else(|| anyhow!("--to is missing"))?;
        if self.list {
            let listed = Backups::open_for_reading(to)?.list()?;
            match self.output {
                Output::Json => print_json(&listed.iter().map(listed_json).collect())?,
                Output::Table => print(|out| write_list(&listed, out))?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        if self.verify {
            let scratch = match &self.scratch {
                Some(folder) => tempfile::tempdir_in(folder),
                None => tempfile::tempdir(),
            };
            let scratch = scratch.context("--scratch: the temporary folder cannot be made")?;
            let backups = Backups::open_for_reading(to)?;
            return restore_checked(
                &backups,
                self.backup,
                &scratch.path().join("read"),
                self.output,
            );
        }
        let data_dir = self.data_dir.as_deref().ok_or_else(|| anyhow!("--data-dir is missing"))?;
        let taken = of_folder(data_dir, to)?;
        match self.output {
            Output::Json => print_json(&serde_json::to_value(&taken)?)?,
            Output::Table => print(|out| writeln!(out, "{}", in_words(&taken)))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn of_folder(data_dir: &Path, to: &Path) -> anyhow::Result<Manifest> {
    check_apart(to, data_dir)?;
    let folder = DataDir::lock_existing(data_dir).map_err(in_use)?;
    let backups = Backups::open(to)?;
    let segments = hold_segments(&RealFs, &folder.wal())?;
    // Opening rewrites nothing that is older than the retention: nothing is allowed to go.
    let store = Store::open(&folder.db(), StoreOptions { retention: Retention::new(u64::MAX) })?;
    Ok(backups.take(&store, backup_files(segments), SystemClock::shared().unix_ms())?)
}

pub(super) fn in_words(taken: &Manifest) -> String {
    let wal_bytes: u64 = taken.wal.iter().map(|file| file.bytes).sum();
    format!(
        "backup {} of {}: {} in {} files of RocksDB, {} WAL segments ({}), {} groups, schema {}",
        taken.id,
        rfc3339(taken.taken_unix_ms),
        mib(taken.db_bytes),
        taken.db_files,
        taken.wal.len(),
        mib(wal_bytes),
        taken.applied.len(),
        taken.schema
    )
}

fn write_list(listed: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    for Listed { id, manifest } in listed {
        match manifest {
            Ok(manifest) => writeln!(out, "{}", in_words(manifest))?,
            Err(error) => writeln!(out, "backup {id}: {}", inert(&error.to_string()))?,
        }
    }
    if listed.is_empty() {
        writeln!(out, "there is no backup")?;
    }
    Ok(())
}

fn listed_json(listed: &Listed) -> Value {
    match &listed.manifest {
        Ok(manifest) => json!(manifest),
        Err(error) => json!({ "id": listed.id, "error": error.to_string() }),
    }
}

/// Has the node take one, and waits for it: as long as copying takes.
async fn ask(endpoint: &str, token: &ShownToken) -> anyhow::Result<Value> {
    let unreachable = || {
        format!(
            "no keyviz answers at {}; give the HTTP address of a node, such as http://127.0.0.1:8080",
            inert(endpoint)
        )
    };
    let body = json!({});
    let question = Question { method: "POST", path: PATH, body: Some(&body) };
    let (status, body) =
        http_client::ask(endpoint, token, question).await.with_context(unreachable)?;
    let body: Value = serde_json::from_slice(&body).with_context(unreachable)?;
    match status {
        200 => Ok(body),
        _ => bail!("the node takes no backup: {}", inert(body["message"].as_str().unwrap_or("?"))),
    }
}

#[cfg(test)]
#[path = "backup_test.rs"]
mod backup_test;
