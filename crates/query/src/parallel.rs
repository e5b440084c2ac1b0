//! Pieces of one question, worked off by a few threads.
//!
//! Invariant: what comes out does not depend on how many threads there are: how a question is cut is
//! decided elsewhere, and results come in the order of the pieces.
//! Must not: outlive the question, or need a thread that the system does not give.
//! Proof: `matrix_test.rs`, where questions are cut into small pieces.

use std::panic::resume_unwind;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// More threads than this for one question would leave little to ingest and to the next question.
const MOST_THREADS: usize = 4;

/// How many threads a wide question may use on this machine.
pub(crate) fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS))
    })
}

/// `run` of each piece, in their order. The caller works, too.
pub(crate) fn each<T: Send, R: Send>(
    threads: usize,
    pieces: Vec<T>,
    run: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let helpers = threads.min(pieces.len()).saturating_sub(1);
    if helpers == 0 {
        return pieces.into_iter().map(run).collect();
    }
    let queue = Mutex::new(pieces.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut done = Vec::new();
        while let Some((at, piece)) = next() {
            done.push((at, run(piece)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(start).collect();
        let mut done = work();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
