//! The connections of a port, in plain or over TLS.
//!
//! Responsible for: accepting, first bytes and handshakes (many at once, each of them bounded in time, so
//! that one that stands still delays nobody), and who is at the other end.
//! Invariants: at most [`MAX_CONNECTIONS`] connections of a port are open (fewer where the system grants
//! few open files: RocksDB and the WAL need theirs); who comes then waits in the system's queue. Who says
//! nothing at all has no place for longer than [`GREETING_TIMEOUT`]. A peer that is gone without a word is noticed by TCP's own probes. An
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
use nix::sys::resource::{Resource, getrlimit};
use prometheus::{IntCounter, IntGauge};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::measured::Measured;
use crate::tls::Tls;

/// Connections of one port that are open at once.
pub(crate) const MAX_CONNECTIONS: usize = 16_384;
/// How long a peer may take until it has said something, and over TLS shaken hands.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system could not.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// SHA-256 of the certificate that it has shown, and that was verified.
    pub(crate) certificate: Option<[u8; 32]>,
}

/// Which port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Grpc,
    Http,
}

impl Port {
    /// What metrics call it.
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// A port that is listened on.
pub(crate) struct Listener {
    tcp: TcpListener,
    port: Port,
    tls: Option<Arc<Tls>>,
    places: Arc<Semaphore>,
    greetings: JoinSet<Option<Connection>>,
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
    /// Listens on `tcp`, over TLS if there is any.
    pub(crate) fn new(
        tcp: TcpListener,
        port: Port,
        tls: Option<Arc<Tls>>,
        measured: &Measured,
    ) -> Self {
        Self {
            tcp,
            port,
            tls,
            places: Arc::new(Semaphore::new(places())),
            greetings: JoinSet::new(),
            open: measured.connections(port.name()),
            failed_handshakes: measured.failed_handshakes.clone(),
        }
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> Connection {
        loop {
            tokio::select! {
                (stream, address, permit) = next(&self.tcp, &self.places) => {
                    self.open.inc();
                    let place = Place { open: self.open.clone(), _permit: permit };
                    let tls = self.tls.as_ref().map(|tls| tls.acceptor(self.port));
                    self.greetings.spawn(greet(tls, stream, address, place));
                }
                Some(greeted) = self.greetings.join_next() => match greeted {
                    Ok(Some(connection)) => return connection,
                    _ if self.tls.is_some() => self.failed_handshakes.inc(),
                    _ => {}
                },
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

/// Waits until the peer has said something, and over TLS who it is.
async fn greet(
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
) -> Option<Connection> {
    let greeted = async {
        let Some(tls) = tls else {
            stream.readable().await?;
            return Ok((Io::Plain(stream), None));
        };
        let stream = tls.accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|shown| sha256(shown));
        io::Result::Ok((Io::Tls(Box::new(stream)), certificate))
    };
    match tokio::time::timeout(GREETING_TIMEOUT, greeted).await {
        Ok(Ok((io, certificate))) => {
            Some(Connection { io, peer: Peer { address, certificate }, _place: place })
        }
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "no connection with this peer");
            None
        }
        Err(_) => {
            tracing::debug!(%address, "a peer said nothing, or did not end its TLS handshake");
            None
        }
    }
}

fn sha256(certificate: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, certificate).as_ref());
    digest
}

/// Connections that a port may hold: both ports together take half of the open files at most.
fn places() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(granted, _)| granted);
    usize::try_from(files / 4).unwrap_or(usize::MAX).clamp(1, MAX_CONNECTIONS)
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
        Ok(Peer { address, certificate: None })
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
