//! `--token-file`: the token that a command shows to the node that it asks.

use std::path::{Path, PathBuf};

use clap::Args;
use keyviz_api::token::{Bearer, TokenError};

/// A file with the token to be shown, as the node's own token files are written.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ShownToken {
    /// File with the token that the node asks for; its first one is shown
    #[arg(long, value_name = "FILE", env = "KEYVIZ_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl ShownToken {
    pub(crate) fn path(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// What is shown; nothing without a file.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(crate) fn bearer(&self) -> Result<Bearer, TokenError> {
        Bearer::from_file(self.path())
    }

    /// The same as a line of an HTTP request's head.
    pub(crate) fn header_line(&self) -> Result<String, TokenError> {
        let bearer = self.bearer()?;
        Ok(bearer.header().map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default())
    }
}
