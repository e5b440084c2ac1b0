//! A small RESP2 client: one command at a time, or many at once.
//!
//! Owns: one connection. Every wait has an end.
//! Invariants: replies come in the order of the commands; an error reply to a pipelined command is
//! an error.
//! Must not: know which commands there are.
//! Proof: `resp_test.rs`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Neither INFO nor RANGES of a demo is longer.
const MAX_BULK_BYTES: usize = 16 << 20;
const MAX_DEPTH: u8 = 8;

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`
    Simple(String),
    /// `-ERR ...`
    Error(String),
    /// `:1`
    Int(i64),
    /// `$3`, or `None` for `$-1`.
    Bulk(Option<Vec<u8>>),
    /// `*2`; an absent array is empty.
    Array(Vec<Reply>),
}

/// Commands that go out together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    commands: u64,
}

impl Batch {
    /// Adds a command.
    pub(super) fn push(&mut self, words: &[&[u8]]) {
        self.bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.commands += 1;
    }

    /// How many there are.
    pub(super) fn commands(&self) -> u64 {
        self.commands
    }

    /// Makes room for the next.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.commands = 0;
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct RespClient {
    address: SocketAddr,
    stream: BufStream<TcpStream>,
}

impl RespClient {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("the host at {address} cannot be reached"))?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream: BufStream::new(stream) })
    }

    /// Sends one command. An error reply is an error.
    pub(super) async fn ask(&mut self, words: &[&str]) -> anyhow::Result<Reply> {
        self.command(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()).await
    }

    /// As [`RespClient::ask`], for words that are not text.
    pub(super) async fn command(&mut self, words: &[&[u8]]) -> anyhow::Result<Reply> {
        let said = || words.join(&b' ').escape_ascii().to_string();
        let mut batch = Batch::default();
        batch.push(words);
        let mut replies = Vec::with_capacity(1);
        self.exchange(&batch, |reply| replies.push(reply)).await?;
        match replies.pop() {
            Some(Reply::Error(error)) => {
                bail!("the host answers {} with: {error}", said())
            }
            Some(reply) => Ok(reply),
            None => bail!("the host does not answer {}", said()),
        }
    }

    /// Sends all, then reads as many replies.
    pub(super) async fn pipeline(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let mut refused = None;
        self.exchange(batch, |reply| {
            if let Reply::Error(error) = reply {
                refused.get_or_insert(error);
            }
        })
        .await?;
        match refused {
            Some(error) => bail!("the host refuses a command of the traffic: {error}"),
            None => Ok(()),
        }
    }

    async fn exchange(&mut self, batch: &Batch, mut take: impl FnMut(Reply)) -> anyhow::Result<()> {
        let address = self.address;
        let exchange = async {
            self.stream.write_all(&batch.bytes).await?;
            self.stream.flush().await?;
            for _ in 0..batch.commands {
                take(self.read(0).await?);
            }
            anyhow::Ok(())
        };
        let done = tokio::time::timeout(PATIENCE, exchange).await;
        let done =
            done.with_context(|| format!("the host at {address} took longer than {PATIENCE:?}"))?;
        done.with_context(|| format!("the connection to the host at {address} broke"))
    }

    fn read(
        &mut self,
        depth: u8,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<Reply>> + Send + '_>> {
        Box::pin(async move {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let Some(line) = line.strip_suffix("\r\n") else { bail!("it closed the connection") };
            let Some((kind, rest)) = line.split_at_checked(1) else {
                bail!("an empty line is no reply")
            };
            let number = || rest.parse::<i64>().with_context(|| format!("{line:?} is no reply"));
            Ok(match kind {
                "+" => Reply::Simple(rest.to_owned()),
                "-" => Reply::Error(rest.to_owned()),
                ":" => Reply::Int(number()?),
                "$" => Reply::Bulk(match number()? {
                    ..0 => None,
                    length => Some(self.bulk(usize::try_from(length)?).await?),
                }),
                "*" if depth < MAX_DEPTH => {
                    let mut items = Vec::new();
                    for _ in 0..number()? {
                        items.push(self.read(depth + 1).await?);
                    }
                    Reply::Array(items)
                }
                _ => bail!("{line:?} is no reply"),
            })
        })
    }

    async fn bulk(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        if length > MAX_BULK_BYTES {
            bail!("a reply of {length} bytes is longer than {MAX_BULK_BYTES}");
        }
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).await?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
#[path = "resp_test.rs"]
mod resp_test;
