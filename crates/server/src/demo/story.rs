//! What happens in the demo, in order.
//!
//! start - traffic - split - kill - merge - restart - stop - acknowledged - compare; with more splits
//! and merges before, during and after the outage when they are asked for.
//!
//! Invariants: exactly one restart; a merge happens while keyviz is away, so that a transition survives
//! the outage, too; the ledger is read before its last line is awaited at keyviz, so everything that is
//! compared was acknowledged.
//! Must not: clean up (the caller owns the stage, whatever happens here).
//! Proof: the demo itself.

use std::time::Duration;

use anyhow::Context as _;
use keyviz_api::ambient::SystemClock;
use keyviz_lineage::Clock as _;

use super::compare::Outcome;
use super::history::{HistoryClient, metric};
use super::host::HostClient;
use super::ledger::Ledger;
use super::mix::{hotspot, hottest_key};
use super::narrator::{Narrator, count, grouped};
use super::ranges;
use super::schedule::{Act, FEW, Schedule};
use super::stage::{STEP_MS, Stage};
use super::traffic::Traffic;

/// The kill waits for a column that is on its way, at most so many windows long.
const IN_FLIGHT_TRIES: u32 = 2;
const ACKNOWLEDGE_PATIENCE: Duration = Duration::from_secs(30);
/// After the last reply: two flushes of one-second columns.
const AFTERGLOW: Duration = Duration::from_millis(2_200);

/// How it ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// What the host counted.
    pub(super) ledger: Ledger,
    /// Columns that were compared.
    pub(super) outcome: Outcome,
    /// Starts of keyviz after a kill.
    pub(super) restarts: u64,
    /// The key at which a range was split, the last time.
    pub(super) hot_key: String,
    /// The traffic, `[from, to)`, Unix milliseconds, whole windows.
    pub(super) span_ms: (u64, u64),
    /// What could be counted but not compared, in words.
    pub(super) complaints: Vec<String>,
}

/// Plays it.
///
/// # Errors
/// Something could not be done. What keyviz then has is not compared.
pub(super) async fn play(
    seconds: u32,
    transitions: u32,
    stage: &mut Stage,
    narrator: Narrator,
) -> anyhow::Result<Ending> {
    let schedule = Schedule::of(seconds);
    stage.start_node().await?;
    narrator.says(&format!("keyviz is ready: page http://{}/, gRPC {}", stage.http, stage.grpc));
    // A move needs another group to go to.
    let groups = if transitions > FEW { 2 } else { 1 };
    let address = stage.start_host(groups).await?;
    let mut host = HostClient::connect(address).await?;
    let ranges = host.ranges().await?.len() as u64;
    narrator.says(&format!(
        "keyviz-host is ready: redis-cli -p {}, {}",
        address.port(),
        count(ranges, "range")
    ));
    // The picture then begins and ends with whole windows.
    let clock = SystemClock::shared();
    tokio::time::sleep(Duration::from_millis(STEP_MS - clock.unix_ms() % STEP_MS)).await;
    let began_ms = clock.unix_ms();
    let mut traffic = Traffic::start(address, schedule, &stage.path("redis-benchmark.log"));
    narrator.says(&format!(
        "traffic begins, for {seconds} s: redis-benchmark, and a hotspot that moves over order:*"
    ));

    let hot_key =
        act(&schedule, transitions, (&mut traffic, &mut *stage, &mut host), narrator).await?;
    traffic.until(schedule.end).await?;

    let driven = traffic.finish().await?;
    let ended_ms = clock.unix_ms();
    let (commands, benchmarks) =
        (count(driven.commands, "command"), count(driven.benchmarks, "run"));
    narrator.says(&format!(
        "traffic ends: {commands} of the hotspot's client, {benchmarks} of redis-benchmark"
    ));
    tokio::time::sleep(AFTERGLOW).await;
    let ledger = Ledger::read(&stage.ledger())?;
    if ledger.count("move") > 0 {
        let done = ["split", "merge", "move"].map(|kind| count(ledger.count(kind), kind));
        narrator.says(&format!("the ranges went through {}", done.join(", ")));
    }
    let entries = ledger.columns() + ledger.transitions.values().sum::<u64>();
    let sender = host.until_acknowledged(entries, ACKNOWLEDGE_PATIENCE).await?;
    narrator.says(&format!(
        "all {} of the host's ledger are acknowledged; comparing",
        count(entries, "line")
    ));
    let outcome = HistoryClient::connect(stage.grpc).await?.compare(&ledger).await?;
    let mut complaints = Vec::new();
    for (number, words) in [
        (sender.dropped, "columns did not fit the host's send buffer"),
        (sender.refused, "entries were refused by keyviz"),
        (sender.refused_rows, "rows were refused by keyviz"),
        (sender.aborted, "transitions were aborted by keyviz"),
        (sender.ledger_errors, "lines could not be written to the ledger"),
    ] {
        if number > 0 {
            complaints.push(format!("{} {words}", grouped(number)));
        }
    }
    // The last replies come a moment after the end.
    let span_ms = (began_ms / STEP_MS * STEP_MS, ended_ms / STEP_MS * STEP_MS);
    Ok(Ending { ledger, outcome, restarts: 1, hot_key, span_ms, complaints })
}

