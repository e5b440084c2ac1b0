//! Columns on their way to the node, with patience that ends.
//!
//! Responsible for: one numbered stream (the routes' birth, every column, the leave), waiting
//! while too much is unacknowledged, and giving up with a reason: the node refuses something,
//! cannot be reached, or acknowledges nothing.
//! State: the sender's buffer (`keyviz_api::client`).
//! Invariants: a refusal ends the replay; nothing is sent behind it knowingly. The node consumes
//! the numbers of what it refuses, so a numbering that met a refusal can never be complete.
//! Therefore a numbering that is new to the node begins only after a probe: an empty column of the
//! first, oldest window that covers no time and speaks for no group, under a boot id of its own.
//! A node that does not keep times as old as the trace refuses the probe, and the same command
//! works once the node's retention was raised. For the same reason no column follows the routes'
//! birth before that is acknowledged.
//! Must not: read a clock; patience is the sum of the waits without an acknowledgement.
//! Proved by: `replay_test.rs`.

use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use keyviz_api::ambient;
use keyviz_api::client::{ClientConfig, ClientStats, IngestSender};
use keyviz_api::wire::ingest as wire;
use keyviz_api::wire::ingest::ingest_service_client::IngestServiceClient;
use keyviz_lineage::{Column, Entry, SourceId, Window};
use tokio::sync::mpsc;
use tonic::Status;

use super::error::ReplayError;
use super::plan::Plan;
use crate::shown_token::ShownToken;

/// Unacknowledged bytes above which a column waits.
const BACKLOG_BYTES: usize = 16 << 20;
/// How often a wait looks at what became of the entries.
const LOOK: Duration = Duration::from_millis(250);

/// The way to the node.
#[derive(Debug)]
pub(super) struct Delivery {
    sender: IngestSender,
    address: String,
    patience: Duration,
    /// Waited without a further acknowledgement.
    idle: Duration,
    acknowledged: u64,
    columns: u64,
}

impl Delivery {
    /// Reaches the node, probes it if this replay is new to it, and sends the birth of the routes.
    ///
    /// # Errors
    /// The node cannot be reached, or refuses times as old as the trace, or the routes.
    pub(super) async fn start(
        node: (&str, &ShownToken),
        plan: &Plan,
        patience: Duration,
    ) -> Result<Delivery, ReplayError> {
        if reach(node, &plan.source, patience).await? == 1 {
            let source = SourceId { boot: ambient::new_boot_id(), ..plan.source.clone() };
            let mut probe = Delivery::open(node, source, patience);
            probe.sender.send(&Entry::Column(empty_column(plan)))?;
            probe.drain(|_| ()).await?;
        }
        let mut delivery = Delivery::open(node, plan.source.clone(), patience);
        delivery.sender.send(&Entry::Transition(plan.creation()))?;
        delivery.drain(|_| ()).await?;
        Ok(delivery)
    }

    fn open(
        (address, token): (&str, &ShownToken),
        source: SourceId,
        patience: Duration,
    ) -> Delivery {
        let mut config = ClientConfig::new(address, source);
        config.token_file = token.path().map(Path::to_owned);
        config.tls = token.tls();
        Delivery {
            sender: IngestSender::start(config),
            address: address.to_owned(),
            patience,
            idle: Duration::ZERO,
            acknowledged: 0,
            columns: 0,
        }
    }

