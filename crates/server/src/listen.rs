//! The connections of a port, in plain or over TLS.
//!
//! Responsible for: accepting, handshakes (many at once, each of them bounded in time, so that one that
//! stands still delays nobody), and who is at the other end.
//! Invariants: at most [`MAX_CONNECTIONS`] connections of a port are open, handshakes included; who comes
//! then waits in the system's queue. A peer that is gone without a word is noticed by TCP's own probes. An
//! error of `accept` (no file descriptor is left) ends nothing.
//! Must not: know what is spoken over a connection.
//! Proof: `tests/tests/tls.rs` with real processes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected as AxumConnected;
use axum::serve::IncomingStream;
use prometheus::{IntCounter, IntGauge};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::measured::Measured;
use crate::tls::Tls;

/// Connections of one port that are open at once.
pub(crate) const MAX_CONNECTIONS: usize = 16_384;
/// How long a peer may take until it is clear who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system could not.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// It has shown a certificate, which was verified.
    pub(crate) is_certified: bool,
}

/// A port that is listened on.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
    places: Arc<Semaphore>,
    handshakes: JoinSet<Option<Connection>>,
    open: IntGauge,
    failed_handshakes: IntCounter,
}

/// A connection, ready to be spoken over.
pub(crate) struct Connection {
    io: Io,
    peer: Peer,
    _place: Place,
}

/// A connection's place, counted while it is taken.
struct Place {
    open: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Listener {
    /// Listens on `tcp`, over TLS if there is any. `port` is what metrics call it.
    pub(crate) fn new(
        tcp: TcpListener,
        tls: Option<Arc<Tls>>,
        port: &str,
        measured: &Measured,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (open, failed) = (measured.connections(port), measured.failed_handshakes.clone());
        Self { tcp, tls, places, handshakes: JoinSet::new(), open, failed_handshakes: failed }
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> Connection {
        loop {
            let tls = self.tls.clone();
            tokio::select! {
                (stream, address, permit) = next(&self.tcp, &self.places) => {
                    self.open.inc();
                    let place = Place { open: self.open.clone(), _permit: permit };
                    match tls {
                    None => {
                        let peer = Peer { address, is_certified: false };
                        return Connection { io: Io::Plain(stream), peer, _place: place };
                    }
                    Some(tls) => {
                        self.handshakes.spawn(shake_hands(tls, stream, address, place));
                    }
                    }
                }

                Some(shaken) = self.handshakes.join_next() => {
                    match shaken {
                        Ok(Some(connection)) => return connection,
                        _ => self.failed_handshakes.inc(),
                    }
                }
            }
        }
    }

    /// All of them, as tonic takes them.
    pub(crate) fn into_stream(self) -> impl futures::Stream<Item = io::Result<Connection>> {
        futures::stream::unfold(self, |mut listener| async move {
            let connection = listener.accept().await;
            Some((Ok(connection), listener))
        })
    }
}

/// The next one that comes while there is a place for it. Dropped before it is ready, it has taken nothing.
async fn next(
    tcp: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // invariant: nobody closes it
            return std::future::pending().await;
        };
        match tcp.accept().await {
            Ok((stream, address)) => {
                prepare(&stream);
                return (stream, address, place);
            }
            // It was gone before it was taken.
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; is the limit of open files too low?");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn prepare(stream: &TcpStream) {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    // Either makes things better; neither is needed.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}

async fn shake_hands(
    tls: Arc<Tls>,
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
) -> Option<Connection> {
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await;
    match shaken {
        Ok(Ok(stream)) => {
            let is_certified = stream.get_ref().1.peer_certificates().is_some();
            let peer = Peer { address, is_certified };
            Some(Connection { io: Io::Tls(Box::new(stream)), peer, _place: place })
        }
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "no TLS with this peer");
            None
        }
        Err(_) => {
            tracing::debug!(%address, "a peer did not end its TLS handshake");
            None
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        let connection = Self::accept(self).await;
        let peer = connection.peer;
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<Peer> {
        let address = Self::local_addr(self)?;
        Ok(Peer { address, is_certified: false })
    }
}

impl AxumConnected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        *stream.remote_addr()
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

macro_rules! io {
    ($self:ident, $io:ident => $call:expr) => {
        match &mut $self.get_mut().io {
            Io::Plain($io) => $call,
            Io::Tls($io) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        io!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        io!(self, io => Pin::new(io).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        io!(self, io => Pin::new(io).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
