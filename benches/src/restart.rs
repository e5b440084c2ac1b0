//! A start over a full WAL, as a kill leaves it: what replaying takes of the processor, and when a real
//! node is ready.
//!
//! The WAL is what a node would have written: columns of the workload's 10,000 ranges, record by record,
//! up to its cap of 64 MiB. Replay is measured over a store of one hour, opened by [`Recorder::open`] in
//! a process of its own with and without the WAL, so that the rest of a start drops out; what it leaves
//! to the first reader is told by itself. Readiness is that of `keyviz serve` over a week, from its start
//! until `/readyz` says so; then it is killed. Baseline of both: reading the same files.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyviz_codec::column_record;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Change, Column, Counts, Entry, Flags, HOUR_MS, Hlc, KeyRange, RouteSpec, Row, SourceId, Step,
    Transition, Window, unix_hour,
};
use keyviz_replica::{Progress, Recorder, RecorderConfig};
use keyviz_wal::{RealFs, Wal, WalOptions};
use uuid::Uuid;

use crate::fill::WEEK;
use crate::filled::{FIRST_HOUR, Filling, Outcome, Size};
use crate::workload::{Hour, WINDOWS, Workload};
use crate::{machine, questions, report};

const CAP_BYTES: u64 = 64 << 20;
/// Beyond all that filling a store uses.
const FIRST_WAL_SEQUENCE: u64 = 1_000_000;
const REPLAY_GOAL_MS: f64 = 100.0;
const READY_GOAL_MS: f64 = 1_000.0;
const ROUNDS: usize = 7;
const READY_LIMIT: Duration = Duration::from_secs(120);

/// The columns of an hour of the workload, as its one node sends them.
pub(crate) struct Columns {
    size: Size,
    workload: Workload,
    ranges: Vec<KeyRange>,
}

impl Columns {
    pub(crate) fn new(size: Size) -> Outcome<Self> {
        let ranges = (0..size.ranges()).map(|place| size.range(place));
        let ranges = ranges.collect::<Outcome<Vec<_>>>()?;
        Ok(Self { size, workload: Workload::new(size.load), ranges })
    }

    /// The birth of the ranges.
    pub(crate) fn created(&self, unix_ms: u64) -> Entry {
        let routes = (1..).zip(self.ranges.iter().cloned());
        let routes = routes.map(|(route, range)| RouteSpec { route, range }).collect();
        Entry::Transition(Transition {
            group: 1,
            proposal: [1; 16],
            hlc: Hlc::new(unix_ms, 0),
            catalogue_version: 1,
            change: Change::Create { routes },
        })
    }

    /// Those of an hour, told as that which begins at `start_ms`.
    pub(crate) fn of_hour(&self, hour: u64, start_ms: u64) -> Vec<Column> {
        let column = |index: u16| {
            let start_ms = start_ms + u64::from(index) * Step::MINUTE.ms();
            Column {
                // A multiple of the step.
                window: Window { start_ms, step: Step::MINUTE },
                covered_from_ms: start_ms,
                covered_to_ms: start_ms + Step::MINUTE.ms(),
                unattributed: 0,
                groups: (1..=self.size.groups()).collect(),
                rows: Vec::with_capacity(self.ranges.len()),
                buckets: Vec::new(),
            }
        };
        let mut columns: Vec<Column> = (0..WINDOWS).map(column).collect();
        for (place, range) in (0..).zip(&self.ranges) {
            let whose = Hour { rank: self.size.rank_of(place), hour, node: 0, nodes: 1 };
            let group = Size::group_of(place);
            self.workload.hour(whose, |index, counts: Counts| {
                if !counts.is_idle() {
                    let (route, range) = (place + 1, range.clone());
                    let row = Row { route, group, term: 12, range, counts, flags: Flags::NONE };
                    columns[usize::from(index)].rows.push(row);
                }
            });
        }
        columns
    }
}