    /// Sends columns until there are no more.
    pub(super) async fn columns(
        &mut self,
        mut columns: mpsc::Receiver<Column>,
    ) -> Result<(), ReplayError> {
        while let Some(column) = columns.recv().await {
            self.look(Duration::ZERO)?;
            while tokio::time::timeout(LOOK, self.sender.wait_below(BACKLOG_BYTES)).await.is_err() {
                self.look(LOOK)?;
            }
            self.sender.send(&Entry::Column(column))?;
            self.columns += 1;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged; `progress` hears how much is.
    async fn drain(&mut self, progress: impl Fn(u64)) -> Result<(), ReplayError> {
        while !self.sender.drain(LOOK).await {
            progress(self.sender.stats().acknowledged);
            self.look(LOOK)?;
        }
        self.look(Duration::ZERO)
    }

    /// Says that this was all, and waits for the last acknowledgement.
    pub(super) async fn finish(&mut self, bar: &ProgressBar) -> Result<(), ReplayError> {
        self.sender.send(&Entry::Leave)?;
        bar.set_length(self.sender.backlog() as u64 + self.sender.stats().acknowledged);
        self.drain(|acknowledged| bar.set_position(acknowledged)).await
    }

    /// What became of everything so far.
    pub(super) fn stats(&self) -> ClientStats {
        self.sender.stats()
    }

    /// Columns that were queued.
    pub(super) fn columns_sent(&self) -> u64 {
        self.columns
    }

    /// Fails if something was refused, or if too long nothing has happened; `waited` has passed
    /// since the last look.
    fn look(&mut self, waited: Duration) -> Result<(), ReplayError> {
        let stats = self.sender.stats();
        let entries = stats.refused + stats.aborted;
        if entries > 0 || stats.refused_rows > 0 {
            let reason = stats.last_error.unwrap_or_default();
            return Err(ReplayError::Refused {
                address: self.address.clone(),
                entries,
                rows: stats.refused_rows,
                hint: hint(&reason),
                reason,
            });
        }
        if stats.acknowledged > self.acknowledged {
            self.acknowledged = stats.acknowledged;
            self.idle = Duration::ZERO;
        }
        self.idle += waited;
        if self.idle < self.patience {
            return Ok(());
        }
        let (address, seconds) = (self.address.clone(), self.patience.as_secs());
        Err(match (stats.connections, stats.last_error) {
            (0, reason) => ReplayError::Unreachable {
                address,
                seconds,
                reason: reason.unwrap_or_else(|| "no answer".to_owned()),
            },
            (_, reason) => ReplayError::Stalled {
                address,
                seconds,
                waiting: self.sender.backlog(),
                reason: reason.map(|reason| format!(" ({reason})")).unwrap_or_default(),
            },
        })
    }
}

/// The sequence that the node expects next from `source`.
async fn reach(
    node: (&str, &ShownToken),
    source: &SourceId,
    patience: Duration,
) -> Result<u64, ReplayError> {
    let mut last_error = "no answer".to_owned();
    let attempts = async {
        loop {
            match greet(node, source).await {
                Ok(next_sequence) => return next_sequence,
                Err(status) => last_error = status.message().to_owned(),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let reached = tokio::time::timeout(patience, attempts).await;
    reached.map_err(|_| ReplayError::Unreachable {
        address: node.0.to_owned(),
        seconds: patience.as_secs(),
        reason: last_error,
    })
}

async fn greet((address, token): (&str, &ShownToken), source: &SourceId) -> Result<u64, Status> {
    let unreachable = |error: tonic::transport::Error| Status::unavailable(format!("{error:?}"));
    let endpoint = token.tls().endpoint(address);
    let endpoint = endpoint.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(2));
    let bearer = token.bearer().map_err(|error| Status::unauthenticated(error.to_string()))?;
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let mut client = IngestServiceClient::with_interceptor(channel, bearer);
    let hello = wire::Hello {
        node_id: source.node.clone(),
        boot_id: source.boot.as_bytes().to_vec().into(),
    };
    let message = Some(wire::ingest_request::Message::Hello(hello));
    let request = tokio_stream::once(wire::IngestRequest { message });
    let mut answers = client.ingest(request).await?.into_inner();
    match answers.message().await?.and_then(|answer| answer.message) {
        Some(wire::ingest_response::Message::Welcome(welcome)) => Ok(welcome.next_sequence),
        _ => Err(Status::internal("the node did not greet back")),
    }
}

/// Says nothing about the first window but that it is the first.
fn empty_column(plan: &Plan) -> Column {
    Column {
        window: Window { start_ms: plan.first_ms, step: plan.step },
        covered_from_ms: plan.first_ms,
        covered_to_ms: plan.first_ms,
        unattributed: 0,
        groups: Vec::new(),
        rows: Vec::new(),
        buckets: Vec::new(),
    }
}

/// What to do about a refusal. The node's reasons are texts for people; these are the words of the
/// two that a replay meets by its nature.
fn hint(reason: &str) -> &'static str {
    if reason.contains("retention") {
        " (that is --shift-to-now of `replay`, or --retention of the node's `serve`)"
    } else if reason.contains("overlap") || reason.contains("is live already") {
        "; the group holds other routes already: give this trace a group of its own with --group"
    } else {
        ""
    }
}
