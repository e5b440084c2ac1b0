use std::os::unix::fs::PermissionsExt as _;

use super::*;

const READ: &str = "read-0123456789abcdef0123456789abcdef";
const WRITE: &str = "write-0123456789abcdef0123456789abcdef";
const NEXT: &str = "next-0123456789abcdef0123456789abcdef";

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn admit(auth: &Auth, access: Access, shown: Option<&str>) -> Result<(), Refusal> {
    admit_from(auth, access, shown, "192.0.2.7:4000")
}

fn admit_from(auth: &Auth, access: Access, shown: Option<&str>, peer: &str) -> Result<(), Refusal> {
    let peer = Some(Peer { address: peer.parse().unwrap(), certificate: None });
    auth.admit(access, peer, shown.map(str::as_bytes), format_args!("a test"))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn a_read_token_reads_and_a_write_token_does_both() {
    let folder = tempfile::tempdir().unwrap();
    let read = file(folder.path(), "read", READ);
    let write = file(folder.path(), "write", &format!("host-a {WRITE}"));
    let auth = Auth::open(Some(&read), Some(&write), false).unwrap();
    let (read, write) = (bearer(READ), bearer(WRITE));
    assert_eq!(admit(&auth, Access::Read, Some(&read)), Ok(()));
    assert_eq!(admit(&auth, Access::Read, Some(&write)), Ok(()));
    assert_eq!(admit(&auth, Access::Write, Some(&write)), Ok(()));
    assert_eq!(admit(&auth, Access::Write, Some("bEARER x")), Err(Refusal::Unknown));
    assert_eq!(admit(&auth, Access::Write, Some(&read)), Err(Refusal::ReadOnly));
    for shown in ["", "Bearer ", "Basic eDp5", READ, &format!("{read} "), &read[..read.len() - 1]] {
        let peer = format!("198.51.100.{}:1", shown.len());
        let refused = admit_from(&auth, Access::Read, Some(shown), &peer);
        assert_eq!(refused, Err(Refusal::Unknown), "{shown:?}");
    }
    assert_eq!(admit(&auth, Access::Read, None), Err(Refusal::Missing));
    let counted: Vec<_> = auth.refused().collect();
    let expected =
        [("no_certificate", 0), ("missing", 1), ("unknown", 7), ("read_only", 1), ("too_many", 0)];
    assert_eq!(counted, expected);
}

#[test]
fn without_files_nobody_is_asked() {
    let auth = Auth::open(None, None, false).unwrap();
    assert_eq!(admit(&auth, Access::Write, None), Ok(()));
}

#[test]
fn tokens_are_rotated_without_a_gap_and_a_broken_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "write", WRITE);
    let auth = Auth::open(None, Some(&path), false).unwrap();
    let follow = || auth.tokens.as_ref().unwrap().write.follow();
    let (old, new) = (bearer(WRITE), bearer(NEXT));
    assert_eq!(admit(&auth, Access::Write, Some(&new)), Err(Refusal::Unknown));
    file(folder.path(), "write", &format!("{WRITE}\n{NEXT}\n"));
    follow();
    assert_eq!(admit(&auth, Access::Write, Some(&old)), Ok(()));
    assert_eq!(admit(&auth, Access::Write, Some(&new)), Ok(()));
    for broken in ["short", ""] {
        file(folder.path(), "write", broken);
        follow();
        assert_eq!(admit(&auth, Access::Write, Some(&new)), Ok(()));
    }
    // One that others may read is refused until its mode is mended.
    std::fs::write(&path, format!("{WRITE}\n{NEXT}\n# mended")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    follow();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    follow();
    assert_eq!(auth.tokens.as_ref().unwrap().write.valid.load().len(), 2);
    std::fs::remove_file(&path).unwrap();
    follow();
    assert_eq!(admit(&auth, Access::Write, Some(&old)), Ok(()));
    file(folder.path(), "write", NEXT);
    follow();
    assert_eq!(admit(&auth, Access::Write, Some(&new)), Ok(()));
    assert_eq!(admit(&auth, Access::Write, Some(&old)), Err(Refusal::Unknown));
}

#[test]
fn who_is_refused_too_often_is_told_to_slow_down_and_a_good_token_still_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "write", WRITE);
    let auth = Auth::open(None, Some(&path), false).unwrap();
    let refusals: Vec<_> =
        (0..200).filter_map(|_| admit(&auth, Access::Read, None).err()).collect();
    assert_eq!(refusals.len(), 200);
    assert!(refusals[..10].iter().all(|refusal| *refusal == Refusal::Missing));
    assert!(refusals[10..].contains(&Refusal::TooMany));
    assert_eq!(admit(&auth, Access::Read, Some(&bearer(WRITE))), Ok(()));
    let other = admit_from(&auth, Access::Read, None, "192.0.2.8:4000");
    assert_eq!(other, Err(Refusal::Missing), "another address");
}

#[test]
fn an_ipv6_host_is_one_peer_and_no_peer_is_remembered_for_ever() {
    let same = |a: &str, b: &str| {
        assert_eq!(neighbourhood(a.parse().unwrap()), neighbourhood(b.parse().unwrap()));
    };
    same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9");
    same("::ffff:192.0.2.1", "192.0.2.1");
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "write", WRITE);
    let auth = Auth::open(None, Some(&path), false).unwrap();
    for n in 0..3 * MAX_PEERS as u32 {
        let peer = format!("{}:1", std::net::Ipv4Addr::from_bits(n));
        assert!(admit_from(&auth, Access::Read, None, &peer).is_err());
    }
    assert!(auth.refusals.len() <= MAX_PEERS + 2);
}

#[test]
fn where_certificates_are_asked_for_one_is_needed_and_does_without_tokens() {
    let auth = Auth::open(None, None, true).unwrap();
    let address = "192.0.2.8:4000".parse().unwrap();
    let admit = |is_certified: bool| {
        let certificate = is_certified.then_some([7; 32]);
        let peer = Some(Peer { address, certificate });
        auth.admit(Access::Write, peer, None, format_args!("a test"))
    };
    assert_eq!(admit(true), Ok(()));
    assert_eq!(admit(false), Err(Refusal::NoCertificate));
    let unknown = auth.admit(Access::Read, None, None, format_args!("a test"));
    assert_eq!(unknown, Err(Refusal::NoCertificate));

    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "write", WRITE);
    let auth = Auth::open(None, Some(&path), true).unwrap();
    let admit = |is_certified: bool, shown: Option<&str>| {
        let certificate = is_certified.then_some([7; 32]);
        let peer = Some(Peer { address, certificate });
        auth.admit(Access::Write, peer, shown.map(str::as_bytes), format_args!("a test"))
    };
    assert_eq!(admit(true, None), Err(Refusal::Missing));
    assert_eq!(admit(true, Some(&bearer(WRITE))), Ok(()));
    assert_eq!(admit(false, Some(&bearer(WRITE))), Err(Refusal::NoCertificate));
}
