//! A RESP2 client that pipelines: queue any number of commands, flush, read as many replies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Simple(String),
    /// `-ERR ...`
    Error(String),
    /// `:1`
    Int(i64),
    /// A value, or none.
    Bulk(Option<Vec<u8>>),
    /// Replies.
    Array(Vec<Self>),
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    queued: Vec<u8>,
}

impl Client {
    /// Connects to `address`.
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream), queued: Vec::new() }
    }

    /// Queues a command.
    pub fn queue(&mut self, words: &[&[u8]]) {
        self.queued.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.queued.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.queued.extend_from_slice(word);
            self.queued.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        self.stream.get_mut().write_all(&self.queued).unwrap();
        self.queued.clear();
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let line = line.trim_end_matches(['\r', '\n']);
        assert!(!line.is_empty(), "the host closed the connection");
        let (kind, rest) = line.split_at(1);
        let number = || rest.parse::<i64>().unwrap_or_else(|_| panic!("not a reply: {line:?}"));
        match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(number()),
            "$" => Reply::Bulk(usize::try_from(number()).ok().map(|length| self.bytes(length))),
            "*" => Reply::Array((0..number().max(0)).map(|_| self.reply()).collect()),
            _ => panic!("not a reply: {line:?}"),
        }
    }

    /// Sends one command and reads its reply.
    pub fn ask(&mut self, words: &[&[u8]]) -> Reply {
        self.queue(words);
        self.flush();
        self.reply()
    }

    /// The lines of `INFO all`, as `(field, value)`.
    pub fn info(&mut self) -> Vec<(String, String)> {
        let Reply::Bulk(Some(text)) = self.ask(&[b"INFO", b"all"]) else {
            panic!("INFO did not answer with text");
        };
        let text = String::from_utf8(text).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
    }

    /// One field of INFO.
    pub fn info_field(&mut self, field: &str) -> String {
        let found = self.info().into_iter().find(|(name, _)| name == field);
        found.unwrap_or_else(|| panic!("INFO has no {field}")).1
    }

    /// One field of INFO, as a number.
    pub fn info_number(&mut self, field: &str) -> u64 {
        let text = self.info_field(field);
        text.parse().unwrap_or_else(|_| panic!("{field}:{text} is not a number"))
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    }
}
