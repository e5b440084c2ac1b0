//! Connections: bytes in, commands in order, bytes out.
//!
//! Owns: the listener and one task per connection.
//! Invariants: the commands of a connection are answered in order, each once (N1); at most
//! `max_clients` connections are served, the next is told so and closed; a client that does not
//! read its answers is not read from (N2).
//! Must not: know what a command means.
//! Proof: `tests/redis_clients.rs`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::dispatch::{Dispatcher, Session};
use crate::frame::{Budget, FrameReader};
use crate::reply::Reply;

/// Answers are written out when so many bytes wait.
const WRITE_AT_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 16 << 10;
/// The buffer of a large request grows in pieces of at most this.
const GROW_BYTES: usize = 1 << 20;
/// How long connections may take to finish what they have read.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` turns true, then finishes what was read already.
pub(crate) async fn serve(
    listener: TcpListener,
    host: Arc<Dispatcher>,
    mut stop: watch::Receiver<bool>,
) {
    let budget = Arc::new(Budget::default());
    let places = Arc::new(Semaphore::new(host.facts.max_clients.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut next_id = 0;
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        host.stats.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            host.stats.connections_refused.fetch_add(1, Ordering::Relaxed);
            refuse(&stream);
            continue;
        };
        next_id += 1;
        let session = Session { id: next_id, ..Session::default() };
        let connection = Connection {
            stream,
            place: Some(place),
            host: Arc::clone(&host),
            session,
            frames: FrameReader::new(Arc::clone(&budget)),
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
        };
        connections.spawn(connection.run(stop.clone()));
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FINISH_TIMEOUT, finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off");
    }
    connections.abort_all();
    while connections.join_next().await.is_some() {}
}

/// Without waiting: a client that cannot take one line is closed without it.
fn refuse(stream: &TcpStream) {
    if let Err(error) = stream.try_write(b"-ERR max number of clients reached\r\n") {
        tracing::debug!(%error, "a refused client was not told why");
    }
}

struct Connection {
    stream: TcpStream,
    /// Its place among `max_clients`, given back before the client can see that it is closed: who
    /// connects again upon that is not refused.
    place: Option<OwnedSemaphorePermit>,
    host: Arc<Dispatcher>,
    session: Session,
    frames: FrameReader,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Connection {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let connected = &self.host.stats.connected;
        connected.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.converse(&mut stop).await {
            tracing::debug!(id = self.session.id, %error, "a connection broke");
        }
        self.host.stats.connected.fetch_sub(1, Ordering::Relaxed);
    }

    async fn converse(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            self.answer_all().await?;
            self.flush().await?;
            if self.session.is_closing || *stop.borrow() {
                self.place = None;
                return self.stream.shutdown().await;
            }
            let missing = self.frames.needed().saturating_sub(self.incoming.len());
            self.incoming.reserve(missing.clamp(READ_BYTES, GROW_BYTES));
            let read = tokio::select! {
                read = self.stream.read_buf(&mut self.incoming) => read?,
                _ = stop.wait_for(|stop| *stop) => continue,
            };
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Answers every whole request that has arrived (N1).
    async fn answer_all(&mut self) -> io::Result<()> {
        while !self.session.is_closing && self.answer()? {
            if self.outgoing.len() >= WRITE_AT_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Answers the next request. Returns whether a whole one had arrived.
    fn answer(&mut self) -> io::Result<bool> {
        let (unread, unwritten) = (self.incoming.len(), self.outgoing.len());
        let (reply, request) = match self.frames.next(&mut self.incoming) {
            Ok(None) => return Ok(false),
            Ok(Some(words)) => {
                let request = self.host.observed.request(&words[0]);
                (self.host.call(&mut self.session, words), Some(request))
            }
            Err(error) => {
                self.session.is_closing = true;
                (Reply::Error(error.to_string()), None)
            }
        };
        let is_error = matches!(reply, Reply::Error(_));
        reply.encode(self.session.protocol, &mut self.outgoing).map_err(io::Error::other)?;
        if let Some(request) = request {
            let bytes_in = unread - self.incoming.len();
            request.answered(is_error, bytes_in, self.outgoing.len() - unwritten);
        }
        Ok(true)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.outgoing.is_empty() {
            self.stream.write_all(&self.outgoing).await?;
            self.outgoing.clear();
        }
        Ok(())
    }
}
