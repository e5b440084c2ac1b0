//! Flags, and what they mean.
//!
//! Responsible for: parsing and checking every flag before anything is opened. Plain settings only;
//! clocks and stores come from `app.rs`.
//! Proof: `config_test.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use keyviz_api::tls::Tls;
use keyviz_lineage::Step;

use crate::catalogue::even_boundaries;
use crate::error::HostError;
use crate::ranges::Initial;

const MAX_INITIAL_RANGES: u64 = 10_000;
const MAX_GROUPS: u64 = 1_024;
const MAX_NODE_BYTES: usize = keyviz_lineage::column::MAX_NODE_BYTES;

/// A range-sharded key-value server that speaks RESP and embeds keyviz's sampler.
#[derive(Clone, Debug, Parser)]
#[command(name = "keyviz-host", version)]
pub(crate) struct Flags {
    /// Where redis clients connect; port 0 takes a free one. The address is printed when ready.
    #[arg(long, default_value = "127.0.0.1:6380", value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// Folder of the data; created if absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The keyviz node's gRPC address. Without it the sampler runs and its columns go nowhere but
    /// to the ledger.
    #[arg(long, value_name = "[https://]HOST:PORT")]
    pub(crate) keyviz: Option<String>,
    /// File with the write token that the keyviz node asks for; read again at every connection.
    #[arg(long, value_name = "FILE", env = "KEYVIZ_TOKEN_FILE")]
    pub(crate) keyviz_token_file: Option<PathBuf>,
    /// File (PEM) with the authorities that may have signed the keyviz node's certificate; it is then
    /// spoken to over TLS. Without it https:// trusts those of the system.
    #[arg(long, value_name = "FILE", env = "KEYVIZ_TLS_CA_FILE")]
    pub(crate) keyviz_tls_ca_file: Option<PathBuf>,
    /// File (PEM) with the certificate to be shown to a keyviz node that asks for one.
    #[arg(
        long,
        value_name = "FILE",
        env = "KEYVIZ_TLS_CLIENT_CERT_FILE",
        requires = "keyviz_tls_key_file"
    )]
    pub(crate) keyviz_tls_cert_file: Option<PathBuf>,
    /// File (PEM) with its key.
    #[arg(
        long,
        value_name = "FILE",
        env = "KEYVIZ_TLS_CLIENT_KEY_FILE",
        requires = "keyviz_tls_cert_file"
    )]
    pub(crate) keyviz_tls_key_file: Option<PathBuf>,
    /// Length of a column: at least 1s, divides 1h.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) step: Duration,
    /// This host's name at keyviz [default: that of the last start, else the machine's name].
    #[arg(long, value_name = "NAME")]
    pub(crate) node_id: Option<String>,
    /// Groups to answer for; the ranges of a new store are assigned to them in turn.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) groups: u64,
    /// Ranges of a new store, of equal width in the key space.
    #[arg(long, default_value_t = 1, value_name = "N", conflicts_with = "initial_splits")]
    pub(crate) initial_ranges: u64,
    /// Boundaries of a new store's ranges: a file with one a line, or a comma-separated list.
    #[arg(long, value_name = "FILE|LIST")]
    pub(crate) initial_splits: Option<String>,
    /// Ranges with a row of their own in a column; beyond that the least active neighbours are
    /// reported together.
    #[arg(long, default_value_t = keyviz_sampler::DEFAULT_TRACKED_ROUTES, value_name = "N")]
    pub(crate) tracked_routes: usize,
    /// Find the hottest keys of each range, and tell keyviz, which keeps those of the last windows in
    /// memory: whoever may ask it then sees keys of your users.
    #[arg(long)]
    pub(crate) hot_keys: bool,
    /// Append every column and transition to this file as a line of JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Where Prometheus finds metrics, at /metrics; port 0 takes a free one (see INFO). Without it they
    /// are served nowhere.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) metrics: Option<String>,
    /// The most clients at a time.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) max_clients: usize,
    /// How logs are written (to stderr); RUST_LOG filters them.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log: LogFormat,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Flags {
    /// What is trusted and shown when keyviz is spoken to over TLS.
    pub(crate) fn keyviz_tls(&self) -> Tls {
        Tls {
            ca_file: self.keyviz_tls_ca_file.clone(),
            cert_file: self.keyviz_tls_cert_file.clone(),
            key_file: self.keyviz_tls_key_file.clone(),
        }
    }

    /// The step of the columns.
    pub(crate) fn column_step(&self) -> Result<Step, HostError> {
        let step_ms = u64::try_from(self.step.as_millis()).unwrap_or(u64::MAX);
        if !self.step.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(flag("--step", "use whole milliseconds, for example 1s, 10s or 60s"));
        }
        Step::recordable_from_ms(step_ms).map_err(|error| flag("--step", error.to_string()))
    }

    /// The ranges of a new store.
    pub(crate) fn initial(&self) -> Result<Initial, HostError> {
        if !(1..=MAX_GROUPS).contains(&self.groups) {
            return Err(flag(
                "--groups",
                format!("{} is not within 1 to {MAX_GROUPS}", self.groups),
            ));
        }
        if !(1..=MAX_INITIAL_RANGES).contains(&self.initial_ranges) {
            let reason = format!("{} is not within 1 to {MAX_INITIAL_RANGES}", self.initial_ranges);
            return Err(flag("--initial-ranges", reason));
        }
        let boundaries = match &self.initial_splits {
            None => even_boundaries(self.initial_ranges),
            Some(splits) => splits_of(splits)?,
        };
        if boundaries.len() as u64 >= MAX_INITIAL_RANGES {
            let reason =
                format!("{} boundaries; use fewer than {MAX_INITIAL_RANGES}", boundaries.len());
            return Err(flag("--initial-splits", reason));
        }
        Ok(Initial { boundaries, groups: self.groups })
    }

    /// The remaining flags that can be wrong.
    pub(crate) fn check(&self) -> Result<(), HostError> {
        if let Some(address) = &self.keyviz {
            let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(1..))) if !host.is_empty()) {
                let reason = format!("{address:?} is not HOST:PORT, for example 127.0.0.1:50051");
                return Err(flag("--keyviz", reason));
            }
        }
        match self.node_id.as_deref().map(str::len) {
            Some(0) => return Err(flag("--node-id", "it is empty; leave it out or give a name")),
            Some(len) if len > MAX_NODE_BYTES => {
                return Err(flag(
                    "--node-id",
                    format!("{len} bytes; use at most {MAX_NODE_BYTES}"),
                ));
            }
            _ => {}
        }
        if self.tracked_routes == 0 {
            return Err(flag("--tracked-routes", "0 would leave no range a row; use at least 1"));
        }
        if self.max_clients == 0 {
            return Err(flag("--max-clients", "0 would refuse everyone; use at least 1"));
        }
        Ok(())
    }
}

/// The boundaries in a file (one a line) or in a comma-separated list, ascending.
fn splits_of(splits: &str) -> Result<Vec<Vec<u8>>, HostError> {
    let path = Path::new(splits);
    let mut boundaries: Vec<Vec<u8>> = if path.is_file() {
        let text = std::fs::read(path).map_err(|source| HostError::Path {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let lines = text.split(|&byte| byte == b'\n');
        lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
    } else {
        splits.split(',').map(|key| key.as_bytes().to_vec()).collect()
    };
    boundaries.retain(|key| !key.is_empty());
    boundaries.sort_unstable();
    boundaries.dedup();
    Ok(boundaries)
}

/// The machine's name, or `host-1` where it has none.
pub(crate) fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let is_usable = !name.is_empty() && name.len() <= MAX_NODE_BYTES;
    if is_usable { name.to_owned() } else { "host-1".to_owned() }
}

fn flag(flag: &'static str, reason: impl Into<String>) -> HostError {
    HostError::Flag { flag, reason: reason.into() }
}

#[cfg(test)]
#[path = "config_test.rs"]
mod config_test;
