//! The page: what `ui/dist` holds, embedded at build time. No foreign host.
//!
//! Responsible for: the files, their types, and validators by their content, so that a browser asks
//! again and gets 304 as long as the node is the same.
//! Invariants: a name that is not in the list is 404; the files hold no data, so anybody may have them.
//! Must not: need Node; `make ui` builds `ui/dist`, which is committed.
//! Proof: `page_test.rs`, `tests/page.rs`, `make ui-check`.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest as _};

use super::error::{HttpError, not_found};

/// One file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(File { name: $name, kind: $kind, text: include_str!(concat!("../../ui/dist/", $name)) }),*]
    };
}

/// The first is what `/` answers.
static FILES: [File; 6] = files![
    "index.html": HTML,
    "assets/app.js": SCRIPT,
    "assets/index.css": STYLE,
    "assets/LineChart.js": SCRIPT,
    "assets/LineChart.css": STYLE,
    "assets/licences.txt": PLAIN,
];

/// Weak, because an answer may be compressed on its way.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(tag_of).collect());

fn tag_of(file: &File) -> String {
    format!("W/\"{}\"", hex::encode(Blake2b::<U16>::digest(file.text)))
}

pub(super) async fn index(headers: HeaderMap) -> Response {
    answer(0, &headers)
}

pub(super) async fn asset(
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let found = FILES.iter().position(|file| file.name.strip_prefix("assets/") == Some(&name));
    match found {
        Some(at) => Ok(answer(at, &headers)),
        None => Err(not_found(uri).await),
    }
}

fn answer(at: usize, headers: &HeaderMap) -> Response {
    let (file, tag) = (&FILES[at], TAGS[at].as_str());
    let validators = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache")];
    if is_held(headers, tag) {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    (validators, [(header::CONTENT_TYPE, file.kind)], file.text).into_response()
}

/// Whether the browser already has it.
fn is_held(headers: &HeaderMap, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.trim() == "*" || value.split(',').any(|held| bare(held) == bare(tag)))
}

#[cfg(test)]
#[path = "page_test.rs"]
mod page_test;
