//! Settings of `keyviz serve`: flags > `KEYVIZ_*` environment > file > defaults.
//!
//! Owns: the names, defaults and limits. clap knows whether a value came from the command line, the
//! environment or a default; the file fills in what is only a default. Unknown keys of the file are
//! refused. Proof: `config_test.rs`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use keyviz_lineage::Step;
use serde::{Deserialize, Serialize};

use crate::tls::TlsFiles;

/// Runs a node: takes columns, keeps history, answers.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Folder that holds everything; made if need be, used by one process at a time
    #[arg(long, env = "KEYVIZ_DATA_DIR", default_value = "keyviz-data")]
    data_dir: PathBuf,
    /// Address of the gRPC port (ingest, history, health)
    #[arg(long, env = "KEYVIZ_GRPC", default_value = "127.0.0.1:50051")]
    grpc: String,
    /// Address of the HTTP port (page, JSON, metrics)
    #[arg(long, env = "KEYVIZ_HTTP", default_value = "127.0.0.1:8080")]
    http: String,
    /// Step of columns that do not state one (JSON), and of answers where nothing was recorded: 1s to 10min
    #[arg(long, env = "KEYVIZ_STEP", default_value = "60s")]
    step: String,
    /// How often each group's window is written to the store: 1s to 1h
    #[arg(long, env = "KEYVIZ_PERSIST_INTERVAL", default_value = "5min")]
    persist_interval: String,
    /// How long the finest columns are kept: at least 1h
    #[arg(long, env = "KEYVIZ_RETENTION", default_value = "7d")]
    retention: String,
    /// How long hourly sums and maxima are kept, and who became of whom: at least --retention
    #[arg(long, env = "KEYVIZ_ROLLUP_RETENTION", default_value = "90d")]
    rollup_retention: String,
    /// The most bytes that pins keep beyond the retention
    #[arg(long, env = "KEYVIZ_PIN_MAX_BYTES", default_value = "1GiB")]
    pin_max_bytes: String,
    /// The most bytes of the newest 24 h that are held in memory, compressed; 0 = none
    #[arg(long, env = "KEYVIZ_MEMORY_MAX_BYTES", default_value = "128MiB")]
    memory_max_bytes: String,
    /// Cap of the write-ahead log: at least 8MiB
    #[arg(long, env = "KEYVIZ_WAL_MAX_BYTES", default_value = "64MiB")]
    wal_max_bytes: String,
    /// When the write-ahead log is synced: before every acknowledgement, at an interval, or left to the
    /// system
    #[arg(long, env = "KEYVIZ_WAL_SYNC", default_value = "every-column")]
    wal_sync: WalSync,
    /// How often it is synced with --wal-sync=interval: 10ms to 1h
    #[arg(long, env = "KEYVIZ_WAL_SYNC_INTERVAL", default_value = "1s")]
    wal_sync_interval: String,
    /// Largest message taken on either port
    #[arg(long, env = "KEYVIZ_MAX_MESSAGE_BYTES", default_value = "16MiB")]
    max_message_bytes: String,
    /// Folder for backups that are asked for over HTTP; without it there are none
    #[arg(long, env = "KEYVIZ_BACKUP_DIR")]
    backup_dir: Option<PathBuf>,
    /// File with the tokens that may read (a line is a token, or a name and a token; mode 600); read
    /// again when it changes
    #[arg(long, env = "KEYVIZ_READ_TOKEN_FILE")]
    read_token_file: Option<PathBuf>,
    /// File with the tokens that may also write: columns, pins, backups. With it, whoever asks for
    /// anything is asked for a token
    #[arg(long, env = "KEYVIZ_WRITE_TOKEN_FILE")]
    write_token_file: Option<PathBuf>,
    /// File (PEM) with the chain of certificates that both ports show; with it they speak TLS only. Read
    /// again when it changes
    #[arg(long, env = "KEYVIZ_TLS_CERT_FILE")]
    tls_cert_file: Option<PathBuf>,
    /// File (PEM) with the key of the first of them
    #[arg(long, env = "KEYVIZ_TLS_KEY_FILE")]
    tls_key_file: Option<PathBuf>,
    /// File (PEM) with the authorities whose client certificates are taken; whoever has none is refused
    #[arg(long, env = "KEYVIZ_TLS_CLIENT_CA_FILE")]
    tls_client_ca_file: Option<PathBuf>,
    /// Serve beyond loopback although tokens and answers travel unencrypted
    #[arg(long, env = "KEYVIZ_ALLOW_PLAINTEXT")]
    allow_plaintext: bool,
    /// Serve beyond loopback although nobody is asked who they are
    #[arg(long, env = "KEYVIZ_ALLOW_UNAUTHENTICATED")]
    allow_unauthenticated: bool,
    /// How to log, on stderr (`RUST_LOG` filters)
    #[arg(long, env = "KEYVIZ_LOG", default_value = "text")]
    log: LogFormat,
    /// TOML file with any of these settings, named as the flags with `_` for `-`
    #[arg(long, env = "KEYVIZ_CONFIG")]
    config: Option<PathBuf>,
    /// Print every setting with where it comes from, and stop
    #[arg(long)]
    print_config: bool,
}

