//! The sender: one ordered, numbered stream of columns and transitions to a keyviz node, with a
//! bounded buffer that is sent again after a reconnect.
//!
//! Owns: every entry that was not acknowledged yet, in order; the latest live summary until it is
//! sent (not an entry: the next one replaces it).
//! Invariants: an entry leaves the buffer only when the node has acknowledged it (or says at the
//! greeting that it holds it), so nothing is lost while the buffer holds; the node counts each
//! `(node, boot, sequence)` once, so nothing is counted twice (C1). A node that has forgotten this
//! boot (wiped or restored data) gets what is still buffered under a fresh boot id (C2).
//! Must not: block the caller. A full buffer refuses columns and counts them; transitions always fit.
//! Proof: `tests/tests/kill_and_compare.rs`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use keyviz_lineage::{Entry, HotKeys, OperationSummary, SourceId};
use prost::Message as _;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::ambient;
use crate::convert::{entry_to_wire, hot_keys_to_wire, live_to_wire};
use crate::tls::{Tls, innermost};
use crate::token::Bearer;
use crate::wire::ingest as wire;
use crate::wire::ingest::ingest_service_client::IngestServiceClient;

/// Entries on the wire that wait for their acknowledgement.
const IN_FLIGHT_ENTRIES: usize = 64;

/// How a sender reaches its node.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Address of the node's gRPC port, `host:port` or `https://host:port`.
    pub address: String,
    /// Who is speaking.
    pub source: SourceId,
    /// The most bytes of unacknowledged columns kept. Default 64 MiB.
    pub buffer_bytes: usize,
    /// A file with the token to be shown, read at every connection. Default none.
    pub token_file: Option<PathBuf>,
    /// What is trusted and shown where the address says `https://`; read at every connection. Default:
    /// the system's authorities, and nothing.
    pub tls: Tls,
}

impl ClientConfig {
    /// The defaults for `source` speaking to `address`.
    pub fn new(address: impl Into<String>, source: SourceId) -> Self {
        let (address, tls) = (address.into(), Tls::default());
        Self { address, source, buffer_bytes: 64 << 20, token_file: None, tls }
    }
}

/// What became of the entries so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Entries that the node holds.
    pub acknowledged: u64,
    /// Of these, entries that it held already.
    pub duplicates: u64,
    /// Entries that the node refused for good, with a reason.
    pub refused: u64,
    /// Transitions that the node aborted: decided on a stale catalogue, to be decided again.
    pub aborted: u64,
    /// Rows that the node refused while it kept the rest of their column.
    pub refused_rows: u64,
    /// Columns that did not fit the buffer and were given up.
    pub dropped: u64,
    /// Windows of hot keys that were sent.
    pub hot_keys_sent: u64,
    /// Those that made way for the next one, or that the node does not take.
    pub hot_keys_dropped: u64,
    /// Connections made.
    pub connections: u64,
    /// The latest reason for a refusal, an abort or a lost connection.
    pub last_error: Option<String>,
}

/// Why an entry was not taken.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages name the fields
pub enum SendError {
    #[error(
        "the send buffer of {limit_bytes} bytes is full of unacknowledged columns; this one is given up and counted. Is keyviz reachable?"
    )]
    Full { limit_bytes: usize },
    #[error("a {change} transition is keyviz's own and cannot be sent")]
    Internal { change: &'static str },
}

#[derive(Debug)]
struct Buffered {
    sequence: u64,
    bytes: usize,
    body: wire::entry::Body,
}

#[derive(Debug)]
struct Buffer {
    boot: Uuid,
    entries: VecDeque<Buffered>,
    bytes: usize,
    next_sequence: u64,
    /// The newest, until it is on its way.
    hot_keys: Option<wire::HotKeys>,
    /// The same of what the adapters are doing.
    live: Option<Vec<OperationSummary>>,
    stats: ClientStats,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    buffer: Mutex<Buffer>,
    /// Something was queued, or the sender is to stop.
    queued: Notify,
    /// Something was acknowledged.
    acknowledged: Notify,
}

/// The handle that columns and transitions are queued with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IngestSender {
    shared: Arc<Shared>,
}

