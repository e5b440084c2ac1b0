use super::*;
use crate::text;

#[test]
fn a_prefix_ends_before_the_second_separator() {
    for (key, expected) in [
        (&b"user:42:cart"[..], "user:42"),
        (b"user:42", "user:42"),
        (b"a/b|c", "a/b"),
        (b"plain", "plain"),
        (b"", ""),
        (b"\x00\xff:1:2", "\\x00\\xff:1"),
        (&[b'x'; 100], &"x".repeat(32)),
    ] {
        assert_eq!(prefix(key), expected);
    }
}

#[test]
fn kinds_groups_and_prefixes_are_told_apart() {
    let registry = Registry::new();
    let observer = ConflictObserver::new(&registry).unwrap();
    observer.observe(1, Conflict::Write, b"user:42:cart");
    observer.observe(1, Conflict::Write, b"user:42:orders");
    observer.observe(1, Conflict::Read, b"user:42:cart");
    observer.observe(2, Conflict::Write, b"");
    let text = text(&registry).unwrap();
    for line in [
        "write_conflicts_total{group=\"1\",key_prefix=\"user:42\",kind=\"write\"} 2",
        "write_conflicts_total{group=\"1\",key_prefix=\"user:42\",kind=\"read\"} 1",
        "write_conflicts_total{group=\"2\",key_prefix=\"_other\",kind=\"write\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn keys_cannot_make_it_grow() {
    let registry = Registry::new();
    let observer = ConflictObserver::new(&registry).unwrap();
    for n in 0..1_000_u64 {
        observer.observe(n, Conflict::Write, format!("user:{n}").as_bytes());
    }
    let text = text(&registry).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines, 65);
    let other = "write_conflicts_total{group=\"_other\",key_prefix=\"_other\",kind=\"write\"} 936";
    assert!(text.contains(other), "{text}");
}
