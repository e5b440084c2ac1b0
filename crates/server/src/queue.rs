//! Questions on a bounded pool: how many run and wait, and how much memory their answers may take.
//!
//! Responsible for: turns ([`Queue::in_turn`]), room for answers ([`Rooms`]), and the figures of both.
//! Invariants: at most [`RUNNING`] questions run and [`WAITING`] wait, none longer than [`MAX_WAIT`]; an
//! answer is not begun before there is room for it, and its room is held until it is given up; who
//! leaves while waiting waits no longer, but what runs keeps its turn until it is done.
//! Must not: know what is asked.
//! Proof: `queue_test.rs`; `keyviz-bench fairness` shows what ingest notices.

use std::sync::Arc;
use std::time::Duration;

use keyviz_lineage::Clock;
use keyviz_query::{Extent, QueryError};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::node::NodeError;

/// Questions that are answered at the same time. The others wait, so that ingest keeps a core.
const RUNNING: usize = 2;
/// Questions that may wait.
const WAITING: usize = 256;
/// How long one may wait for its turn.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// What one answer may take, and all that are being computed and written.
const MAX_ANSWER_BYTES: u64 = 512 << 20;
const MAX_ANSWERS_BYTES: u64 = 1 << 30;
/// A cell with everything that it may say, and once more as it is written.
const CELL_BYTES: u64 = 64;
/// Room is counted in these.
const UNIT_BYTES: u64 = 1 << 16;
/// Answers of at most so many bytes need no room: they are too small to matter.
const SMALL_BYTES: u64 = UNIT_BYTES;

/// Seconds.
const LATENCIES: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// See the module.
pub(crate) struct Queue {
    clock: Arc<dyn Clock>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    rooms: Rooms,
    took: HistogramVec,
    refused: IntCounterVec,
    max_wait: Duration,
}

impl Queue {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let (took, refused) = (
            HistogramVec::new(
                HistogramOpts::new(
                    "keyviz_query_duration_seconds",
                    "Time from a question to its answer, the wait for its turn included, by kind.",
                )
                .buckets(LATENCIES.to_vec()),
                &["kind"],
            )
            .expect("invariant: the name and the label are valid"),
            IntCounterVec::new(
                Opts::new(
                    "keyviz_query_refused_total",
                    "Questions refused for want of a turn or of memory, by reason.",
                ),
                &["reason"],
            )
            .expect("invariant: the name and the label are valid"),
        );
        for reason in ["busy", "waited", "too_large", "memory"] {
            refused.with_label_values(&[reason]);
        }
        Self {
            clock,
            running: Arc::new(Semaphore::new(RUNNING)),
            waiting: Arc::new(Semaphore::new(RUNNING + WAITING)),
            rooms: Rooms { free: Arc::new(Semaphore::new(units(MAX_ANSWERS_BYTES) as usize)) },
            took,
            refused,
            max_wait: MAX_WAIT,
        }
    }

    /// Answers on a thread of its own, once it is this question's turn.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        kind: &'static str,
        answer: impl FnOnce(&Rooms) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let began_ms = self.clock.monotonic_ms();
        let answered = self.wait_and(answer).await;
        let refusal = match &answered {
            Err(NodeError::Busy) => Some("busy"),
            Err(NodeError::Waited) => Some("waited"),
            Err(NodeError::Query(QueryError::TooLarge { .. })) => Some("too_large"),
            Err(NodeError::Query(QueryError::NoRoom { .. })) => Some("memory"),
            _ => None,
        };
        match refusal {
            Some(reason) => self.refused.with_label_values(&[reason]).inc(),
            None => {
                let ms = self.clock.monotonic_ms().saturating_sub(began_ms);
                self.took.with_label_values(&[kind]).observe(ms as f64 / 1_000.0);
            }
        }
        answered
    }

    async fn wait_and<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&Rooms) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        // The permits go with the work: an asker who leaves does not make room for another question.
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| NodeError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned();
        let turn = tokio::time::timeout(self.max_wait, turn).await;
        let running = turn.map_err(|_| NodeError::Waited)?.map_err(|_| NodeError::Stopping)?;
        let rooms = self.rooms.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let _until_answered = (waiting, running);
            answer(&rooms)
        })
        .await;
        answered.unwrap_or_else(|error| Err(NodeError::Panicked { reason: error.to_string() }))
    }

    /// Hands its figures to `registry`.
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let running = RUNNING.saturating_sub(self.running.available_permits());
        let both = (RUNNING + WAITING).saturating_sub(self.waiting.available_permits());
        let now = IntGaugeVec::new(
            Opts::new("keyviz_query_current", "Questions that run or wait for their turn."),
            &["state"],
        )?;
        now.with_label_values(&["running"]).set(running as i64);
        now.with_label_values(&["waiting"]).set(both.saturating_sub(running) as i64);
        let held = prometheus::IntGauge::new(
            "keyviz_query_answer_bytes",
            "Memory that is set aside for answers that are being computed or written.",
        )?;
        held.set(i64::try_from(self.rooms.held_bytes()).unwrap_or(i64::MAX));
        registry.register(Box::new(now))?;
        registry.register(Box::new(held))?;
        registry.register(Box::new(self.took.clone()))?;
        registry.register(Box::new(self.refused.clone()))
    }
}

/// Memory for answers.
#[derive(Clone)]
pub(crate) struct Rooms {
    free: Arc<Semaphore>,
}

/// Memory that is set aside until this goes.
pub(crate) struct Room {
    _held: Option<OwnedSemaphorePermit>,
}

const fn units(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT_BYTES)
}

impl Rooms {
    /// Room for an answer of that extent.
    ///
    /// # Errors
    /// [`QueryError::TooLarge`] when no answer may be so large, [`QueryError::NoRoom`] when others take
    /// the memory now.
    pub(crate) fn take(&self, extent: Extent) -> Result<Room, QueryError> {
        let Extent { rows, columns } = extent;
        let cells = (rows as u64).saturating_mul(columns as u64);
        let bytes = cells.saturating_mul(CELL_BYTES);
        let (mib, limit_mib) = (bytes >> 20, MAX_ANSWER_BYTES >> 20);
        if bytes > MAX_ANSWER_BYTES {
            return Err(QueryError::TooLarge { rows, columns, mib, limit_mib });
        }
        if bytes <= SMALL_BYTES {
            return Ok(Room { _held: None });
        }
        let permits = units(bytes) as u32;
        match Arc::clone(&self.free).try_acquire_many_owned(permits) {
            Ok(held) => Ok(Room { _held: Some(held) }),
            Err(_) => {
                let held_mib = self.held_bytes() >> 20;
                Err(QueryError::NoRoom { mib, held_mib, limit_mib: MAX_ANSWERS_BYTES >> 20 })
            }
        }
    }

    fn held_bytes(&self) -> u64 {
        units(MAX_ANSWERS_BYTES).saturating_sub(self.free.available_permits() as u64) * UNIT_BYTES
    }
}

/// An answer with the memory that is set aside for it.
pub(crate) struct Held<T> {
    answer: T,
    _room: Option<Room>,
}

impl<T> Held<T> {
    pub(crate) const fn new(answer: T, room: Option<Room>) -> Self {
        Self { answer, _room: room }
    }
}

impl<T> std::ops::Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.answer
    }
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod queue_test;
