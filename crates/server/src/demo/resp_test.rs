use tokio::net::TcpListener;

use super::*;

/// A server that answers anything with `reply`, and what it was sent.
async fn answered(reply: &'static [u8]) -> (RespClient, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = vec![0; 4096];
        let length = stream.read(&mut sent).await.unwrap();
        sent.truncate(length);
        stream.write_all(reply).await.unwrap();
        sent
    });
    (RespClient::connect(address).await.unwrap(), server)
}

#[tokio::test]
async fn every_kind_of_reply_is_read() {
    let reply = b"*6\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n+OK\r\n*0\r\n$0\r\n\r\n";
    let (mut client, server) = answered(reply).await;
    let expected = Reply::Array(vec![
        Reply::Int(-7),
        Reply::Bulk(Some(b"a\r\n".to_vec())),
        Reply::Bulk(None),
        Reply::Simple("OK".to_owned()),
        Reply::Array(Vec::new()),
        Reply::Bulk(Some(Vec::new())),
    ]);
    assert_eq!(client.ask(&["SET", "a b", ""]).await.unwrap(), expected);
    assert_eq!(server.await.unwrap(), b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
}

#[tokio::test]
async fn errors_name_the_command_and_the_host() {
    let (mut client, _server) = answered(b"-ERR no such thing\r\n").await;
    let error = client.ask(&["SPLIT", "x"]).await.unwrap_err();
    assert_eq!(error.to_string(), "the host answers SPLIT x with: ERR no such thing");

    for nonsense in [
        &b"hello\r\n"[..],
        b":x\r\n",
        b"\r\n",
        b"$99999999999\r\n",
        b"+OK",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ] {
        let (mut client, _server) = answered(nonsense).await;
        let error = client.ask(&["PING"]).await.unwrap_err();
        assert!(
            error.to_string().starts_with("the connection to the host at 127.0.0.1:"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn one_refusal_fails_a_batch_after_all_replies_were_read() {
    let (mut client, _server) = answered(b"+OK\r\n-ERR disk full\r\n+OK\r\n").await;
    let mut batch = Batch::default();
    for key in ["a", "b", "c"] {
        batch.push(&[b"GET", key.as_bytes()]);
    }
    assert_eq!(batch.commands(), 3);
    let error = client.pipeline(&batch).await.unwrap_err();
    assert_eq!(error.to_string(), "the host refuses a command of the traffic: ERR disk full");
}
