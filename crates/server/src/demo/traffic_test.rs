use super::*;

#[tokio::test]
async fn a_client_that_fails_ends_the_wait() {
    // Nobody listens where a listener was just closed.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let mut traffic = Traffic::start(address, Schedule::of(60), &folder.path().join("log"));
    let error = traffic.until(Duration::from_secs(60)).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains(&address.to_string()) || text.contains(BENCHMARK), "{text}");
}
