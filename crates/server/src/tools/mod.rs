//! The operator's tools over a data folder: `check`, `repair`, `stats`, `compact`, `backup`, `restore`,
//! `wal`.
//!
//! Responsible for: flags, progress on stderr, tables and JSON on stdout, exit codes. What is looked at
//! and done is `keyviz_store`'s and `keyviz_replica`'s.
//! Invariants: no text of a key, a node or a file reaches the terminal as a control sequence; a reader
//! that goes away (`| head`) is not an error.
//! Must not: name RocksDB, or decide what is damaged.
//! Proof: `tools/mod_test.rs`, and `tests/tests/tools.rs`, `tests/tests/backup.rs` with real processes.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod stats;
pub(crate) mod wal;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use keyviz_store::{Findings, Severity};
use serde_json::{Value, json};

use crate::query_cli::key_text::inert;

/// The folder that a tool looks at.
#[derive(Args, Clone, Debug)]
pub(crate) struct Folder {
    /// The data folder. No keyviz may be using it
    #[arg(long, value_name = "DIR", env = "KEYVIZ_DATA_DIR")]
    data_dir: PathBuf,
}

/// What a tool prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

/// A line on stderr that says how far a tool is; invisible where stderr is no terminal.
struct Progress(ProgressBar);

impl Progress {
    fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn tell(&self, keys: u64, bytes: u64, what: &str) {
        self.0.set_message(format!("{keys} keys, {}: {}", mib(bytes), inert(what)));
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Writes an answer to stdout.
fn print(text: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match text(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the answer to standard output"),
    }
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print(|out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

/// The findings, worst first.
fn write_findings(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        for finding in findings.list().iter().filter(|finding| finding.severity == severity) {
            let group = finding.group.map_or(String::new(), |group| format!("group {group}"));
            let key = inert(&finding.key);
            writeln!(out, "{:<8} {group:<9} {key}", severity.name())?;
            writeln!(out, "{:18} {}", "", inert(&finding.what))?;
            writeln!(out, "{:18} -> {}", "", inert(&finding.advice))?;
        }
    }
    if findings.left_out() > 0 {
        writeln!(out, "and {} more", findings.left_out())?;
    }
    let count = |severity| findings.count(severity);
    writeln!(
        out,
        "{} errors, {} warnings, {} notes",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    )
}

fn findings_json(findings: &Findings) -> Value {
    let list: Vec<Value> = findings
        .list()
        .iter()
        .map(|finding| {
            json!({
                "severity": finding.severity.name(),
                "group": finding.group,
                "key": finding.key,
                "what": finding.what,
                "advice": finding.advice,
            })
        })
        .collect();
    list.into()
}

/// Backups inside the data folder would keep the next node from starting, and go when it goes.
pub(crate) fn check_apart(backups: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let absolute = |path: &Path| {
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or(path.to_owned())
    };
    ensure!(
        !absolute(backups).starts_with(absolute(data_dir)),
        "the backup folder {} lies inside the data folder {}; put it elsewhere, best on another disk",
        backups.display(),
        data_dir.display()
    );
    Ok(())
}

#[cfg(test)]
#[path = "mod_test.rs"]
mod mod_test;
