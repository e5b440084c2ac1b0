#![allow(clippy::unwrap_used)] // tests

use std::path::PathBuf;

use super::*;

fn with_ca(path: impl Into<PathBuf>) -> Tls {
    Tls { ca_file: Some(path.into()), ..Tls::default() }
}

#[test]
fn an_address_is_plain_unless_it_says_otherwise() {
    let plain = Tls::default();
    for (tls, address, expected) in [
        (&plain, "node:50051", "http://node:50051"),
        (&plain, "http://node:50051/", "http://node:50051"),
        (&plain, "https://node:50051", "https://node:50051"),
        (&with_ca("ca.pem"), "node:50051", "https://node:50051"),
        (&with_ca("ca.pem"), "https://node:50051", "https://node:50051"),
    ] {
        assert_eq!(tls.target(address).unwrap().url(), expected);
    }
}

#[test]
fn who_gives_a_file_for_tls_is_never_served_in_plain() {
    let error = with_ca("ca.pem").target("http://node:50051").unwrap_err();
    assert!(error.to_string().contains("say https://"), "{error}");
    assert!(matches!(Tls::default().target("ftp://node"), Err(TlsError::Address { .. })));
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let said = |tls: &Tls| tls.endpoint("https://node:50051").unwrap_err().to_string();
    assert!(said(&with_ca(&path)).contains("ca.pem"), "it is not there");
    std::fs::write(&path, "no PEM at all").unwrap();
    assert!(said(&with_ca(&path)).contains("there is no certificate"));
    let half = Tls { key_file: Some(path), ..Tls::default() };
    assert!(said(&half).contains("give both"));
}
