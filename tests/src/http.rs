//! A blocking HTTP/1.1 client: one request a connection.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its chunks put together.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status and the beginning of the body, for messages.
    pub fn brief(&self) -> String {
        format!("{}: {}", self.status, self.text().chars().take(500).collect::<String>())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.brief()))
    }

    /// The body as JSON of an answer that is 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.brief());
        self.json()
    }

    /// Checks that this is an error of the one shape, and returns its message.
    #[track_caller]
    pub fn refusal(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.brief());
        assert_eq!(self.header("cache-control"), Some("no-store"), "{:?}", self.headers);
        let json = self.json();
        assert_eq!(json["error"], code, "{json}");
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "message"], "{json}");
        let message = json["message"].as_str().unwrap().to_owned();
        assert!(!message.is_empty() && !message.contains("panicked"), "{message:?}");
        message
    }
}

/// Sends a request. An `Err` is a connection that failed or ended early.
///
/// # Errors
/// As said.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(crate::PATIENCE))?;
    stream.set_write_timeout(Some(crate::PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server that refuses a body early may close before it has read all of it.
    let sent = stream.write_all(body);
    let read = read_response(BufReader::new(stream), method == "HEAD");
    if read.is_err() { sent.and(read) } else { read }
}

/// GET; panics when there is no answer.
pub fn get(address: &str, path: &str) -> Response {
    request(address, "GET", path, &[], b"")
        .unwrap_or_else(|error| panic!("GET http://{address}{path}: {error}"))
}

/// POST of JSON text.
///
/// # Errors
/// As [`request`].
pub fn post_json(address: &str, path: &str, body: &str) -> std::io::Result<Response> {
    request(address, "POST", path, &[("Content-Type", "application/json")], body.as_bytes())
}

fn read_response(mut from: impl BufRead, is_head: bool) -> std::io::Result<Response> {
    let bad = |what: &str| std::io::Error::other(format!("not an HTTP answer: {what:?}"));
    let first = line(&mut from)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| bad(&first))?;
    let mut headers = Vec::new();
    loop {
        let text = line(&mut from)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':').ok_or_else(|| bad(&text))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if is_head {
        return Ok(response);
    }
    if response.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let size = line(&mut from)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16);
            let size = size.map_err(|_| bad("size of a chunk"))?;
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            response.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = response.header("content-length") {
        response.body = vec![0; length.parse().map_err(|_| bad(length))?];
        from.read_exact(&mut response.body)?;
    } else {
        from.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

fn line(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    if from.read_line(&mut text)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
