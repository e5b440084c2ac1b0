//! How a client reaches a node: in plain, or over TLS with what it trusts and shows.
//!
//! Responsible for: what an address means (`host:port` or `http://` is plain, unless a file for TLS is
//! given; `https://` is TLS), and reading the files anew at every connection, so that a rotation needs
//! no restart.
//! Invariants: nothing goes unencrypted to who asked for TLS; certificates are always verified.
//! Must not: know what is asked over the connection.
//! Proof: `tls_test.rs`, and `tests/tests/tls.rs` with real nodes.

use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// Why a node is not reached the way that was asked for.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum TlsError {
    #[error("{}: {source}; it has to be a file of PEM", path.display())]
    Read { path: PathBuf, source: pem::Error },
    #[error("{}: there is no certificate in it; it has to be a file of PEM", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{address:?} is not host:port, http://host:port or https://host:port")]
    Address { address: String },
    #[error("{address:?} asks for no encryption, and a file for TLS is given; say https://")]
    Plain { address: String },
    #[error("a client certificate needs its key, and a key its certificate; give both files")]
    Half,
    #[error("TLS to {address}: {reason}")]
    Setup { address: String, reason: String },
}

/// What a client trusts, and what it shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the authorities that may have signed the node's certificate; without it, those of
    /// the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client's own chain of certificates, if the node asks for one.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of the first of them.
    pub key_file: Option<PathBuf>,
}

/// The files of [`Tls`] as they are now.
#[derive(Debug)]
pub struct Credentials {
    /// The authorities; `None`: those of the system.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// The client's chain and key.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// An address, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `host:port`.
    pub authority: String,
    /// Whether it is spoken to over TLS.
    pub is_tls: bool,
}

impl Target {
    /// `http://host:port` or `https://host:port`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority)
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// [`TlsError::Read`], [`TlsError::NoCertificate`].
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(found)
}

/// The private key of a PEM file.
///
/// # Errors
/// [`TlsError::Read`].
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

impl Tls {
    fn is_given(&self) -> bool {
        self.ca_file.is_some() || self.cert_file.is_some() || self.key_file.is_some()
    }

    /// What `address` means.
    ///
    /// # Errors
    /// [`TlsError::Address`], [`TlsError::Plain`].
    pub fn target(&self, address: &str) -> Result<Target, TlsError> {
        let bare = address.trim_end_matches('/');
        let (bare, is_tls) = match bare.split_once("://") {
            Some(("https", bare)) => (bare, true),
            Some(("http", _)) if self.is_given() => {
                return Err(TlsError::Plain { address: address.to_owned() });
            }
            Some(("http", bare)) => (bare, false),
            Some(_) => return Err(TlsError::Address { address: address.to_owned() }),
            None => (bare, self.is_given()),
        };
        Ok(Target { authority: bare.to_owned(), is_tls })
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError::Half`], or a file that cannot be used.
    pub fn read(&self) -> Result<Credentials, TlsError> {
        let authorities = self.ca_file.as_deref().map(read_certificates).transpose()?;
        let identity = match (self.cert_file.as_deref(), self.key_file.as_deref()) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some((read_certificates(chain)?, read_key(key)?)),
            _ => return Err(TlsError::Half),
        };
        Ok(Credentials { authorities, identity })
    }

    /// How gRPC reaches the node at `address`, with what the files hold now.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, TlsError> {
        let target = self.target(address)?;
        let endpoint = Endpoint::from_shared(target.url())
            .map_err(|_| TlsError::Address { address: address.to_owned() })?;
        if !target.is_tls {
            return Ok(endpoint);
        }
        // Read here for errors that name the file; tonic takes the text.
        self.read()?;
        let text = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read {
                path: path.to_owned(),
                source: pem::Error::Io(source),
            })
        };
        let mut config = ClientTlsConfig::new();
        config = match self.ca_file.as_deref() {
            Some(path) => config.ca_certificate(Certificate::from_pem(text(path)?)),
            None => config.with_native_roots(),
        };
        if let (Some(chain), Some(key)) = (self.cert_file.as_deref(), self.key_file.as_deref()) {
            config = config.identity(Identity::from_pem(text(chain)?, text(key)?));
        }
        endpoint.tls_config(config).map_err(|error| TlsError::Setup {
            address: target.authority,
            reason: std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string),
        })
    }
}

/// The cause that says most of a connection that failed: tonic's own errors only say "transport error".
pub fn innermost<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error)
}

#[cfg(test)]
#[path = "tls_test.rs"]
mod tls_test;
