//! What the kernel says of this process and its files: processor time, memory, bytes written; and how
//! a file leaves the page cache.
//!
//! Cold means: every file of the store was written back and given up with `posix_fadvise(DONTNEED)`,
//! so that the next read asks the device. Other processes' files stay where they are. What a host
//! under this machine keeps of them is out of reach.

use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn seconds(clock: ClockId) -> f64 {
    clock_gettime(clock).map_or(0.0, |spent| spent.tv_sec() as f64 + spent.tv_nsec() as f64 / 1e9)
}

/// Processor time of all threads of this process, in seconds.
pub(crate) fn process_cpu() -> f64 {
    seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of this thread, in seconds.
pub(crate) fn thread_cpu() -> f64 {
    seconds(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time of another process, in seconds: its user and system ticks.
pub(crate) fn cpu_of(process: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Its name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("a process without a name")?;
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (user, system) = (ticks.next().ok_or("no ticks")??, ticks.next().ok_or("no ticks")??);
    let per_second = sysconf(SysconfVar::CLK_TCK)?.ok_or("ticks of no known length")?;
    Ok((user + system) as f64 / per_second as f64)
}

/// Processor time of all children that have ended and were waited for, in seconds.
pub(crate) fn children_cpu() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn proc_number(file: &str, name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.ok_or_else(|| format!("{file} has no {name}"))?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
}

/// Bytes that this process has sent to its disks.
pub(crate) fn written_bytes() -> Outcome<u64> {
    proc_number("/proc/self/io", "write_bytes")
}

/// Bytes that this process has had read from its disks.
pub(crate) fn disk_read_bytes() -> Outcome<u64> {
    proc_number("/proc/self/io", "read_bytes")
}

/// Memory of this process in bytes: now, and at most.
pub(crate) fn resident_bytes() -> Outcome<(u64, u64)> {
    let status = "/proc/self/status";
    Ok((proc_number(status, "VmRSS")? << 10, proc_number(status, "VmHWM")? << 10))
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

/// Bytes of the files below `folder` whose names end so.
pub(crate) fn bytes_of(folder: &Path, ending: &str) -> Outcome<u64> {
    let mut bytes = 0;
    for path in files(folder)? {
        if path.to_string_lossy().ends_with(ending) {
            // RocksDB removes what it has compacted whenever it likes.
            bytes += path.metadata().map_or(0, |file| file.len());
        }
    }
    Ok(bytes)
}

/// Has every file below `folder` leave the page cache.
pub(crate) fn forget(folder: &Path) -> Outcome<()> {
    for path in files(folder)? {
        let Ok(file) = std::fs::File::open(path) else { continue };
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