/// When the WAL is synced.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WalSync {
    /// Before every acknowledgement: survives power loss.
    EveryColumn,
    /// Every `--wal-sync-interval`: survives kill -9, and power loss but for the last interval.
    Interval,
    /// When the system likes: survives kill -9.
    Os,
}

/// How to log.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    data_dir: Option<PathBuf>,
    grpc: Option<String>,
    http: Option<String>,
    step: Option<String>,
    persist_interval: Option<String>,
    retention: Option<String>,
    rollup_retention: Option<String>,
    pin_max_bytes: Option<String>,
    memory_max_bytes: Option<String>,
    wal_max_bytes: Option<String>,
    wal_sync: Option<WalSync>,
    wal_sync_interval: Option<String>,
    max_message_bytes: Option<String>,
    backup_dir: Option<PathBuf>,
    read_token_file: Option<PathBuf>,
    write_token_file: Option<PathBuf>,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    tls_client_ca_file: Option<PathBuf>,
    allow_plaintext: Option<bool>,
    allow_unauthenticated: Option<bool>,
    log: Option<LogFormat>,
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub(crate) struct ServeConfig {
    pub(crate) data_dir: PathBuf,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) step: Step,
    pub(crate) persist_interval: Duration,
    pub(crate) retention: Duration,
    pub(crate) rollup_retention: Duration,
    pub(crate) pin_max_bytes: u64,
    pub(crate) memory_max_bytes: u64,
    pub(crate) wal_max_bytes: u64,
    pub(crate) wal_sync: WalSync,
    pub(crate) wal_sync_interval: Duration,
    pub(crate) max_message_bytes: usize,
    pub(crate) backup_dir: Option<PathBuf>,
    pub(crate) read_token_file: Option<PathBuf>,
    pub(crate) write_token_file: Option<PathBuf>,
    /// What both ports show and take over TLS; without it they speak in plain.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) log: LogFormat,
    /// `--print-config`: one line a setting.
    pub(crate) print: Option<String>,
}

