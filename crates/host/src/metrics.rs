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
use keyviz_observers::TEXT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::dispatch::Dispatcher;

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
    match host.observed.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
