//! What the node measures of its own work, for `/metrics`.
//!
//! Responsible for: the figures that have to be gathered as things happen; what can be asked for later
//! is asked by `http::metrics`.
//! Invariants: labels are bounded; measuring takes no lock.
//! Must not: know what is done with a figure.
//! Proof: `tests/tests/metrics.rs`.

use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, process_collector,
};

/// From 100 us to 30 s.
const SECONDS: [f64; 12] =
    [0.0001, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Where the node writes down what it measures.
pub(crate) struct Measured {
    registry: Registry,
    /// From an entry's arrival to its acknowledgement, which waits for the WAL.
    pub(crate) acknowledged: Histogram,
    /// Open connections, by port.
    connections: IntGaugeVec,
    /// TLS handshakes that did not end well.
    pub(crate) failed_handshakes: IntCounter,
}

impl Measured {
    /// Nothing measured yet.
    ///
    /// # Errors
    /// Never, with the names here.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let opts = HistogramOpts::new(
            "keyviz_ingest_acknowledge_seconds",
            "From the arrival of a column or transition to its acknowledgement.",
        );
        let acknowledged = Histogram::with_opts(opts.buckets(SECONDS.to_vec()))?;
        let opts = Opts::new("keyviz_connections", "Open connections, by port.");
        let connections = IntGaugeVec::new(opts, &["port"])?;
        let failed_handshakes = IntCounter::new(
            "keyviz_tls_failed_handshakes_total",
            "TLS handshakes that failed or did not end in time.",
        )?;
        registry.register(Box::new(acknowledged.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(failed_handshakes.clone()))?;
        registry.register(Box::new(process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, acknowledged, connections, failed_handshakes })
    }

    /// The open connections of a port.
    pub(crate) fn connections(&self, port: &str) -> IntGauge {
        self.connections.with_label_values(&[port])
    }

    /// All of it.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
