//! `--endpoint` and `--token-file`: the node whose gRPC port a command asks.

use clap::Args;

use crate::query_cli::ask::{HistoryClient, connect, refusal};
use crate::shown_token::ShownToken;

/// A running node.
#[derive(Args, Clone, Debug)]
pub(crate) struct AskedNode {
    /// The node's gRPC address.
    #[arg(
        long,
        alias = "addr",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:50051",
        env = "KEYVIZ_ENDPOINT"
    )]
    pub(crate) endpoint: String,
    #[command(flatten)]
    token: ShownToken,
}

impl AskedNode {
    /// A connection to it.
    ///
    /// # Errors
    /// One line: the address is none, nobody is there, or the token cannot be read.
    pub(crate) async fn connect(&self) -> anyhow::Result<HistoryClient> {
        connect(&self.endpoint, &self.token).await
    }

    /// What it said: the answer, or why there is none, as one line.
    ///
    /// # Errors
    /// As it refused.
    pub(crate) fn heard<T>(
        &self,
        said: Result<tonic::Response<T>, tonic::Status>,
    ) -> anyhow::Result<T> {
        said.map(tonic::Response::into_inner).map_err(|status| refusal(&self.endpoint, &status))
    }
}
