//! `--metrics`: what Prometheus reads, at `/metrics`.
//!
//! Must not: serve anything else, or stand in the way of a client of the store.
//! Proof: `tests/live.rs`.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use keyviz_observers::prometheus::{self, IntCounter, IntGauge, Registry};
use keyviz_observers::{TEXT_TYPE, text};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::dispatch::Dispatcher;
use crate::observed::PREFIX;

/// How long an open request may take once the host stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `stop` turns true.
pub(crate) async fn serve(
    listener: TcpListener,
    host: Arc<Dispatcher>,
    mut stop: watch::Receiver<bool>,
) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(host);
    let mut stopping = stop.clone();
    let served = axum::serve(listener, router).with_graceful_shutdown(async move {
        // The sender is gone only when the host is.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    let deadline = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        ended = served.into_future() => if let Err(error) = ended {
            tracing::error!(%error, "metrics are no longer served");
        },
        () = deadline => {}
    }
}

async fn metrics(State(host): State<Arc<Dispatcher>>) -> Response {
    let observed = host.observed.metrics();
    match observed.and_then(|text| Ok(text + &keyviz(&host)?)) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What becomes of what is counted: the sampler, and the sender behind it.
#[rustfmt::skip]
fn keyviz(host: &Dispatcher) -> prometheus::Result<String> {
    let registry = Registry::new_custom(Some(PREFIX.to_owned()), None)?;
    let stats = host.outbox.stats();
    let (sender, backlog) = stats.sender.unwrap_or_default();
    let sampler = host.ranges.sampler();
    let coalesced = sampler.coalesced();
    let together: usize = coalesced.iter().map(|of| of.routes).sum();
    for (name, help, value) in [
        ("columns_flushed_total", "Columns that the sampler has handed over.", stats.columns),
        ("entries_acknowledged_total", "Columns and transitions that keyviz holds.", sender.acknowledged),
        ("entries_refused_total", "Those that it refused for good.", sender.refused),
        ("columns_dropped_total", "Columns given up because the send buffer was full.", sender.dropped),
        ("rows_refused_total", "Rows that keyviz refused while it kept their column.", sender.refused_rows),
        ("connections_total", "Connections made to keyviz.", sender.connections),
        ("hot_keys_dropped_total", "Windows of hot keys that were not told.", sender.hot_keys_dropped),
    ] {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))?;
    }
    for (name, help, value) in [
        ("backlog_entries", "Entries that wait for an acknowledgement.", backlog),
        ("ranges", "Ranges of the catalogue.", host.ranges.version().1),
        ("virtual_buckets", "Groups of neighbouring ranges that are reported together.", coalesced.len()),
        ("coalesced_ranges", "Ranges that are reported together with others.", together),
        ("sampler_bytes", "Bytes that all threads' counters take.", sampler.counter_bytes()),
    ] {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    text(&registry)
}