/// Writes a full WAL behind the hours that the store has. Returns its columns and bytes.
fn write_wal(folder: &Path, size: Size) -> Outcome<(u64, u64)> {
    let options = WalOptions {
        min_next_sequence: FIRST_WAL_SEQUENCE,
        ..WalOptions::with_max_bytes(CAP_BYTES)
    };
    let (mut wal, mut recovery) = Wal::open(Arc::new(RealFs), folder, options)?;
    while recovery.next_record().is_some() {}
    let source = SourceId { node: "node-1".into(), boot: Uuid::from_u128(2) };
    let (columns, mut sequence) = (Columns::new(size)?, 0);
    for hour in FIRST_HOUR + size.hours.. {
        for column in columns.of_hour(hour, hour * HOUR_MS) {
            sequence += 1;
            let payload = column_record::encode(&source, sequence, &column);
            if wal.usage().bytes + payload.len() as u64 + 64 > CAP_BYTES {
                wal.commit()?;
                return Ok((sequence - 1, wal.usage().bytes));
            }
            wal.append(hour, 1, 0, &payload)?;
        }
    }
    Err("the WAL takes any number of columns".into())
}

/// Processor time of reading every file of the WAL, in milliseconds.
fn read_files(folder: &Path) -> Outcome<f64> {
    let before = machine::thread_cpu();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::hint::black_box(std::fs::read(entry.path())?);
        }
    }
    Ok((machine::thread_cpu() - before) * 1e3)
}

/// A child that opens the folder, asks once and dies without a word.
pub(crate) fn opened() -> Outcome<()> {
    let data = std::env::var_os("KEYVIZ_BENCH_DATA").ok_or("opened is for the bench itself")?;
    let now_ms = std::env::var("KEYVIZ_BENCH_NOW")?.parse()?;
    let (cpu, start) = (machine::process_cpu(), Instant::now());
    let clock = Arc::new(ManualClock::at(now_ms));
    let recorder = Recorder::open(RecorderConfig::new(data), clock, &Progress::default())?;
    let (cpu, wall) = (machine::process_cpu() - cpu, start.elapsed().as_secs_f64());
    let before = machine::thread_cpu();
    drop(recorder.view()?);
    let viewed = machine::thread_cpu() - before;
    let replayed = recorder.counters().replayed_records;
    println!("{} {} {} {replayed}", cpu * 1e3, wall * 1e3, viewed * 1e3);
    std::io::stdout().flush()?;
    // A stop would persist what was replayed.
    std::process::exit(0);
}

/// What a child says: processor time and time of the open, processor time of the first view, records.
fn open_in_child(data: &Path, now_ms: u64) -> Outcome<[f64; 4]> {
    let output = Command::new(std::env::current_exe()?)
        .arg("opened")
        .env("KEYVIZ_BENCH_DATA", data)
        .env("KEYVIZ_BENCH_NOW", now_ms.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    let numbers = said.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    <[f64; 4]>::try_from(numbers).map_err(|_| format!("an open failed: {said}").into())
}

/// Replaying by itself, over a store that holds an hour.
pub(crate) fn run_replay() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (data, size) = (folder.path().join("data"), Size { hours: 1, ..WEEK });
    let mut filling = Filling::start(&data, size)?;
    filling.hour(FIRST_HOUR, 1)?;
    filling.take_figures()?;
    drop(filling);
    let (wal, away) = (data.join("wal"), folder.path().join("wal-away"));
    let (columns, bytes) = write_wal(&wal, size)?;
    let now_ms = size.end_ms() + columns.div_ceil(60) * HOUR_MS;
    let (mut bare, mut full, mut wall, mut viewed, mut read) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        std::fs::rename(&wal, &away)?;
        bare.push(open_in_child(&data, now_ms)?[0]);
        std::fs::remove_dir_all(&wal)?;
        std::fs::rename(&away, &wal)?;
        read.push(read_files(&wal)?);
        let [cpu, open, view, replayed] = open_in_child(&data, now_ms)?;
        if replayed as u64 != columns {
            return Err(format!("{replayed} of {columns} columns were replayed").into());
        }
        full.push(cpu);
        wall.push(open);
        viewed.push(view);
    }
    let replay = report::median(full) - report::median(bare);
    let read = report::median(read);
    let what = format!("a WAL of {} MiB, {columns} columns of 10,000 ranges", bytes >> 20);
    report::goal(&format!("replay of {what}, processor time"), replay, "ms", REPLAY_GOAL_MS);
    let same = "processor time, baseline reading its files";
    report::line(&format!("replay of {what}, {same}"), replay, "ms", read);
    let view = report::median(viewed);
    report::line(&format!("the first view of {what}, {same}"), view, "ms", read);
    report::line(
        &format!("open with {what}, baseline reading its files"),
        report::median(wall),
        "ms",
        read,
    );
    Ok(())
}

