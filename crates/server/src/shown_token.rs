//! `--token-file` and `--tls-*-file`: what a command shows to the node that it asks, and whom it trusts.

use std::path::{Path, PathBuf};

use clap::Args;
use keyviz_api::tls::Tls;
use keyviz_api::token::{Bearer, TokenError};

/// A file with the token to be shown, as the node's own token files are written, and the files of TLS.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ShownToken {
    /// File with the token that the node asks for; its first one is shown
    #[arg(long, value_name = "FILE", env = "KEYVIZ_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// File (PEM) with the authorities that may have signed the node's certificate; the endpoint is then
    /// spoken to over TLS. Without it https:// trusts those of the system
    #[arg(long, value_name = "FILE", env = "KEYVIZ_TLS_CA_FILE")]
    tls_ca_file: Option<PathBuf>,
    /// File (PEM) with the certificate to be shown to a node that asks for one
    #[arg(
        long,
        value_name = "FILE",
        env = "KEYVIZ_TLS_CLIENT_CERT_FILE",
        requires = "tls_key_file"
    )]
    tls_cert_file: Option<PathBuf>,
    /// File (PEM) with its key
    #[arg(
        long,
        value_name = "FILE",
        env = "KEYVIZ_TLS_CLIENT_KEY_FILE",
        requires = "tls_cert_file"
    )]
    tls_key_file: Option<PathBuf>,
}

impl ShownToken {
    pub(crate) fn path(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// What is trusted and shown over TLS.
    pub(crate) fn tls(&self) -> Tls {
        Tls {
            ca_file: self.tls_ca_file.clone(),
            cert_file: self.tls_cert_file.clone(),
            key_file: self.tls_key_file.clone(),
        }
    }

    /// What is shown; nothing without a file.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(crate) fn bearer(&self) -> Result<Bearer, TokenError> {
        Bearer::from_file(self.path())
    }
}
