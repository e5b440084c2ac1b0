//! One request to a node's HTTP port, in plain or over TLS.
//!
//! Responsible for: the connection, the token, and what came back: a status and JSON.
//! Must not: interpret the answer, or wait without end for a connection; an answer may take as long as a
//! backup does.
//! Proof: `tests/tests/{pins,backup,tls}.rs` with real nodes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::shown_token::ShownToken;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any answer that a command asks for.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// `GET` or, with a body, `POST`; `DELETE` where it is said.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
}

/// Asks the node at `endpoint` (`host:port`, or with `http://` or `https://` before it).
///
/// # Errors
/// Nobody is there, or does not answer in HTTP; a token or a file of TLS that cannot be used.
pub(crate) async fn ask(
    endpoint: &str,
    shown: &ShownToken,
    question: Question<'_>,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let target = shown.tls().target(endpoint)?;
    let url = format!("{}{}", target.url(), question.path);
    let tls = if target.is_tls { tls(shown)? } else { TlsConfig::default() };
    let agent = agent(tls);
    let mut request = ureq::http::Request::builder().method(question.method).uri(url);
    if let Some(value) = shown.bearer(endpoint)?.header() {
        request = request.header("Authorization", value);
    }
    let body = question.body.map(Value::to_string).unwrap_or_default();
    let request = request.header("Content-Type", "application/json").body(body)?;
    let answered = tokio::task::spawn_blocking(move || -> anyhow::Result<(u16, Vec<u8>)> {
        let mut answer = agent.run(request)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok((status, body))
    });
    answered.await.context("asking the node")?
}

fn tls(shown: &ShownToken) -> anyhow::Result<TlsConfig> {
    let files = shown.tls().read()?;
    let authorities = match files.authorities {
        Some(given) => given,
        // What cannot be read of the system's is as if it were not there: verification says so.
        None => rustls_native_certs::load_native_certs().certs,
    };
    let owned = |chain: &[CertificateDer<'_>]| -> Vec<Certificate<'static>> {
        chain.iter().map(|one| Certificate::from_der(one).to_owned()).collect()
    };
    // ureq names no kind of key, so it has to read the file by itself.
    let identity = match (files.identity, shown.tls().key_file) {
        (Some((chain, _)), Some(path)) => {
            let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let key = PrivateKey::from_pem(&text).with_context(|| path.display().to_string())?;
            Some(ClientCert::new_with_certs(&owned(&chain), key))
        }
        _ => None,
    };
    let config = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&owned(&authorities)))
        .client_cert(identity);
    Ok(config.build())
}

fn agent(tls: TlsConfig) -> Agent {
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        // A node is reached as it was named, and says in its body what is wrong.
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .allow_non_standard_methods(true);
    config.build().into()
}
