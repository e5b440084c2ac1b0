//! The one ordered way out: columns and transitions go to the ledger, then to keyviz.
//!
//! Owns: the ledger file (one JSON object a line) and the sender.
//!
//! | line | fields |
//! |---|---|
//! | column | `window_unix_ms, step_ms, covered_from_ms, covered_to_ms, unattributed, rows[]{route, group, term, start, end, reads, writes, read_bytes, write_bytes}, dropped: false`; `start`, `end` in hex |
//! | correction | a column line without rows and with `dropped: true`: the line before it of the same window and `covered_from_ms` did not fit the send buffer and was given up |
//! | transition | `transition, unix_ms, hlc, group, proposal, catalogue_version, closes[], opens[]{route, start, end}`, and `node, term` for a leader, `to_group, to_route` for a move out |
//!
//! Invariants: a line is written before its entry is queued, from the same value (O1); lines and
//! entries have the same order (O2). A transition that is sent again at a start has its line from
//! the first time.
//! Must not: stop the host. A ledger that cannot be written is logged and counted.
//! Proof: `outbox_test.rs`, `tests/redis_clients.rs`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keyviz_api::client::{ClientStats, IngestSender};
use keyviz_lineage::{Change, Column, Entry, HotKeys, OperationSummary, Row, Transition};
use serde::Serialize;

use crate::error::HostError;
use crate::stored_transition::StoredRoute;

#[derive(Serialize)]
struct ColumnLine {
    window_unix_ms: u64,
    step_ms: u64,
    covered_from_ms: u64,
    covered_to_ms: u64,
    unattributed: u64,
    rows: Vec<RowLine>,
    dropped: bool,
}

#[derive(Serialize)]
struct RowLine {
    route: u64,
    group: u64,
    term: u64,
    start: String,
    end: String,
    reads: u64,
    writes: u64,
    read_bytes: u64,
    write_bytes: u64,
}

#[derive(Serialize)]
struct TransitionLine<'a> {
    transition: &'static str,
    unix_ms: u64,
    hlc: u64,
    group: u64,
    proposal: String,
    catalogue_version: u64,
    closes: Vec<u64>,
    opens: Vec<StoredRoute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_group: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_route: Option<u64>,
}

/// What went out, for INFO.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutboxStats {
    pub(crate) columns: u64,
    pub(crate) transitions: u64,
    pub(crate) ledger_errors: u64,
    /// `None`: nothing is sent anywhere.
    pub(crate) sender: Option<(ClientStats, usize)>,
}

/// Where columns and transitions go.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Held over a line and its entry (O2).
    ledger: Mutex<Option<File>>,
    sender: Option<IngestSender>,
    columns: AtomicU64,
    transitions: AtomicU64,
    ledger_errors: AtomicU64,
}

