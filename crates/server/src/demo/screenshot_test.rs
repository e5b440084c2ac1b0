use super::*;

#[test]
fn the_view_has_fixed_times() {
    let http = SocketAddr::from(([127, 0, 0, 1], 8080));
    let url = address(http, (1_000, 61_000));
    assert_eq!(url, "http://127.0.0.1:8080/?series=writes&from=1000&to=61000");
}

#[tokio::test]
async fn a_browser_that_takes_no_picture_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        take("true", "http://127.0.0.1:1/", &folder.path().join("x.png")).await.unwrap_err();
    assert!(error.to_string().starts_with("true took no picture"), "{error}");
    let error = take("no-such-browser", "http://127.0.0.1:1/", &folder.path().join("x.png"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("could not be started"), "{error}");
}
