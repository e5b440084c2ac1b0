//! What the demo asks of the host: its ranges, changes to them, and how its columns get on.
//!
//! Owns: one connection.
//! Must not: send traffic that is counted.
//! Proof: `host_test.rs`, and the demo itself.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use keyviz_lineage::{Clock, KeyRange};
use tokio::time::Instant;

use super::resp::{Reply, RespClient};

/// Between two looks at the host's sender.
const POLL: Duration = Duration::from_millis(50);
/// A window's end is watched from so early on, and for so long.
const EARLY_MS: u64 = 5;
const FLUSH_WATCH: Duration = Duration::from_millis(120);

/// The host's own connection for this.
#[derive(Debug)]
pub(super) struct HostClient {
    client: RespClient,
}

/// A range, as RANGES tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostRange {
    pub(super) route: i64,
    pub(super) group: i64,
    pub(super) keys: KeyRange,
    pub(super) reads: i64,
    pub(super) writes: i64,
}

/// What INFO says about the columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sender {
    /// Entries that wait for an acknowledgement.
    pub(super) backlog: u64,
    pub(super) acknowledged: u64,
    /// Sent again although keyviz had them.
    pub(super) duplicates: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
    pub(super) refused_rows: u64,
    /// Transitions that keyviz wants decided again.
    pub(super) aborted: u64,
    pub(super) ledger_errors: u64,
    pub(super) last_error: String,
}

impl HostClient {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { client: RespClient::connect(address).await? })
    }

    /// The ranges in key order.
    pub(super) async fn ranges(&mut self) -> anyhow::Result<Vec<HostRange>> {
        match self.client.ask(&["RANGES"]).await? {
            Reply::Array(ranges) => ranges.iter().map(range).collect(),
            reply => bail!("the host answers RANGES with {reply:?}"),
        }
    }

    /// The range that holds `key`.
    pub(super) async fn range_of(&mut self, key: &str) -> anyhow::Result<HostRange> {
        let ranges = self.ranges().await?;
        let found = ranges.into_iter().find(|range| range.keys.contains(key.as_bytes()));
        found.with_context(|| format!("no range of the host holds {key}"))
    }

    /// Cuts the range that holds `key` at it.
    pub(super) async fn split(&mut self, key: &str) -> anyhow::Result<()> {
        self.client.ask(&["SPLIT", key]).await.map(drop)
    }

    /// Joins the range that holds `key` with its right neighbour.
    pub(super) async fn merge(&mut self, key: &[u8]) -> anyhow::Result<()> {
        self.client.command(&[b"MERGE", key]).await.map(drop)
    }

    /// Moves the range that holds `key` to another group.
    pub(super) async fn relocate(&mut self, key: &[u8], group: i64) -> anyhow::Result<()> {
        self.client.command(&[b"MOVE", key, group.to_string().as_bytes()]).await.map(drop)
    }

    /// How the columns get on.
    pub(super) async fn sender(&mut self) -> anyhow::Result<Sender> {
        match self.client.ask(&["INFO", "keyviz"]).await? {
            Reply::Bulk(Some(text)) => sender(&String::from_utf8_lossy(&text)),
            reply => bail!("the host answers INFO with {reply:?}"),
        }
    }

    /// Waits for the moment at which a column is on its way: right after a window's end. Returns how
    /// many entries are; 0 when none was seen within `tries` windows of `step_ms`.
    pub(super) async fn until_in_flight(
        &mut self,
        tries: u32,
        step_ms: u64,
        clock: &dyn Clock,
    ) -> anyhow::Result<u64> {
        for _ in 0..tries {
            let into_step_ms = (clock.unix_ms() + EARLY_MS) % step_ms;
            tokio::time::sleep(Duration::from_millis(step_ms - into_step_ms)).await;
            let deadline = Instant::now() + FLUSH_WATCH;
            // No sleep: timers count in milliseconds, an acknowledgement may take less than one.
            while Instant::now() < deadline {
                let backlog = self.sender().await?.backlog;
                if backlog > 0 {
                    return Ok(backlog);
                }
            }
        }
        Ok(0)
    }

    /// Waits until keyviz has acknowledged the first `entries` of this host.
    ///
    /// # Errors
    /// It has not within `patience`.
    pub(super) async fn until_acknowledged(
        &mut self,
        entries: u64,
        patience: Duration,
    ) -> anyhow::Result<Sender> {
        let deadline = Instant::now() + patience;
        loop {
            let sender = self.sender().await?;
            if sender.acknowledged >= entries {
                return Ok(sender);
            }
            if Instant::now() >= deadline {
                let Sender { acknowledged, last_error, .. } = sender;
                bail!(
                    "keyviz acknowledged {acknowledged} of {entries} entries within {patience:?}: {last_error}"
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn range(reply: &Reply) -> anyhow::Result<HostRange> {
    let Reply::Array(fields) = reply else { bail!("a range is {reply:?}") };
    let [
        Reply::Int(route),
        Reply::Bulk(start),
        Reply::Bulk(end),
        Reply::Int(group),
        Reply::Int(reads),
        Reply::Int(writes),
    ] = &fields[..]
    else {
        bail!("a range is {fields:?}")
    };
    let bound = |bound: &Option<Vec<u8>>| bound.clone().unwrap_or_default();
    let keys = KeyRange::new(bound(start), bound(end))?;
    Ok(HostRange { route: *route, group: *group, keys, reads: *reads, writes: *writes })
}

fn sender(info: &str) -> anyhow::Result<Sender> {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.with_context(|| format!("the host's INFO has no {name}"))
    };
    let number = |name: &str| -> anyhow::Result<u64> {
        field(name)?.trim().parse().with_context(|| format!("the host's INFO: {name} is no number"))
    };
    Ok(Sender {
        backlog: number("keyviz_backlog")?,
        acknowledged: number("keyviz_acknowledged")?,
        duplicates: number("keyviz_duplicates")?,
        dropped: number("keyviz_dropped")?,
        refused: number("keyviz_refused")?,
        refused_rows: number("keyviz_refused_rows")?,
        aborted: number("keyviz_aborted")?,
        ledger_errors: number("keyviz_ledger_errors")?,
        last_error: field("keyviz_last_error")?.trim().to_owned(),
    })
}

#[cfg(test)]
#[path = "host_test.rs"]
mod host_test;
