use super::*;

#[test]
fn a_web_server_is_told_from_a_node_that_refuses() {
    let words = |status: Status| refusal("127.0.0.1:8080", &status).to_string();
    for status in [
        Status::internal("protocol error: received message with invalid compression flag: 123"),
        Status::unknown("grpc-status header missing, mapped from HTTP status code 404"),
        Status::unimplemented(""),
    ] {
        let text = words(status);
        assert!(text.starts_with("127.0.0.1:8080 answers, but not as a keyviz node"), "{text}");
        assert!(text.ends_with("not its HTTP one?"), "{text}");
    }
    assert_eq!(words(Status::unavailable("recovering: 3 of 9 files")), "recovering: 3 of 9 files");
    assert_eq!(words(Status::internal("a block is damaged: ...")), "a block is damaged: ...");
}
