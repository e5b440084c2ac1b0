//! Asks who comes for a token before anything else looks at the request.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::HttpError;
use crate::auth::{Access, Refusal};
use crate::listen::Peer;
use crate::node::Node;

/// Whether anybody may have it: whether the process lives and is ready, and the page's own files, which
/// hold no data (the page has to be there to ask for a token).
fn is_open(method: &Method, path: &str) -> bool {
    let is_read = method == Method::GET || method == Method::HEAD;
    is_read && (matches!(path, "/" | "/healthz" | "/readyz") || path.starts_with("/assets/"))
}

pub(super) async fn ask_for_token(
    State(node): State<Arc<Node>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    if is_open(method, path) {
        return next.run(request).await;
    }
    let access = match *method {
        Method::GET | Method::HEAD => Access::Read,
        _ => Access::Write,
    };
    let shown = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let admitted = node.auth.admit(access, Some(peer), shown, format_args!("{method} {path}"));
    match admitted {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::NoCertificate | Refusal::Missing | Refusal::Unknown => {
            (StatusCode::UNAUTHORIZED, "unauthorized")
        }
        Refusal::ReadOnly => (StatusCode::FORBIDDEN, "forbidden"),
        Refusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many_refusals"),
    };
    let mut response = HttpError::with_status(status, code, refusal.to_string()).into_response();
    let headers = response.headers_mut();
    match refusal {
        Refusal::Missing | Refusal::Unknown => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refusal::TooMany => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Refusal::NoCertificate | Refusal::ReadOnly => {}
    }
    response
}
