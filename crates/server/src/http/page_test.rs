#![allow(clippy::unwrap_used)] // tests

use axum::http::HeaderValue;

use super::*;

fn asking_with(tags: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap());
    headers
}

#[test]
fn what_a_browser_holds_is_not_sent_again() {
    let tag = &TAGS[0];
    for held in [tag.clone(), tag.replace("W/", ""), format!("\"other\", {tag}"), "*".to_owned()] {
        assert_eq!(answer(0, &asking_with(&held)).status(), StatusCode::NOT_MODIFIED, "{held}");
    }
    for other in ["\"other\"", "W/\"\"", ""] {
        assert_eq!(answer(0, &asking_with(other)).status(), StatusCode::OK, "{other}");
    }
}

#[test]
fn every_file_that_the_page_names_is_there_and_every_file_that_is_there_is_served() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/dist/assets");
    let mut on_disk: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| format!("assets/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    let mut served: Vec<String> = FILES.iter().skip(1).map(|file| file.name.to_owned()).collect();
    on_disk.sort();
    served.sort();
    assert_eq!(on_disk, served);
}

#[test]
fn the_page_has_nothing_inline_and_no_foreign_host() {
    let index = FILES[0].text;
    assert!(!index.contains("<style") && !index.contains(" style=") && !index.contains(" on"));
    assert_eq!(
        index.matches("<script").count(),
        index.matches("<script type=\"module\" crossorigin src=\"/assets/").count()
    );
    for file in &FILES[1..3] {
        for line in file.text.split(['"', '\'', '`', '(']) {
            let foreign = line.starts_with("http://") || line.starts_with("https://");
            let is_name =
                line.starts_with("http://www.w3.org/") || line.starts_with("https://svelte.dev/");
            assert!(!foreign || is_name, "{} names {:.60}", file.name, line);
        }
    }
}
