//! The binaries: where they are, and how they are started, signalled and killed.
//!
//! Every child is killed when its handle is dropped. A node's stderr goes to a file beside its data
//! folder; its end is shown when a test fails.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PATIENCE;
use crate::http;
use crate::resp::Client;

/// The binary called `name`: in `KEYVIZ_BIN_DIR`, else where cargo put it beside this test.
pub fn binary(name: &str) -> PathBuf {
    let folder = match std::env::var_os("KEYVIZ_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        // .../release/deps/this_test
        None => std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(),
    };
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "there is no {}: run make test (or: cargo build --release --workspace first)",
        path.display()
    );
    path
}

/// A command with none of this process's `KEYVIZ_*` settings.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    for (key, _) in
        std::env::vars_os().filter(|(key, _)| key.as_encoded_bytes().starts_with(b"KEYVIZ_"))
    {
        command.env_remove(key);
    }
    command.env("RUST_LOG", "info").stdin(Stdio::null());
    command
}

/// The command, run by another one (`strace`, say).
fn run_by(under: &[String], command: Command) -> Command {
    let Some((program, arguments)) = under.split_first() else { return command };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// A loopback address that nobody listens on, below the ports that the system hands out, so that it
/// is still free for a restart.
pub fn free_address() -> String {
    let from = 20_000 + std::process::id() % 5_000;
    let mut ports = (from..32_000).chain(20_000..from);
    let free = ports.find_map(|port| {
        let address = format!("127.0.0.1:{port}");
        let is_taken = TAKEN.lock().unwrap().contains(&port);
        (!is_taken && TcpListener::bind(&address).is_ok()).then(|| {
            TAKEN.lock().unwrap().push(port);
            address
        })
    });
    free.expect("a free port")
}

/// Ports that were given out in this process.
static TAKEN: std::sync::Mutex<Vec<u32>> = std::sync::Mutex::new(Vec::new());

/// A child process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
    lines: Receiver<String>,
}

impl Process {
    fn spawn(name: &'static str, mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = sender.send(line);
            }
        });
        Self { child, name, log: log.to_owned(), lines }
    }

    /// The first line on stdout that begins with `prefix`, without it; `None` when the process ends
    /// before it says so.
    fn line(&self, prefix: &str) -> Option<String> {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => match line.strip_prefix(prefix) {
                    Some(rest) => return Some(rest.to_owned()),
                    None => continue,
                },
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!(
                        "{} did not say {prefix:?} within {PATIENCE:?}\n{}",
                        self.name,
                        self.log_end()
                    );
                }
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// SIGSTOP; waits until every thread of it stands still, outside of system calls. (A process that is
    /// traced stops in another state, `t`.)
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        crate::wait_for("every thread stands still", PATIENCE, || {
            let threads = std::fs::read_dir(&tasks).unwrap().flatten();
            let stats = threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")));
            // Behind the name in parentheses. A thread that has just ended has none.
            let states: Vec<u8> = stats
                .flatten()
                .filter_map(|stat| stat.rsplit_once(") ")?.1.bytes().next())
                .collect();
            let is_stopped = |state: &u8| matches!(state, b'T' | b't');
            let is_over = |state: &u8| matches!(state, b'Z' | b'X');
            let is_still = states.iter().all(|state| is_stopped(state) || is_over(state));
            (is_still && states.iter().any(is_stopped)).then_some(())
        });
    }

    /// Goes on after [`Process::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGKILL; waits for the end.
    pub fn kill(mut self) {
        self.end();
    }

    /// Sends a signal and waits for the end.
    pub fn stop(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        crate::wait_for(&what, PATIENCE, || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(6_000)..]).into_owned();
        format!("--- end of {}'s log ---\n{text}", self.name)
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.log_end());
        }
    }
}

/// How a node is started. Its ports are free ones unless they are given.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// `--data-dir`
    pub data_dir: PathBuf,
    /// `--grpc`
    pub grpc: String,
    /// `--http`
    pub http: String,
    /// Further flags.
    pub flags: Vec<String>,
    /// Where its stderr goes.
    pub log: PathBuf,
    /// A command that it is run by, if any: the program and its arguments.
    pub under: Vec<String>,
}

impl NodeSpec {
    /// A node with 1 s steps whose folder is `<folder>/node`.
    pub fn new(folder: &Path) -> Self {
        Self {
            data_dir: folder.join("node"),
            grpc: "127.0.0.1:0".to_owned(),
            http: "127.0.0.1:0".to_owned(),
            flags: vec!["--step=1s".to_owned(), "--persist-interval=5s".to_owned()],
            log: folder.join("node.log"),
            under: Vec::new(),
        }
    }

    /// On ports that it can be restarted on.
    #[must_use]
    pub fn on_fixed_ports(mut self) -> Self {
        (self.grpc, self.http) = (free_address(), free_address());
        self
    }

