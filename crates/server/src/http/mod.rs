//! The HTTP port: page, JSON, metrics, health. Thin adapters over [`crate::node::Node`].
//!
//! Invariants: who comes is asked for a token first ([`door`]); every error is `{"error": code, "message": text}`; answers are never cached; unknown
//! paths are 404; what a browser gets carries a strict content security policy; a POST needs
//! `application/json`, which no foreign page can send without asking first.

mod adapters;
mod backup;
mod door;
mod error;
mod health;
mod hot_keys;
mod ingest;
mod keep;
mod lineage;
mod matrix;
mod metrics;
mod page;
mod profile;
mod status;
mod top;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::routing::{delete, get, post};
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::listen::{Listener, Peer};
use crate::node::Node;

pub(crate) use hot_keys::to_json as hot_keys_to_json;

const ADMIN: &str = "/admin/api/v1";
const API: &str = "/admin/api/v1/keyviz";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Serves until the node stops.
pub(crate) async fn serve(
    node: Arc<Node>,
    listener: Listener,
    max_message_bytes: usize,
) -> anyhow::Result<()> {
    let stopping = Arc::clone(&node);
    let service = router(node, max_message_bytes);
    axum::serve(listener, service.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(async move { stopping.stopped().await })
        .await?;
    Ok(())
}

fn router(node: Arc<Node>, max_message_bytes: usize) -> Router {
    let fixed =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{file}", get(page::asset))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route(&format!("{API}/matrix"), get(matrix::matrix))
        .route(&format!("{API}/lineage"), get(lineage::lineage))
        .route(&format!("{API}/hotkeys"), get(hot_keys::hot_keys))
        .route(&format!("{API}/top"), get(top::top))
        .route(&format!("{API}/status"), get(status::status))
        .route(&format!("{API}/events"), get(lineage::events))
        .route(&format!("{ADMIN}/adapters/summary"), get(adapters::summary))
        .route(&format!("{API}/gc"), get(keep::gc).post(keep::order_gc))
        .route(&format!("{API}/pins"), get(keep::pins).post(keep::pin))
        .route(&format!("{API}/pins/{{id}}"), delete(keep::unpin))
        .route(&format!("{API}/columns"), post(ingest::columns))
        .route(&format!("{API}/transitions"), post(ingest::transitions))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(max_message_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))
        // Behind the time limit: a backup takes as long as copying does, a profile as long as it is asked to.
        .route("/debug/pprof/profile", get(profile::cpu))
        .route("/debug/pprof/heap", get(profile::heap))
        .route(&format!("{API}/backup"), post(backup::backup))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), door::ask_for_token))
        .layer(CompressionLayer::new())
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, POLICY))
        .with_state(node)
}
