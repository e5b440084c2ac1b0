//! Property: the real binary keeps what it acknowledged over SIGKILL, ends well on SIGTERM, refuses
//! bad starts and bad clients in one clear line each, and tells a keyviz node everything in order.
#![allow(clippy::disallowed_methods)] // real processes run on real time
#![allow(clippy::unwrap_used, clippy::panic)] // tests

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use keyviz_api::wire::ingest as wire;
use keyviz_api::wire::ingest::ingest_service_server::{IngestService, IngestServiceServer};
use support::{Host, Ledger, command, failing, folder};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let (_keep, folder) = folder();
    let host = Host::start(&folder, &["--node-id", "n1"]);
    let mut client = host.connect();
    for number in 0..2_000 {
        assert_eq!(client.ask(&["SET", &format!("k{number}"), "v"]), "+OK");
    }
    assert_eq!(client.ask(&["SPLIT", "k5"]), "*2");
    host.kill();
    let mut host = Host::start(&folder, &[]);
    let mut client = host.connect();
    assert_eq!(client.ask(&["DBSIZE"]), ":2000");
    assert_eq!(client.ask(&["RANGES"]), "*2");
    assert!(client.rest_is_open(), "the connection stays usable");
    assert_eq!(host.info("keyviz_term", "term"), 2);
    assert!(host.stop());
    let ledger = Ledger::read(&folder);
    assert_eq!(ledger.transitions("create").len(), 1);
    assert_eq!(ledger.transitions("split").len(), 1);
    let leaders = ledger.transitions("leader");
    assert!(leaders.iter().all(|line| line["node"] == "n1"), "{leaders:?}");
    assert_eq!(leaders.len(), 2);
}

trait StillOpen {
    fn rest_is_open(&mut self) -> bool;
}

impl StillOpen for support::Client {
    /// Skips the rest of an answer.
    fn rest_is_open(&mut self) -> bool {
        self.send(&["ECHO", "the-end"]);
        while self.line() != "the-end" {}
        true
    }
}

#[test]
fn bad_starts_say_why_in_one_line() {
    let (_keep, folder) = folder();
    let host = Host::start(&folder, &[]);
    let address = format!("127.0.0.1:{}", host.port);
    let other = tempfile::tempdir().unwrap();
    let foreign = tempfile::tempdir().unwrap();
    std::fs::create_dir(foreign.path().join("data")).unwrap();
    std::fs::write(foreign.path().join("data/notes.txt"), "x").unwrap();
    let cases = [
        (command(&folder, &[]), "in use by another keyviz-host"),
        (relisten(other.path(), &address), "cannot listen on"),
        (command(foreign.path(), &[]), "notes.txt"),
        (command(other.path(), &["--keyviz", "nowhere"]), "--keyviz"),
        (command(other.path(), &["--initial-splits", "!admin|x"]), "reserved namespace"),
        (command(std::path::Path::new("/proc/nothing"), &[]), "/proc/nothing"),
    ];
    for (command, expected) in cases {
        let (code, said) = failing(command);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected) && said.starts_with("keyviz-host: "), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}

fn relisten(folder: &std::path::Path, address: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_keyviz-host"));
    command.args(["--listen", address, "--data-dir"]).arg(folder.join("data"));
    command
}

