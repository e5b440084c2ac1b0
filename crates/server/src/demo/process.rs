//! One process of the demo: started, heard, stopped or killed.
//!
//! Owns: the child. Dropping it kills it, unless it was left running on purpose.
//! Invariants: a child starts in a process group of its own, so that Ctrl-C reaches the demo only,
//! and without the caller's `KEYVIZ_*`; a child that was killed is reaped before its port is used
//! again.
//! Must not: know what the process does.
//! Proof: `process_test.rs`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a start may take on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a stop may take: the node's own deadline and a persist.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// Lines of the log in an error.
const SHOWN_LOG_LINES: usize = 6;

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    pid: u32,
    log: PathBuf,
    /// `None` once it was left running.
    child: Option<Child>,
}

impl Process {
    /// Starts `command` and waits for its one line on stdout, which begins with `ready`. What it logs
    /// is appended to `log`. Returns the rest of the line, too.
    pub(super) async fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        ready: &str,
    ) -> anyhow::Result<(Self, String)> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("{} cannot be written", log.display()))?;
        let settings = std::env::vars_os().map(|(name, _)| name);
        for setting in settings.filter(|name| name.as_encoded_bytes().starts_with(b"KEYVIZ_")) {
            command.env_remove(setting);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).process_group(0);
        let mut child = command.spawn().with_context(|| format!("{name} could not be started"))?;
        let stdout = child.stdout.take();
        let pid = child.id().unwrap_or_default();
        let mut process = Self { name, pid, log: log.to_owned(), child: Some(child) };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            let mut stdout = BufReader::new(stdout);
            let read = tokio::time::timeout(START_PATIENCE, stdout.read_line(&mut line)).await;
            let silent =
                || format!("{name} did not say that it is ready within {START_PATIENCE:?}");
            read.with_context(silent)?.with_context(|| format!("{name} could not be heard"))?;
        }
        match line.trim_end_matches('\n').strip_prefix(ready) {
            Some(rest) => Ok((process, rest.to_owned())),
            None => Err(process.no_start(&line).await),
        }
    }

    async fn no_start(&mut self, line: &str) -> anyhow::Error {
        let ended = self.wait(Duration::from_secs(1)).await;
        let how =
            ended.map_or_else(|_| format!("says {line:?}"), |status| format!("ended ({status})"));
        anyhow!("{} does not start: it {how}; its log says\n{}", self.name, self.last_words())
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it did so on its own.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(format!("{} ended on its own ({status})", self.name))
    }

    /// SIGTERM, and waits for a good end.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)
            .with_context(|| format!("{} is gone", self.name))?;
        let status = self.wait(STOP_PATIENCE).await?;
        if !status.success() {
            bail!("{} ended badly ({status}); its log says\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// SIGKILL; when this returns, it is gone.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            child.start_kill().with_context(|| format!("{} is gone", self.name))?;
        }
        self.wait(STOP_PATIENCE).await?;
        Ok(())
    }

    /// It outlives the demo.
    pub(super) fn leave_running(mut self) {
        self.child = None;
    }

    async fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let child =
            self.child.as_mut().with_context(|| format!("{} was left running", self.name))?;
        let ended = tokio::time::timeout(patience, child.wait()).await;
        Ok(ended.with_context(|| format!("{} did not end within {patience:?}", self.name))??)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.start_kill();
        }
    }
}

#[cfg(test)]
#[path = "process_test.rs"]
mod process_test;
