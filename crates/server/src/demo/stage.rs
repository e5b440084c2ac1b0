//! Where the demo happens: a temporary folder, a keyviz node and a host, on ports of this machine.
//!
//! Owns: the folder and the two processes.
//! Invariants: the node is started again on the ports and in the folder that it had; ports lie
//! outside of the range that outgoing connections draw from, so that nobody takes them in between.
//! Must not: know what happens on it.
//! Proof: `stage_test.rs`, and the demo itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use keyviz_api::ambient;
use tempfile::TempDir;
use tokio::process::Command;

use super::keyspace;
use super::process::Process;

/// Length of the host's columns.
pub(super) const STEP_MS: u64 = 1_000;

const HOST_BINARY: &str = "keyviz-host";
/// Ports are looked for in here (below it lie well-known ones).
const FIRST_PORT: u16 = 15_000;
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Linux's default, and IANA's advice.
const FIRST_OUTGOING_PORT: u16 = 32_768;

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    keyviz: PathBuf,
    host_binary: PathBuf,
    /// The node's gRPC port.
    pub(super) grpc: SocketAddr,
    /// The node's page.
    pub(super) http: SocketAddr,
    pub(super) node: Option<Process>,
    pub(super) host: Option<Process>,
    pub(super) host_address: Option<SocketAddr>,
}

impl Stage {
    /// A folder and two ports; nothing is started.
    pub(super) fn new() -> anyhow::Result<Self> {
        let keyviz = std::env::current_exe().context("this program's own file is unknown")?;
        let host_binary = keyviz.with_file_name(HOST_BINARY);
        if !host_binary.is_file() {
            bail!("{} is not there; build it, too (make build)", host_binary.display());
        }
        let folder = tempfile::Builder::new().prefix("keyviz-demo-").tempdir();
        let folder = folder.context("no temporary folder could be made")?;
        let [grpc, http] = free_ports()?;
        Ok(Self {
            folder,
            keyviz,
            host_binary,
            grpc,
            http,
            node: None,
            host: None,
            host_address: None,
        })
    }

    /// A file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The host's ledger.
    pub(super) fn ledger(&self) -> PathBuf {
        self.path("ledger.ndjson")
    }

    /// Starts the node. Returns its number.
    pub(super) async fn start_node(&mut self) -> anyhow::Result<u32> {
        let mut command = Command::new(&self.keyviz);
        command
            .arg("serve")
            .args(["--grpc", &self.grpc.to_string(), "--http", &self.http.to_string()])
            .args(["--step", &format!("{STEP_MS}ms"), "--persist-interval", "5s", "--data-dir"])
            .arg(self.path("keyviz"));
        let log = self.path("keyviz.log");
        let (node, _) = Process::start("keyviz", command, &log, "keyviz ready: ").await?;
        let pid = node.pid();
        self.node = Some(node);
        Ok(pid)
    }

    /// Starts the host, for `groups` groups, on a free port. Returns where it listens.
    pub(super) async fn start_host(&mut self, groups: u32) -> anyhow::Result<SocketAddr> {
        let mut command = Command::new(&self.host_binary);
        command
            .args(["--listen", "127.0.0.1:0", "--node-id", "demo-host"])
            .args(["--step", &format!("{STEP_MS}ms")])
            .args(["--keyviz", &self.grpc.to_string()])
            .args(["--groups", &groups.to_string()])
            .args(["--initial-splits", &keyspace::boundaries().join(",")])
            .arg("--data-dir")
            .arg(self.path("host"))
            .arg("--ledger")
            .arg(self.ledger());
        let log = self.path("host.log");
        let (host, said) = Process::start(HOST_BINARY, command, &log, "listening on ").await?;
        self.host = Some(host);
        let address = said.parse().with_context(|| format!("{HOST_BINARY} listens on {said:?}"))?;
        self.host_address = Some(address);
        Ok(address)
    }

    /// SIGKILL to the node. Returns its number.
    pub(super) async fn kill_node(&mut self) -> anyhow::Result<u32> {
        let node = self.node.take().context("keyviz does not run")?;
        let pid = node.pid();
        node.kill().await?;
        Ok(pid)
    }

    /// Which process ended on its own, and how.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let processes = [&mut self.node, &mut self.host];
        processes.into_iter().flatten().find_map(Process::obituary)
    }

    /// Stops both in order: the host says goodbye to the node.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let host = match self.host.take() {
            Some(host) => host.stop().await,
            None => Ok(()),
        };
        let node = match self.node.take() {
            Some(node) => node.stop().await,
            None => Ok(()),
        };
        host.and(node)
    }

    /// Removes the folder.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        let path = self.folder.path().to_owned();
        self.folder.close().with_context(|| format!("{} could not be removed", path.display()))
    }

    /// The folder, which stays.
    pub(super) fn keep_folder(self) -> PathBuf {
        self.folder.keep()
    }

    /// What still runs outlives the demo. Returns their numbers, the first to be stopped first.
    pub(super) fn leave_running(&mut self) -> Vec<u32> {
        let running = [self.host.take(), self.node.take()];
        running
            .into_iter()
            .flatten()
            .map(|process| {
                let pid = process.pid();
                process.leave_running();
                pid
            })
            .collect()
    }
}

/// Two ports that nobody listens on. Another process may still be faster: the start then says so.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let ports =
        FIRST_PORT..first_outgoing_port(&std::fs::read_to_string(RANGE_FILE).unwrap_or_default());
    let count = usize::from(ports.end - ports.start);
    // Demos that run side by side begin at different places.
    let first = ambient::new_boot_id().as_u128() as usize % count;
    let mut free = (0..count)
        .map(|offset| ports.start + ((first + offset) % count) as u16)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .filter(|address| TcpListener::bind(address).is_ok());
    match (free.next(), free.next()) {
        (Some(grpc), Some(http)) => Ok([grpc, http]),
        _ => bail!("no port from {} to {} is free", ports.start, ports.end),
    }
}

/// Where the system's outgoing ports begin, according to its `text`.
fn first_outgoing_port(text: &str) -> u16 {
    let first = text.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|&first| first > FIRST_PORT + 1_000).unwrap_or(FIRST_OUTGOING_PORT)
}

#[cfg(test)]
#[path = "stage_test.rs"]
mod stage_test;
