//! Columns, quoting, line numbers, and records that cannot be used.

use std::io::Cursor;

use super::super::tests::{access, open_bytes, open_error, read};
use super::super::{Format, Op, open_reader};
use super::*;

fn csv(text: &str) -> Vec<Result<Access, Refused>> {
    read(text.as_bytes(), "a.csv", &InputOptions::default())
}

fn columns(time: &str, key: &str, op: &str) -> InputOptions {
    InputOptions {
        time_column: Some(time.to_owned()),
        key_column: Some(key.to_owned()),
        op_column: Some(op.to_owned()),
        ..InputOptions::default()
    }
}

fn reason(item: &Result<Access, Refused>) -> (u64, Reason) {
    let refused = item.as_ref().expect_err("must be refused").clone();
    (refused.line, refused.reason)
}

#[test]
fn a_header_alone_has_no_accesses() {
    assert_eq!(csv("time,key,op"), []);
    assert_eq!(csv("time,key,op\r\n"), []);
}

#[test]
fn columns_are_found_by_name() {
    let options = InputOptions { size_column: Some("n".to_owned()), ..columns("t", "k", "o") };
    let text = b"n,o,x,k,t\n5,w,,key,1.5\n";
    assert_eq!(read(text, "a.csv", &options), [Ok(access(2, 1500, b"key", Op::Write, 5))]);
}

#[test]
fn columns_are_found_by_index_unless_a_name_is_that_number() {
    let options = columns("2", "1", "0");
    assert_eq!(
        read(b"a,b,c\nr,key,7\n", "a.csv", &options),
        [Ok(access(2, 7000, b"key", Op::Read, 0))]
    );
    // Here `1` is the name of the last column.
    assert_eq!(
        read(b"a,b,c,1\nr,key,7,other\n", "a.csv", &options),
        [Ok(access(2, 7000, b"other", Op::Read, 0))]
    );
}

#[test]
fn header_names_lose_spaces_and_a_byte_order_mark() {
    let text = b"\xef\xbb\xbftime, key ,\"op\"\n1,k,r\n";
    let options = InputOptions::default();
    assert_eq!(read(text, "a.csv", &options), [Ok(access(2, 1000, b"k", Op::Read, 0))]);
}

#[test]
fn a_missing_column_lists_those_that_exist() {
    let error = open_error(b"version,time,op,size,lbn\n", "a.csv", &InputOptions::default());
    for part in ["a.csv", "`key`", "--key-column", "`version`, `time`, `op`, `size`, `lbn`"] {
        assert!(error.contains(part), "{error}");
    }
    for index in ["3", "-1", "+1", "99999999999999999999999"] {
        let error = open_error(b"time,key,op\n", "a.csv", &columns(index, "key", "op"));
        assert!(error.contains("--time-column") && error.contains(index), "{error}");
    }
    let sizes = InputOptions { size_column: Some("bytes".to_owned()), ..InputOptions::default() };
    assert!(open_error(b"time,key,op\n", "a.csv", &sizes).contains("--size-column"));
    assert!(open_error(b"time;key;op\n", "a.csv", &sizes).contains("`time;key;op`"));
}

#[test]
fn a_name_that_occurs_twice_needs_an_index() {
    let error = open_error(b"time,key,op,key\n", "a.csv", &InputOptions::default());
    assert!(error.contains("`key`") && error.contains("1 and 3"), "{error}");
    let options = columns("time", "3", "op");
    assert_eq!(
        read(b"time,key,op,key\n1,a,r,b\n", "a.csv", &options),
        [Ok(access(2, 1000, b"b", Op::Read, 0))]
    );
}

#[test]
fn without_a_header_the_first_line_is_an_access() {
    let options = InputOptions { no_header: true, ..columns("0", "1", "2") };
    assert_eq!(
        read(b"1,a,r\n2,b,w\n", "a.csv", &options),
        [Ok(access(1, 1000, b"a", Op::Read, 0)), Ok(access(2, 2000, b"b", Op::Write, 0))]
    );
    assert_eq!(read(b"", "a.csv", &options), []);
    let options = InputOptions { no_header: true, ..columns("0", "1", "3") };
    let error = open_error(b"1,a,r\n", "a.csv", &options);
    assert!(error.contains("the indexes 0 to 2"), "{error}");
}

