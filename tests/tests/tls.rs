//! Property: with a certificate both ports speak TLS only; certificates are rotated under load without a
//! failed request; where client certificates are asked for, nobody gets in without one; a peer that does
//! not shake hands delays nobody.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keyviz_tests::certificates::{Authority, Signed};
use keyviz_tests::columns::Poster;
use keyviz_tests::http::request;
use keyviz_tests::process::{HostSpec, NodeSpec, binary, failing};
use keyviz_tests::{PATIENCE, Stop, now_ms, wait_for};
use nix::sys::signal::Signal;
use tokio_rustls::rustls::crypto::ring;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

const API: &str = "/admin/api/v1/keyviz";

fn with_tls(folder: &Path, signed: &Signed) -> NodeSpec {
    NodeSpec::new(folder)
        .with(&format!("--tls-cert-file={}", signed.cert.display()))
        .with(&format!("--tls-key-file={}", signed.key.display()))
}

/// A client that trusts these authorities, and makes a connection for each request.
fn client(authorities: &[&Authority], shown: Option<&Signed>) -> ureq::Agent {
    let read = |path: &Path| Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap();
    let roots: Vec<_> = authorities.iter().map(|authority| read(&authority.path)).collect();
    let shown = shown.map(|signed| {
        let key = PrivateKey::from_pem(&std::fs::read(&signed.key).unwrap()).unwrap();
        ClientCert::new_with_certs(&[read(&signed.cert)], key)
    });
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(shown);
    let config = ureq::Agent::config_builder()
        .tls_config(tls.build())
        .proxy(None)
        .max_idle_connections(0)
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false);
    config.build().into()
}

fn get(client: &ureq::Agent, http: &str, path: &str) -> Result<(u16, String), ureq::Error> {
    let mut answer = client.get(format!("https://{http}{path}")).call()?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}

fn keyviz(args: &[&str]) -> (bool, String) {
    let output = Command::new(binary("keyviz")).args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn both_ports_speak_tls_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let node = with_tls(folder.path(), &ours.sign(folder.path(), "node")).start();
    let ca = format!("--tls-ca-file={}", ours.path.display());

    let mut host = HostSpec::new(folder.path(), &format!("https://{}", node.grpc));
    host.flags = vec![format!("--keyviz-tls-ca-file={}", ours.path.display())];
    let host = host.start();
    host.connect().ask(&[b"SET", b"a", b"1"]);
    host.settle(PATIENCE);

    let (status, text) =
        get(&client(&[&ours], None), &node.http, &format!("{API}/matrix")).unwrap();
    assert!(status == 200 && text.contains("\"status\":\"OK\""), "{text}");
    for endpoint in [node.grpc.clone(), format!("https://{}", node.grpc)] {
        let (is_ok, said) = keyviz(&["query", "--endpoint", &endpoint, "-o", "json", &ca]);
        assert!(is_ok && said.contains("values"), "{said}");
    }
    let (is_ok, said) = keyviz(&["pins", "--endpoint", &node.http, &ca]);
    assert!(is_ok, "{said}");

    // An authority that is not trusted; no TLS at all.
    let (is_ok, said) =
        keyviz(&["query", "--endpoint", &format!("https://{}", node.grpc), "-o", "json"]);
    assert!(!is_ok && said.contains("certificate"), "{said}");
    let (is_ok, said) = keyviz(&["pins", "--endpoint", &format!("https://{}", node.http)]);
    assert!(!is_ok && said.contains("certificate"), "{said}");
    let plain = format!("http://{}", node.http);
    let (is_ok, said) = keyviz(&["pins", "--endpoint", &plain, &ca]);
    assert!(!is_ok && said.contains("say https://"), "{said}");
    assert!(request(&node.http, "GET", "/healthz", &[], b"").is_err());
    let (is_ok, _) = keyviz(&["query", "--endpoint", &node.grpc, "-o", "json"]);
    assert!(!is_ok);

    assert!(host.process.stop(Signal::SIGTERM).success());
    assert!(node.process.stop(Signal::SIGTERM).success());
}

