//! Every encoding of a key, every operation, every size, and the reasons for refusing them.

use super::*;

fn decode(options: &InputOptions, key: &[u8]) -> Result<Vec<u8>, Reason> {
    let texts = Texts { time: b" 1.5 ", key, op: b" r ", size: Some(b" 7 ") };
    Decoder::new(options).decode(1, texts).map(|access| {
        assert_eq!((access.time_ms, access.op, access.size_bytes), (1500, Op::Read, 7));
        access.key
    })
}

fn encoding(key_encoding: KeyEncoding) -> InputOptions {
    InputOptions { key_encoding, ..InputOptions::default() }
}

#[test]
fn utf8_keys_are_taken_as_they_are() {
    let options = encoding(KeyEncoding::Utf8);
    for key in ["", " a ", "clé", "0x12", "\n"] {
        assert_eq!(decode(&options, key.as_bytes()), Ok(key.as_bytes().to_vec()));
    }
    let reason = decode(&options, b"a\xff").expect_err("not UTF-8");
    assert!(matches!(reason, Reason::KeyNotUtf8 { .. }), "{reason}");
    assert!(reason.to_string().contains("--key-encoding hex"), "{reason}");
}

#[test]
fn hex_keys_have_an_even_number_of_digits() {
    let options = encoding(KeyEncoding::Hex);
    assert_eq!(decode(&options, b"00fFA0"), Ok(vec![0x00, 0xff, 0xa0]));
    assert_eq!(decode(&options, b" 0x00ff "), Ok(vec![0x00, 0xff]));
    assert_eq!(decode(&options, b"0X00ff"), Ok(vec![0x00, 0xff]));
    assert_eq!(decode(&options, b""), Ok(vec![]));
    for key in [&b"0xfff"[..], b"f", b"zz", b"0x0x00", b"00 ff", b"\xff\xff", b"-00"] {
        assert!(matches!(decode(&options, key), Err(Reason::BadHexKey { .. })), "{key:?}");
    }
}

#[test]
fn number_keys_are_eight_bytes_in_numeric_order() {
    let options = encoding(KeyEncoding::U64Be);
    assert_eq!(decode(&options, b"42932745"), Ok(42_932_745_u64.to_be_bytes().to_vec()));
    assert_eq!(decode(&options, b" 007 "), Ok(vec![0, 0, 0, 0, 0, 0, 0, 7]));
    assert_eq!(decode(&options, b"18446744073709551615"), Ok(vec![0xff; 8]));
    assert!(decode(&options, b"255").ok() < decode(&options, b"256").ok());
    for key in [&b""[..], b"18446744073709551616", b"-1", b"+1", b"1.0", b"0x10", b"1e3", b"\xff"] {
        assert!(matches!(decode(&options, key), Err(Reason::BadNumberKey { .. })), "{key:?}");
    }
}

#[test]
fn keys_above_64_kib_are_refused() {
    for (key_encoding, digits) in [(KeyEncoding::Utf8, 1), (KeyEncoding::Hex, 2)] {
        let options = encoding(key_encoding);
        let longest = b"a".repeat(MAX_KEY_BYTES * digits);
        assert_eq!(decode(&options, &longest).map(|key| key.len()), Ok(MAX_KEY_BYTES));
        let longer = b"a".repeat((MAX_KEY_BYTES + 1) * digits);
        let reason = decode(&options, &longer).expect_err("too long");
        assert_eq!(reason, Reason::KeyTooLong { bytes: MAX_KEY_BYTES + 1 });
        assert!(reason.to_string().contains("65536"), "{reason}");
    }
}

#[test]
fn operations_without_a_list_are_the_usual_words() {
    let words = Operations::words(&InputOptions::default());
    for text in ["r", "R", "read", "READ", " get ", "Scan"] {
        assert_eq!(words.decode(text.as_bytes()), Ok(Op::Read), "{text}");
    }
    for text in ["w", "Write", "PUT", "set", "del", "Delete"] {
        assert_eq!(words.decode(text.as_bytes()), Ok(Op::Write), "{text}");
    }
    let reason = words.decode(b"2a").expect_err("unknown");
    assert_eq!(reason, Reason::UnknownOp { text: "2a".to_owned() });
    assert!(reason.to_string().contains("--read or --write"), "{reason}");
    assert!(words.decode(b"").is_err() && words.decode(b"\xff").is_err());
}

