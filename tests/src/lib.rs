//! What the tests of real processes share.
//!
//! | module | what it is |
//! |---|---|
//! | [`process`] | finds the binaries; starts, signals and kills them |
//! | [`http`] | a blocking HTTP/1.1 client |
//! | [`resp`] | a pipelining RESP2 client |
//! | [`traffic`] | load on a host, with a count of its own |
//! | [`ledger`] | what a host says it counted |
//! | [`matrix`] | what a node says it recorded, and the comparison of the two |
//! | [`columns`] | columns posted by hand |
//! | [`disk`] | filesystems that can be filled, or lose their power |
//! | [`healthy`] | a folder in order, and the judgement of a spoiled copy |
//! | [`strace`] | system calls of a node that fail, lie, take long or kill |
//! | [`torture`] | faults, their rounds, and the table of what was lost |
//! | [`golden`] | a history that every version can be given, and what was answered about it |
//! | [`rng`] | reproducible randomness |
//!
//! Responsible for: talking to the binaries as strangers do, over their sockets and files.
//! Must not: use a crate of this workspace (a shared mistake would hide itself).
//! Everything here panics with a message when something is not as it should be: it is test code.

// Test code: it panics on purpose and asks the machine's clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

pub mod certificates;
pub mod columns;
pub mod disk;
pub mod golden;
pub mod healthy;
pub mod http;
pub mod ledger;
pub mod matrix;
pub mod process;
pub mod resp;
pub mod rng;
pub mod strace;
pub mod torture;
pub mod traffic;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How long a test waits for what must come, on however slow and busy a machine: what takes longer
/// does not come at all.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Unix milliseconds by the machine's clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Asks `question` every 20 ms until it answers, and panics with `what` after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut question: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sets the flag when it is dropped: what runs beside a test ends with it, also when that fails.
#[derive(Debug)]
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writes a file that nobody else may read, as `mv` does: at no moment is there half of it.
pub fn put_private(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// Says on the test's output why it proves nothing here.
pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// The number in environment variable `name`, or `default`.
pub fn number_from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) if text.is_empty() => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: use a whole number")),
    }
}
