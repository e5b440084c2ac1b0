//! `keyviz serve`: binds both ports, opens the recorder behind them, and stops in order.
//!
//! The ports are open (and say "starting") while the WAL is replayed, and while the store is opened anew. On SIGTERM or SIGINT: no more
//! connections, open streams are ended, the last window is persisted, the process ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use keyviz_api::ambient::SystemClock;
use keyviz_lineage::Clock;
use keyviz_replica::{Recorder, RecorderConfig, RecorderError};
use keyviz_store::StoreError;
use keyviz_wal::SyncPolicy;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::auth::Auth;
use crate::config::{ServeConfig, WalSync};
use crate::listen::Listener;
use crate::node::Node;
use crate::tls::Tls;
use crate::{grpc, http, reopen};

/// How long open requests may take after a stop was asked for.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn run(config: ServeConfig) -> anyhow::Result<()> {
    raise_open_files();
    let clock: Arc<dyn Clock> = SystemClock::shared();
    let (read, write) = (config.read_token_file.as_deref(), config.write_token_file.as_deref());
    let asks_certificate = config.tls.as_ref().is_some_and(|files| files.client_ca.is_some());
    let auth = Arc::new(Auth::open(read, write, asks_certificate)?);
    tokio::spawn(Arc::clone(&auth).follow());
    let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
    let _ = tls.clone().map(|tls| tokio::spawn(tls.follow()));
    let grpc_listener = bind("grpc", config.grpc).await?;
    let http_listener = bind("http", config.http).await?;
    let (grpc_address, http_address) = (grpc_listener.local_addr()?, http_listener.local_addr()?);
    let node = Node::new(Arc::clone(&clock), config.step, config.backup_dir.clone(), auth)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let mut servers = JoinSet::new();
    let (health_sender, health) = tokio::sync::oneshot::channel();
    let health_sender = std::sync::Mutex::new(Some(health_sender));
    let max_message_bytes = config.max_message_bytes;
    servers.spawn(grpc::serve(
        Arc::clone(&node),
        Listener::new(grpc_listener, tls.clone(), "grpc", &node.measured),
        max_message_bytes,
        move |reporter| {
            let sender = health_sender.lock().ok().and_then(|mut sender| sender.take());
            // The receiver lives until the recorder is open.
            let _ = sender.map(|sender| sender.send(reporter));
        },
    ));
    let http_listener = Listener::new(http_listener, tls, "http", &node.measured);
    servers.spawn(http::serve(Arc::clone(&node), http_listener, max_message_bytes));

    let opened = open(&node, &config, Arc::clone(&clock), &mut terminate, &mut interrupt).await?;
    let Some((recorder, is_told_to_stop)) = opened else { return Ok(()) };
    node.set_recorder(Arc::clone(&recorder));
    let health = health.await.ok();
    tell_health(health.as_ref(), ServingStatus::Serving).await;
    announce(&config, grpc_address, http_address);

    let mut recorder = Some(recorder);
    let ended = tokio::select! {
        () = std::future::ready(()), if is_told_to_stop => None,
        _ = terminate.recv() => {
            tracing::info!("SIGTERM: stopping");
            None
        }
        _ = interrupt.recv() => {
            tracing::info!("SIGINT: stopping");
            None
        }
        ended = servers.join_next() => ended,
        () = keep_open(&node, &config, &clock, &mut recorder, health.as_ref()) => None,
    };
    node.stop();
    if ended.is_none() {
        drain(&mut servers).await;
    }
    // While it is being opened anew there is none: the WAL holds what was acknowledged.
    if let Some(recorder) = recorder {
        tokio::task::spawn_blocking(move || recorder.stop())
            .await
            .context("persisting the last window")?;
        tracing::info!("stopped; the last window is persisted");
    }
    match ended {
        Some(ended) => ended.context("a server task")?.context("a port failed"),
        None => Ok(()),
    }
}

