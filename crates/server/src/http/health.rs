//! `/healthz` (the process lives) and `/readyz` (it takes columns, and the store takes writes).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::node::Node;

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(node): State<Arc<Node>>) -> (StatusCode, String) {
    match unready(&node) {
        Some(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

/// Why it does not take columns, or not keep them as it should.
pub(super) fn unready(node: &Node) -> Option<String> {
    let recorder = match node.recorder() {
        Err(error) => return Some(format!("{error}\n")),
        Ok(recorder) => recorder,
    };
    let counted = recorder.counters();
    if !recorder.is_running() {
        let text = "a recorder thread has ended; see the log and restart keyviz (what was acknowledged is in the WAL)\n";
        return Some(text.to_owned());
    }
    if counted.wal_failing > 0 {
        let text = "the write-ahead log cannot be written: nothing is acknowledged; free disk space or check the device (see the log)\n";
        return Some(text.to_owned());
    }
    if let Some(said) = recorder.store_refusal() {
        let errors = recorder.store_health().0;
        return Some(format!(
            "the store takes no writes: RocksDB said {said:?} to the last one and counts {errors} background errors; free disk space or check the device. The write-ahead log holds what was acknowledged. It is asked again every two seconds, and opened anew where only that helps\n"
        ));
    }
    if counted.store_failing > 0 {
        let text = "the store takes no checkpoints; free disk space or check the device (see the log). The write-ahead log holds what was acknowledged\n";
        return Some(text.to_owned());
    }
    if counted.background_failing > 0 {
        let (errors, _) = recorder.store_health();
        return Some(format!(
            "RocksDB could not write or merge its files ({errors} times since the start); free disk space or check the device (see db/LOG). Writes are taken, and it tries again\n"
        ));
    }
    None
}
