//! `--tls-cert-file` and its kin: what both ports show of themselves, and whose certificates they take.
//!
//! Responsible for: the settings of TLS (rustls with ring: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1), made
//! anew within a second when a file changes. Connections that are open stay as they are.
//! Invariants: files that cannot be used, or do not belong together, leave the old ones in force and are
//! told in the log; a client certificate that is shown is verified, here and not later. One that is not
//! shown is for `auth` to judge: probes have none.
//! Must not: accept connections (`listen` does).
//! Proof: `tests/tests/tls.rs` with real processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use keyviz_api::tls::{read_certificates, read_key};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::followed::Followed;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// The files, as they were given.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    /// The chain of certificates that is shown.
    pub(crate) cert: PathBuf,
    /// The key of the first of them.
    pub(crate) key: PathBuf,
    /// Authorities of client certificates; without it none is asked for.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Both ports' TLS.
pub(crate) struct Tls {
    files: TlsFiles,
    config: Followed<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One that cannot be used, or a key that is not the certificate's.
    pub(crate) fn open(files: TlsFiles) -> anyhow::Result<Self> {
        let mut paths = vec![files.cert.clone(), files.key.clone()];
        paths.extend(files.client_ca.clone());
        let config = Followed::open(paths, || read(&files))?;
        Ok(Self { files, config })
    }

    /// What the next connection is accepted with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&**self.config.load()))
    }

    /// Follows the files for as long as it runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            self.look();
        }
    }

    fn look(&self) {
        let path = self.files.cert.display();
        match self.config.follow(|| read(&self.files)) {
            None => {}
            Some(Ok(_)) => {
                tracing::info!(target: "keyviz::audit", %path, "the certificate is read again");
            }
            Some(Err(error)) => {
                tracing::error!("the certificate from before stays in force: {error:#}");
            }
        }
    }
}

fn read(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = read_certificates(&files.cert).context("--tls-cert-file")?;
    let key = read_key(&files.key).context("--tls-key-file")?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut authorities = RootCertStore::empty();
            for authority in read_certificates(path).context("--tls-client-ca-file")? {
                authorities
                    .add(authority)
                    .with_context(|| format!("--tls-client-ca-file {}", path.display()))?;
            }
            let provider = Arc::new(ring::default_provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).with_context(|| {
        let (cert, key) = (files.cert.display(), files.key.display());
        format!("--tls-cert-file {cert} and --tls-key-file {key}: they cannot be used together")
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
