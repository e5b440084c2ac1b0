//! System calls of a node that fail, lie, take long or kill, by `strace`'s injection.
//!
//! Calls are counted for each thread by itself, so "the third" is the third of every thread. Where
//! there is no `strace`, or it may not trace, [`is_there`] says so.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::skipped;

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It is not made, and fails with this error.
    Error(&'static str),
    /// It is not made, and says that it worked.
    Lie,
    /// The process is killed as it begins.
    Kill,
    /// It is made after so many milliseconds.
    Delay(u64),
}

/// Which calls, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Names of system calls.
    pub calls: Vec<&'static str>,
    /// What becomes of them.
    pub fate: Fate,
    /// `strace`'s `when`: `3` the third, `3+` it and all after it.
    pub when: String,
    /// Only calls on these files, where there are any.
    pub files: Vec<String>,
}

impl Injection {
    /// Every one of these calls.
    pub fn always(calls: &[&'static str], fate: Fate) -> Self {
        Self { calls: calls.to_vec(), fate, when: "1+".to_owned(), files: Vec::new() }
    }

    /// The `n`th of one call (of every thread).
    pub fn nth(call: &'static str, n: u64, fate: Fate) -> Self {
        Self { calls: vec![call], fate, when: n.to_string(), files: Vec::new() }
    }

    /// Only on these files.
    #[must_use]
    pub fn on<P: AsRef<Path>>(mut self, files: &[P]) -> Self {
        self.files = files.iter().map(|path| path.as_ref().display().to_string()).collect();
        self
    }

    fn arguments(&self) -> Vec<String> {
        let calls = self.calls.join(",");
        let fate = match self.fate {
            Fate::Error(name) => format!("error={name}"),
            Fate::Lie => "retval=0".to_owned(),
            Fate::Kill => "signal=KILL".to_owned(),
            Fate::Delay(ms) => format!("delay_enter={ms}ms"),
        };
        let mut arguments: Vec<String> = ["-f", "-qq", "-o", "/dev/null"].map(str::to_owned).into();
        for file in &self.files {
            arguments.extend(["-P".to_owned(), file.clone()]);
        }
        arguments.extend(["-e".to_owned(), format!("trace={calls}")]);
        arguments.extend(["-e".to_owned(), format!("inject={calls}:{fate}:when={}", self.when)]);
        arguments
    }

    /// What a node is run by so that this happens from its first call on.
    pub fn from_the_start(&self) -> Vec<String> {
        // The tracer is the grandchild: signals go to the node itself.
        let mut words = vec!["strace".to_owned(), "-D".to_owned()];
        words.extend(self.arguments());
        words
    }

    /// Has it happen to a running process from now on, until the handle is dropped.
    pub fn attach(&self, pid: u32) -> Attached {
        let mut command = Command::new("strace");
        command.args(self.arguments()).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        crate::wait_for("strace attaches", crate::PATIENCE, || {
            (is_traced(pid) || child.try_wait().unwrap().is_some()).then_some(())
        });
        Attached(child)
    }
}

/// Whether every thread of a process is traced.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}

/// A tracer at work.
#[derive(Debug)]
pub struct Attached(Child);

impl Drop for Attached {
    fn drop(&mut self) {
        if let (Ok(None), Ok(pid)) = (self.0.try_wait(), i32::try_from(self.0.id())) {
            // It lets go of the process and ends; SIGKILL would leave calls half injected.
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        let _ = self.0.wait();
    }
}

/// Whether processes can be traced here; says so where they cannot.
pub fn is_there() -> bool {
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-e", "inject=fsync:retval=0", "true"]);
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            skipped(&format!(
                "strace may not trace: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
            false
        }
        Err(error) => {
            skipped(&format!("there is no strace: {error}"));
            false
        }
    }
}
