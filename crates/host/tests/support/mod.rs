//! Starts the real binary and talks to it. Shared by the tests beside this folder.
#![allow(dead_code)] // each test binary uses its part
#![allow(unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A running `keyviz-host`, killed when dropped.
pub struct Host {
    child: Child,
    log: PathBuf,
    pub port: u16,
}

impl Host {
    /// Starts it on a free port with its data and ledger in `folder`.
    pub fn start(folder: &Path, extra: &[&str]) -> Self {
        let mut command = command(folder, extra);
        let log = folder.join("host.log");
        let stderr = File::create(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
        Self { child, log, port }
    }

    /// SIGTERM; waits for the end and returns whether it was a good one.
    pub fn stop(&mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// What it has logged since it was started.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// The number behind `field=` or `field:` in a line of INFO that begins with `line`.
    pub fn info(&self, line: &str, field: &str) -> u64 {
        let info = self.connect().bulk(&["INFO", "all"]);
        let found = info.lines().find(|text| text.starts_with(line)).unwrap_or("");
        let Some((_, rest)) = found.split_once(field) else { return 0 };
        let digits = rest[1..].split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap().parse().unwrap()
    }

    /// How often a command was called.
    pub fn calls(&self, name: &str) -> u64 {
        self.info(&format!("cmdstat_{name}:"), "calls")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the host's log ---\n{}", self.log_text());
        }
    }
}

/// The binary with its folder, ready to be started.
pub fn command(folder: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyviz-host"));
    command
        .args(["--listen", "127.0.0.1:0", "--step", "1s", "--data-dir"])
        .arg(folder.join("data"))
        .arg("--ledger")
        .arg(folder.join("ledger.json"))
        .args(extra)
        .env("RUST_LOG", "warn");
    command
}

/// A start that is expected to fail: exit code and what it said.
pub fn failing(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A connection that speaks RESP2.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn send(&mut self, words: &[&str]) {
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.raw(bytes.as_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next line of an answer.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Everything until the host closes.
    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        self.reader.read_to_string(&mut text).unwrap();
        text
    }

    /// Sends a command and returns the first line of its answer.
    pub fn ask(&mut self, words: &[&str]) -> String {
        self.send(words);
        self.line()
    }

    /// Sends a command and returns the bulk string that it answers with.
    pub fn bulk(&mut self, words: &[&str]) -> String {
        let head = self.ask(words);
        let length: usize =
            head.strip_prefix('$').unwrap_or_else(|| panic!("{head}")).parse().unwrap();
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

/// Sums and lines of a ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    pub lines: Vec<Value>,
    pub reads: u64,
    pub writes: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
}

impl Ledger {
    pub fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("ledger.json")).unwrap();
        let mut ledger = Self::default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            for row in line["rows"].as_array().into_iter().flatten() {
                ledger.reads += row["reads"].as_u64().unwrap();
                ledger.writes += row["writes"].as_u64().unwrap();
                ledger.read_bytes += row["read_bytes"].as_u64().unwrap();
                ledger.write_bytes += row["write_bytes"].as_u64().unwrap();
            }
            ledger.lines.push(line);
        }
        ledger
    }

    pub fn transitions(&self, name: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["transition"] == name).collect()
    }

    pub fn columns(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(|line| line.get("rows").is_some())
    }
}

/// A folder for one test.
pub fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// Whether `tool` is installed; says so when it is not.
pub fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {tool} is not installed (apt-get install redis-tools)");
    }
    found
}
