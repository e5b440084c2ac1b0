//! Fields as strings and numbers, paths, and lines that cannot be used.

use super::super::options::{KeyEncoding, TimeUnit};
use super::super::tests::{access, read};
use super::super::{MAX_LINE_BYTES, Op};
use super::*;

fn ndjson(text: &str, options: &InputOptions) -> Vec<Result<Access, Refused>> {
    read(text.as_bytes(), "a.ndjson", options)
}

fn one(text: &str, options: &InputOptions) -> Result<Access, Refused> {
    let mut items = ndjson(text, options);
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0)
}

fn reason(text: &str) -> Reason {
    one(text, &InputOptions::default()).expect_err("must be refused").reason
}

#[test]
fn strings_and_numbers_both_work() {
    let options = InputOptions { size_column: Some("n".to_owned()), ..InputOptions::default() };
    let expected = Ok(access(1, 1500, b"7", Op::Read, 5));
    assert_eq!(one(r#"{"time":1.5,"key":7,"op":"r","n":5}"#, &options), expected);
    assert_eq!(one(r#"{"n":"5","op":"R","key":"7","time":"1.5"}"#, &options), expected);
}

#[test]
fn numbers_keep_every_digit() {
    let options = InputOptions {
        key_encoding: KeyEncoding::U64Be,
        read: vec!["28".to_owned()],
        ..InputOptions::default()
    };
    let line = r#"{"time":1700000000.122999999999,"key":18446744073709551615,"op":28}"#;
    assert_eq!(one(line, &options), Ok(access(1, 1_700_000_000_122, &[0xff; 8], Op::Read, 0)));
    let nanos = InputOptions { time_unit: TimeUnit::Nanoseconds, ..InputOptions::default() };
    let line = r#"{"time":1700000000123999999,"key":"k","op":"w"}"#;
    assert_eq!(one(line, &nanos), Ok(access(1, 1_700_000_000_123, b"k", Op::Write, 0)));
}

#[test]
fn dotted_paths_descend() {
    let options = InputOptions {
        time_column: Some("meta.at".to_owned()),
        time_unit: TimeUnit::Rfc3339,
        key_column: Some("req.key.raw".to_owned()),
        key_encoding: KeyEncoding::Hex,
        op_column: Some("op.name".to_owned()),
        ..InputOptions::default()
    };
    let line =
        r#"{"meta":{"at":"1970-01-01T00:00:01Z"},"req":{"key":{"raw":"0xff00"}},"op.name":"w"}"#;
    assert_eq!(one(line, &options), Ok(access(1, 1000, b"\xff\x00", Op::Write, 0)));
}

#[test]
fn strings_are_unescaped() {
    let line = r#"{"time":1,"key":"a\u00e9\n\"","op":"\u0072"}"#;
    let expected = Ok(access(1, 1000, "aé\n\"".as_bytes(), Op::Read, 0));
    assert_eq!(one(line, &InputOptions::default()), expected);
}

#[test]
fn blank_lines_and_a_byte_order_mark_are_skipped() {
    let text = "\u{feff}{\"time\":1,\"key\":\"a\",\"op\":\"r\"}\r\n\n  \n \
                {\"time\":2,\"key\":\"b\",\"op\":\"w\"} ";
    assert_eq!(
        ndjson(text, &InputOptions::default()),
        [Ok(access(1, 1000, b"a", Op::Read, 0)), Ok(access(4, 2000, b"b", Op::Write, 0))]
    );
}

#[test]
fn a_missing_field_is_refused_with_the_fields_there_are() {
    let reason = reason(r#"{"time":1,"k":"a","op":"r"}"#).to_string();
    assert!(reason.contains("`key`") && reason.contains("--key-column"), "{reason}");
    assert!(reason.contains("`time`, `k`, `op`"), "{reason}");
    let options = InputOptions { size_column: Some("n".to_owned()), ..InputOptions::default() };
    let refused = one(r#"{"time":1,"key":"a","op":"r"}"#, &options).expect_err("no size");
    assert!(matches!(refused.reason, Reason::MissingField { option: "--size-column", .. }));
}

#[test]
fn other_types_are_refused() {
    for (value, found) in
        [("null", "null"), ("true", "a boolean"), ("[1]", "an array"), ("{}", "an object")]
    {
        let reason = reason(&format!(r#"{{"time":1,"key":{value},"op":"r"}}"#));
        assert!(matches!(&reason, Reason::FieldType { found: is, .. } if *is == found), "{reason}");
    }
}

#[test]
fn lines_that_are_not_objects_are_refused() {
    for (line, found) in [("[{}]", "an array"), ("1", "a number"), ("\"a\"", "a string")] {
        assert_eq!(reason(line), Reason::NotAnObject { found });
    }
    for line in
        ["{", "{\"time\":1,}", "{'time':1}", "{\"time\":01}", "{} {}", "time=1", "{\"a\":NaN}"]
    {
        assert!(matches!(reason(line), Reason::BadJson { .. }), "{line}");
    }
    assert!(reason("{\"a\":NaN}").to_string().ends_with("expected value at column 6"));
    let bad_escape = reason(r#"{"time":1,"key":"\ud800","op":"r"}"#);
    assert!(matches!(bad_escape, Reason::BadJson { .. }), "{bad_escape}");
    let items = read(b"{\"a\":\"\xff\"}\n", "a.json", &InputOptions::default());
    let refused = Refused { line: 1, reason: Reason::NotUtf8 { valid_bytes: 6 } };
    assert_eq!(items, [Err(refused)]);
}

#[test]
fn deep_nesting_needs_no_stack() {
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    let line = format!(r#"{{"x":{deep},"time":1,"key":"a","op":"r"}}"#);
    match one(&line, &InputOptions::default()) {
        Ok(read) => assert_eq!(read, access(1, 1000, b"a", Op::Read, 0)),
        Err(refused) => assert!(matches!(refused.reason, Reason::BadJson { .. }), "{refused}"),
    }
}

#[test]
fn field_values_are_refused_as_in_csv_and_the_iteration_goes_on() {
    let text = "{\"time\":\"x\",\"key\":\"a\",\"op\":\"r\"}\n{\"time\":1,\"key\":\"a\",\"op\":\"?\"}\n\
                {\"time\":-1,\"key\":\"a\",\"op\":\"r\"}\n{\"time\":1,\"key\":\"a\",\"op\":\"r\"}\n";
    let items = ndjson(text, &InputOptions::default());
    let refused: Vec<_> =
        items[..3].iter().map(|item| item.as_ref().expect_err("refused")).collect();
    assert!(matches!(refused[0], Refused { line: 1, reason: Reason::BadTime { .. } }));
    assert!(matches!(refused[1], Refused { line: 2, reason: Reason::UnknownOp { .. } }));
    assert!(matches!(refused[2], Refused { line: 3, reason: Reason::TimeOutOfRange { .. } }));
    assert_eq!(items[3], Ok(access(4, 1000, b"a", Op::Read, 0)));
}

#[test]
fn a_line_above_16_mib_is_refused_and_the_next_one_read() {
    let long = "x".repeat(MAX_LINE_BYTES);
    let line = r#"{"time":1,"key":"a","op":"r"}"#;
    let items = ndjson(&format!("{line}\n\"{long}\"\n{line}\n"), &InputOptions::default());
    assert_eq!(items.len(), 3);
    let refused = Refused { line: 2, reason: Reason::TooLong { last_line: 2 } };
    assert_eq!(items[1], Err(refused));
    assert_eq!(items[2], Ok(access(3, 1000, b"a", Op::Read, 0)));
}
