//! `keyviz gc`, `pin`, `pins` and `unpin`: what an operator tells a running node.
//!
//! Responsible for: one request over the node's HTTP port, and what it answers, in words or as JSON.
//! Invariants: no text of a key or a note reaches the terminal as a control sequence.
//! Must not: open a data folder.
//! Proof: `tests/tests/pins.rs` with real processes.

mod gc;
mod pins;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) use gc::{GcArgs, gc};
pub(crate) use pins::{PinArgs, PinsArgs, UnpinArgs, pin, pins, unpin};

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

impl Endpoint {
    /// Asks, and returns the answer or the node's own words.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let address = self.endpoint.trim_end_matches('/');
        let address = address.strip_prefix("http://").unwrap_or(address);
        let token = self.token.header_line()?;
        let text = exchange(address, method, &format!("{API}/{path}"), &token, body).await;
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

/// One request on one connection: status and body.
async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{token}\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    // HTTP/1.0: no chunks, and the end of the connection is the end of the answer.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("no HTTP answer")?, answer.split_off(end + 4)))
}