#[test]
fn files_that_cannot_be_used_end_the_start_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let signed = ours.sign(folder.path(), "node");
    let other = Signed { key: ours.sign(folder.path(), "other").key, ..signed.clone() };
    let absent = Signed { cert: folder.path().join("absent.pem"), ..signed.clone() };
    let half =
        NodeSpec::new(folder.path()).with(&format!("--tls-cert-file={}", signed.cert.display()));
    let alone =
        NodeSpec::new(folder.path()).with(&format!("--tls-client-ca-file={}", ours.path.display()));
    for (spec, expected) in [
        (with_tls(folder.path(), &other), "other.key"),
        (with_tls(folder.path(), &absent), "absent.pem"),
        (half, "--tls-key-file belong together"),
        (alone, "give all three"),
    ] {
        let (code, said) = failing(spec.command());
        assert!(code == Some(1) && said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_rotation_under_load_fails_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, next] = ["ours", "next"].map(|name| Authority::new(folder.path(), name));
    let spec = with_tls(folder.path(), &ours.sign(folder.path(), "node"));
    let node = spec.start();
    let trusts_both = client(&[&ours, &next], None);
    let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let path = format!("{API}/matrix");
    std::thread::scope(|scope| {
        let _over = Stop(&stop);
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let (status, text) = get(&trusts_both, &node.http, &path).unwrap();
                    assert_eq!(status, 200, "{text}");
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let asks = || {
            let before = asked.load(Ordering::SeqCst);
            wait_for("questions", PATIENCE, || {
                (asked.load(Ordering::SeqCst) > before + 5).then_some(())
            });
        };
        let reads = |text: &str, times: usize| {
            wait_for(text, PATIENCE, || {
                (spec.log_text().matches(text).count() >= times).then_some(())
            });
        };
        asks();
        // The key first, then the certificate: what is between them cannot be used, and is not.
        next.sign(folder.path(), "node");
        reads("the certificate is read again", 1);
        wait_for("the new one is shown", PATIENCE, || {
            get(&client(&[&next], None), &node.http, "/healthz").ok()
        });
        asks();
        std::fs::write(folder.path().join("node.key"), "no key").unwrap();
        reads("the certificate from before stays in force", 1);
        asks();
        next.sign(folder.path(), "node");
        reads("the certificate is read again", 2);
        asks();
    });
    assert!(get(&client(&[&ours], None), &node.http, "/healthz").is_err(), "the old one is shown");
    assert!(node.process.stop(Signal::SIGTERM).success());
}

#[test]
fn where_client_certificates_are_asked_for_nobody_gets_in_without() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| Authority::new(folder.path(), name));
    let spec = with_tls(folder.path(), &ours.sign(folder.path(), "node"))
        .with(&format!("--tls-client-ca-file={}", ours.path.display()));
    let node = spec.start();
    let shown = ours.sign(folder.path(), "analyst");
    let foreign = theirs.sign(folder.path(), "stranger");
    let matrix = format!("{API}/matrix");

    let certified = client(&[&ours], Some(&shown));
    assert_eq!(get(&certified, &node.http, &matrix).unwrap().0, 200);
    let nobody = client(&[&ours], None);
    let (status, said) = get(&nobody, &node.http, &matrix).unwrap();
    assert!(status == 401 && said.contains("client certificate"), "{said}");
    assert_eq!(get(&nobody, &node.http, "/readyz").unwrap().0, 200, "a probe has none");
    assert!(get(&client(&[&ours], Some(&foreign)), &node.http, "/readyz").is_err());

    let ca = format!("--tls-ca-file={}", ours.path.display());
    let cert = format!("--tls-cert-file={}", shown.cert.display());
    let key = format!("--tls-key-file={}", shown.key.display());
    for (command, endpoint) in [("query", &node.grpc), ("pins", &node.http)] {
        let (is_ok, said) = keyviz(&[command, "--endpoint", endpoint, &ca, &cert, &key]);
        assert!(is_ok, "{said}");
        let (is_ok, said) = keyviz(&[command, "--endpoint", endpoint, &ca]);
        assert!(!is_ok && said.contains("client certificate"), "{said}");
    }
    let log = spec.log_text();
    assert!(log.contains("no_certificate") && log.contains("keyviz::audit"), "{log}");
    let body = Poster::new("poster", now_ms() / 1_000 * 1_000 - 60_000).column(3).to_string();
    let columns = format!("https://{}{API}/columns", node.http);
    let posted = certified.post(columns).content_type("application/json").send(body).unwrap();
    assert_eq!(posted.status(), 200);
    assert!(spec.log_text().contains("token=\"certificate sha256 "), "{}", spec.log_text());
    assert!(node.process.stop(Signal::SIGTERM).success());
}

#[test]
fn who_does_not_shake_hands_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let node = with_tls(folder.path(), &ours.sign(folder.path(), "node")).start();
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(&node.http).unwrap()).collect();
    let asks = client(&[&ours], None);
    for _ in 0..5 {
        assert_eq!(get(&asks, &node.http, "/healthz").unwrap().0, 200);
    }
    // They lose their places.
    wait_for("the silent ones are gone", PATIENCE, || {
        let (_, text) = get(&asks, &node.http, "/metrics").unwrap();
        let open =
            text.lines().find_map(|line| line.strip_prefix("keyviz_connections{port=\"http\"} "));
        (open.unwrap().parse::<u64>().unwrap() < 10).then_some(())
    });
    drop(silent);
    assert!(node.process.stop(Signal::SIGTERM).success());
}
