//! Questions to the demo's node, over the network like anyone's.
//!
//! Responsible for: matrices in blocks that an answer can hold, a key's biography, and one number of
//! `/metrics`.
//! Must not: judge the answers.
//! Proof: the demo itself; `history_test.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use keyviz_api::wire::history as wire;
use keyviz_api::wire::history::history_service_client::HistoryServiceClient;
use keyviz_lineage::Series;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use super::compare::{self, Outcome};
use super::ledger::Ledger;

/// Windows of one question.
const BLOCK_WINDOWS: u64 = 600;
const MAX_ANSWER_BYTES: usize = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
const ALL_ROWS: u32 = 1_024;
/// Generations of a biography that are drawn.
const GENERATIONS: u32 = 6;

/// A connection to the node.
#[derive(Clone, Debug)]
pub(super) struct HistoryClient {
    client: HistoryServiceClient<Channel>,
}

impl HistoryClient {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await;
        let channel = channel.with_context(|| format!("keyviz at {address} cannot be reached"))?;
        let client = HistoryServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { client })
    }

    /// Every cell of every series, compared with the ledger.
    pub(super) async fn compare(&mut self, ledger: &Ledger) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let Some((first_ms, end_ms)) = ledger.span_ms() else { return Ok(outcome) };
        for series in Series::ALL {
            let mut answers = Vec::new();
            for (from_ms, to_ms) in blocks(first_ms, end_ms, ledger.step_ms * BLOCK_WINDOWS) {
                let request = wire::GetMatrixRequest {
                    step_ms: ledger.step_ms,
                    row_set: wire::RowSet::Union.into(),
                    ..request(series, from_ms, to_ms)
                };
                let answer = self.matrix(request).await?;
                compare::compare(ledger, series, (from_ms, to_ms), &answer, &mut outcome);
                answers.push(answer);
            }
            compare::require_all(ledger, series, &answers, &mut outcome);
        }
        Ok(outcome)
    }

    /// What a person would look at: the ranges as they are at the end.
    pub(super) async fn picture(
        &mut self,
        (from_ms, to_ms): (u64, u64),
    ) -> anyhow::Result<wire::GetMatrixResponse> {
        self.matrix(request(Series::Writes, from_ms, to_ms)).await
    }

    async fn matrix(
        &mut self,
        request: wire::GetMatrixRequest,
    ) -> anyhow::Result<wire::GetMatrixResponse> {
        let answer = self.client.get_matrix(request).await;
        Ok(answer.context("keyviz does not answer a matrix query")?.into_inner())
    }

    /// The biography of the ranges that held `key`, as a tree.
    pub(super) async fn biography(&mut self, key: &str) -> anyhow::Result<String> {
        let request = wire::GetLineageRequest {
            key: key.as_bytes().to_vec().into(),
            by_key: true,
            depth: Some(GENERATIONS),
            text_only: true,
            ..wire::GetLineageRequest::default()
        };
        let answer = self.client.get_lineage(request).await;
        Ok(answer.context("keyviz does not answer a lineage query")?.into_inner().text)
    }
}

fn request(series: Series, from_ms: u64, to_ms: u64) -> wire::GetMatrixRequest {
    let series = match series {
        Series::Reads => wire::Series::Reads,
        Series::Writes => wire::Series::Writes,
        Series::ReadBytes => wire::Series::ReadBytes,
        Series::WriteBytes => wire::Series::WriteBytes,
    };
    wire::GetMatrixRequest {
        series: series.into(),
        from_unix_ms: from_ms as i64,
        to_unix_ms: to_ms as i64,
        rows: ALL_ROWS,
        ..wire::GetMatrixRequest::default()
    }
}

/// `[from_ms, to_ms)` in pieces.
fn blocks(from_ms: u64, to_ms: u64, block_ms: u64) -> impl Iterator<Item = (u64, u64)> {
    (from_ms..to_ms)
        .step_by(block_ms.max(1) as usize)
        .map(move |from_ms| (from_ms, to_ms.min(from_ms + block_ms.max(1))))
}

/// One number of `/metrics`.
pub(super) async fn metric(http: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let ask = async {
        let mut stream = TcpStream::connect(http).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, ask).await;
    let answer =
        answer.with_context(|| format!("{http}/metrics took longer than {PATIENCE:?}"))??;
    metric_of(&answer, name).with_context(|| format!("{http}/metrics has no {name}"))
}

fn metric_of(answer: &str, name: &str) -> Option<u64> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
#[path = "history_test.rs"]
mod history_test;