impl IngestSender {
    /// Starts the connection task on the current tokio runtime. It ends when every handle is gone.
    pub fn start(config: ClientConfig) -> Self {
        let buffer = Buffer {
            boot: config.source.boot,
            entries: VecDeque::new(),
            bytes: 0,
            next_sequence: 1,
            hot_keys: None,
            live: None,
            stats: ClientStats::default(),
        };
        let shared = Arc::new(Shared {
            config,
            buffer: Mutex::new(buffer),
            queued: Notify::new(),
            acknowledged: Notify::new(),
        });
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            let mut backoff = backoff();
            while let Some(shared) = weak.upgrade() {
                let before = shared.lock().stats.acknowledged;
                let ended = converse(&shared).await;
                let progressed = shared.lock().stats.acknowledged > before;
                if let Err(status) = ended {
                    tracing::warn!(address = shared.config.address, error = %status.message(), "keyviz unreachable, will send again");
                    shared.lock().stats.last_error = Some(status.message().to_owned());
                }
                if progressed {
                    backoff = self::backoff();
                }
                drop(shared);
                tokio::time::sleep(backoff.next().unwrap_or(MAX_BACKOFF)).await;
            }
        });
        Self { shared }
    }

    /// Queues an entry behind all others.
    ///
    /// # Errors
    /// [`SendError::Full`] when a column does not fit; it is counted as dropped and its window will
    /// show as missing. Transitions always fit.
    pub fn send(&self, entry: &Entry) -> Result<(), SendError> {
        let body = entry_to_wire(entry).ok_or_else(|| SendError::Internal {
            change: match entry {
                Entry::Transition(transition) => transition.change.name(),
                Entry::Column(_) | Entry::Leave => "unknown",
            },
        })?;
        let bytes = match &body {
            wire::entry::Body::Column(column) => column.encoded_len(),
            wire::entry::Body::Transition(_) | wire::entry::Body::Leave(_) => 0,
        };
        let limit_bytes = self.shared.config.buffer_bytes;
        let mut buffer = self.shared.lock();
        if bytes > 0 && buffer.bytes + bytes > limit_bytes {
            buffer.stats.dropped += 1;
            return Err(SendError::Full { limit_bytes });
        }
        let sequence = buffer.next_sequence;
        buffer.next_sequence += 1;
        buffer.bytes += bytes;
        buffer.entries.push_back(Buffered { sequence, bytes, body });
        drop(buffer);
        self.shared.queued.notify_one();
        Ok(())
    }

    /// Sends these hot keys beside the entries, as soon as there is a connection. They are not kept for
    /// longer than until the next ones come: the node keeps the last windows only, in memory.
    pub fn publish_hot_keys(&self, hot_keys: &HotKeys) {
        let hot_keys = hot_keys_to_wire(hot_keys);
        let mut buffer = self.shared.lock();
        let replaced = buffer.hot_keys.replace(hot_keys);
        buffer.stats.hot_keys_dropped += u64::from(replaced.is_some());
        drop(buffer);
        self.shared.queued.notify_one();
    }

    /// Tells the node what the adapters are doing, as soon as it listens. Replaces what was not told yet;
    /// not acknowledged, not kept, and never in the way of an entry.
    pub fn tell_live(&self, summaries: Vec<OperationSummary>) {
        self.shared.lock().live = Some(summaries);
        self.shared.queued.notify_one();
    }

    /// Waits until fewer than `bytes` of columns are unacknowledged.
    pub async fn wait_below(&self, bytes: usize) {
        loop {
            let acknowledged = self.shared.acknowledged.notified();
            if self.shared.lock().bytes < bytes {
                return;
            }
            acknowledged.await;
        }
    }

    /// Waits until everything that was queued is acknowledged, or `timeout` has passed. Returns
    /// whether all was.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let all = async {
            loop {
                let acknowledged = self.shared.acknowledged.notified();
                if self.shared.lock().entries.is_empty() {
                    return;
                }
                acknowledged.await;
            }
        };
        tokio::time::timeout(timeout, all).await.is_ok()
    }

    /// What became of the entries so far.
    pub fn stats(&self) -> ClientStats {
        self.shared.lock().stats.clone()
    }

    /// Entries that wait for an acknowledgement.
    pub fn backlog(&self) -> usize {
        self.shared.lock().entries.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        // A panic while it was held leaves a buffer that is still in order.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// The node holds everything before `next` (what is queued later, too: a replay of the same input
    /// numbers it again). Returns whether that released anything.
    fn held_before(&mut self, next: u64) -> bool {
        let before = self.stats.duplicates;
        while self.entries.front().is_some_and(|entry| entry.sequence < next) {
            self.pop();
            self.stats.duplicates += 1;
        }
        self.stats.duplicates > before
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes;
            self.stats.acknowledged += 1;
        }
    }

    /// Whether there is something to be sent beside the entries.
    fn has_beside(&self, welcome: &wire::Welcome) -> bool {
        self.hot_keys.is_some() || welcome.max_live_operations > 0 && self.live.is_some()
    }

    /// What goes beside the entries, to a node that takes it: neither numbered nor acknowledged.
    fn take_beside(&mut self, welcome: &wire::Welcome) -> Option<wire::ingest_request::Message> {
        if let Some(hot_keys) = self.hot_keys.take() {
            if welcome.takes_hot_keys && fits(hot_keys.encoded_len(), welcome.max_message_bytes) {
                self.stats.hot_keys_sent += 1;
                return Some(wire::ingest_request::Message::HotKeys(hot_keys));
            }
            self.stats.hot_keys_dropped += 1;
        }
        let most = usize::try_from(welcome.max_live_operations).unwrap_or(usize::MAX);
        let summaries = (most > 0).then(|| self.live.take()).flatten()?;
        Some(wire::ingest_request::Message::LiveSummary(live_to_wire(&summaries, most)))
    }

    /// C2: the node expects an entry that was acknowledged long ago. What it does hold of this boot
    /// lies before `next`, so the rest goes out under a new boot without counting twice.
    fn renumber_if_forgotten(&mut self, next: u64) -> bool {
        let first = self.entries.front().map_or(self.next_sequence, |entry| entry.sequence);
        if next >= first {
            return false;
        }
        self.boot = ambient::new_boot_id();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            entry.sequence = index as u64 + 1;
        }
        self.next_sequence = self.entries.len() as u64 + 1;
        true
    }
}

