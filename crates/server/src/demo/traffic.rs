//! The clients that drive the host: the demo's own, and redis-benchmark.
//!
//! Owns: their tasks, from [`Traffic::start`] until [`Traffic::finish`] or the drop.
//! Invariants: a client that fails ends the demo at its next wait; nothing is sent once
//! [`Traffic::finish`] has returned.
//! Must not: know ranges or keyviz.
//! Proof: the demo itself (`keyviz demo`), and `traffic_test.rs`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::keyspace::BENCHMARK_KEYS;
use super::mix::{Mix, TICK};
use super::resp::{Batch, RespClient};
use super::schedule::Schedule;

const BENCHMARK: &str = "redis-benchmark";
/// A run takes about half a second on two cores; a pause keeps them responsive.
const BENCHMARK_REQUESTS: u64 = 6_000;
const BENCHMARK_CLIENTS: u64 = 4;
const BENCHMARK_TESTS: &str = "set,get,incr";
const BENCHMARK_PAUSE: Duration = Duration::from_millis(2_500);
const BENCHMARK_PATIENCE: Duration = Duration::from_secs(60);

/// What was driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Driven {
    /// Commands of the demo's own client.
    pub(super) commands: u64,
    /// Complete runs of redis-benchmark.
    pub(super) benchmarks: u64,
}

/// The running clients.
#[derive(Debug)]
pub(super) struct Traffic {
    started: Instant,
    stop: watch::Sender<bool>,
    clients: JoinSet<anyhow::Result<Driven>>,
}

/// # Errors
/// redis-benchmark is not there.
pub(super) async fn require_benchmark() -> anyhow::Result<()> {
    let mut command = Command::new(BENCHMARK);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.map(drop).with_context(|| {
        format!("{BENCHMARK} cannot be run; install the package redis-tools (apt-get install redis-tools)")
    })
}

impl Traffic {
    /// Starts to drive the host at `address`. redis-benchmark's words go to `log`.
    pub(super) fn start(address: SocketAddr, schedule: Schedule, log: &Path) -> Self {
        let (stop, stopped) = watch::channel(false);
        let started = Instant::now();
        let mut clients = JoinSet::new();
        clients.spawn(hotspot(address, schedule, started, stopped.clone()));
        clients.spawn(benchmarks(address, log.to_owned(), stopped));
        Self { started, stop, clients }
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until so much time has passed since the start.
    ///
    /// # Errors
    /// A client failed.
    pub(super) async fn until(&mut self, moment: Duration) -> anyhow::Result<()> {
        tokio::select! {
            () = tokio::time::sleep_until(self.started + moment) => Ok(()),
            Some(ended) = self.clients.join_next() => {
                ended.context("a client of the demo")??;
                bail!("a client of the demo ended before it was told to")
            }
        }
    }

    /// Stops, and waits for the last reply.
    ///
    /// # Errors
    /// A client failed.
    pub(super) async fn finish(mut self) -> anyhow::Result<Driven> {
        self.stop.send_replace(true);
        let mut driven = Driven::default();
        while let Some(ended) = self.clients.join_next().await {
            let client = ended.context("a client of the demo")??;
            driven.commands += client.commands;
            driven.benchmarks += client.benchmarks;
        }
        Ok(driven)
    }
}

async fn hotspot(
    address: SocketAddr,
    schedule: Schedule,
    started: Instant,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Driven> {
    let mut client = RespClient::connect(address).await?;
    let mut mix = Mix::new(schedule);
    let mut batch = Batch::default();
    let mut driven = Driven::default();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !*stopped.borrow() {
        ticks.tick().await;
        batch.clear();
        mix.tick(started.elapsed(), &mut batch);
        client.pipeline(&batch).await?;
        driven.commands += batch.commands();
    }
    Ok(driven)
}

async fn benchmarks(
    address: SocketAddr,
    log: PathBuf,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Driven> {
    let mut driven = Driven::default();
    while !*stopped.borrow() {
        benchmark(address, &log).await?;
        driven.benchmarks += 1;
        // Either the pause is over or the demo is.
        let _ = tokio::time::timeout(BENCHMARK_PAUSE, stopped.wait_for(|stopped| *stopped)).await;
    }
    Ok(driven)
}

async fn benchmark(address: SocketAddr, log: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("{} cannot be written", log.display()))?;
    let mut command = Command::new(BENCHMARK);
    command
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(["-t", BENCHMARK_TESTS, "-q", "-n", &BENCHMARK_REQUESTS.to_string()])
        .args(["-c", &BENCHMARK_CLIENTS.to_string(), "-r", &BENCHMARK_KEYS.to_string()])
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(BENCHMARK_PATIENCE, command.status()).await;
    let ended =
        ended.with_context(|| format!("{BENCHMARK} took longer than {BENCHMARK_PATIENCE:?}"))?;
    let status = ended.with_context(|| format!("{BENCHMARK} could not be started"))?;
    if !status.success() {
        bail!("{BENCHMARK} failed ({status}); its words are in {}", log.display());
    }
    Ok(())
}

#[cfg(test)]
#[path = "traffic_test.rs"]
mod traffic_test;