#[test]
fn bad_clients_are_told_and_closed() {
    let (_keep, folder) = folder();
    let host = Host::start(&folder, &["--max-clients", "2"]);
    for (bytes, expected) in [
        (
            &b"*1\r\n$100000000\r\n"[..],
            "-ERR Protocol error: a request of more than 67108864 bytes",
        ),
        (b"*1\r\n*1\r\n", "-ERR Protocol error: expected '$', got '*'"),
        (b"\"x\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ] {
        let mut client = host.connect();
        client.raw(bytes);
        let said = client.rest();
        assert!(said.starts_with(expected), "{said}");
    }
    let (mut one, mut two) = (host.connect(), host.connect());
    assert_eq!((one.ask(&["PING"]), two.ask(&["PING"])), ("+PONG".to_owned(), "+PONG".to_owned()));
    assert_eq!(host.connect().rest(), "-ERR max number of clients reached\r\n");
    one.raw(b"PING\r\nPING\r\nQUIT\r\nPING\r\n");
    assert_eq!(one.rest(), "+PONG\r\n+PONG\r\n+OK\r\n");
    let big = "x".repeat(20 << 20);
    assert_eq!(two.ask(&["SET", "big", &big]), "+OK");
    assert_eq!(two.bulk(&["GET", "big"]), big);
}

#[derive(Debug, PartialEq)]
enum Told {
    Create,
    Split,
    Merge,
    Leader,
    /// Its writes by route.
    Column(Vec<(u64, u64)>),
    Leave,
}

/// Boot, sequence, and what was told.
type Heard = (Vec<u8>, u64, Told);

/// A node that acknowledges everything.
#[derive(Clone, Default)]
struct Node {
    told: Arc<Mutex<Vec<Heard>>>,
}

#[tonic::async_trait]
impl IngestService for Node {
    type IngestStream = ReceiverStream<Result<wire::IngestResponse, Status>>;

    async fn ingest(
        &self,
        request: Request<Streaming<wire::IngestRequest>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let mut incoming = request.into_inner();
        let (answers, receiver) = tokio::sync::mpsc::channel(100);
        let node = self.clone();
        tokio::spawn(async move {
            let mut boot = Vec::new();
            while let Ok(Some(message)) = incoming.message().await {
                use wire::ingest_response::Message;
                let answer = match message.message {
                    Some(wire::ingest_request::Message::Hello(hello)) => {
                        boot = hello.boot_id.to_vec();
                        Message::Welcome(wire::Welcome { next_sequence: 1, ..Default::default() })
                    }
                    Some(wire::ingest_request::Message::Entry(entry)) => {
                        let sequence = entry.sequence;
                        let told = told(entry.body.unwrap());
                        node.told.lock().unwrap().push((boot.clone(), sequence, told));
                        let outcome = wire::ack::Outcome::Stored.into();
                        Message::Ack(wire::Ack { sequence, outcome, ..Default::default() })
                    }
                    // It did not say that it takes any; an older node ends the stream at one.
                    None
                    | Some(
                        wire::ingest_request::Message::LiveSummary(_)
                        | wire::ingest_request::Message::HotKeys(_),
                    ) => return,
                };
                let answer = wire::IngestResponse { message: Some(answer) };
                if answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn told(body: wire::entry::Body) -> Told {
    use wire::transition::Change;
    match body {
        wire::entry::Body::Leave(_) => Told::Leave,
        wire::entry::Body::Column(column) => {
            let writes = column.row_writes.iter().copied();
            Told::Column(column.row_route.iter().copied().zip(writes).collect())
        }
        wire::entry::Body::Transition(transition) => match transition.change.unwrap() {
            Change::Create(_) => Told::Create,
            Change::Split(_) => Told::Split,
            Change::Merge(_) => Told::Merge,
            Change::Leader(_) => Told::Leader,
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn a_node_is_told_everything_in_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = Node::default();
    let address = runtime.block_on(serve(node.clone()));
    let (_keep, folder) = folder();
    let keyviz = address.to_string();
    let mut host = Host::start(&folder, &["--keyviz", &keyviz]);
    let mut client = host.connect();
    client.ask(&["SET", "a", "1"]);
    assert_eq!(client.ask(&["SPLIT", "m"]), "*2");
    assert_eq!([client.line(), client.line()], [":2", ":3"]);
    client.ask(&["SET", "z", "1"]);
    assert_eq!(client.ask(&["MERGE", "a"]), ":4");
    assert!(host.stop());
    assert!(
        !host.log_text().contains("did not acknowledge"),
        "it waited for every acknowledgement"
    );
    let first = std::mem::take(&mut *node.told.lock().unwrap());
    check_order(&first, &[Told::Create, Told::Leader, Told::Split, Told::Merge]);
    assert_eq!(writes(&first), [(1, 1), (3, 1)], "each on the route that held its key");

    let mut host = Host::start(&folder, &["--keyviz", &keyviz]);
    host.connect().ask(&["SET", "a", "1"]);
    assert!(host.stop());
    let second = std::mem::take(&mut *node.told.lock().unwrap());
    // What happened before is told again, and changes nothing at a real node.
    check_order(&second, &[Told::Create, Told::Split, Told::Merge, Told::Leader]);
    assert_eq!(writes(&second), [(4, 1)]);
    assert_ne!(first[0].0, second[0].0, "a boot of its own");
}

fn writes(told: &[Heard]) -> Vec<(u64, u64)> {
    let rows = told.iter().filter_map(|(_, _, told)| match told {
        Told::Column(rows) => Some(rows.clone()),
        _ => None,
    });
    let mut rows: Vec<_> = rows.flatten().collect();
    rows.sort_unstable();
    rows
}

/// Sequences without gaps, these transitions in this order, a leave at the very end, and no column
/// with a route that was not told before.
fn check_order(told: &[Heard], transitions: &[Told]) {
    let sequences: Vec<u64> = told.iter().map(|(_, sequence, _)| *sequence).collect();
    assert_eq!(sequences, (1..=told.len() as u64).collect::<Vec<_>>());
    let (_, _, last) = told.last().unwrap();
    assert_eq!(last, &Told::Leave);
    let seen: Vec<&Told> = told
        .iter()
        .map(|(_, _, told)| told)
        .filter(|told| !matches!(told, Told::Column(_) | Told::Leave))
        .collect();
    assert_eq!(seen, transitions.iter().collect::<Vec<_>>());
    let position = |wanted: &dyn Fn(&Told) -> bool| told.iter().position(|(_, _, t)| wanted(t));
    let child =
        position(&|told| matches!(told, Told::Column(rows) if rows.iter().any(|r| r.0 == 3)));
    let split = position(&|told| *told == Told::Split);
    assert!(child.is_none_or(|child| split.unwrap() < child));
}

async fn serve(node: Node) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(listener);
    let service = IngestServiceServer::new(node);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}
