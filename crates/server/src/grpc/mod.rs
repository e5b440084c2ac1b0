//! The gRPC port: ingest, history, `Admin`, health, reflection. Thin adapters over [`crate::node::Node`].

mod admin;
mod history;
mod ingest;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use keyviz_api::wire;
use keyviz_api::wire::admin::admin_server::AdminServer;
use keyviz_api::wire::history::history_service_server::HistoryServiceServer;
use keyviz_api::wire::ingest::ingest_service_server::IngestServiceServer;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;

use crate::auth::{Access, Auth, Refusal};
use crate::hot_keys::NoHotKeys;
use crate::listen::{Listener, Peer};
use crate::node::{Node, NodeError};

/// Serves until the node stops.
pub(crate) async fn serve(
    node: Arc<Node>,
    listener: Listener,
    max_message_bytes: usize,
    health: impl Fn(HealthReporter),
) -> anyhow::Result<()> {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    // It starts as serving; the node is not, until its WAL is replayed.
    reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    health(reporter);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let ingest =
        IngestServiceServer::new(ingest::Ingest::new(Arc::clone(&node), max_message_bytes))
            .max_decoding_message_size(max_message_bytes);
    let history = HistoryServiceServer::new(history::History::new(Arc::clone(&node)))
        // Two keys of 64 KiB and what is around them.
        .max_decoding_message_size(256 << 10);
    let address = listener.local_addr()?.to_string();
    let admin = AdminServer::new(admin::Admin::new(Arc::clone(&node), address))
        .max_decoding_message_size(64 << 10);
    let routes = Routes::new(health_service)
        .add_service(reflection)
        .add_service(ingest)
        .add_service(history)
        .add_service(admin)
        .into_axum_router()
        .layer(middleware::from_fn_with_state(Arc::clone(&node.auth), ask_for_token));
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .concurrency_limit_per_connection(64)
        .add_routes(Routes::from(routes))
        .serve_with_incoming_shutdown(Box::pin(listener.into_stream()), async move {
            node.stopped().await;
        })
        .await?;
    Ok(())
}

/// Asks for a token before anything else looks at a call. Whatever is not named here wants to be read.
async fn ask_for_token(
    State(auth): State<Arc<Auth>>,
    request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    let path = request.uri().path();
    let access = match path.split('/').nth(1).unwrap_or_default() {
        "grpc.health.v1.Health" => return next.run(request).await,
        "keyviz.ingest.v1.IngestService" => Access::Write,
        _ => Access::Read,
    };
    let shown = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let peer = request.extensions().get::<Peer>().copied();
    let admitted = auth.admit(access, peer, shown, format_args!("gRPC {path}"));
    let Err(refusal) = admitted else { return next.run(request).await };
    let message = refusal.to_string();
    let status = match refusal {
        Refusal::NoCertificate | Refusal::Missing | Refusal::Unknown => {
            tonic::Status::unauthenticated(message)
        }
        Refusal::ReadOnly => tonic::Status::permission_denied(message),
        Refusal::TooMany => tonic::Status::resource_exhausted(message),
    };
    status.into_http()
}

/// A node's error as a gRPC status.
fn status(error: &NodeError) -> tonic::Status {
    let message = error.to_string();
    match error {
        NodeError::Starting { .. } | NodeError::Reopening { .. } | NodeError::Stopping => {
            tonic::Status::unavailable(message)
        }
        NodeError::Busy
        | NodeError::Waited
        | NodeError::Query(
            keyviz_query::QueryError::TooLarge { .. } | keyviz_query::QueryError::NoRoom { .. },
        ) => tonic::Status::resource_exhausted(message),
        NodeError::Query(keyviz_query::QueryError::Store(_)) | NodeError::Store(_) => {
            tonic::Status::data_loss(message)
        }
        NodeError::Query(_) | NodeError::Pin(_) => tonic::Status::invalid_argument(message),
        NodeError::Unknown { .. } | NodeError::HotKeys(NoHotKeys::NoSuchRoute) => {
            tonic::Status::not_found(message)
        }
        NodeError::HotKeys(NoHotKeys::Off) => tonic::Status::failed_precondition(message),
        NodeError::HotKeys(NoHotKeys::OtherWindows { .. }) => tonic::Status::out_of_range(message),
        NodeError::HotKeys(NoHotKeys::Series { .. }) => tonic::Status::invalid_argument(message),
        NodeError::NoBackupDir | NodeError::Backup(_) => {
            tonic::Status::failed_precondition(message)
        }
        NodeError::Panicked { .. } => tonic::Status::internal(message),
    }
}
