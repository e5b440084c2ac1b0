//! The ingest stream: greeting, then entries in order, each acknowledged once the node holds it.
//!
//! Entries of a stream are pipelined into the recorder, so that many share one fsync; their
//! acknowledgements go out in order. Live summaries come between them; they are neither recorded nor
//! acknowledged, and one that cannot be taken does not end the stream.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{FuturesOrdered, Stream, StreamExt};
use keyviz_api::convert::{entry_from_wire, hot_keys_from_wire, live_from_wire, source_from_wire};
use keyviz_api::wire::ingest as wire;
use keyviz_api::wire::ingest::ingest_request::Message;
use keyviz_api::wire::ingest::ingest_service_server::IngestService;
use keyviz_lineage::SourceId;
use keyviz_lineage::summary::MAX_OPERATIONS;
use keyviz_replica::Verdict;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::status;
use crate::adapters::Listener;
use crate::node::Node;

/// Entries of one stream that are in work.
const PIPELINED: usize = 64;

pub(super) struct Ingest {
    node: Arc<Node>,
    max_message_bytes: usize,
}

impl Ingest {
    pub(super) fn new(node: Arc<Node>, max_message_bytes: usize) -> Self {
        Self { node, max_message_bytes }
    }
}

type Answers = mpsc::Sender<Result<wire::IngestResponse, Status>>;

#[tonic::async_trait]
impl IngestService for Ingest {
    type IngestStream = Pin<Box<dyn Stream<Item = Result<wire::IngestResponse, Status>> + Send>>;

    async fn ingest(
        &self,
        request: Request<Streaming<wire::IngestRequest>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let times = self.node.times_reopened();
        self.node.recorder().map_err(|error| status(&error))?;
        let (answers, receiver) = mpsc::channel(PIPELINED);
        let (node, max_message_bytes) = (Arc::clone(&self.node), self.max_message_bytes as u64);
        tokio::spawn(async move {
            let talk = converse(&node, max_message_bytes, request.into_inner(), &answers);
            let ended = tokio::select! {
                ended = talk => ended,
                () = node.reopens_after(times) => Err(Status::unavailable("the store is being opened anew")),
                () = node.stopped() => Err(Status::unavailable("keyviz is shutting down")),
            };
            if let Err(status) = ended {
                // The sender may be gone.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

async fn converse(
    node: &Node,
    max_message_bytes: u64,
    mut requests: Streaming<wire::IngestRequest>,
    answers: &Answers,
) -> Result<(), Status> {
    let recorder = node.recorder().map_err(|error| status(&error))?;
    let hello = match requests.message().await?.and_then(|request| request.message) {
        Some(Message::Hello(hello)) => hello,
        _ => {
            return Err(Status::invalid_argument(
                "the first message of an ingest stream is `hello`",
            ));
        }
    };
    let source =
        source_from_wire(&hello).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let next_sequence = recorder
        .greet(source.clone())
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let welcome = wire::Welcome {
        next_sequence,
        max_message_bytes,
        max_live_operations: MAX_OPERATIONS as u32,
        takes_hot_keys: true,
    };
    answer(answers, wire::ingest_response::Message::Welcome(welcome)).await?;
    let listener = node.adapters.listen(&source.node);

    let mut in_work = FuturesOrdered::new();
    let mut open = true;
    while open || !in_work.is_empty() {
        tokio::select! {
            request = requests.message(), if open && in_work.len() < PIPELINED => match request? {
                None => open = false,
                Some(request) => match request.message {
                    Some(Message::Entry(entry)) => {
                        in_work.push_back(submit(node, &source, entry)?);
                    }
                    Some(Message::HotKeys(hot_keys)) => take_hot_keys(node, &source, hot_keys),
                    Some(Message::LiveSummary(live)) => {
                        hear(&listener, node.clock.monotonic_ms(), live);
                    }
                    Some(Message::Hello(_)) | None => {
                        return Err(Status::invalid_argument(
                            "after `hello`, an ingest stream carries entries, hot keys and live summaries only",
                        ));
                    }
                },
            },
            Some((sequence, verdict)) = in_work.next() => {
                let ack = ack(sequence, verdict)?;
                answer(answers, wire::ingest_response::Message::Ack(ack)).await?;
            }
        }
    }
    Ok(())
}

/// They are not acknowledged: what cannot be taken is told here only, and does not end the stream.
fn take_hot_keys(node: &Node, source: &SourceId, hot_keys: wire::HotKeys) {
    match hot_keys_from_wire(hot_keys) {
        Ok(hot_keys) => node.put_hot_keys(source, hot_keys),
        Err(error) => tracing::warn!(node = source.node, %error, "hot keys were refused"),
    }
}

fn hear(listener: &Listener, now_ms: u64, live: wire::LiveSummary) {
    match live_from_wire(live) {
        Ok(summaries) => listener.told(now_ms, summaries),
        Err(error) => tracing::warn!(%error, "a live summary is left out"),
    }
}

fn submit<'a>(
    node: &'a Node,
    source: &SourceId,
    entry: wire::Entry,
) -> Result<impl Future<Output = (u64, Verdict)> + use<'a>, Status> {
    let recorder = node.recorder().map_err(|error| status(&error))?;
    let sequence = entry.sequence;
    let body = match entry.body {
        Some(body) => entry_from_wire(body).map_err(|error| error.to_string()),
        None => Err("the entry has no body: it was over this node's message limit (--max-message-bytes), or its kind is newer than this node".to_owned()),
    };
    Ok(node.submit(&recorder, source.clone(), Some(sequence), body))
}

/// The acknowledgement of a verdict; an entry that cannot be taken now ends the stream.
fn ack(sequence: u64, verdict: Verdict) -> Result<wire::Ack, Status> {
    let ack = |outcome: wire::ack::Outcome| wire::Ack {
        sequence,
        outcome: outcome.into(),
        ..Default::default()
    };
    Ok(match verdict {
        Verdict::Stored { rows, refused_rows } => wire::Ack {
            rows_stored: rows,
            refused_rows: refused_rows
                .into_iter()
                .map(|(route_id, reason)| wire::RefusedRow { route_id, reason })
                .collect(),
            ..ack(wire::ack::Outcome::Stored)
        },
        Verdict::Duplicate => ack(wire::ack::Outcome::Duplicate),
        Verdict::Refused(reason) => wire::Ack { reason, ..ack(wire::ack::Outcome::Refused) },
        Verdict::Aborted(reason) => wire::Ack { reason, ..ack(wire::ack::Outcome::Aborted) },
        Verdict::Unavailable(reason) => return Err(Status::unavailable(reason)),
    })
}

async fn answer(answers: &Answers, message: wire::ingest_response::Message) -> Result<(), Status> {
    let response = wire::IngestResponse { message: Some(message) };
    answers.send(Ok(response)).await.map_err(|_| Status::cancelled("the sender is gone"))
}
