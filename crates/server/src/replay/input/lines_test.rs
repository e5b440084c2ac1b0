//! Line ends, numbers, and the limit.

use std::io::Cursor;

use super::*;

fn lines(bytes: &[u8]) -> Vec<(u64, Option<Vec<u8>>)> {
    let mut lines = Lines::new(Box::new(Cursor::new(bytes.to_vec())));
    let mut all = Vec::new();
    loop {
        let text = match lines.next_line().expect("memory") {
            None => return all,
            Some(Line::Text(text)) => Some(text.to_vec()),
            Some(Line::TooLong) => None,
        };
        assert!(lines.buffer.capacity() <= 2 * (MAX_LINE_BYTES + 1));
        all.push((lines.number(), text));
    }
}

#[test]
fn line_ends_are_dropped_and_lines_counted() {
    let text = |number, text: &[u8]| (number, Some(text.to_vec()));
    assert_eq!(lines(b""), []);
    assert_eq!(lines(b"a"), [text(1, b"a")]);
    assert_eq!(lines(b"a\n"), [text(1, b"a")]);
    assert_eq!(
        lines(b"a\r\n\n\rb\r\r\nc\r"),
        [text(1, b"a"), text(2, b""), text(3, b"\rb\r"), text(4, b"c\r")]
    );
}

#[test]
fn a_line_of_the_limit_is_read_and_a_longer_one_skipped() {
    let mut bytes = vec![b'x'; MAX_LINE_BYTES];
    bytes.extend_from_slice(b"\nshort\n");
    let read = lines(&bytes);
    assert_eq!(read[0].1.as_ref().map(Vec::len), Some(MAX_LINE_BYTES));
    assert_eq!(read[1], (2, Some(b"short".to_vec())));

    bytes.insert(0, b'x');
    assert_eq!(lines(&bytes), [(1, None), (2, Some(b"short".to_vec()))]);

    let endless = vec![b'x'; 3 * MAX_LINE_BYTES];
    assert_eq!(lines(&endless), [(1, None)]);
    assert_eq!(lines(&endless[..MAX_LINE_BYTES])[0].1.as_ref().map(Vec::len), Some(MAX_LINE_BYTES));
}

#[test]
fn the_buffer_of_a_long_line_is_given_back() {
    let bytes = [vec![b'x'; MAX_LINE_BYTES + 1], b"\na\nb\n".to_vec()].concat();
    let mut lines = Lines::new(Box::new(Cursor::new(bytes)));
    while lines.next_line().expect("memory").is_some() {}
    assert!(lines.buffer.capacity() < 1024);
}
