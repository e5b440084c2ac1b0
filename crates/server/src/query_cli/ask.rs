//! One question to a node.
//!
//! Responsible for: the connection, and errors that name the endpoint and say what to do, or repeat
//! the node's own words.
//! Must not: interpret the answer.
//! Proof: `ask_test.rs`, and `mod_test.rs` against a node in the same process.

use std::time::Duration;

use anyhow::anyhow;
use keyviz_api::tls::innermost;
use keyviz_api::token::Bearer;
use keyviz_api::wire::history::history_service_client::HistoryServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::key_text::inert;
use crate::shown_token::ShownToken;

/// 1,024 rows of 10,080 columns are about 100 MB at the very most.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// A client of a node that shows it a token, where one is given.
pub(crate) type HistoryClient = HistoryServiceClient<InterceptedService<Channel, Bearer>>;

/// A connection to the node at `address` (`host:port`, or with `https://` before it).
///
/// # Errors
/// One line: the address is none, nobody is there, or the token cannot be read.
pub(crate) async fn connect(address: &str, token: &ShownToken) -> anyhow::Result<HistoryClient> {
    let bearer = token.bearer()?;
    let endpoint = token
        .tls()
        .endpoint(address)
        .map_err(|error| anyhow!("--endpoint: {}", inert(&error.to_string())))?;
    let channel = endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .connect()
        .await
        .map_err(|error| unreachable(bare(address), &error))?;
    let client = HistoryServiceClient::with_interceptor(channel, bearer);
    Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
}

fn bare(address: &str) -> &str {
    let address = address.trim_end_matches('/');
    address.strip_prefix("http://").unwrap_or(address)
}

fn unreachable(address: &str, error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    anyhow!(
        "cannot reach a keyviz node at {}: {}. Is `keyviz serve` running, and is this its gRPC \
         address (see --endpoint)?",
        inert(address),
        inert(&innermost(error).to_string()),
    )
}

/// What a node (or something else at `address`) said instead of an answer, as one line.
pub(crate) fn refusal(address: &str, status: &Status) -> anyhow::Error {
    let address = bare(address);
    let is_transport = std::error::Error::source(status).is_some();
    // What tonic makes of a web server's answer.
    let is_foreign = status.code() == Code::Unimplemented
        || status.message().starts_with("protocol error")
        || status.message().contains("grpc-status header missing");
    match status.code() {
        _ if is_foreign => anyhow!(
            "{} answers, but not as a keyviz node ({}). Is this its gRPC address (see --endpoint), \
             not its HTTP one?",
            inert(address),
            inert(status.message()),
        ),
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled if is_transport => {
            anyhow!(
                "the connection to {} broke before an answer came: {}. Is this a keyviz node's \
                 gRPC address (see --endpoint), and is the node still running?",
                inert(address),
                inert(&innermost(status).to_string()),
            )
        }
        _ => anyhow!("{}", inert(status.message())),
    }
}

#[cfg(test)]
#[path = "ask_test.rs"]
mod ask_test;
