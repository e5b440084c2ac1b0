//! Ranges, and boundaries from files.

use super::*;

fn routes(boundaries: &[&str]) -> Routes {
    let keys: Vec<Vec<u8>> = boundaries.iter().map(|key| key.as_bytes().to_vec()).collect();
    Routes::between(&keys).unwrap()
}

#[test]
fn every_key_is_in_the_route_that_holds_it() {
    let routes = routes(&["b", "bb", "m"]);
    assert_eq!(routes.len(), 4);
    for key in ["", "a", "b", "ba", "bb", "bbb", "c", "m", "z", "\u{10ffff}"] {
        let index = routes.index_of(key.as_bytes());
        assert!(routes.ranges()[index].contains(key.as_bytes()), "{key:?} in {index}");
        assert_eq!(routes.specs()[index].route, route_id(index));
    }
    let one = Routes::between(&[]).unwrap();
    assert_eq!((one.len(), one.index_of(b"any")), (1, 0));
    assert!(Routes::between(&[b"b".to_vec(), b"a".to_vec()]).is_err());
}

#[test]
fn a_range_is_found_by_its_exact_bounds() {
    let routes = routes(&["b", "m"]);
    assert_eq!(routes.index_of_range(b"", b"b"), Some(0));
    assert_eq!(routes.index_of_range(b"b", b"m"), Some(1));
    assert_eq!(routes.index_of_range(b"m", b""), Some(2));
    assert_eq!(routes.index_of_range(b"", b""), None);
    assert_eq!(routes.index_of_range(b"b", b""), None);
    assert_eq!(routes.index_of_range(b"c", b"m"), None);
}

#[test]
fn a_file_holds_text_and_hexadecimal() {
    let parsed = Routes::parse(b"\xef\xbb\xbf b\r\n\n0x7A00ff\n\xc3\xa9\n").unwrap();
    let boundaries: Vec<&[u8]> = parsed.ranges()[1..].iter().map(KeyRange::start).collect();
    assert_eq!(boundaries, [&b" b"[..], b"z\0\xff", "é".as_bytes()]);
    assert_eq!(Routes::parse(b"").unwrap().len(), 1);
}

#[test]
fn a_bad_line_is_named() {
    for (text, line, part) in [
        (&b"a\n0xzz\n"[..], 2, "hexadecimal"),
        (b"0x\n", 1, "empty key"),
        (b"b\n\nb\n", 3, "not behind"),
        (b"b\na\n", 2, "not behind"),
        (b"\xff\n", 1, "UTF-8"),
    ] {
        let (at, reason) = Routes::parse(text).unwrap_err();
        assert!(at == line && reason.contains(part), "{at}: {reason}");
    }
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    assert!(Routes::parse(long.as_bytes()).unwrap_err().1.contains("65537 bytes"));
    let many: String = (0..MAX_ROUTES).map(|key| format!("{key:05}\n")).collect();
    assert_eq!(Routes::parse(many.as_bytes()).unwrap_err().0, MAX_ROUTES);
    let error = Routes::from_file(Path::new("missing")).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
}
