//! `/healthz` (the process lives) and `/readyz` (it takes columns, and the store takes writes).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::node::Node;

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(node): State<Arc<Node>>) -> (StatusCode, String) {
    match node.recorder() {
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        Ok(recorder) if !recorder.is_running() => {
            let text = "a recorder thread has ended; see the log and restart keyviz (what was acknowledged is in the WAL)\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
        Ok(recorder) if recorder.counters().wal_failing > 0 => {
            let text = "the write-ahead log cannot be written: nothing is acknowledged; free disk space or check the device (see the log)\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
        Ok(recorder) if recorder.store_refusal().is_some() => {
            let (said, errors) =
                (recorder.store_refusal().unwrap_or_default(), recorder.store_health().0);
            let text = format!(
                "the store takes no writes: RocksDB said {said:?} to the last one and counts {errors} background errors; free disk space or check the device. The write-ahead log holds what was acknowledged. It is asked again every two seconds, and opened anew where only that helps\n"
            );
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Ok(recorder) if recorder.counters().store_failing > 0 => {
            let text = "the store takes no checkpoints; free disk space or check the device (see the log). The write-ahead log holds what was acknowledged\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
        Ok(recorder) if recorder.counters().background_failing > 0 => {
            let (errors, _) = recorder.store_health();
            let text = format!(
                "RocksDB could not write or merge its files ({errors} times since the start); free disk space or check the device (see db/LOG). Writes are taken, and it tries again\n"
            );
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Ok(_) => (StatusCode::OK, "ready\n".to_owned()),
    }
}
