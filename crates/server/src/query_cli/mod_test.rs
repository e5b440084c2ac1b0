use super::*;
use crate::query_cli::fixture_test::split;
use clap::Parser;
use keyviz_api::wire::history as wire;
use keyviz_api::wire::history::history_service_server::{HistoryService, HistoryServiceServer};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A node that remembers what it was asked.
#[derive(Default)]
struct Node {
    asked: Arc<Mutex<Vec<wire::GetMatrixRequest>>>,
    refusal: Option<&'static str>,
}

#[tonic::async_trait]
impl HistoryService for Node {
    async fn get_matrix(
        &self,
        request: Request<wire::GetMatrixRequest>,
    ) -> Result<Response<GetMatrixResponse>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        match self.refusal {
            Some(words) => Err(Status::invalid_argument(words)),
            None => Ok(Response::new(split())),
        }
    }

    async fn get_lineage(
        &self,
        _: Request<wire::GetLineageRequest>,
    ) -> Result<Response<wire::GetLineageResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_hot_keys(
        &self,
        _: Request<wire::GetHotKeysRequest>,
    ) -> Result<Response<wire::GetHotKeysResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_top(
        &self,
        _: Request<wire::GetTopRequest>,
    ) -> Result<Response<wire::GetTopResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_events(
        &self,
        _: Request<wire::GetEventsRequest>,
    ) -> Result<Response<wire::GetEventsResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

async fn start(node: Node) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(HistoryServiceServer::new(node));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    query: QueryArgs,
}

fn args(endpoint: impl std::fmt::Display, line: &str) -> QueryArgs {
    let endpoint = format!("--endpoint={endpoint}");
    let words = ["query", &endpoint].into_iter().chain(line.split_whitespace());
    Cli::try_parse_from(words).unwrap().query
}

const TERMINAL: Terminal = Terminal { columns: 80, lines: 24, colour: ColourMode::TrueColour };

#[tokio::test]
async fn a_node_is_asked_for_what_the_view_can_show() {
    let node = Node::default();
    let asked = Arc::clone(&node.asked);
    let address = start(node).await;
    for (line, rows) in [
        ("", 24),
        ("--color never", 12),
        ("--height 50", 78),
        ("--height 9999", 1_024),
        ("--rows 5", 5),
        ("-o json", 1_024),
        ("-o csv --rows 9", 9),
    ] {
        run_with(args(address, line)).await.unwrap();
        assert_eq!(asked.lock().unwrap().pop().unwrap().rows, rows, "{line:?}");
    }
    let address = format!("http://{address}/");
    run_with(args(address, "--from -1h")).await.unwrap();
    let request = asked.lock().unwrap().pop().unwrap();
    assert_ne!(request.from_unix_ms, 0);
    assert_eq!(request.to_unix_ms, 0);
}

/// `run`, but for a known terminal and without its output.
async fn run_with(args: QueryArgs) -> anyhow::Result<Vec<u8>> {
    let view = View::new(&args, TERMINAL);
    let matrix = answer(&args, view, SystemClock::shared().as_ref()).await?;
    let mut out = Vec::new();
    print(&matrix, args.output, view, &mut out)?;
    Ok(out)
}

#[tokio::test]
async fn every_output_comes_out() {
    let address = start(Node::default()).await;
    let text =
        async |line: &str| String::from_utf8(run_with(args(address, line)).await.unwrap()).unwrap();
    assert!(text("").await.contains("\x1b[38;2;"));
    assert!(text("--color never").await.contains("maximum  1,000 writes"));
    assert!(text("-o json").await.starts_with("{\"series\":\"writes\""));
    assert!(text("-o csv").await.starts_with("window_start,"));
    run(args(address, "-o json")).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_nodes_words() {
    let refusal = Some("the span is longer than the retention of 7 d; \x1b[31mask for less");
    let address = start(Node { refusal, ..Node::default() }).await;
    let error = run(args(address, "")).await.unwrap_err().to_string();
    assert_eq!(error, "the span is longer than the retention of 7 d; \u{fffd}[31mask for less");
}

#[tokio::test]
async fn nobody_there_is_one_line_with_the_endpoint_and_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = run(args(address, "")).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("cannot reach a keyviz node at {address}: Connection refused")),
        "{error}"
    );
    assert!(error.contains("keyviz serve") && error.contains("--endpoint"), "{error}");
    assert_eq!(error.lines().count(), 1);
    let error = run(args("no port here", "")).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:50051"), "{error}");
}

#[tokio::test]
async fn something_else_there_is_said_to_be_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ =
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        }
    });
    let error = run(args(address, "")).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("gRPC address"), "{error}");
    assert_eq!(error.lines().count(), 1);
}
