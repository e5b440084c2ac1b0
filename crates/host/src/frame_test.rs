use proptest::prelude::*;

use super::*;

fn reader() -> FrameReader {
    FrameReader::new(Arc::new(Budget::default()))
}

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn error(bytes: &[u8]) -> String {
    reader().next(&mut BytesMut::from(bytes)).unwrap_err().to_string()
}

#[test]
fn inline_commands_are_split_like_in_redis() {
    let mut buffer =
        BytesMut::from(&b"\r\n PING  \r\nset 'a b' \"\\x41\\n\\\"\"\n*1\r\n$1\r\nx\r\n"[..]);
    let mut reader = reader();
    assert_eq!(reader.next(&mut buffer).unwrap().unwrap(), [&b"PING"[..]]);
    assert_eq!(reader.next(&mut buffer).unwrap().unwrap(), [&b"set"[..], b"a b", b"A\n\""]);
    assert_eq!(reader.next(&mut buffer).unwrap().unwrap(), [&b"x"[..]]);
    assert_eq!(reader.next(&mut buffer).unwrap(), None);
    for unbalanced in ["\"a\r\n", "'a\r\n", "\"a\"b\r\n", "a\"\r\n"] {
        assert_eq!(
            error(unbalanced.as_bytes()),
            "ERR Protocol error: unbalanced quotes in request"
        );
    }
}

#[test]
fn bad_requests_are_named() {
    for (bytes, expected) in [
        (&b"*x\r\n"[..], "ERR Protocol error: invalid multibulk length"),
        (b"*1048577\r\n", "ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'"),
        (b"*1\r\n*1\r\n$1\r\nx\r\n", "ERR Protocol error: expected '$', got '*'"),
        (b"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\n", "ERR Protocol error: a line must end with CR LF"),
        (
            b"*1\r\n$67108864\r\n",
            "ERR Protocol error: a request of more than 67108864 bytes; send less at once",
        ),
        (
            b"*1\r\n$9223372036854775807\r\n",
            "ERR Protocol error: a request of more than 67108864 bytes; send less at once",
        ),
    ] {
        assert_eq!(error(bytes), expected, "{}", bytes.escape_ascii());
    }
    assert!(error(&[b'a'; 70_000]).contains("too big inline request"));
    assert!(error(&[&b"*"[..], &[b'1'; 70_000]].concat()).contains("too big mbulk count string"));
}

#[test]
fn empty_requests_are_skipped() {
    let mut buffer = BytesMut::from(&b"*0\r\n*-1\r\n*1\r\n$0\r\n\r\n"[..]);
    assert_eq!(reader().next(&mut buffer).unwrap().unwrap(), [&b""[..]]);
}

#[test]
fn what_unfinished_requests_hold_is_bounded() {
    let budget = Arc::new(Budget::default());
    let mut readers: Vec<FrameReader> = Vec::new();
    let start = b"*1\r\n$67000000\r\n";
    for _ in 0..8 {
        let mut reader = FrameReader::new(Arc::clone(&budget));
        assert_eq!(reader.next(&mut BytesMut::from(&start[..])).unwrap(), None);
        assert!(reader.needed() > 67_000_000);
        readers.push(reader);
    }
    let mut one_more = FrameReader::new(Arc::clone(&budget));
    let error = one_more.next(&mut BytesMut::from(&start[..])).unwrap_err();
    assert_eq!(error, FrameError::OverBudget { limit_bytes: MAX_BUFFERED_BYTES });
    readers.pop();
    let mut again = FrameReader::new(Arc::clone(&budget));
    assert_eq!(again.next(&mut BytesMut::from(&start[..])).unwrap(), None);
    drop((readers, one_more, again));
    assert_eq!(budget.0.load(Ordering::Relaxed), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn requests_come_out_whole_however_they_are_cut(
        requests in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), 1..5),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let mut bytes = Vec::new();
        for words in &requests {
            bytes.extend(request(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        }
        let (mut reader, mut buffer, mut seen) = (reader(), BytesMut::new(), Vec::new());
        let mut cuts = cuts.iter().cycle();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            buffer.extend_from_slice(piece);
            rest = after;
            while let Some(words) = reader.next(&mut buffer).unwrap() {
                seen.push(words.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(seen, requests);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let mut reader = reader();
        while let Ok(Some(words)) = reader.next(&mut buffer) {
            prop_assert!(!words.is_empty());
        }
    }

    #[test]
    fn noise_behind_a_star_never_panics(text in "\\*[0-9-]{1,3}\r\n(\\$[0-9-]{1,2}\r\n[a-z\r\n]{0,9}){0,4}") {
        let mut buffer = BytesMut::from(text.as_bytes());
        let mut reader = reader();
        while let Ok(Some(words)) = reader.next(&mut buffer) {
            prop_assert!(!words.is_empty());
        }
    }
}
