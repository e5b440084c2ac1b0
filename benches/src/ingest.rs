//! Ingest into a real node: `keyviz serve` takes columns of 10,000 ranges over loopback gRPC, a column a
//! message, every batch synced before it is acknowledged, and is then stopped. Its processor time from
//! ready to gone is counted, so the WAL, every checkpoint and RocksDB's own work are in it; the sender's
//! is not.
//!
//! As many samples are sent as fast as they are acknowledged, so hours are persisted as a WAL at half
//! its cap asks for, not twelve times each.

use std::time::Duration;

use keyviz_api::client::{ClientConfig, IngestSender};
use keyviz_lineage::{Column, Entry, HOUR_MS, SourceId};
use uuid::Uuid;

use crate::fill::WEEK;
use crate::filled::{FIRST_HOUR, Outcome};
use crate::report;
use crate::restart::{Columns, Served, now_ms};

const HOURS: u64 = 12;
const GOAL_SAMPLES: f64 = 15e6;
const MAX_WAIT: Duration = Duration::from_secs(300);
/// What the sender holds at most.
const BUFFER_BYTES: usize = 16 << 20;

/// Sends some hours and reports.
pub(crate) fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Served::start(&folder.path().join("data"), &[])?;
    node.ready()?;
    let before = node.cpu()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (columns, first_ms) = (Columns::new(WEEK)?, (now_ms()? / HOUR_MS - HOURS) * HOUR_MS);
    let sent = runtime.block_on(async {
        let source = SourceId { node: "node-1".into(), boot: Uuid::from_u128(7) };
        let sender = IngestSender::start(ClientConfig::new(&node.grpc, source));
        let mut samples = 0;
        sender.send(&columns.created(first_ms)).map_err(|error| error.to_string())?;
        for hour in 0..HOURS {
            for column in columns.of_hour(FIRST_HOUR + hour, first_ms + hour * HOUR_MS) {
                samples += column.rows.len() as u64 * 4;
                send(&sender, column).await?;
            }
        }
        if !sender.drain(MAX_WAIT).await {
            return Err(format!("not all was acknowledged: {:?}", sender.stats()));
        }
        let stats = sender.stats();
        match stats.acknowledged == HOURS * 60 + 1 && stats.refused + stats.refused_rows == 0 {
            true => Ok(samples),
            false => Err(format!("{stats:?}")),
        }
    })? as f64;
    let taken = node.cpu()? - before;
    let all = node.stop()? - before;
    let columns = (HOURS * 60) as f64;
    let title = "ingest over gRPC, 10,000 ranges a column, synced";
    report::goal(
        &format!("{title}, a goal's worth of samples until all is in RocksDB and the node gone"),
        GOAL_SAMPLES / (sent / all),
        "CPU s",
        1.0,
    );
    report::line(
        &format!("{title}, CPU a column until then, baseline until acknowledged"),
        all * 1e3 / columns,
        "ms",
        taken * 1e3 / columns,
    );
    Ok(())
}

async fn send(sender: &IngestSender, column: Column) -> Result<(), String> {
    sender.wait_below(BUFFER_BYTES).await;
    sender.send(&Entry::Column(column)).map_err(|error| error.to_string())
}
