//! `keyviz stats`: what takes the space in a data folder.
//!
//! Proof: `tools/mod_test.rs`, `tests/tests/tools.rs`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use keyviz_lineage::HOUR_MS;
use keyviz_store::stats::{Space, Stats, stats};
use keyviz_store::{DataDir, OfflineStore};
use serde_json::{Value, json};

use super::check::in_use;
use super::{Folder, Output, Progress, mib, print, print_json};
use crate::node::rfc3339;

/// Groups that the table names; JSON has all of them.
const GROUPS_SHOWN: usize = 20;

/// Say what takes the space: bytes by prefix, tier and group, bytes a cell, hours, RocksDB's levels
#[derive(Args, Clone, Debug)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    folder: Folder,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Reads and prints.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn run(args: &StatsArgs) -> anyhow::Result<ExitCode> {
    let folder = DataDir::lock_for_reading(&args.folder.data_dir).map_err(in_use)?;
    let store = OfflineStore::open(&folder.db())?;
    let found = {
        let progress = Progress::start();
        stats(&store, &mut |keys, bytes| progress.tell(keys, bytes, "reading"))?
    };
    match args.output {
        Output::Json => print_json(&to_json(&found))?,
        Output::Table => print(|out| write(&found, out))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn bytes_a_cell(stats: &Stats) -> f64 {
    stats.blocks.bytes() as f64 / stats.cells.max(1) as f64
}

pub(super) fn write(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    let line = |out: &mut dyn Write, name: &str, space: &Space| {
        let share = 100.0 * space.bytes() as f64 / stats.total.bytes().max(1) as f64;
        writeln!(
            out,
            "{name:<18} {:>12} {:>12} {:>14} {share:>6.1} %",
            space.keys, space.key_bytes, space.value_bytes
        )
    };
    writeln!(
        out,
        "{:<18} {:>12} {:>12} {:>14} {:>8}",
        "prefix", "keys", "key bytes", "value bytes", "share"
    )?;
    for (name, space) in &stats.families {
        line(out, name, space)?;
    }
    line(out, "all", &stats.total)?;
    writeln!(
        out,
        "\n{:<18} {:>12} {:>12} {:>14} {:>8}",
        "group", "keys", "key bytes", "value bytes", "share"
    )?;
    let mut groups: Vec<_> = stats.groups.iter().collect();
    groups.sort_by_key(|(group, space)| (std::cmp::Reverse(space.bytes()), **group));
    for (group, space) in groups.iter().take(GROUPS_SHOWN) {
        let name = if **group == 0 { "0 (the node's)".to_owned() } else { group.to_string() };
        line(out, &name, space)?;
    }
    if groups.len() > GROUPS_SHOWN {
        writeln!(out, "and {} smaller groups (-o json has them)", groups.len() - GROUPS_SHOWN)?;
    }
    writeln!(out, "\n{:<18} {:>12} {:>12} {:>14}", "RocksDB level", "files", "entries", "bytes")?;
    for (level, files) in &stats.levels {
        writeln!(out, "{level:<18} {:>12} {:>12} {:>14}", files.files, files.entries, files.bytes)?;
    }
    let sst: u64 = stats.levels.values().map(|level| level.bytes).sum();
    writeln!(
        out,
        "\n{} cells in {} lineage-hours: {:.2} bytes a cell (keys included); SSTs {}",
        stats.cells,
        stats.blocks.keys,
        bytes_a_cell(stats),
        mib(sst)
    )?;
    if let Some((oldest, newest)) = stats.hours {
        let (oldest, newest) = (rfc3339(oldest * HOUR_MS), rfc3339((newest + 1) * HOUR_MS));
        writeln!(out, "blocks from {oldest} to {newest}")?;
    }
    if stats.unreadable > 0 {
        writeln!(out, "{} values or stretches cannot be read: see keyviz check", stats.unreadable)?;
    }
    Ok(())
}

fn to_json(stats: &Stats) -> Value {
    let space = |space: &Space| json!({ "keys": space.keys, "key_bytes": space.key_bytes, "value_bytes": space.value_bytes });
    let families = stats.families.iter().map(|(name, held)| (name.clone(), space(held)));
    let groups = stats.groups.iter().map(|(group, held)| (group.to_string(), space(held)));
    let levels = stats.levels.iter().map(|(level, held)| {
        let (files, bytes, entries) = (held.files, held.bytes, held.entries);
        (level.to_string(), json!({ "files": files, "bytes": bytes, "entries": entries }))
    });
    json!({
        "schema": stats.schema,
        "total": space(&stats.total),
        "prefixes": families.collect::<serde_json::Map<_, _>>(),
        "groups": groups.collect::<serde_json::Map<_, _>>(),
        "levels": levels.collect::<serde_json::Map<_, _>>(),
        "cells": stats.cells,
        "lineage_hours": stats.blocks.keys,
        "bytes_a_cell": bytes_a_cell(stats),
        "oldest_unix_hour": stats.hours.map(|hours| hours.0),
        "newest_unix_hour": stats.hours.map(|hours| hours.1),
        "unreadable": stats.unreadable,
    })
}
