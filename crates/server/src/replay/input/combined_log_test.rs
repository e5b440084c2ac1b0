//! Lines as Apache and nginx write them, and lines that cannot be used.

use super::super::tests::{access, read};
use super::super::{MAX_KEY_BYTES, MAX_LINE_BYTES, Op};
use super::*;

const TIME_MS: u64 = 971_211_336_000;

fn log(text: &[u8]) -> Vec<Result<Access, Refused>> {
    read(text, "access.log", &InputOptions::default())
}

/// The access of a line with this request and size.
fn request(request: &str, size: &str) -> Result<Access, Reason> {
    let line = format!("h - - [10/Oct/2000:13:55:36 -0700] \"{request}\" 200 {size}\n");
    let mut items = log(line.as_bytes());
    assert_eq!(items.len(), 1);
    items.remove(0).map_err(|refused| refused.reason)
}

fn key(request_line: &str) -> Vec<u8> {
    request(request_line, "1").expect("used").key
}

#[test]
fn the_usual_forms_are_read() {
    let expected = [Ok(access(1, TIME_MS, b"/apache_pb.gif", Op::Read, 2326))];
    let request = "[10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326";
    for line in [
        format!("127.0.0.1 - frank {request}"),
        format!(
            "127.0.0.1 - frank {request} \"http://a/?b=\\\"c\" \"Mozilla/4.08 [en] (X \\\"y)\""
        ),
        format!("www.example.com:80 ::1 - - {request} \"-\" \"-\" 0.123 extra"),
        format!("[2001:db8::1]:443 ::1 - - {request}\r\n"),
        format!("127.0.0.1 - John Doe {request}"),
    ] {
        assert_eq!(log(line.as_bytes()), expected, "{line}");
    }
}

#[test]
fn zones_count_and_rfc3339_is_accepted() {
    for time in ["10/Oct/2000:20:55:36 +0000", "2000-10-10T22:55:36+02:00"] {
        let line = format!("h - - [{time}] \"GET /a HTTP/1.0\" 200 1");
        assert_eq!(log(line.as_bytes()), [Ok(access(1, TIME_MS, b"/a", Op::Read, 1))]);
    }
}

#[test]
fn methods_decide_the_operation() {
    let op = |method: &str| request(&format!("{method} /a HTTP/1.1"), "1").map(|a| a.op);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(op(method), Ok(Op::Read), "{method}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "VERSION-CONTROL"] {
        assert_eq!(op(method), Ok(Op::Write), "{method}");
    }
    let options = InputOptions { read: vec!["POST".to_owned()], ..InputOptions::default() };
    let line = b"h - - [10/Oct/2000:13:55:36 -0700] \"POST /a HTTP/1.0\" 200 1";
    assert_eq!(read(line, "a.log", &options), [Ok(access(1, TIME_MS, b"/a", Op::Read, 1))]);
}

#[test]
fn the_key_is_the_path() {
    assert_eq!(key("GET / HTTP/1.1"), b"/");
    assert_eq!(key("GET /a/b?c=d?e HTTP/1.1"), b"/a/b");
    assert_eq!(key("GET /?http://x/y HTTP/1.1"), b"/");
    assert_eq!(key("GET /a%20b#c HTTP/2.0"), b"/a%20b#c");
    assert_eq!(key("GET /a b HTTP/1.1"), b"/a b");
    assert_eq!(key("GET /old"), b"/old");
    assert_eq!(key("GET http://host:80/a?b HTTP/1.1"), b"/a");
    assert_eq!(key("GET http://host HTTP/1.1"), b"/");
    assert_eq!(key("GET http://host?b HTTP/1.1"), b"/");
    assert_eq!(key("OPTIONS * HTTP/1.1"), b"*");
    assert_eq!(key("CONNECT host:443 HTTP/1.1"), b"host:443");
}