/// Everything that happens while the traffic runs. Returns the key at which it was split last.
async fn act(
    schedule: &Schedule,
    transitions: u32,
    (traffic, stage, host): (&mut Traffic, &mut Stage, &mut HostClient),
    narrator: Narrator,
) -> anyhow::Result<String> {
    let mut hot_key = String::new();
    for (moment, act) in schedule.acts(transitions) {
        traffic.until(moment).await?;
        let hottest = hottest_key(schedule, traffic.elapsed());
        match act {
            Act::Split => {
                ranges::split(host, &hottest, narrator).await?;
                hot_key = hottest;
            }
            Act::Merge if transitions <= FEW => ranges::merge_cold(host, narrator).await?,
            Act::Merge => {
                let hot = hotspot(schedule, traffic.elapsed());
                ranges::merge_behind(host, hot, narrator).await?;
            }
            Act::Move => ranges::move_away(host, &hottest, narrator).await?,
            Act::Kill => kill(stage, host, narrator).await?,
            Act::Restart => restart(stage, host, narrator).await?,
        }
    }
    Ok(hot_key)
}

/// SIGKILL, while a column is on its way.
async fn kill(stage: &mut Stage, host: &mut HostClient, narrator: Narrator) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let in_flight = host.until_in_flight(IN_FLIGHT_TRIES, STEP_MS, clock.as_ref()).await?;
    let pid = stage.kill_node().await?;
    narrator.says(&match in_flight {
        0 => format!("SIGKILL keyviz (pid {pid})"),
        _ => format!("SIGKILL keyviz (pid {pid}) with {} in flight", count(in_flight, "column")),
    });
    Ok(())
}

/// Starts the node again, and waits until it has caught up.
async fn restart(
    stage: &mut Stage,
    host: &mut HostClient,
    narrator: Narrator,
) -> anyhow::Result<()> {
    let pid = stage.start_node().await.context("keyviz did not come back after SIGKILL")?;
    let before = host.sender().await?;
    let replayed = metric(stage.http, "keyviz_wal_replayed_records_total").await?;
    narrator.says(&format!(
        "restarted keyviz (pid {pid}), replayed {} of its WAL; the host holds {}",
        count(replayed, "record"),
        count(before.backlog, "unacknowledged line"),
    ));
    let entries = before.acknowledged + before.backlog;
    let after = host.until_acknowledged(entries, ACKNOWLEDGE_PATIENCE).await?;
    narrator.says(&match after.duplicates {
        0 => "caught up".to_owned(),
        held => format!(
            "caught up; keyviz held {} of them already, and counted none twice",
            grouped(held)
        ),
    });
    Ok(())
}
