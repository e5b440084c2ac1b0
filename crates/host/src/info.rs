//! INFO: what the host says about itself.
//!
//! Responsible for: redis's sections that clients look at, and `keyviz`:
//!
//! | field of `keyviz` | meaning |
//! |---|---|
//! | `keyviz_address` | where columns are sent, empty = nowhere |
//! | `keyviz_node_id`, `keyviz_boot_id`, `keyviz_term`, `keyviz_step_ms` | who this run is |
//! | `keyviz_metrics` | where Prometheus finds metrics, empty = nowhere |
//! | `keyviz_ranges`, `keyviz_catalogue_version` | the catalogue |
//! | `keyviz_columns_flushed` | columns of this run, sent or not |
//! | `keyviz_columns_sent`, `keyviz_transitions_sent` | queued for keyviz in this run |
//! | `keyviz_backlog` | entries that wait for an acknowledgement |
//! | `keyviz_acknowledged`, `keyviz_duplicates`, `keyviz_dropped`, `keyviz_refused`, `keyviz_refused_rows`, `keyviz_aborted` | what became of them |
//! | `keyviz_connections`, `keyviz_last_error` | of the sender |
//! | `keyviz_ledger_errors` | lines that could not be written |
//! | `keyviz_reserved_refused` | user writes to `!admin\|` that were refused |
//! Proof: `commands_test.rs`.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::command::COMMANDS;
use crate::dispatch::Dispatcher;

/// The version of redis whose protocol and texts are spoken.
pub(crate) const REDIS_VERSION: &str = "7.0.0";

/// What does not change while the host runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) port: u16,
    pub(crate) max_clients: usize,
    pub(crate) node_id: String,
    pub(crate) boot_id: String,
    pub(crate) term: u64,
    pub(crate) step_ms: u64,
    /// Empty: columns are sent nowhere.
    pub(crate) keyviz: String,
    /// Empty: nowhere.
    pub(crate) metrics: String,
    pub(crate) started_ms: u64,
}

const SECTIONS: [(&str, Section); 6] = [
    ("server", server),
    ("clients", clients),
    ("stats", stats),
    ("replication", replication),
    ("keyspace", keyspace),
    ("keyviz", keyviz),
];
/// Only shown when asked for.
const MORE: [(&str, Section); 1] = [("commandstats", command_stats)];

type Section = fn(&Dispatcher, &mut String) -> fmt::Result;

/// The sections that are asked for (none = the usual ones; `all` and `everything` = every one).
pub(crate) fn text(host: &Dispatcher, asked: &[Bytes]) -> String {
    let is_asked = |name: &str| asked.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let is_all = is_asked("all") || is_asked("everything");
    let is_usual = asked.is_empty() || is_asked("default");
    let mut text = String::new();
    let usual = SECTIONS.iter().filter(|(name, _)| is_all || is_usual || is_asked(name));
    for (name, section) in usual.chain(MORE.iter().filter(|(name, _)| is_all || is_asked(name))) {
        let mut title = (*name).to_owned();
        title[..1].make_ascii_uppercase();
        let separator = if text.is_empty() { "" } else { "\r\n" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}# {title}\r\n");
        let _ = section(host, &mut text);
    }
    text
}

