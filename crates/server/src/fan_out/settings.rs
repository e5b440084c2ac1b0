//! `--peers` and its kin: who the peers are, and how they are spoken to.
//!
//! Proof: `settings_test.rs`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use keyviz_api::tls::Tls;
use tonic::transport::Endpoint;

/// The most peers of a node.
const MAX_PEERS: usize = 64;

/// Where the names of the peers stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerList {
    Fixed(Vec<String>),
    File(PathBuf),
}

/// Who the peers are, and how they are spoken to.
#[derive(Clone, Debug)]
pub(crate) struct PeerSettings {
    pub(crate) list: PeerList,
    pub(crate) refresh: Duration,
    pub(crate) timeout: Duration,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tls: Tls,
}

/// The values of the flags.
#[derive(Clone, Debug)]
pub(crate) struct PeerFlags<'a> {
    pub(crate) peers: &'a str,
    pub(crate) refresh: Duration,
    pub(crate) timeout: Duration,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tls: Tls,
}

impl PeerSettings {
    /// `None` without peers.
    pub(crate) fn check(flags: PeerFlags<'_>) -> anyhow::Result<Option<Self>> {
        let PeerFlags { peers, refresh, timeout, token_file, tls } = flags;
        if peers.trim().is_empty() {
            return Ok(None);
        }
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        ensure!(
            (second..=hour).contains(&refresh),
            "--nodes-refresh-interval {}: must be between 1s and 1h",
            humantime::format_duration(refresh)
        );
        ensure!(
            (Duration::from_millis(100)..=Duration::from_secs(30)).contains(&timeout),
            "--peer-timeout {}: must be between 100ms and 30s",
            humantime::format_duration(timeout)
        );
        let list = match peers.trim().strip_prefix('@') {
            Some(path) => PeerList::File(PathBuf::from(path)),
            None => PeerList::Fixed(parse(peers, &tls).context("--peers")?),
        };
        // Told at the start; a file that breaks later is the failure of the peers that need it.
        tls.read()?;
        let settings = Self { list, refresh, timeout, token_file, tls };
        settings.read()?;
        Ok(Some(settings))
    }

    /// The peers as they are named now.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<String>> {
        let (said, peers) = match &self.list {
            PeerList::Fixed(peers) => ("--peers".to_owned(), peers.clone()),
            PeerList::File(path) => {
                let said = format!("--peers @{}", path.display());
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{said}: cannot be read"))?;
                let peers = parse(&text, &self.tls).with_context(|| said.clone())?;
                (said, peers)
            }
        };
        if self.token_file.is_some() {
            let allowed = peers.iter().try_for_each(|peer| self.tls.may_show_token(peer));
            allowed.context(said)?;
        }
        Ok(peers)
    }
}

/// Addresses, apart by commas, spaces or lines; `#` begins a comment.
fn parse(text: &str, tls: &Tls) -> anyhow::Result<Vec<String>> {
    let mut peers: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let words = line.split(|c: char| c == ',' || c.is_whitespace());
        for peer in words.filter(|word| !word.is_empty()) {
            let target = tls.target(peer)?;
            let port = target.authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            ensure!(
                matches!(port, Some(Ok(1..))),
                "{peer:?}: give the host and gRPC port of a node, such as node-b:50051"
            );
            Endpoint::from_shared(target.url()).with_context(|| format!("{peer:?}"))?;
            if !peers.iter().any(|held| held == peer) {
                peers.push(peer.to_owned());
            }
        }
    }
    ensure!(peers.len() <= MAX_PEERS, "{} peers are more than {MAX_PEERS}", peers.len());
    Ok(peers)
}

#[cfg(test)]
#[path = "settings_test.rs"]
mod settings_test;