#[test]
fn delimiters_by_option_and_by_name() {
    let expected = [Ok(access(2, 1000, b"a,b", Op::Read, 0))];
    let options = InputOptions { delimiter: Some(b';'), ..InputOptions::default() };
    assert_eq!(read(b"time;key;op\n1;a,b;r\n", "a.csv", &options), expected);
    let options = InputOptions::default();
    assert_eq!(read(b"time\tkey\top\n1\ta,b\tr\n", "a.tsv", &options), expected);
    let options = InputOptions { format: Some(Format::Csv), ..options };
    assert_eq!(read(b"time,key,op\n1,\"a,b\",r\n", "-", &options), expected);
}

#[test]
fn quotes_hold_delimiters_quotes_and_line_ends() {
    let items = csv("time,op,key\n\n1,r,\"a,\"\"b\"\"\r\nc\"\n\r\n2,w,d\"e\n3,r,f");
    assert_eq!(
        items,
        [
            Ok(access(3, 1000, b"a,\"b\"\r\nc", Op::Read, 0)),
            Ok(access(6, 2000, b"d\"e", Op::Write, 0)),
            Ok(access(7, 3000, b"f", Op::Read, 0)),
        ]
    );
    // A quoted field at the end may end with a line end without being open.
    assert_eq!(csv("time,op,key\n1,r,\"a\n\""), [Ok(access(2, 1000, b"a\n", Op::Read, 0))]);
    assert_eq!(csv("time,op,key\n1,r,\"a\n\n\"\n"), [Ok(access(2, 1000, b"a\n\n", Op::Read, 0))]);
}

#[test]
fn all_three_line_ends_work() {
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("time,key,op{end}1,a,r{end}2,b,w{end}");
        let items = csv(&text);
        let keys: Vec<_> =
            items.iter().map(|item| item.as_ref().expect("used").key.clone()).collect();
        assert_eq!(keys, [b"a".to_vec(), b"b".to_vec()], "{end:?}");
    }
}

#[test]
fn a_quote_that_stays_open_is_refused() {
    for end in ["", "\n", "\n\n", "\r\n"] {
        let items = csv(&format!("time,op,key\n1,r,a\n2,r,\"b\n3,r,c\n4,r,d{end}"));
        assert_eq!(items.len(), 2, "{items:?}");
        let (line, reason) = reason(&items[1]);
        assert_eq!(line, 3);
        assert!(matches!(reason, Reason::UnclosedQuote { last_line: 5.. }), "{reason:?}");
    }
    let error = open_error(b"\"time,op,key\n1,r,a\n", "a.csv", &InputOptions::default());
    assert!(error.contains("a.csv") && error.contains("quote"), "{error}");
}

#[test]
fn refusals_do_not_stop_the_iteration() {
    let options = InputOptions { size_column: Some("size".to_owned()), ..InputOptions::default() };
    let text = b"time,key,op,size\nx,k,r,1\n-1,k,r,1\n1,\xff,r,1\n1,k,?,1\n1,k,r,-1\n1,k,r,\n\
                 1,k,r\n1,k,r,1,1\n1,k,r,1\n";
    let items = read(text, "a.csv", &options);
    let reasons: Vec<_> = items[..8].iter().map(reason).collect();
    assert!(matches!(reasons[0], (2, Reason::BadTime { .. })), "{reasons:?}");
    assert!(matches!(reasons[1], (3, Reason::TimeOutOfRange { .. })), "{reasons:?}");
    assert!(matches!(reasons[2], (4, Reason::KeyNotUtf8 { .. })), "{reasons:?}");
    assert!(matches!(reasons[3], (5, Reason::UnknownOp { .. })), "{reasons:?}");
    assert!(matches!(reasons[4], (6, Reason::NegativeSize { .. })), "{reasons:?}");
    assert!(matches!(reasons[5], (7, Reason::BadSize { .. })), "{reasons:?}");
    assert_eq!(reasons[6], (8, Reason::FieldCount { found: 3, expected: 4 }));
    assert_eq!(reasons[7], (9, Reason::FieldCount { found: 5, expected: 4 }));
    assert_eq!(items[8..], [Ok(access(10, 1000, b"k", Op::Read, 1))]);
    let message = items[6].as_ref().expect_err("refused").to_string();
    assert!(message.starts_with("line 8: it has 3 fields"), "{message}");
}

