use super::matches;

#[test]
fn patterns_match_as_in_redis() {
    let cases: [(&str, &str, bool); 22] = [
        ("*", "", true),
        ("*", "anything", true),
        ("", "", true),
        ("", "a", false),
        ("a", "a", true),
        ("a", "ab", false),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h*llo", "heeeello", true),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("h[a-c]llo", "hdllo", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("key:*:x", "key:1:2:x", true),
        ("key:*:x", "key:1:2:y", false),
        ("[abc", "a", true),
        ("a[\\]]b", "a]b", true),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }
}

#[test]
fn a_hostile_pattern_takes_no_time() {
    let pattern = "*a".repeat(2_000) + "b";
    assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
}