impl Outbox {
    pub(crate) fn new(ledger: Option<File>, sender: Option<IngestSender>) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            sender,
            columns: AtomicU64::new(0),
            transitions: AtomicU64::new(0),
            ledger_errors: AtomicU64::new(0),
        }
    }

    /// Opens the ledger at `path`; lines are appended.
    pub(crate) fn open_ledger(path: &Path) -> Result<File, HostError> {
        let opened = File::options().create(true).append(true).open(path);
        opened.map_err(|source| HostError::Path { action: "open", path: path.to_owned(), source })
    }

    pub(crate) fn column(&self, column: &Column) {
        self.columns.fetch_add(1, Ordering::Relaxed);
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        self.append(&mut ledger, &column_line(column));
        let Some(sender) = &self.sender else { return };
        if let Err(error) = sender.send(&Entry::Column(column.clone())) {
            let window_unix_ms = column.window.start_ms;
            tracing::warn!(window_unix_ms, %error, "a column is given up");
            let correction = ColumnLine { rows: Vec::new(), dropped: true, ..column_line(column) };
            self.append(&mut ledger, &ColumnLine { unattributed: 0, ..correction });
        }
    }

    /// They go beside the order of columns and transitions, and into no ledger: no key is written down.
    pub(crate) fn hot_keys(&self, hot_keys: &HotKeys) {
        if let Some(sender) = &self.sender {
            sender.publish_hot_keys(hot_keys);
        }
    }

    pub(crate) fn transition(&self, transition: &Transition) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        self.append(&mut ledger, &transition_line(transition));
        self.queue(transition);
    }

    /// Sends a transition of an earlier run again.
    pub(crate) fn transition_again(&self, transition: &Transition) {
        let _order = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue(transition);
    }

    fn queue(&self, transition: &Transition) {
        self.transitions.fetch_add(1, Ordering::Relaxed);
        let Some(sender) = &self.sender else { return };
        if let Err(error) = sender.send(&Entry::Transition(transition.clone())) {
            tracing::error!(change = transition.change.name(), %error, "a transition was not queued");
        }
    }

    /// Tells keyviz what the commands are doing now.
    pub(crate) fn tell_live(&self, summaries: impl FnOnce() -> Vec<OperationSummary>) {
        if let Some(sender) = &self.sender {
            sender.tell_live(summaries());
        }
    }

    /// Says goodbye and waits until keyviz has acknowledged everything. Returns whether it has.
    pub(crate) async fn leave(&self, timeout: Duration) -> bool {
        let Some(sender) = &self.sender else { return true };
        if let Err(error) = sender.send(&Entry::Leave) {
            tracing::warn!(%error, "leaving was not announced");
        }
        sender.drain(timeout).await
    }

    pub(crate) fn stats(&self) -> OutboxStats {
        OutboxStats {
            columns: self.columns.load(Ordering::Relaxed),
            transitions: self.transitions.load(Ordering::Relaxed),
            ledger_errors: self.ledger_errors.load(Ordering::Relaxed),
            sender: self.sender.as_ref().map(|sender| (sender.stats(), sender.backlog())),
        }
    }

    fn append(&self, ledger: &mut Option<File>, line: &impl Serialize) {
        let Some(file) = ledger else { return };
        let written =
            serde_json::to_vec(line).map_err(std::io::Error::from).and_then(|mut text| {
                text.push(b'\n');
                file.write_all(&text)
            });
        if let Err(error) = written {
            self.ledger_errors.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "the ledger could not be written");
        }
    }
}

fn column_line(column: &Column) -> ColumnLine {
    ColumnLine {
        window_unix_ms: column.window.start_ms,
        step_ms: column.window.step.ms(),
        covered_from_ms: column.covered_from_ms,
        covered_to_ms: column.covered_to_ms,
        unattributed: column.unattributed,
        rows: column.rows.iter().map(row_line).collect(),
        dropped: false,
    }
}

fn row_line(row: &Row) -> RowLine {
    RowLine {
        route: row.route,
        group: row.group,
        term: row.term,
        start: hex::encode(row.range.start()),
        end: hex::encode(row.range.end()),
        reads: row.counts.reads,
        writes: row.counts.writes,
        read_bytes: row.counts.read_bytes,
        write_bytes: row.counts.write_bytes,
    }
}

fn transition_line(transition: &Transition) -> TransitionLine<'_> {
    let (mut closes, mut opens) = (Vec::new(), Vec::new());
    let (mut node, mut term, mut to_group, mut to_route) = (None, None, None, None);
    match &transition.change {
        Change::Create { routes } => opens.extend(routes.iter().map(StoredRoute::of)),
        Change::Split { parent, children } => {
            closes.push(*parent);
            opens.extend(children.iter().map(StoredRoute::of));
        }
        Change::Merge { parents, survivor } => {
            closes.clone_from(parents);
            opens.push(StoredRoute::of(survivor));
        }
        Change::MoveOut { route, to_group: group, to_route: target } => {
            closes.push(*route);
            (to_group, to_route) = (Some(*group), Some(*target));
        }
        Change::MoveIn { route, .. } | Change::Backfill { route } => {
            opens.push(StoredRoute::of(route));
        }
        Change::Drop { route } => closes.push(*route),
        Change::Leader { node: name, term: number } => {
            (node, term) = (Some(name.as_str()), Some(*number));
        }
    }
    TransitionLine {
        transition: transition.change.name(),
        unix_ms: transition.hlc.unix_ms(),
        hlc: transition.hlc.0,
        group: transition.group,
        proposal: hex::encode(transition.proposal),
        catalogue_version: transition.catalogue_version,
        closes,
        opens,
        node,
        term,
        to_group,
        to_route,
    }
}

#[cfg(test)]
#[path = "outbox_test.rs"]
mod outbox_test;