impl ServeArgs {
    /// Settles every value. `matches` are those of the subcommand.
    pub(crate) fn settle(mut self, matches: &ArgMatches) -> anyhow::Result<ServeConfig> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let mut origins = Origins { matches, file: self.config.clone(), lines: Vec::new() };
        origins.settle("data_dir", &mut self.data_dir, file.data_dir, |path| {
            path.display().to_string()
        });
        origins.settle("grpc", &mut self.grpc, file.grpc, Clone::clone);
        origins.settle("http", &mut self.http, file.http, Clone::clone);
        origins.settle("step", &mut self.step, file.step, Clone::clone);
        origins.settle(
            "persist_interval",
            &mut self.persist_interval,
            file.persist_interval,
            Clone::clone,
        );
        origins.settle("retention", &mut self.retention, file.retention, Clone::clone);
        if !origins.is_given("rollup_retention") {
            // Who keeps the finest columns for longer than the default means the rest, too.
            self.rollup_retention = longer(self.rollup_retention, &self.retention);
        }
        origins.settle(
            "rollup_retention",
            &mut self.rollup_retention,
            file.rollup_retention,
            Clone::clone,
        );
        origins.settle("pin_max_bytes", &mut self.pin_max_bytes, file.pin_max_bytes, Clone::clone);
        origins.settle(
            "memory_max_bytes",
            &mut self.memory_max_bytes,
            file.memory_max_bytes,
            Clone::clone,
        );
        origins.settle("wal_max_bytes", &mut self.wal_max_bytes, file.wal_max_bytes, Clone::clone);
        origins.settle("wal_sync", &mut self.wal_sync, file.wal_sync, value_name);
        origins.settle(
            "wal_sync_interval",
            &mut self.wal_sync_interval,
            file.wal_sync_interval,
            Clone::clone,
        );
        origins.settle(
            "max_message_bytes",
            &mut self.max_message_bytes,
            file.max_message_bytes,
            Clone::clone,
        );
        origins.settle("backup_dir", &mut self.backup_dir, file.backup_dir.map(Some), path_text);
        let files = [
            file.read_token_file,
            file.write_token_file,
            file.tls_cert_file,
            file.tls_key_file,
            file.tls_client_ca_file,
        ];
        self.settle_access(&mut origins, files, [file.allow_plaintext, file.allow_unauthenticated]);
        origins.settle("log", &mut self.log, file.log, value_name);
        let print = self.print_config.then(|| origins.lines.join("\n"));
        self.check(print)
    }

    /// Who may come, and how what is said travels.
    fn settle_access(
        &mut self,
        origins: &mut Origins<'_>,
        files: [Option<PathBuf>; 5],
        allowed: [Option<bool>; 2],
    ) {
        let values = [
            ("read_token_file", &mut self.read_token_file),
            ("write_token_file", &mut self.write_token_file),
            ("tls_cert_file", &mut self.tls_cert_file),
            ("tls_key_file", &mut self.tls_key_file),
            ("tls_client_ca_file", &mut self.tls_client_ca_file),
        ];
        for ((name, value), given) in values.into_iter().zip(files) {
            origins.settle(name, value, given.map(Some), path_text);
        }
        let values = [
            ("allow_plaintext", &mut self.allow_plaintext),
            ("allow_unauthenticated", &mut self.allow_unauthenticated),
        ];
        for ((name, value), given) in values.into_iter().zip(allowed) {
            origins.settle(name, value, given, bool::to_string);
        }
    }

    fn check(self, print: Option<String>) -> anyhow::Result<ServeConfig> {
        ensure!(
            self.read_token_file.is_none() || self.write_token_file.is_some(),
            "--read-token-file without --write-token-file: nobody could send a column; give both"
        );
        let tls = self.tls()?;
        let config = ServeConfig {
            grpc: self.address("grpc", &self.grpc)?,
            http: self.address("http", &self.http)?,
            step: Step::recordable_from_ms(duration("step", &self.step)?.as_millis() as u64)
                .context("--step")?,
            persist_interval: duration("persist-interval", &self.persist_interval)?,
            retention: duration("retention", &self.retention)?,
            rollup_retention: duration("rollup-retention", &self.rollup_retention)?,
            pin_max_bytes: bytes("pin-max-bytes", &self.pin_max_bytes)?,
            memory_max_bytes: bytes("memory-max-bytes", &self.memory_max_bytes)?,
            wal_max_bytes: bytes("wal-max-bytes", &self.wal_max_bytes)?,
            max_message_bytes: bytes("max-message-bytes", &self.max_message_bytes)? as usize,
            wal_sync: self.wal_sync,
            wal_sync_interval: duration("wal-sync-interval", &self.wal_sync_interval)?,
            data_dir: self.data_dir,
            backup_dir: self.backup_dir,
            read_token_file: self.read_token_file,
            write_token_file: self.write_token_file,
            tls,
            log: self.log,
            print,
        };
        if let Some(backup_dir) = &config.backup_dir {
            crate::tools::check_apart(backup_dir, &config.data_dir).context("--backup-dir")?;
        }
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        ensure!(
            (second..=hour).contains(&config.persist_interval),
            "--persist-interval {}: must be between 1s and 1h",
            self.persist_interval
        );
        ensure!(
            (Duration::from_millis(10)..=hour).contains(&config.wal_sync_interval),
            "--wal-sync-interval {}: must be between 10ms and 1h",
            self.wal_sync_interval
        );
        ensure!(config.retention >= hour, "--retention {}: must be at least 1h", self.retention);
        ensure!(
            config.rollup_retention >= config.retention,
            "--rollup-retention {}: must be at least --retention ({})",
            self.rollup_retention,
            self.retention
        );
        ensure!(
            config.wal_max_bytes >= 8 << 20,
            "--wal-max-bytes {}: must be at least 8MiB (two segments)",
            self.wal_max_bytes
        );
        ensure!(
            (64 << 10..=64 << 20).contains(&config.max_message_bytes),
            "--max-message-bytes {}: must be between 64KiB and 64MiB",
            self.max_message_bytes
        );
        Ok(config)
    }

    /// The files of TLS: none, or what belongs together.
    fn tls(&self) -> anyhow::Result<Option<TlsFiles>> {
        let files = (self.tls_cert_file.clone(), self.tls_key_file.clone());
        let client_ca = self.tls_client_ca_file.clone();
        match files {
            (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key, client_ca })),
            (None, None) if client_ca.is_none() => Ok(None),
            (None, None) => {
                bail!(
                    "--tls-client-ca-file without --tls-cert-file and --tls-key-file: give all three"
                )
            }
            _ => bail!("--tls-cert-file and --tls-key-file belong together: give both"),
        }
    }

    /// Where to listen; beyond loopback only as far as the operator has said.
    fn address(&self, flag: &str, text: &str) -> anyhow::Result<SocketAddr> {
        let address: SocketAddr = text.parse().with_context(|| {
            format!("--{flag} {text:?}: give an address and port such as 127.0.0.1:8080")
        })?;
        if address.ip().is_loopback() || self.allow_unauthenticated {
            return Ok(address);
        }
        ensure!(
            self.write_token_file.is_some() || self.tls_client_ca_file.is_some(),
            "--{flag} {text}: anyone who reaches this address could read and write the history; give \
             --write-token-file or --tls-client-ca-file, or bind to loopback, or say \
             --allow-unauthenticated"
        );
        ensure!(
            self.tls_cert_file.is_some() || self.allow_plaintext,
            "--{flag} {text}: tokens and answers would travel unencrypted; give --tls-cert-file and \
             --tls-key-file, or bind to loopback and put a proxy with TLS in front, or say \
             --allow-plaintext on a network that you trust"
        );
        Ok(address)
    }
}