    /// With a further flag, such as `--retention=7d`; a later one of the same name replaces it.
    #[must_use]
    pub fn with(mut self, flag: &str) -> Self {
        let name = flag.split('=').next().unwrap_or(flag);
        self.flags.retain(|held| held.split('=').next() != Some(name));
        self.flags.push(flag.to_owned());
        self
    }

    /// The command line.
    pub fn command(&self) -> Command {
        let mut command = run_by(&self.under, command("keyviz"));
        command.arg("serve").arg("--data-dir").arg(&self.data_dir);
        command.args(["--grpc", &self.grpc, "--http", &self.http]).args(&self.flags);
        command
    }

    /// Starts it without waiting until it is ready.
    pub fn spawn(&self) -> Process {
        Process::spawn("keyviz", self.command(), &self.log)
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Node {
        self.try_start()
            .unwrap_or_else(|process| panic!("keyviz did not start\n{}", process.log_end()))
    }

    /// Starts it; `Err` when it ended instead of getting ready.
    ///
    /// # Errors
    /// As said.
    pub fn try_start(&self) -> Result<Node, Process> {
        let process = self.spawn();
        // keyviz ready: page http(s)://ADDR/ grpc ADDR data DIR
        let Some(line) = process.line("keyviz ready: page ") else { return Err(process) };
        let (_, line) = line.split_once("://").unwrap_or_else(|| panic!("{line:?}"));
        let (http, rest) = line.split_once("/ grpc ").unwrap_or_else(|| panic!("{line:?}"));
        let (grpc, _) = rest.split_once(" data ").unwrap_or_else(|| panic!("{line:?}"));
        Ok(Node { process, http: http.to_owned(), grpc: grpc.to_owned() })
    }

    /// Everything that its processes have logged.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Panics when one of its processes did.
    pub fn assert_no_panic(&self) {
        let text = self.log_text();
        let found = text
            .lines()
            .find(|line| line.contains("panicked at") || line.contains("RUST_BACKTRACE"));
        assert!(found.is_none(), "{}: {}", self.log.display(), found.unwrap_or(""));
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub process: Process,
    /// Its HTTP port, `host:port`.
    pub http: String,
    /// Its gRPC port, `host:port`.
    pub grpc: String,
}

impl Node {
    /// One number of `/metrics`.
    pub fn metric(&self, name: &str) -> u64 {
        let text = http::get(&self.http, "/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}

/// How a host is started: on a free port, with 1 s steps, its data and its ledger in one folder.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// The folder.
    pub folder: PathBuf,
    /// Where the columns go.
    pub keyviz: String,
    /// Its name there.
    pub node_id: String,
    /// Further flags.
    pub flags: Vec<String>,
}

impl HostSpec {
    /// A host in `<folder>` that sends to the node's gRPC port `keyviz`.
    pub fn new(folder: &Path, keyviz: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            keyviz: keyviz.to_owned(),
            node_id: "host-a".to_owned(),
            flags: Vec::new(),
        }
    }

    /// The file that it writes its ledger to.
    pub fn ledger(&self) -> PathBuf {
        self.folder.join("ledger.json")
    }

    /// Starts it and waits until it listens.
    pub fn start(&self) -> Host {
        let mut command = command("keyviz-host");
        command.args(["--listen", "127.0.0.1:0", "--step", "1s", "--node-id", &self.node_id]);
        command.args(["--keyviz", &self.keyviz]).args(&self.flags);
        command.arg("--data-dir").arg(self.folder.join("host"));
        command.arg("--ledger").arg(self.ledger());
        let process = Process::spawn("keyviz-host", command, &self.folder.join("host.log"));
        let address = process.line("listening on ");
        let address =
            address.unwrap_or_else(|| panic!("keyviz-host did not start\n{}", process.log_end()));
        Host { process, address }
    }
}

/// A running host.
#[derive(Debug)]
pub struct Host {
    /// The process.
    pub process: Process,
    /// Where RESP clients connect, `host:port`.
    pub address: String,
}

impl Host {
    /// A RESP connection.
    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// Waits until every column with traffic up to now is flushed and acknowledged by the node.
    /// Nothing may be issued meanwhile.
    pub fn settle(&self, limit: Duration) {
        let mut client = self.connect();
        let flushed = client.info_number("keyviz_columns_flushed");
        crate::wait_for("the host flushes its columns and has them acknowledged", limit, || {
            let is_flushed = client.info_number("keyviz_columns_flushed") >= flushed + 3;
            (is_flushed && client.info_number("keyviz_backlog") == 0).then_some(())
        });
        assert_eq!(client.info_number("keyviz_dropped"), 0);
        assert_eq!(client.info_number("keyviz_ledger_errors"), 0);
        let refused = ["keyviz_refused", "keyviz_refused_rows", "keyviz_aborted"]
            .map(|field| client.info_number(field));
        assert_eq!(refused, [0, 0, 0], "{}", client.info_field("keyviz_last_error"));
    }
}

/// A start that is expected to fail: exit code and stderr.
pub fn failing(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{command:?} was expected to fail, and runs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.signal().is_none(), "{command:?} died of a signal: {output:?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
