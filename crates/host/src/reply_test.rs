use super::*;

fn bytes(reply: Reply, protocol: Protocol) -> String {
    let mut out = BytesMut::new();
    reply.encode(protocol, &mut out).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn both_protocols_have_their_bytes() {
    let cases = [
        (Reply::OK, "+OK\r\n", "+OK\r\n"),
        (Reply::Int(-7), ":-7\r\n", ":-7\r\n"),
        (Reply::bulk("ab"), "$2\r\nab\r\n", "$2\r\nab\r\n"),
        (Reply::Text("ab".into()), "$2\r\nab\r\n", "=6\r\ntxt:ab\r\n"),
        (Reply::Null, "$-1\r\n", "_\r\n"),
        (Reply::Array(vec![]), "*0\r\n", "*0\r\n"),
        (
            Reply::Array(vec![Reply::Int(1), Reply::Null]),
            "*2\r\n:1\r\n$-1\r\n",
            "*2\r\n:1\r\n_\r\n",
        ),
        (
            Reply::Map(vec![(Reply::bulk("a"), Reply::Int(1))]),
            "*2\r\n$1\r\na\r\n:1\r\n",
            "%1\r\n$1\r\na\r\n:1\r\n",
        ),
    ];
    for (reply, two, three) in cases {
        assert_eq!(bytes(reply.clone(), Protocol::Resp2), two);
        assert_eq!(bytes(reply, Protocol::Resp3), three);
    }
}

#[test]
fn an_error_stays_on_one_line() {
    let reply = Reply::Error("ERR a\r\n+OK\r\n".into());
    assert_eq!(bytes(reply, Protocol::Resp2), "-ERR a  +OK  \r\n");
}
