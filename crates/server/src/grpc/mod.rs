//! The gRPC port: ingest, history, health, reflection. Thin adapters over [`crate::node::Node`].

mod history;
mod ingest;

use std::sync::Arc;
use std::time::Duration;

use keyviz_api::wire;
use keyviz_api::wire::history::history_service_server::HistoryServiceServer;
use keyviz_api::wire::ingest::ingest_service_server::IngestServiceServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;

use crate::auth::{Access, Auth, Refusal};
use crate::node::{Node, NodeError};

/// Serves until the node stops.
pub(crate) async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
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
    let door = |access, name| {
        let auth = Arc::clone(&node.auth);
        move |request: Request<()>| ask_for_token(&auth, access, name, request)
    };
    let reflection = InterceptedService::new(reflection, door(Access::Read, "reflection"));
    let ingest = InterceptedService::new(ingest, door(Access::Write, "ingest"));
    let history = InterceptedService::new(history, door(Access::Read, "history"));
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .concurrency_limit_per_connection(64)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(ingest)
        .add_service(history)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            node.stopped().await;
        })
        .await?;
    Ok(())
}

/// Lets a call through if it shows the right token.
fn ask_for_token(
    auth: &Auth,
    access: Access,
    service: &str,
    request: Request<()>,
) -> Result<Request<()>, tonic::Status> {
    let shown = request.metadata().get("authorization").map(|value| value.as_bytes());
    let what = format_args!("gRPC {service}");
    match auth.admit(access, request.remote_addr(), shown, what) {
        Ok(()) => Ok(request),
        Err(refusal @ (Refusal::Missing | Refusal::Unknown)) => {
            Err(tonic::Status::unauthenticated(refusal.to_string()))
        }
        Err(refusal @ Refusal::ReadOnly) => {
            Err(tonic::Status::permission_denied(refusal.to_string()))
        }
        Err(refusal @ Refusal::TooMany) => {
            Err(tonic::Status::resource_exhausted(refusal.to_string()))
        }
    }
}

/// A node's error as a gRPC status.
fn status(error: &NodeError) -> tonic::Status {
    let message = error.to_string();
    match error {
        NodeError::Starting { .. } | NodeError::Reopening { .. } | NodeError::Stopping => {
            tonic::Status::unavailable(message)
        }
        NodeError::Busy => tonic::Status::resource_exhausted(message),
        NodeError::Query(keyviz_query::QueryError::Store(_)) | NodeError::Store(_) => {
            tonic::Status::data_loss(message)
        }
        NodeError::Query(_) | NodeError::Pin(_) => tonic::Status::invalid_argument(message),
        NodeError::Unknown { .. } => tonic::Status::not_found(message),
        NodeError::NoBackupDir | NodeError::Backup(_) => {
            tonic::Status::failed_precondition(message)
        }
        NodeError::Panicked { .. } => tonic::Status::internal(message),
    }
}