const MAX_BACKOFF: Duration = Duration::from_secs(3);

fn backoff() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(MAX_BACKOFF)
        .with_jitter()
        .without_max_times()
        .build()
}

/// One connection, from greeting to its end.
async fn converse(shared: &Arc<Shared>) -> Result<(), tonic::Status> {
    let Talk { outgoing, mut incoming, welcome } = greet(shared).await?;
    {
        let mut buffer = shared.lock();
        buffer.stats.connections += 1;
        if buffer.renumber_if_forgotten(welcome.next_sequence) {
            tracing::warn!(
                "the node has forgotten this boot; what is buffered goes out under a new one"
            );
            return Ok(());
        }
    }
    let (mut next, limit) = (welcome.next_sequence, welcome.max_message_bytes);
    loop {
        if shared.lock().held_before(welcome.next_sequence) {
            shared.acknowledged.notify_waiters();
        }
        let is_open = !outgoing.is_closed();
        let ready = is_open.then(|| next_entry(shared, next, limit)).flatten();
        let is_beside = is_open && shared.lock().has_beside(&welcome);
        let is_ready = is_beside || ready.is_some();
        tokio::select! {
            permit = outgoing.reserve(), if is_ready => {
                let Ok(permit) = permit else { return Err(tonic::Status::unavailable("the stream closed")) };
                let message = if is_beside {
                    shared.lock().take_beside(&welcome)
                } else {
                    next += 1;
                    ready.map(wire::ingest_request::Message::Entry)
                };
                if message.is_some() {
                    permit.send(wire::IngestRequest { message });
                }
            }
            response = incoming.message() => match response?.and_then(|response| response.message) {
                Some(wire::ingest_response::Message::Ack(ack)) => take_ack(shared, &ack),
                Some(wire::ingest_response::Message::Welcome(_)) => {}
                None => return Err(tonic::Status::unavailable("the node closed the stream")),
            },
            () = shared.queued.notified(), if !is_ready => {}
            () = tokio::time::sleep(Duration::from_millis(500)), if !is_ready => {
                // The task holds the last handle: nobody can queue any more.
                if Arc::strong_count(shared) == 1 && shared.lock().entries.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

async fn connect(shared: &Shared) -> Result<Channel, tonic::Status> {
    let config = &shared.config;
    let endpoint = config
        .tls
        .endpoint(&config.address)
        .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5));
    endpoint.connect().await.map_err(|error| {
        let (address, why) = (&config.address, innermost(&error));
        tonic::Status::unavailable(format!("cannot reach keyviz at {address}: {why}"))
    })
}

/// A stream that was greeted back.
struct Talk {
    outgoing: mpsc::Sender<wire::IngestRequest>,
    incoming: tonic::Streaming<wire::IngestResponse>,
    welcome: wire::Welcome,
}

async fn greet(shared: &Shared) -> Result<Talk, tonic::Status> {
    let channel = connect(shared).await?;
    let config = &shared.config;
    let refused = |error: &dyn std::error::Error| tonic::Status::unauthenticated(error.to_string());
    if config.token_file.is_some() {
        config.tls.may_show_token(&config.address).map_err(|error| refused(&error))?;
    }
    let token_file = config.token_file.as_deref();
    let bearer = Bearer::from_file(token_file).map_err(|error| refused(&error))?;
    let mut client =
        IngestServiceClient::with_interceptor(channel, bearer).max_decoding_message_size(64 << 20);
    let (outgoing, receiver) = mpsc::channel(IN_FLIGHT_ENTRIES);
    let boot = shared.lock().boot;
    let hello = wire::Hello {
        node_id: shared.config.source.node.clone(),
        boot_id: boot.as_bytes().to_vec().into(),
    };
    let message = wire::ingest_request::Message::Hello(hello);
    // invariant: the channel is empty and its receiver lives in this function
    let _ = outgoing.try_send(wire::IngestRequest { message: Some(message) });
    let mut incoming = client.ingest(ReceiverStream::new(receiver)).await?.into_inner();
    match incoming.message().await?.and_then(|response| response.message) {
        Some(wire::ingest_response::Message::Welcome(welcome)) => {
            Ok(Talk { outgoing, incoming, welcome })
        }
        _ => Err(tonic::Status::internal("the node did not greet back")),
    }
}

/// A request wraps what it carries in a tag and a length.
fn fits(bytes: usize, limit: u64) -> bool {
    limit == 0 || bytes as u64 + 16 <= limit
}

/// The entry to send next. One that is over the node's limit goes without its body: the node then
/// refuses it and consumes its sequence, instead of breaking the stream over and over.
fn next_entry(shared: &Shared, sequence: u64, limit: u64) -> Option<wire::Entry> {
    let buffer = shared.lock();
    let first = buffer.entries.front()?.sequence;
    let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
    if index >= IN_FLIGHT_ENTRIES {
        return None;
    }
    let held = buffer.entries.get(index)?;
    let entry = wire::Entry { sequence, body: Some(held.body.clone()) };
    let bytes = entry.encoded_len();
    if !fits(bytes, limit) {
        tracing::error!(
            sequence,
            bytes,
            limit,
            "an entry is over the node's message limit and is given up; raise --max-message-bytes there"
        );
        return Some(wire::Entry { sequence, body: None });
    }
    Some(entry)
}

fn take_ack(shared: &Shared, ack: &wire::Ack) {
    let mut buffer = shared.lock();
    if buffer.entries.front().is_none_or(|entry| entry.sequence != ack.sequence) {
        return;
    }
    buffer.pop();
    match ack.outcome() {
        wire::ack::Outcome::Duplicate => buffer.stats.duplicates += 1,
        wire::ack::Outcome::Refused => {
            buffer.stats.refused += 1;
            tracing::warn!(sequence = ack.sequence, reason = ack.reason, "keyviz refused an entry");
            buffer.stats.last_error = Some(ack.reason.clone());
        }
        wire::ack::Outcome::Aborted => {
            buffer.stats.aborted += 1;
            tracing::warn!(
                sequence = ack.sequence,
                reason = ack.reason,
                "keyviz aborted a transition that was decided on a stale catalogue"
            );
            buffer.stats.last_error = Some(ack.reason.clone());
        }
        wire::ack::Outcome::Stored | wire::ack::Outcome::Unspecified => {}
    }
    for row in &ack.refused_rows {
        buffer.stats.refused_rows += 1;
        tracing::warn!(
            sequence = ack.sequence,
            route = row.route_id,
            reason = row.reason,
            "keyviz refused a row"
        );
        buffer.stats.last_error = Some(row.reason.clone());
    }
    drop(buffer);
    shared.acknowledged.notify_waiters();
}