#[test]
fn escapes_of_the_log_are_undone() {
    assert_eq!(key(r"GET /\xc3\xA9\x00 HTTP/1.1"), b"/\xc3\xa9\x00");
    assert_eq!(key(r#"GET /\"a\\b HTTP/1.1"#), b"/\"a\\b");
    assert_eq!(key(r"GET /\n\r\t\b\f\v HTTP/1.1"), b"/\n\r\t\x08\x0c\x0b");
    assert_eq!(key(r"GET /\xzz\q HTTP/1.1"), b"/\\xzz\\q");
    assert_eq!(unescape(br"\x4"), br"\x4");
    assert_eq!(unescape(b"\\"), b"\\");
}

#[test]
fn keys_need_not_be_utf8() {
    let line = b"h - - [10/Oct/2000:13:55:36 -0700] \"GET /\xff HTTP/1.0\" 200 1 \"\xfe\"";
    assert_eq!(log(line), [Ok(access(1, TIME_MS, b"/\xff", Op::Read, 1))]);
}

#[test]
fn sizes_are_the_response_bytes() {
    let size = |text| request("GET / HTTP/1.1", text).map(|a| a.size_bytes);
    assert_eq!(size("-"), Ok(0));
    assert_eq!(size("0"), Ok(0));
    assert_eq!(size("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(size("-5"), Err(Reason::NegativeSize { text: "-5".to_owned() }));
    assert!(matches!(size("18446744073709551616"), Err(Reason::BadSize { .. })));
    assert_eq!(size("x"), Err(Reason::NotCombined));
    assert_eq!(size("5x"), Err(Reason::NotCombined));
}

#[test]
fn requests_without_a_path_are_refused() {
    for text in [
        "-",
        "",
        r"\x16\x03\x01",
        "GET",
        "GET  HTTP/1.1",
        "get /a HTTP/1.1",
        "GET a HTTP/1.1",
        " /a",
        "CONNECT ?",
    ] {
        let reason = request(text, "1").expect_err(text);
        assert!(matches!(reason, Reason::BadRequest { .. }), "{text:?}: {reason}");
    }
}

#[test]
fn lines_of_another_form_are_refused_and_the_iteration_goes_on() {
    let good = "h - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 1";
    let text = format!(
        "{good}\n\nnot a log\nh - - [99/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 1\n\
         h - - [10/Oct/1960:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 1\n\
         h - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0 200 1\n{good}"
    );
    let items = log(text.as_bytes());
    let refused: Vec<_> =
        items[1..5].iter().map(|item| item.as_ref().expect_err("refused")).collect();
    assert_eq!(*refused[0], Refused { line: 3, reason: Reason::NotCombined });
    assert!(matches!(refused[1], Refused { line: 4, reason: Reason::BadTime { .. } }));
    assert!(matches!(refused[2], Refused { line: 5, reason: Reason::TimeOutOfRange { .. } }));
    assert_eq!(*refused[3], Refused { line: 6, reason: Reason::NotCombined });
    assert_eq!(items[5], Ok(access(7, TIME_MS, b"/a", Op::Read, 1)));
    assert_eq!(items.len(), 6);
}

#[test]
fn long_keys_and_lines_are_refused() {
    let path = |bytes: usize| format!("GET /{} HTTP/1.1", "a".repeat(bytes - 1));
    assert_eq!(key(&path(MAX_KEY_BYTES)).len(), MAX_KEY_BYTES);
    let reason = request(&path(MAX_KEY_BYTES + 1), "1").expect_err("too long");
    assert_eq!(reason, Reason::KeyTooLong { bytes: MAX_KEY_BYTES + 1 });
    let items = log(&[vec![b'x'; MAX_LINE_BYTES + 1], b"\nx".to_vec()].concat());
    assert_eq!(items[0], Err(Refused { line: 1, reason: Reason::TooLong { last_line: 1 } }));
    assert_eq!(items[1], Err(Refused { line: 2, reason: Reason::NotCombined }));
}