/// Opens the recorder anew whenever only that helps. Never resolves; `recorder` is empty while none is
/// open.
async fn keep_open(
    node: &Arc<Node>,
    config: &ServeConfig,
    clock: &Arc<dyn Clock>,
    recorder: &mut Option<Arc<Recorder>>,
    health: Option<&HealthReporter>,
) {
    let mut due = reopen::Due::new();
    loop {
        let Some(held) = recorder.as_ref() else { return std::future::pending().await };
        let why = due.wait(held).await;
        let Some(held) = recorder.take() else { return std::future::pending().await };
        tell_health(health, ServingStatus::NotServing).await;
        let config = recorder_config(config);
        *recorder = Some(reopen::reopen(node, config, Arc::clone(clock), held, why).await);
        tell_health(health, ServingStatus::Serving).await;
    }
}

async fn tell_health(reporter: Option<&HealthReporter>, status: ServingStatus) {
    if let Some(reporter) = reporter {
        reporter.set_service_status("", status).await;
    }
}

/// Waits for open requests to end.
async fn drain(servers: &mut JoinSet<anyhow::Result<()>>) {
    let ended = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_DEADLINE, ended).await.is_err() {
        tracing::warn!("requests were still open after {STOP_DEADLINE:?}; they are cut off");
    }
}

/// Opens the recorder, and whether a signal came meanwhile: an upgrade of the folder then ends between
/// two batches (`None`), a replay is quick and goes on to its end.
async fn open(
    node: &Arc<Node>,
    config: &ServeConfig,
    clock: Arc<dyn Clock>,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> anyhow::Result<Option<(Arc<Recorder>, bool)>> {
    let mut opening = {
        let (node, config) = (Arc::clone(node), recorder_config(config));
        tokio::task::spawn_blocking(move || Recorder::open(config, clock, &node.progress))
    };
    let stop = &node.progress.stop;
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened.context("opening the recorder")?,
            _ = terminate.recv() => stop.store(true, Ordering::Relaxed),
            _ = interrupt.recv() => stop.store(true, Ordering::Relaxed),
        }
    };
    match opened {
        Err(RecorderError::Store(stopped @ StoreError::UpgradeStopped { .. })) => {
            tracing::info!(%stopped, "stopping");
            Ok(None)
        }
        opened => Ok(Some((Arc::new(opened?), stop.load(Ordering::Relaxed)))),
    }
}

/// As many open files as the system grants: connections and RocksDB's files are both counted, and the
/// limit that most shells start with is too low for either.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("--{flag} {address}: cannot listen there; is another process using the port? Choose another"))
}

fn recorder_config(config: &ServeConfig) -> RecorderConfig {
    RecorderConfig {
        retention_ms: u64::try_from(config.retention.as_millis()).unwrap_or(u64::MAX),
        rollup_retention_ms: u64::try_from(config.rollup_retention.as_millis()).unwrap_or(u64::MAX),
        pin_max_bytes: config.pin_max_bytes,
        memory_max_bytes: config.memory_max_bytes,
        persist_interval_ms: config.persist_interval.as_millis() as u64,
        wal_max_bytes: config.wal_max_bytes,
        default_step: config.step,
        wal_sync: match config.wal_sync {
            WalSync::EveryColumn => SyncPolicy::EveryRecord,
            WalSync::Interval | WalSync::Os => SyncPolicy::Os,
        },
        wal_sync_interval: (config.wal_sync == WalSync::Interval)
            .then_some(config.wal_sync_interval),
        ..RecorderConfig::new(&config.data_dir)
    }
}

/// Tells people and scripts where the node is, on stdout.
#[allow(clippy::print_stdout)]
fn announce(config: &ServeConfig, grpc: SocketAddr, http: SocketAddr) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    println!(
        "keyviz ready: page {scheme}://{http}/ grpc {grpc} data {}",
        config.data_dir.display()
    );
    tracing::info!(%grpc, %http, data_dir = %config.data_dir.display(), "ready");
}
