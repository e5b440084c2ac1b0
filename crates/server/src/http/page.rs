//! The page: static files, embedded at build time. No build step, no foreign host.

use axum::extract::Path;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::{HttpError, not_found};

const INDEX: &str = include_str!("../page/index.html");

macro_rules! assets {
    ($($file:literal),* $(,)?) => {
        [$(($file, include_str!(concat!("../page/", $file)))),*]
    };
}

const ASSETS: [(&str, &str); 22] = assets![
    "api.js",
    "app.js",
    "axes.js",
    "chart.js",
    "colour.js",
    "controls.js",
    "dom.js",
    "drawer.js",
    "events.js",
    "facts.js",
    "format.js",
    "heatmap.js",
    "keys.js",
    "legend.js",
    "model.js",
    "panel.js",
    "pattern.js",
    "pointer.js",
    "raster.js",
    "state.js",
    "style.css",
    "tooltip.js",
];

pub(super) async fn index() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], INDEX).into_response()
}

pub(super) async fn asset(Path(file): Path<String>, uri: Uri) -> Result<Response, HttpError> {
    let Some((name, text)) = ASSETS.iter().find(|(name, _)| *name == file) else {
        return Err(not_found(uri).await);
    };
    let kind = if name.ends_with(".css") {
        "text/css; charset=utf-8"
    } else {
        "text/javascript; charset=utf-8"
    };
    Ok(([(header::CONTENT_TYPE, kind)], *text).into_response())
}
