//! `keyviz-host`: the reference store that embeds keyviz.
//!
//! ```text
//! redis client -> server -> frame -> dispatch -> parse -> ranges (resolve, observe) -> execute -> kv
//! SPLIT, MERGE, MOVE -> ranges -> catalogue (decide) -> records (store) -> outbox (tell)
//! recorder -> sampler (flush) -> outbox -> ledger, then keyviz
//! server -> observed (each request) -> live summary -> outbox -> keyviz; -> metrics -> Prometheus
//! ```
//! Responsible for: real traffic with real ranges, so that keyviz has something true to show.
//! Must not: be more than that. One data type, no replication, no passwords.
//! Proof: the `*_test.rs` beside each module; `tests/redis_clients.rs` with stock clients.

mod app;
mod catalogue;
mod command;
mod config;
mod connection_commands;
mod cursors;
mod data_dir;
mod dispatch;
mod error;
mod execute;
mod frame;
mod glob;
#[cfg(test)]
mod harness_test;
mod info;
mod inline;
mod keys;
mod kv;
mod metrics;
mod observed;
mod outbox;
mod parse;
mod ranges;
mod recorder;
mod records;
mod reply;
mod server;
mod stored_transition;
mod sweep_commands;
mod value;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::config::{Flags, LogFormat};

/// How long tasks that were not waited for may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let flags = Flags::parse();
    start_logging(flags.log);
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keyviz-host: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(Box::pin(app::run(flags)))?;
    // Every task that holds the store has ended; what is left holds connections.
    runtime.shutdown_timeout(STOP_TIMEOUT);
    Ok(())
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
}