#[test]
fn a_line_above_16_mib_is_refused_and_the_next_one_read() {
    let bytes = [
        b"time,key,op\n1,a,r\n2,".to_vec(),
        vec![b'x'; 2 * MAX_LINE_BYTES],
        b",r\n3,b,r\n".to_vec(),
    ]
    .concat();
    let items = read(&bytes, "a.csv", &InputOptions::default());
    assert_eq!(items.len(), 3);
    assert_eq!(reason(&items[1]), (3, Reason::TooLong { last_line: 3 }));
    assert_eq!(items[2], Ok(access(4, 3000, b"b", Op::Read, 0)));
}

#[test]
fn a_record_of_exactly_16_mib_is_parsed() {
    for (extra, too_long) in [(0, false), (1, true)] {
        let key = vec![b'x'; MAX_LINE_BYTES - 4 + extra];
        let bytes = [b"time,key,op\n1,", key.as_slice(), b",r\n2,b,r\n"].concat();
        let items = read(&bytes, "a.csv", &InputOptions::default());
        assert_eq!(items.len(), 2);
        let expected = if too_long {
            Reason::TooLong { last_line: 2 }
        } else {
            Reason::KeyTooLong { bytes: key.len() }
        };
        assert_eq!(reason(&items[0]), (2, expected));
        assert_eq!(items[1], Ok(access(3, 2000, b"b", Op::Read, 0)));
    }
}

#[test]
fn an_open_quote_gives_up_after_16_mib() {
    let line = format!("3,{},r\n", "y".repeat(1020));
    let lines = MAX_LINE_BYTES / line.len() + 10;
    let bytes = format!("time,key,op\n1,\"a,r\n{}", line.repeat(lines));
    let items = read(bytes.as_bytes(), "a.csv", &InputOptions::default());
    let (first, refused) = reason(&items[0]);
    assert_eq!(first, 2);
    assert!(matches!(refused, Reason::TooLong { last_line } if last_line > 16_000), "{refused}");
    let next = items[1].as_ref().expect("the lines after it are read");
    assert_eq!(refused, Reason::TooLong { last_line: next.line - 1 });
    assert_eq!(items.last().expect("some").as_ref().expect("used").line, 2 + lines as u64);
}

#[test]
fn an_endless_line_needs_no_memory() {
    let head = Cursor::new(b"time,key,op\n1,".to_vec());
    let body = io::repeat(b'x').take(200 << 20);
    let reader: RawReader = Box::new(head.chain(body).chain(Cursor::new(b",r\n2,b,r\n".to_vec())));
    let items: Vec<_> = open_reader(reader, "a.csv", &InputOptions::default())
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("no error");
    assert_eq!(reason(&items[0]), (2, Reason::TooLong { last_line: 2 }));
    assert_eq!(items[1..], [Ok(access(3, 2000, b"b", Op::Read, 0))]);
}

#[test]
fn a_header_above_16_mib_is_an_error() {
    let error = open_error(&vec![b'x'; MAX_LINE_BYTES + 2], "a.csv", &InputOptions::default());
    assert!(error.contains("first line of a.csv") && error.contains("16777216"), "{error}");
}

#[test]
fn blank_lines_do_not_count_as_a_record() {
    let bytes = [b"time,key,op\n".to_vec(), b"\r\n".repeat(9 << 20), b"1,a,r\n".to_vec()].concat();
    let line = 2 + (9 << 20);
    assert_eq!(
        read(&bytes, "a.csv", &InputOptions::default()),
        [Ok(access(line, 1000, b"a", Op::Read, 0))]
    );
    assert!(open_bytes(b"\n\n", "a.csv", &InputOptions::default()).is_ok());
}
