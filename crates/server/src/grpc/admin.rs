//! `Admin`: what dashboards ask. Each call is a thin adapter over the node.
//!
//! Must not: answer a call that it cannot answer; what is not known is left empty and said so in
//! `proto/admin.proto`.
//! Proof: `tests/admin.rs`, `admin/*_test.rs`.

mod identity;
mod rows;
mod watch;

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::Stream;
use keyviz_api::wire::admin as wire;
use keyviz_api::wire::admin::admin_server::Admin as AdminService;
use keyviz_lineage::{KeyRange, Series};
use keyviz_query::{MAX_ROWS, MatrixRequest};
use keyviz_replica::GroupState;
use keyviz_sampler::live_summary::quantiles_ns;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use super::history::open_time;
use super::status;
use crate::node::Node;
use crate::overview;

/// Streams of events that are open at a time.
const MAX_WATCHERS: usize = 64;

pub(super) struct Admin {
    node: Arc<Node>,
    /// This node's gRPC address.
    address: String,
    watchers: Arc<Semaphore>,
}

impl Admin {
    pub(super) fn new(node: Arc<Node>, address: String) -> Self {
        // Once a process: the first one stays.
        let _ = node.cluster.grpc_address.set(address.clone());
        Self { node, address, watchers: Arc::new(Semaphore::new(MAX_WATCHERS)) }
    }

    async fn matrix(
        &self,
        series: Series,
        (from_unix_ms, to_unix_ms): (i64, i64),
        rows: Option<usize>,
    ) -> Result<(wire::GetKeyVizMatrixResponse, &'static str), Status> {
        let request = MatrixRequest {
            from_ms: open_time("from_unix_ms", from_unix_ms)?,
            to_ms: open_time("to_unix_ms", to_unix_ms)?,
            range: KeyRange::all(),
            rows,
            ..MatrixRequest::new(series)
        };
        let answered = self.node.matrix(request).await.map_err(|error| status(&error))?;
        let matrix = answered.matrix;
        let (graph, groups) = self.groups().await?;
        let identity = identity::Identity::new(&graph, &groups);
        let status = matrix.status();
        Ok((rows::matrix_to_wire(&matrix, &identity), status))
    }

    async fn groups(&self) -> Result<(Arc<keyviz_lineage::LineageGraph>, Vec<GroupState>), Status> {
        self.node.group_states().await.map_err(|error| status(&error))
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type StreamEventsStream =
        Pin<Box<dyn Stream<Item = Result<wire::StreamEventsEvent, Status>> + Send>>;

    async fn get_cluster_overview(
        &self,
        _: Request<wire::GetClusterOverviewRequest>,
    ) -> Result<Response<wire::GetClusterOverviewResponse>, Status> {
        let overview = overview::cluster(&self.node, &self.address).await;
        overview.map(Response::new).map_err(|error| status(&error))
    }

    async fn get_raft_groups(
        &self,
        _: Request<wire::GetRaftGroupsRequest>,
    ) -> Result<Response<wire::GetRaftGroupsResponse>, Status> {
        let groups = overview::raft_groups(&self.node).await;
        groups.map(Response::new).map_err(|error| status(&error))
    }

    async fn get_adapter_summary(
        &self,
        _: Request<wire::GetAdapterSummaryRequest>,
    ) -> Result<Response<wire::GetAdapterSummaryResponse>, Status> {
        let live = self.node.adapters.live(self.node.clock.monotonic_ms());
        let summaries = live.summaries.into_iter().map(|live| {
            let [p50_ns, p95_ns, p99_ns] = quantiles_ns(&live.latencies);
            wire::AdapterSummary {
                adapter: live.adapter,
                operation: live.operation,
                requests: live.requests,
                in_flight: live.in_flight,
                bytes_in: live.bytes_in,
                bytes_out: live.bytes_out,
                p50_ns,
                p95_ns,
                p99_ns,
            }
        });
        Ok(Response::new(wire::GetAdapterSummaryResponse { summaries: summaries.collect() }))
    }

    async fn get_key_viz_matrix(
        &self,
        request: Request<wire::GetKeyVizMatrixRequest>,
    ) -> Result<Response<wire::GetKeyVizMatrixResponse>, Status> {
        let request = request.into_inner();
        let rows = Some(request.rows as usize).filter(|&rows| rows > 0);
        let series = rows::series_from_wire(request.series)?;
        let span = (request.from_unix_ms, request.to_unix_ms);
        let (answer, status) = self.matrix(series, span, rows).await?;
        let mut response = Response::new(answer);
        // The message has no room for it.
        response.metadata_mut().insert("keyviz-status", MetadataValue::from_static(status));
        Ok(response)
    }

    async fn get_route_detail(
        &self,
        request: Request<wire::GetRouteDetailRequest>,
    ) -> Result<Response<wire::GetRouteDetailResponse>, Status> {
        let request = request.into_inner();
        let span = (request.from_unix_ms, request.to_unix_ms);
        // A bucket of the widest question has its id from what it joins, so it is found only there.
        for rows in [None, Some(MAX_ROWS)] {
            let (matrix, _) = self.matrix(Series::Writes, span, rows).await?;
            let found = matrix.rows.into_iter().find(|row| row.bucket_id == request.bucket_id);
            if let Some(row) = found {
                let answer = wire::GetRouteDetailResponse { row: Some(row), per_adapter: vec![] };
                return Ok(Response::new(answer));
            }
            if !request.bucket_id.starts_with("virtual:") {
                break;
            }
        }
        Err(Status::not_found(format!(
            "no row of that span is called {:?}; use a bucket_id of GetKeyVizMatrix, such as route:1",
            request.bucket_id
        )))
    }

    async fn stream_events(
        &self,
        _: Request<wire::StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        self.node.recorder().map_err(|error| status(&error))?;
        let place = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{MAX_WATCHERS} streams of events are open already"))
        })?;
        Ok(Response::new(Box::pin(watch::events(Arc::clone(&self.node), place))))
    }
}
