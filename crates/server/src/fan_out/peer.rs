//! One peer: the connection to it, what it last said, and how it has answered.
//!
//! Invariants: a peer's answer is bounded in bytes and in time; a connection that failed is made anew, with
//! its files of tokens and certificates as they are then.
//! Must not: merge anything.
//! Proof: `tests/tests/fan_out.rs` with real nodes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyviz_api::tls::{Tls, innermost};
use keyviz_api::token::Bearer;
use keyviz_api::wire::history as wire;
use keyviz_api::wire::history::peer_service_client::PeerServiceClient;
use keyviz_query::fan_out::{Cells, Outline, Plan};
use prost::Message;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::settings::PeerSettings;
use super::wire::{HeardOutline, OutlineHeard, Unclear, plan_to_wire, take_cells};

/// The most bytes that one answer of one peer may have.
pub(crate) const MAX_ANSWER_BYTES: usize = 128 << 20;
/// The largest message.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

type Client = PeerServiceClient<InterceptedService<Channel, Bearer>>;

/// Why a peer has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Not within the deadline.
    Timeout,
    /// Nobody is there, or it is starting or stopping.
    Unavailable,
    /// It does not take the token.
    Refused,
    /// It is older than fan-out.
    Older,
    /// The answer was too large, or could not be understood.
    Answer,
    /// Anything else.
    Other,
}

impl Reason {
    /// Every reason, by its name in metrics.
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Timeout, "timeout"),
        (Self::Unavailable, "unavailable"),
        (Self::Refused, "refused"),
        (Self::Older, "older"),
        (Self::Answer, "answer"),
        (Self::Other, "other"),
    ];
}

/// A peer that has not answered, and what it said or did instead.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) text: String,
}

impl Failure {
    fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    pub(super) fn timeout(after: Duration) -> Self {
        let after = humantime::format_duration(after);
        Self::new(Reason::Timeout, format!("it did not answer within {after} (--peer-timeout)"))
    }

    fn of(status: &Status) -> Self {
        let said = match std::error::Error::source(status) {
            Some(_) => innermost(status).to_string(),
            None => status.message().to_owned(),
        };
        match status.code() {
            Code::Unavailable | Code::Cancelled => Self::new(Reason::Unavailable, said),
            Code::DeadlineExceeded => Self::new(Reason::Timeout, said),
            Code::Unauthenticated | Code::PermissionDenied => {
                Self::new(Reason::Refused, format!("{said} (--peer-token-file)"))
            }
            Code::Unimplemented => Self::new(
                Reason::Older,
                "it does not speak to peers: upgrade it, or is this not its gRPC address?",
            ),
            Code::ResourceExhausted | Code::OutOfRange => Self::new(Reason::Answer, said),
            _ => Self::new(Reason::Other, said),
        }
    }
}

impl From<Unclear> for Failure {
    fn from(unclear: Unclear) -> Self {
        Self::new(Reason::Answer, format!("what it said cannot be understood: {unclear}"))
    }
}

/// How a peer has answered since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) milliseconds: AtomicU64,
    pub(crate) bytes: AtomicU64,
    failures: [AtomicU64; Reason::ALL.len()],
}

impl Counters {
    pub(super) fn failed(&self, reason: Reason) {
        let at = Reason::ALL.iter().position(|(held, _)| *held == reason).unwrap_or(0);
        self.failures[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that failed, by reason.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.failures.iter().map(|count| count.load(Ordering::Relaxed));
        Reason::ALL.iter().map(|(_, name)| *name).zip(counts)
    }
}

/// What a peer said of itself when it was last in reach.
struct Remembered {
    tag: Vec<u8>,
    outline: Arc<Outline>,
}

/// One peer.
pub(crate) struct Peer {
    pub(crate) address: String,
    settings: Arc<PeerSettings>,
    client: Mutex<Option<Client>>,
    remembered: Mutex<Option<Remembered>>,
    pub(crate) counters: Counters,
}

impl Peer {
    pub(super) fn new(address: String, settings: Arc<PeerSettings>) -> Self {
        let (client, remembered) = (Mutex::new(None), Mutex::new(None));
        Self { address, settings, client, remembered, counters: Counters::default() }
    }

    /// The one place where a connection to a peer is made.
    fn client(&self) -> Result<Client, Failure> {
        let mut held = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*held {
            return Ok(client.clone());
        }
        let cannot = |error: &dyn std::fmt::Display| Failure::new(Reason::Other, error.to_string());
        let tls: &Tls = &self.settings.tls;
        let endpoint = tls.endpoint(&self.address).map_err(|error| cannot(&error))?;
        let channel = endpoint
            .connect_timeout(self.settings.timeout)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .connect_lazy();
        let bearer = Bearer::from_file(self.settings.token_file.as_deref())
            .map_err(|error| cannot(&error))?;
        let client = PeerServiceClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        *held = Some(client.clone());
        Ok(client)
    }

    /// Connects anew next time.
    fn let_go(&self) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What it said of itself when it was last in reach.
    pub(super) fn remembered(&self) -> Option<Arc<Outline>> {
        let held = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|held| Arc::clone(&held.outline))
    }

    /// Its outline, remembered from now on.
    pub(super) async fn outline(&self, hours: (u64, u64)) -> Result<HeardOutline, Failure> {
        let (tag, records) = {
            let held = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            let held = held.as_ref().map(|h| (h.tag.clone(), Arc::clone(&h.outline.records)));
            held.map_or_else(Default::default, |(tag, records)| (tag, Some(records)))
        };
        let (from_hour, to_hour) = hours;
        let request = wire::GetOutlineRequest { from_hour, to_hour, records_tag: tag.into() };
        let mut heard = OutlineHeard::default();
        let answer = self.client()?.get_outline(request).await;
        self.read(answer, |message| heard.take(message)).await?;
        let heard = heard.end(records)?;
        let (tag, outline) = (heard.records_tag.clone(), Arc::clone(&heard.outline));
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Remembered { tag, outline });
        Ok(heard)
    }

    /// What it recorded of what `plan` needs.
    pub(super) async fn cells(&self, plan: &Plan) -> Result<Cells, Failure> {
        let mut cells = Cells::default();
        let answer = self.client()?.get_cells(plan_to_wire(plan)).await;
        self.read(answer, |message| take_cells(&mut cells, message)).await?;
        Ok(cells)
    }

    async fn read<M: Message>(
        &self,
        answer: Result<tonic::Response<Streaming<M>>, Status>,
        mut take: impl FnMut(M) -> Result<(), Unclear>,
    ) -> Result<(), Failure> {
        let gone = |status: &Status| {
            self.let_go();
            Failure::of(status)
        };
        let mut stream = answer.map_err(|status| gone(&status))?.into_inner();
        let mut bytes = 0;
        while let Some(message) = stream.message().await.map_err(|status| gone(&status))? {
            let length = message.encoded_len();
            bytes += length;
            self.counters.bytes.fetch_add(length as u64, Ordering::Relaxed);
            if bytes > MAX_ANSWER_BYTES {
                let mib = MAX_ANSWER_BYTES >> 20;
                let text = format!(
                    "its answer is larger than {mib} MiB; ask for a shorter span or fewer keys"
                );
                return Err(Failure::new(Reason::Answer, text));
            }
            // What it says is decoded here, which takes a while: other threads carry what sources send.
            tokio::task::block_in_place(|| take(message))?;
        }
        Ok(())
    }
}