#[test]
fn listed_operations_are_the_only_ones_and_exact() {
    let options = InputOptions {
        read: vec!["28".to_owned(), "88".to_owned()],
        write: vec!["2a".to_owned()],
        ..InputOptions::default()
    };
    let words = Operations::words(&options);
    assert_eq!(words.decode(b"28"), Ok(Op::Read));
    assert_eq!(words.decode(b"88"), Ok(Op::Read));
    assert_eq!(words.decode(b" 2a"), Ok(Op::Write));
    for text in [&b"2A"[..], b"r", b"w", b"2", b""] {
        assert!(words.decode(text).is_err(), "{text:?}");
    }
}

#[test]
fn methods_that_are_not_listed_keep_their_meaning() {
    let methods = Operations::methods(&InputOptions::default());
    for text in [&b"GET"[..], b"HEAD", b"OPTIONS"] {
        assert_eq!(methods.decode(text), Ok(Op::Read));
    }
    for text in [&b"POST"[..], b"PUT", b"DELETE", b"PROPFIND"] {
        assert_eq!(methods.decode(text), Ok(Op::Write));
    }
    let options = InputOptions {
        read: vec!["PROPFIND".to_owned()],
        write: vec!["GET".to_owned()],
        ..InputOptions::default()
    };
    let methods = Operations::methods(&options);
    assert_eq!(methods.decode(b"PROPFIND"), Ok(Op::Read));
    assert_eq!(methods.decode(b"GET"), Ok(Op::Write));
    assert_eq!(methods.decode(b"HEAD"), Ok(Op::Read));
    assert_eq!(methods.decode(b"POST"), Ok(Op::Write));
}

#[test]
fn sizes_are_whole_and_not_negative() {
    assert_eq!(decode_size(b"512"), Ok(512));
    assert_eq!(decode_size(b"512.0"), Ok(512));
    assert_eq!(decode_size(b"1e3"), Ok(1000));
    assert_eq!(decode_size(b"-0"), Ok(0));
    assert_eq!(decode_size(b"18446744073709551615"), Ok(u64::MAX));
    for text in [&b"-1"[..], b"-0.5"] {
        assert!(matches!(decode_size(text), Err(Reason::NegativeSize { .. })), "{text:?}");
    }
    for text in [&b""[..], b"-", b"1.5", b"18446744073709551616", b"12k", b"\xff"] {
        assert!(matches!(decode_size(text), Err(Reason::BadSize { .. })), "{text:?}");
    }
}

#[test]
fn times_say_what_was_expected() {
    for (time_unit, expected) in [
        (TimeUnit::Seconds, "number of seconds"),
        (TimeUnit::Milliseconds, "number of milliseconds"),
        (TimeUnit::Microseconds, "number of microseconds"),
        (TimeUnit::Nanoseconds, "number of nanoseconds"),
        (TimeUnit::Rfc3339, "RFC 3339"),
    ] {
        let decoder = Decoder::new(&InputOptions { time_unit, ..InputOptions::default() });
        let texts = |time| Texts { time, key: b"k", op: b"r", size: None };
        let reason = decoder.decode(1, texts(b"today")).expect_err("no time").to_string();
        assert!(reason.contains("`today`") && reason.contains(expected), "{reason}");
    }
    let decoder = Decoder::new(&InputOptions::default());
    let texts = Texts { time: b"-5", key: b"k", op: b"r", size: None };
    let reason = decoder.decode(1, texts).expect_err("before 1970");
    assert_eq!(reason, Reason::TimeOutOfRange { text: "-5".to_owned() });
}

#[test]
fn excerpts_are_short_and_printable() {
    assert_eq!(excerpt(b"a\x1b[2J\n"), "a\\u{1b}[2J\\n");
    assert_eq!(excerpt(&[b'x'; 100]), format!("{}...", "x".repeat(60)));
    assert_eq!(excerpt(b"\xff"), "\u{fffd}");
}

#[test]
fn lists_of_names_are_cut_off() {
    assert_eq!(name_list([].into_iter()), "none");
    assert_eq!(name_list(["a", "b"].into_iter()), "`a`, `b`");
    let many = name_list(std::iter::repeat_n("x", 25));
    assert!(many.ends_with("`x` and 5 more"), "{many}");
}
