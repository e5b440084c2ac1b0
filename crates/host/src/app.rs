//! Puts the parts together, runs them, and takes them down in order.
//!
//! Start: flags, folder and lock, listener, database, catalogue, sender (transitions of earlier
//! runs first), recorder, connections. Stop, on SIGTERM or SIGINT: no more connections, what was
//! read is answered, last columns, leave, wait for keyviz, end.
//! Proof: `tests/redis_clients.rs`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyviz_api::ambient;
use keyviz_api::client::{ClientConfig, IngestSender};
use keyviz_lineage::{Clock, SourceId};
use keyviz_sampler::{HotKeySettings, Sampler, Settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::config::{Flags, machine_name};
use crate::data_dir::DataDir;
use crate::dispatch::Dispatcher;
use crate::error::HostError;
use crate::info::Facts;
use crate::kv::{Kv, MAX_OPEN_FILES, open_database};
use crate::metrics;
use crate::observed::Observed;
use crate::outbox::Outbox;
use crate::ranges::Ranges;
use crate::recorder::Recorder;
use crate::records::Records;
use crate::server;

/// How long the last columns may take to reach keyviz.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often keyviz is told what the commands are doing.
const LIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Open files besides clients and tables.
const OTHER_FILES: usize = 64;

/// Runs the host until it is told to stop.
pub(crate) async fn run(flags: Flags) -> Result<(), HostError> {
    let clock: Arc<dyn Clock> = ambient::SystemClock::shared();
    flags.check()?;
    let (step, initial) = (flags.column_step()?, flags.initial()?);
    let data_dir = DataDir::open(&flags.data_dir)?;
    let ledger = flags.ledger.as_deref().map(Outbox::open_ledger).transpose()?;
    let (listener, local) = listen("--listen", &flags.listen).await?;
    let metrics = match &flags.metrics {
        Some(address) => Some(listen("--metrics", address).await?),
        None => None,
    };
    let mut stop_signals = StopSignals::new()?;

    let db = open_database(&data_dir.database(), Arc::clone(&clock))?;
    let records = Records::new(Arc::clone(&db));
    let boot = records.boot(flags.node_id.as_deref(), &machine_name())?;
    let source = SourceId { node: boot.node_id.clone(), boot: ambient::new_boot_id() };
    let facts = Facts {
        port: local.port(),
        max_clients: flags.max_clients,
        node_id: boot.node_id.clone(),
        boot_id: source.boot.to_string(),
        term: boot.term,
        step_ms: step.ms(),
        keyviz: flags.keyviz.clone().unwrap_or_default(),
        metrics: metrics.as_ref().map(|(_, local)| local.to_string()).unwrap_or_default(),
        started_ms: clock.unix_ms(),
    };
    let start_sender = |address| {
        let token_file = flags.keyviz_token_file.clone();
        let tls = flags.keyviz_tls();
        IngestSender::start(ClientConfig { token_file, tls, ..ClientConfig::new(address, source) })
    };
    let outbox = Arc::new(Outbox::new(ledger, flags.keyviz.clone().map(start_sender)));
    let hot_keys = flags.hot_keys.then(|| HotKeySettings::with_seed(ambient::new_seed()));
    let tracked_routes = flags.tracked_routes;
    let settings = Settings { tracked_routes, hot_keys, ..Settings::default() };
    let sampler = Arc::new(Sampler::with_settings(step, clock.unix_ms(), settings));
    let ranges = Ranges::open(
        records,
        Arc::clone(&sampler),
        Arc::clone(&outbox),
        Arc::clone(&clock),
        &initial,
        &boot,
    )?;
    let kv = Kv::new(db, Arc::clone(&clock));
    let observed = Observed::new(Arc::clone(&clock));
    let observed = observed.map_err(|source| HostError::Metrics { source })?;
    let host = Arc::new(Dispatcher::new(kv, ranges, Arc::clone(&outbox), facts, observed));
    let recorder = Recorder::new(sampler, Arc::clone(&outbox), clock);
    warn_of_few_files(flags.max_clients);
    announce(&local);
    tracing::info!(%local, node = boot.node_id, term = boot.term, keyviz = flags.keyviz, "serving");
    let metrics = metrics.map(|(listener, _)| listener);
    work(listener, metrics, host, recorder, &mut stop_signals).await;
    if !outbox.leave(LEAVE_TIMEOUT).await {
        tracing::warn!(
            "keyviz did not acknowledge everything in time; what is missing is in the ledger only"
        );
    }
    tracing::info!("stopped");
    drop(data_dir);
    Ok(())
}

/// Serves and records until a signal; the recorder outlives the connections.
async fn work(
    listener: TcpListener,
    metrics: Option<TcpListener>,
    host: Arc<Dispatcher>,
    mut recorder: Recorder,
    stop_signals: &mut StopSignals,
) {
    let (stop_serving, serving) = watch::channel(false);
    let (stop_recording, recording) = watch::channel(false);
    let telling = tokio::spawn(tell_live(Arc::clone(&host)));
    let measuring = metrics
        .map(|listener| tokio::spawn(metrics::serve(listener, Arc::clone(&host), serving.clone())));
    let server = tokio::spawn(server::serve(listener, host, serving));
    let recorder = tokio::spawn(async move {
        recorder.run(recording).await;
        recorder.finish();
    });
    stop_signals.wait().await;
    tracing::info!("stopping");
    stop_serving.send_replace(true);
    if let Err(error) = server.await {
        tracing::error!(%error, "the server ended badly");
    }
    // It holds the store, which has to be closed before the process ends: RocksDB crashes otherwise.
    telling.abort();
    // An error says that it was aborted.
    let _ = telling.await;
    if let Some(measuring) = measuring
        && let Err(error) = measuring.await
    {
        tracing::error!(%error, "the metrics ended badly");
    }
    stop_recording.send_replace(true);
    if let Err(error) = recorder.await {
        tracing::error!(%error, "the recorder ended badly");
    }
}

/// Tells keyviz every so often what the commands are doing.
async fn tell_live(host: Arc<Dispatcher>) {
    let mut ticks = tokio::time::interval(LIVE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        host.outbox.tell_live(|| host.observed.summaries());
    }
}

async fn listen(flag: &'static str, address: &str) -> Result<(TcpListener, SocketAddr), HostError> {
    let failed = |source| HostError::Listen { flag, address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    if !local.ip().is_loopback() {
        tracing::warn!(flag, address, "open to other machines; there is no password");
    }
    Ok((listener, local))
}

/// Clients beyond the limit of open files could not be accepted.
fn warn_of_few_files(max_clients: usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    let needed = max_clients + MAX_OPEN_FILES as usize + OTHER_FILES;
    if let Some(limit) = limit.filter(|&limit| limit < needed) {
        tracing::warn!(limit, needed, "too few open files for --max-clients; raise `ulimit -n`");
    }
}

/// The one line on stdout: whoever started this host learns the port from it.
fn announce(local: &SocketAddr) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "listening on {local}").and_then(|()| out.flush()) {
        tracing::warn!(%error, "the address could not be printed");
    }
}

struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> Result<Self, HostError> {
        let on = |kind| {
            signal(kind).map_err(|source| HostError::Runtime { what: "signal handler", source })
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
