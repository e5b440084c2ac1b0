use super::*;

/// Every kind of byte that could move a cursor, turn a line around or hide.
const HOSTILE: [&[u8]; 9] = [
    b"\x1b[2J\x1b]0;owned\x07",
    "\u{9b}31mred".as_bytes(),
    "abc\u{202e}cba".as_bytes(),
    "a\u{200b}b\u{2066}c\u{feff}".as_bytes(),
    b"line\r\nbreak\ttab\x08\x08",
    "z\u{300}\u{301}\u{302}\u{303}algo".as_bytes(),
    b"\xff\xfe\x00\x01",
    "\u{3164}\u{e0041}\u{115f}\u{2800}\u{a0}".as_bytes(),
    b"\xc3\x28 half \xe2\x82",
];

#[test]
fn hostile_keys_are_inert_everywhere() {
    let unfit = |character: char| {
        character.is_control()
            || is_hidden(character)
            || (character != ' ' && character.is_whitespace())
    };
    for key in HOSTILE {
        for text in [label(key, 200), exact(key), inert(&String::from_utf8_lossy(key))] {
            assert!(!text.chars().any(unfit), "{key:x?} became {text:?}");
        }
    }
}

#[test]
fn no_single_character_gets_through_unescaped() {
    for character in '\0'..=char::MAX {
        let text = label(character.to_string().as_bytes(), 100);
        if text.chars().eq([character]) {
            assert!(is_certain(character), "{character:?}");
            assert!(!character.is_control(), "{character:?}");
        } else {
            assert!(text.is_ascii(), "{character:?} became {text:?}");
        }
    }
}

#[test]
fn text_stays_text_and_bytes_become_hex() {
    assert_eq!(label(b"user:42", 30), "user:42");
    assert_eq!(label("größe/名前".as_bytes(), 30), "größe/名前");
    assert_eq!(label(b"user\x00\x01", 30), "user\\x00\\x01");
    assert_eq!(label(&[0, 0, 1, 65], 30), "0x00000141");
    assert_eq!(label(b"a\\x00", 30), "a\\\\x00");
    assert_eq!(label(b"", 30), "");
}

#[test]
fn long_labels_keep_head_and_tail() {
    assert_eq!(label(b"customer:0000000000000042", 12), "custom…00042");
    assert_eq!(width(&label("名前名前名前名前".as_bytes(), 9)), 9);
    let long = vec![b'k'; 65_536];
    assert_eq!(label(&long, 20), format!("{}…{}", "k".repeat(10), "k".repeat(9)));
    assert!(label(&vec![0xff; 65_536], 20).starts_with("0xff"));
    for columns in 0..20 {
        assert!(width(&label("x名y前z".as_bytes(), columns)) <= columns.max(1));
    }
}

#[test]
fn exact_text_reads_back() {
    let keys: [&[u8]; 7] =
        [b"", b"user:42", b"0x41", b"\x00\xff", "größe".as_bytes(), b"a\nb", b"it's \"quoted\""];
    for key in keys.into_iter().chain(HOSTILE) {
        assert_eq!(exact(key).parse::<Key>().unwrap().0, key);
    }
    assert_eq!(exact(b"user:42"), "user:42");
    assert_eq!(exact(b"0x41"), "0x30783431");
}

#[test]
fn a_bad_hex_bound_says_why() {
    assert!("0x123".parse::<Key>().unwrap_err().contains("pairs"));
    assert!("0xzz".parse::<Key>().is_err());
    assert_eq!("0x".parse::<Key>().unwrap(), Key(Vec::new()));
}
