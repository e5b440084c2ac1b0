//! `keyviz status`, `events`, `gc`, `pin`, `pins` and `unpin`: what an operator asks and tells a running
//! node.
//!
//! Responsible for: one request over the node's HTTP port, and what it answers, in words or as JSON.
//! Invariants: no text of a key or a note reaches the terminal as a control sequence.
//! Must not: open a data folder.
//! Proof: `tests/tests/{pins,top}.rs` with real processes.

mod events;
mod gc;
mod pins;
mod status;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

pub(crate) use events::{EventsArgs, events};
pub(crate) use gc::{GcArgs, gc};
pub(crate) use pins::{PinArgs, PinsArgs, UnpinArgs, pin, pins, unpin};
pub(crate) use status::{StatusArgs, status};

use crate::http_client::{self, Question};
use crate::query_cli::key_text::inert;
use crate::shown_token::ShownToken;

const API: &str = "/admin/api/v1/keyviz";

/// The node that is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct Endpoint {
    /// The node's HTTP address.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8080",
        env = "KEYVIZ_HTTP_ENDPOINT"
    )]
    endpoint: String,
    #[command(flatten)]
    token: ShownToken,
}

/// What is printed of an answer that is told in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// In words.
    Text,
    /// The whole answer as one JSON document.
    Json,
}

impl Endpoint {
    /// Asks, and returns the answer or the node's own words.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let address = self.endpoint.as_str();
        let path = format!("{API}/{path}");
        let question = Question { method, path: &path, body };
        let text = http_client::ask(address, &self.token, question).await;
        let (status, body) = text.with_context(|| {
            format!(
                "cannot ask a keyviz node at {}. Is `keyviz serve` running, and is this its HTTP \
                 address (see --endpoint)?",
                inert(address)
            )
        })?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| {
            anyhow!(
                "{} answers, but not as a keyviz node. Is this its HTTP address (see --endpoint), \
                 not its gRPC one?",
                inert(address)
            )
        })?;
        if status != 200 {
            bail!("{}", inert(answer["message"].as_str().unwrap_or("the node refused")));
        }
        Ok(answer)
    }
}
