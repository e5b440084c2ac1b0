//! `/metrics` in Prometheus text format.
//!
//! Responsible for: every name, help and label of the node's metrics.
//! Invariants: labels are bounded (kinds, levels, reasons, ports, peers that the operator named); names
//! have their unit and counters end in `_total`.
//! Must not: measure (`measured` does).
//! Proof: `tests/tests/metrics.rs` with Prometheus's own tools and a real Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use keyviz_lineage::HOUR_MS;
use keyviz_replica::{CountersSnapshot, Recorder};
use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::error::HttpError;
use crate::node::{Node, NodeError};

pub(super) async fn metrics(State(node): State<Arc<Node>>) -> Result<Response, HttpError> {
    // RocksDB is asked, too, which may wait for a lock of its own.
    let gathered = tokio::task::spawn_blocking(move || text(&node)).await;
    let text = gathered
        .map_err(|error| error.to_string())
        .and_then(|text| text.map_err(|error| error.to_string()))
        .map_err(|reason| NodeError::Panicked { reason })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn text(node: &Node) -> prometheus::Result<Vec<u8>> {
    let registry = Registry::new();
    gather(node, &registry)?;
    let mut families = node.measured.gather();
    families.extend(registry.gather());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}

/// One figure: name, help, value.
type Figure = (&'static str, &'static str, u64);

fn gather(node: &Node, registry: &Registry) -> prometheus::Result<()> {
    let (mut counters, gauges) = match node.recorder() {
        Err(_) => (Vec::new(), vec![("keyviz_ready", "1 once the node takes columns.", 0)]),
        Ok(recorder) => {
            let counted = recorder.counters();
            persist(registry, &counted)?;
            let mut counters = counters(&counted);
            counters.extend(store(registry, &recorder)?);
            (counters, gauges(&recorder, &counted))
        }
    };
    counters.push((
        "keyviz_store_reopened_total",
        "Times that the store was opened anew because RocksDB refused every write.",
        node.times_reopened(),
    ));
    let (bytes, sources) = node.hot_keys.size();
    let hot_keys = [
        (
            "keyviz_hot_keys_bytes",
            "Bytes of the hot keys of the last windows, in memory.",
            bytes as u64,
        ),
        (
            "keyviz_hot_keys_sources",
            "Sources (node and boot) that hot keys are held of.",
            sources as u64,
        ),
    ];
    let gauges = gauges.into_iter().chain(hot_keys);
    for (name, help, value) in counters {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        register(registry, counter)?;
    }
    let opts = Opts::new(
        "keyviz_auth_refusals_total",
        "Requests refused for want of the right token or certificate, by reason.",
    );
    let refused = IntCounterVec::new(opts, &["reason"])?;
    for (reason, count) in node.auth.refused() {
        refused.with_label_values(&[reason]).inc_by(count);
    }
    register(registry, refused)?;
    node.queue.register(registry)?;
    for (name, help, value) in gauges {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(signed(value));
        register(registry, gauge)?;
    }
    let opts = Opts::new("keyviz_build_info", "1; the version that runs is a label.");
    let build = IntGaugeVec::new(opts, &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    register(registry, build)
}

fn register(registry: &Registry, collector: impl Collector + 'static) -> prometheus::Result<()> {
    registry.register(Box::new(collector))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// How long checkpoints take, and when the last one was.
fn persist(registry: &Registry, c: &CountersSnapshot) -> prometheus::Result<()> {
    let seconds = |us: u64| us as f64 / 1e6;
    let total = Counter::new(
        "keyviz_persist_seconds_total",
        "Seconds that checkpoint batches took in all.",
    )?;
    total.inc_by(seconds(c.persist_us));
    register(registry, total)?;
    let gauges = [
        (
            "keyviz_persist_last_seconds",
            "Seconds that the last checkpoint batch took.",
            seconds(c.last_persist_us),
        ),
        (
            "keyviz_persist_last_timestamp_seconds",
            "When the last checkpoint batch was written, Unix seconds; 0 = none since the start.",
            c.last_persist_ms as f64 / 1e3,
        ),
    ];
    for (name, help, value) in gauges {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        register(registry, gauge)?;
    }
    Ok(())
}

/// What RocksDB says of itself; counters are handed back.
#[rustfmt::skip]
fn store(registry: &Registry, recorder: &Recorder) -> prometheus::Result<Vec<Figure>> {
    let figures = recorder.store_figures();
    let vector = |name, help, label| IntGaugeVec::new(Opts::new(name, help), &[label]);
    let files = vector("keyviz_store_level_files", "SST files, by level of RocksDB.", "level")?;
    let bytes = vector("keyviz_store_level_bytes", "Bytes of SST files, by level.", "level")?;
    for (level, of) in &figures.levels {
        let level = level.to_string();
        files.with_label_values(&[&level]).set(signed(of.files));
        bytes.with_label_values(&[&level]).set(signed(of.bytes));
    }
    let help = "Bytes of SST files by what they hold (RocksDB's estimate).";
    let tiers = vector("keyviz_store_tier_bytes", help, "tier")?;
    for (tier, bytes) in figures.tiers {
        tiers.with_label_values(&[tier]).set(signed(bytes));
    }
    for collector in [files, bytes, tiers] {
        register(registry, collector)?;
    }
    for (name, help, value) in [
        ("keyviz_store_live_bytes", "RocksDB's estimate of live data.", figures.live_bytes),
        ("keyviz_store_pending_compaction_bytes", "Bytes that compaction has yet to rewrite.", figures.pending_compaction_bytes),
        ("keyviz_store_running_compactions", "Compactions that run.", figures.running_compactions),
        ("keyviz_store_running_flushes", "Flushes that run.", figures.running_flushes),
        ("keyviz_store_memtable_bytes", "Bytes of memtables, those that are being flushed included.", figures.memtable_bytes),
        ("keyviz_store_memtables_waiting", "Memtables that wait for a flush.", figures.waiting_memtables),
        ("keyviz_store_table_bytes", "Bytes of indexes and filters in memory.", figures.table_bytes),
        ("keyviz_store_cache_bytes", "Bytes in RocksDB's cache of blocks.", figures.cache_bytes),
        ("keyviz_store_cache_max_bytes", "The most bytes that it takes.", figures.cache_max_bytes),
        ("keyviz_store_writes_stopped", "1 while RocksDB holds writes back because compaction is behind.", figures.writes_stopped),
        ("keyviz_store_delayed_write_bytes_per_second", "What writes are slowed down to; 0 = they are not.", figures.delayed_write_bytes_per_second),
    ] {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(signed(value));
        register(registry, gauge)?;
    }
    Ok(vec![
        ("keyviz_store_cache_hits_total", "Blocks that were found in RocksDB's cache.", figures.cache_hits),
        ("keyviz_store_cache_misses_total", "Blocks that were not.", figures.cache_misses),
        ("keyviz_store_background_errors_total", "Flushes and compactions of RocksDB that have failed since the start.", figures.background_errors),
        ("keyviz_store_damage_met_total", "Times that something damaged in the store was met and passed by since the start.", recorder.store_damage()),
        ("keyviz_gc_dropped_rows_total", "Rows that compaction has dropped since the start.", recorder.dropped_rows()),
    ])
}

#[rustfmt::skip]
fn counters(c: &CountersSnapshot) -> Vec<Figure> {
    vec![
        ("keyviz_ingest_columns_total", "Columns stored.", c.columns),
        ("keyviz_ingest_rows_total", "Rows stored.", c.rows),
        ("keyviz_ingest_buckets_total", "Virtual buckets stored.", c.buckets),
        ("keyviz_ingest_transitions_total", "Transitions applied or known already.", c.transitions),
        ("keyviz_ingest_duplicates_total", "Entries that were held already.", c.duplicates),
        ("keyviz_ingest_refused_total", "Entries refused as a whole.", c.refused_entries),
        ("keyviz_ingest_aborted_total", "Transitions decided on a stale catalogue.", c.aborted_transitions),
        ("keyviz_ingest_expired_total", "Transitions of a time whose lineages were swept.", c.expired_transitions),
        ("keyviz_ingest_refused_rows_total", "Rows refused while their column was stored.", c.refused_rows),
        ("keyviz_ingest_late_columns_total", "Columns refused: older than the retention.", c.late_columns),
        ("keyviz_ingest_future_columns_total", "Columns refused: in the future.", c.future_columns),
        ("keyviz_persist_batches_total", "Checkpoint batches written.", c.persists),
        ("keyviz_persist_failures_total", "Checkpoints that failed and were tried again.", c.persist_failures),
        ("keyviz_lineage_backfills_total", "Lineages that were backfilled.", c.backfills),
        ("keyviz_lineage_swept_total", "Lineage records removed: nothing retained needs them.", c.swept_lineages),
        ("keyviz_wal_shed_total", "WAL records shed at the cap.", c.shed_records),
        ("keyviz_wal_shed_bytes_total", "WAL bytes shed at the cap.", c.shed_bytes),
        ("keyviz_wal_replayed_records_total", "WAL records replayed at start.", c.replayed_records),
        ("keyviz_wal_unusable_records_total", "WAL records that a replay could not use.", c.unusable_records),
        ("keyviz_wal_rehomed_rows_total", "Replayed rows that had lost their lineage record and got another.", c.rehomed_rows),
    ]
}

#[rustfmt::skip]
fn gauges(recorder: &Recorder, c: &CountersSnapshot) -> Vec<Figure> {
    let (records, live) = recorder.graph().len();
    let held = recorder.memory_tier();
    let held_from_ms = held.first_hour.unwrap_or(0).saturating_mul(HOUR_MS);
    vec![
        ("keyviz_ready", "1 once the node takes columns.", 1),
        ("keyviz_wal_bytes", "Bytes in the WAL.", c.wal_bytes),
        ("keyviz_wal_max_bytes", "The WAL's cap.", c.wal_cap_bytes),
        ("keyviz_wal_shed_lost_columns", "Acknowledged columns that were shed and that the last start found gone.", c.shed_lost_columns),
        ("keyviz_wal_failing", "1 while the WAL cannot be made durable.", c.wal_failing),
        ("keyviz_store_failing", "1 while the store takes no checkpoints.", c.store_failing),
        ("keyviz_store_read_only", "1 while RocksDB refuses writes.", c.store_read_only),
        ("keyviz_gc_frozen", "1 while a clock jump keeps history from being dropped.", c.gc_frozen),
        ("keyviz_oldest_row_timestamp_seconds", "Start of the oldest hour of finest columns on disk that no pin keeps, Unix seconds; 0 = none.", c.oldest_row_ms / 1_000),
        ("keyviz_oldest_rollup_row_timestamp_seconds", "The same of what is kept with hourly roll-ups.", c.oldest_rollup_row_ms / 1_000),
        ("keyviz_pins", "Windows that are kept beyond the retention.", recorder.pins().len() as u64),
        ("keyviz_pins_damaged", "Pins that cannot be read: nothing is dropped while there is one.", c.damaged_pins),
        ("keyviz_memory_tier_bytes", "Bytes of the newest hours that are held in memory.", held.bytes),
        ("keyviz_memory_tier_timestamp_seconds", "Start of the first hour that is held of every group, Unix seconds; 0 = none.", held_from_ms / 1_000),
        ("keyviz_lineage_live", "Lineages alive.", live as u64),
        ("keyviz_lineage_recovered", "Lineages without a record, shown by the keys that their blocks say.", c.recovered_lineages),
        ("keyviz_lineage_lost", "Lineages without a record that cannot be shown: no block says their keys.", c.lost_lineages),
        ("keyviz_lineage_closed", "Lineages that have ended and are retained.", (records - live) as u64),
        ("keyviz_store_background_failing", "1 from such a failure until a flush works.", c.background_failing),
    ]
}