/// `keyviz serve` beside this program, on two free ports.
pub(crate) struct Served {
    child: Child,
    pub(crate) http: String,
    pub(crate) grpc: String,
}

impl Served {
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name("keyviz");
        if !program.is_file() {
            return Err(format!("there is no {}: build the workspace", program.display()).into());
        }
        let free = || -> Outcome<String> {
            Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
        };
        let (http, grpc) = (free()?, free()?);
        let child = Command::new(program)
            .args(["serve", "--http", &http, "--grpc", &grpc, "--data-dir"])
            .arg(data)
            .args(arguments)
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, http, grpc })
    }

    /// Waits until `/readyz` says so.
    pub(crate) fn ready(&mut self) -> Outcome<()> {
        let start = Instant::now();
        while start.elapsed() < READY_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("keyviz serve has ended: {status}").into());
            }
            if is_ready(&self.http).unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("keyviz serve is not ready".into())
    }

    /// Stops it in order. Returns the processor time of all its life, in seconds.
    pub(crate) fn stop(mut self) -> Outcome<f64> {
        let before = machine::children_cpu()?;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("keyviz serve has stopped with {status}").into());
        }
        Ok(machine::children_cpu()? - before)
    }

    /// Processor time of the process so far, in seconds.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        machine::cpu_of(self.child.id())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // SIGKILL; it may be gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Readiness of a node that was killed, over a week and a full WAL. `KEYVIZ_BENCH_STORE` names a folder
/// to keep the week in.
pub(crate) fn run_ready() -> Outcome<()> {
    let own = tempfile::tempdir()?;
    let kept = std::env::var_os("KEYVIZ_BENCH_STORE").map(PathBuf::from);
    let folder = kept.unwrap_or_else(|| own.path().to_owned());
    let data = questions::kept(&folder)?.data;
    let wal = data.join("wal");
    if wal.exists() {
        std::fs::remove_dir_all(&wal)?;
    }
    let (columns, bytes) = write_wal(&wal, WEEK)?;
    // The week lies years back by this machine's clock, and is to be there all the same.
    let ago_hours = unix_hour(now_ms()?).saturating_sub(FIRST_HOUR) + 24;
    let retention = format!("{ago_hours}h");
    let arguments =
        ["--retention", &retention, "--rollup-retention", &retention, "--persist-interval", "1h"];
    let (mut ready, mut spent, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        read.push(read_files(&wal)?);
        let start = Instant::now();
        let mut node = Served::start(&data, &arguments)?;
        node.ready()?;
        ready.push(start.elapsed().as_secs_f64() * 1e3);
        spent.push(node.cpu()? * 1e3);
    }
    let (ready, spent, read) = (report::median(ready), report::median(spent), report::median(read));
    let what = format!(
        "killed, with 7 days x 10,000 ranges and a WAL of {} MiB ({columns} columns)",
        bytes >> 20
    );
    report::goal(&format!("ready again, {what}"), ready, "ms", READY_GOAL_MS);
    report::line(
        &format!("ready again, {what}, baseline reading the WAL's files"),
        ready,
        "ms",
        read,
    );
    report::line(&format!("processor time until then, {what}, same baseline"), spent, "ms", read);
    Ok(())
}

pub(crate) fn now_ms() -> Outcome<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}
