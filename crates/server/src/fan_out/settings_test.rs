use super::*;

fn check(peers: &str, refresh: &str, timeout: &str) -> anyhow::Result<Option<PeerSettings>> {
    PeerSettings::check(PeerFlags {
        peers,
        refresh: humantime::parse_duration(refresh).unwrap(),
        timeout: humantime::parse_duration(timeout).unwrap(),
        token_file: None,
        tls: Tls::default(),
    })
}

#[test]
fn peers_are_named_in_the_flag_or_in_a_file_that_is_read_again() {
    assert!(check("", "15s", "2s").unwrap().is_none());
    let fixed = check("a:1, b:2,a:1", "15s", "2s").unwrap().unwrap();
    assert_eq!(fixed.read().unwrap(), ["a:1", "b:2"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers");
    std::fs::write(&path, "a:1 # the first\n\n# none\nhttp://b:2 c:3\n").unwrap();
    let listed = check(&format!("@{}", path.display()), "15s", "2s").unwrap().unwrap();
    assert_eq!(listed.read().unwrap(), ["a:1", "http://b:2", "c:3"]);
    std::fs::write(&path, "d:4").unwrap();
    assert_eq!(listed.read().unwrap(), ["d:4"]);
}

#[test]
fn what_cannot_be_is_named() {
    let said = |peers: &str, refresh: &str, timeout: &str| {
        format!("{:#}", check(peers, refresh, timeout).unwrap_err())
    };
    assert!(said("node-b", "15s", "2s").contains("such as node-b:50051"));
    assert!(said("b:0", "15s", "2s").contains("\"b:0\""));
    assert!(said("ftp://b:1", "15s", "2s").contains("ftp://b:1"));
    assert!(said("b:1", "0s", "2s").contains("--nodes-refresh-interval"));
    assert!(said("b:1", "15s", "1h").contains("--peer-timeout"));
    assert!(said("@/no/such/file", "15s", "2s").contains("/no/such/file: cannot be read"));
    let many: Vec<String> = (1..=65).map(|port| format!("b:{port}")).collect();
    assert!(said(&many.join(","), "15s", "2s").contains("65 peers"));
}

#[test]
fn a_token_is_shown_in_plain_only_where_that_is_said() {
    let with_token = |peers: &str| {
        PeerSettings::check(PeerFlags {
            peers,
            refresh: Duration::from_secs(15),
            timeout: Duration::from_secs(2),
            token_file: Some("token".into()),
            tls: Tls::default(),
        })
    };
    with_token("127.0.0.1:1,https://b:1,http://c:1").unwrap();
    let said = format!("{:#}", with_token("https://b:1,c:1").unwrap_err());
    assert!(said.contains("--peers") && said.contains("to c:1 unencrypted"), "{said}");
}