fn server(host: &Dispatcher, out: &mut String) -> fmt::Result {
    let uptime_ms = host.kv.now_ms().saturating_sub(host.facts.started_ms);
    write!(out, "redis_version:{REDIS_VERSION}\r\nserver_name:keyviz-host\r\n")?;
    write!(out, "keyviz_host_version:{}\r\nredis_mode:standalone\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(out, "process_id:{}\r\ntcp_port:{}\r\n", std::process::id(), host.facts.port)?;
    write!(out, "uptime_in_seconds:{}\r\n", uptime_ms / 1_000)
}

fn clients(host: &Dispatcher, out: &mut String) -> fmt::Result {
    write!(out, "connected_clients:{}\r\n", get(&host.stats.connected))?;
    write!(out, "maxclients:{}\r\n", host.facts.max_clients)
}

fn stats(host: &Dispatcher, out: &mut String) -> fmt::Result {
    let calls: u64 = host.stats.commands.iter().map(|command| get(&command.calls)).sum();
    write!(out, "total_connections_received:{}\r\n", get(&host.stats.connections))?;
    write!(out, "total_commands_processed:{calls}\r\n")?;
    write!(out, "rejected_connections:{}\r\n", get(&host.stats.connections_refused))
}

fn replication(_: &Dispatcher, out: &mut String) -> fmt::Result {
    write!(out, "role:master\r\nconnected_slaves:0\r\n")
}

/// The number of keys is RocksDB's estimate (it counts the system's keys and expired ones, too);
/// DBSIZE counts exactly.
fn keyspace(host: &Dispatcher, out: &mut String) -> fmt::Result {
    write!(out, "db0:keys={},expires=0,avg_ttl=0\r\n", host.kv.estimate())
}

fn keyviz(host: &Dispatcher, out: &mut String) -> fmt::Result {
    let (facts, stats) = (&host.facts, host.outbox.stats());
    let (version, ranges) = host.ranges.version();
    write!(out, "keyviz_address:{}\r\nkeyviz_node_id:{}\r\n", facts.keyviz, facts.node_id)?;
    write!(out, "keyviz_boot_id:{}\r\nkeyviz_term:{}\r\n", facts.boot_id, facts.term)?;
    write!(out, "keyviz_step_ms:{}\r\nkeyviz_ranges:{ranges}\r\n", facts.step_ms)?;
    write!(out, "keyviz_catalogue_version:{version}\r\nkeyviz_metrics:{}\r\n", facts.metrics)?;
    let is_sending = stats.sender.is_some();
    let (sender, backlog) = stats.sender.unwrap_or_default();
    let (columns, transitions) = (stats.columns.saturating_sub(sender.dropped), stats.transitions);
    let sent = if is_sending { (columns, transitions) } else { (0, 0) };
    write!(out, "keyviz_columns_flushed:{}\r\n", stats.columns)?;
    write!(out, "keyviz_columns_sent:{}\r\nkeyviz_transitions_sent:{}\r\n", sent.0, sent.1)?;
    write!(out, "keyviz_backlog:{backlog}\r\nkeyviz_acknowledged:{}\r\n", sender.acknowledged)?;
    write!(
        out,
        "keyviz_duplicates:{}\r\nkeyviz_dropped:{}\r\n",
        sender.duplicates, sender.dropped
    )?;
    write!(out, "keyviz_refused:{}\r\n", sender.refused)?;
    write!(out, "keyviz_refused_rows:{}\r\n", sender.refused_rows)?;
    write!(out, "keyviz_aborted:{}\r\n", sender.aborted)?;
    write!(out, "keyviz_connections:{}\r\n", sender.connections)?;
    let last_error = sender.last_error.unwrap_or_default().replace(['\r', '\n'], " ");
    write!(out, "keyviz_last_error:{last_error}\r\n")?;
    write!(out, "keyviz_ledger_errors:{}\r\n", stats.ledger_errors)?;
    write!(out, "keyviz_reserved_refused:{}\r\n", get(&host.stats.reserved_refused))
}

fn command_stats(host: &Dispatcher, out: &mut String) -> fmt::Result {
    for (spec, stats) in COMMANDS.iter().zip(&host.stats.commands) {
        let (calls, rejected) = (get(&stats.calls), get(&stats.rejected));
        if calls + rejected > 0 {
            write!(out, "cmdstat_{}:calls={calls},", spec.name)?;
            write!(out, "rejected_calls={rejected},failed_calls={}\r\n", get(&stats.failed))?;
        }
    }
    Ok(())
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