/// Where each value comes from.
struct Origins<'a> {
    matches: &'a ArgMatches,
    file: Option<PathBuf>,
    lines: Vec<String>,
}

impl Origins<'_> {
    /// Whether the command line or the environment says it.
    fn is_given(&self, name: &str) -> bool {
        let source = self.matches.value_source(name);
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    }

    fn settle<T>(
        &mut self,
        name: &str,
        value: &mut T,
        from_file: Option<T>,
        show: impl Fn(&T) -> String,
    ) {
        let origin = match (self.matches.value_source(name), from_file) {
            (Some(ValueSource::CommandLine), _) => format!("flag --{}", name.replace('_', "-")),
            (Some(ValueSource::EnvVariable), _) => {
                format!("environment KEYVIZ_{}", name.to_uppercase())
            }
            (_, Some(given)) => {
                *value = given;
                format!("file {}", self.file.as_deref().unwrap_or(Path::new("?")).display())
            }
            (_, None) => "default".to_owned(),
        };
        self.lines.push(format!("{name} = {:?}  # {origin}", show(value)));
    }
}

fn path_text(path: &Option<PathBuf>) -> String {
    path.as_deref().map(|path| path.display().to_string()).unwrap_or_default()
}

fn value_name<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn read_file(path: &Path) -> anyhow::Result<ConfigFile> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--config {}: cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text[..start].matches('\n').count();
        let content = text.lines().nth(line).unwrap_or_default().trim();
        let reason = error.message().replace('\n', " ");
        anyhow::anyhow!("--config {}, line {} ({content:?}): {reason}", path.display(), line + 1)
    })
}

pub(crate) fn duration(flag: &str, text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text)
        .with_context(|| format!("--{flag} {text:?}: give a duration such as 1s, 5min or 7d"))
}

/// The longer of two durations; the first where one of them is none.
fn longer(one: String, other: &str) -> String {
    match (humantime::parse_duration(&one), humantime::parse_duration(other)) {
        (Ok(a), Ok(b)) if b > a => other.to_owned(),
        _ => one,
    }
}

fn bytes(flag: &str, text: &str) -> anyhow::Result<u64> {
    parse_size::parse_size(text)
        .with_context(|| format!("--{flag} {text:?}: give a size such as 64MiB"))
}

#[cfg(test)]
#[path = "config_test.rs"]
mod config_test;
