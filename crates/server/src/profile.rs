//! `/debug/pprof`: where the process spends its time, and what its memory is used for.
//!
//! Responsible for: one profile at a time, sampled 99 times a CPU second, in the format of pprof
//! (`profile.proto`: string table, functions, locations, samples); figures of the allocator.
//! Invariants: nobody can have the process profiled for longer than [`MAX_SECONDS`], or twice at once; a
//! profile that is not fetched to its end stops.
//! Must not: ask who may (the port does).
//! Proof: `profile_test.rs`, `tests/tests/metrics.rs`.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::{ProfilerGuardBuilder, Report};
use prost::Message;
use thiserror::Error;
use tokio::sync::Semaphore;

/// The longest profile.
pub(crate) const MAX_SECONDS: u64 = 60;
/// Samples a second of CPU time: not a divisor of anything that happens every second.
const HERTZ: i32 = 99;

static ONE: Semaphore = Semaphore::const_new(1);

/// Why there is no profile.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub(crate) enum ProfileError {
    #[error("a profile is being taken already; ask again when it is done")]
    Busy,
    #[error("seconds={seconds}: must be 1 to {MAX_SECONDS}")]
    Seconds { seconds: u64 },
    #[error("the process cannot be profiled: {0}")]
    Profiler(#[from] pprof::Error),
    #[error("the profile cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// Profiles the process for so long: gzipped protobuf, as `go tool pprof` and others read it.
///
/// # Errors
/// See [`ProfileError`].
pub(crate) async fn take(seconds: u64) -> Result<Vec<u8>, ProfileError> {
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(ProfileError::Seconds { seconds });
    }
    let _one = ONE.try_acquire().map_err(|_| ProfileError::Busy)?;
    // The libraries in which a signal may come at a moment when the stack cannot be walked.
    let blocked = ["libc", "libgcc", "pthread", "vdso"];
    let guard = ProfilerGuardBuilder::default().frequency(HERTZ).blocklist(&blocked).build()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let report = guard.report().build()?;
    drop(guard);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&encode(&report, seconds).encode_to_vec())?;
    Ok(gzip.finish()?)
}

/// What the allocator says, as lines of `name bytes`.
pub(crate) fn heap() -> Vec<(&'static str, u64)> {
    // SAFETY: it takes nothing and returns figures by value.
    #[allow(unsafe_code)]
    let info = unsafe { nix::libc::mallinfo2() };
    vec![
        ("heap_in_use_bytes", info.uordblks as u64),
        ("heap_free_bytes", info.fordblks as u64),
        ("heap_from_system_bytes", info.arena as u64),
        ("mapped_bytes", info.hblkhd as u64),
        ("mapped_regions", info.hblks as u64),
    ]
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

/// Texts, each once; the first is empty.
struct Texts {
    table: Vec<String>,
    found: HashMap<String, i64>,
}

impl Texts {
    fn index(&mut self, text: &str) -> i64 {
        if let Some(&at) = self.found.get(text) {
            return at;
        }
        let at = self.table.len() as i64;
        self.table.push(text.to_owned());
        self.found.insert(text.to_owned(), at);
        at
    }
}

fn encode(report: &Report, seconds: u64) -> Profile {
    let mut texts = Texts { table: Vec::new(), found: HashMap::new() };
    texts.index("");
    let [samples, count] = ["samples", "count"].map(|text| texts.index(text));
    let [cpu, nanoseconds, thread] = ["cpu", "nanoseconds", "thread"].map(|text| texts.index(text));
    let period = 1_000_000_000 / i64::from(HERTZ);
    let time = ValueType { kind: cpu, unit: nanoseconds };
    let mut profile = Profile {
        sample_type: vec![ValueType { kind: samples, unit: count }, time.clone()],
        duration_nanos: i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000),
        period_type: Some(time),
        period,
        ..Profile::default()
    };
    // A place in a function is a location, and a function one for each name.
    let mut functions: HashMap<i64, u64> = HashMap::new();
    let mut locations: HashMap<(u64, u32), u64> = HashMap::new();
    for (frames, &times) in &report.data {
        let mut stack = Vec::new();
        for symbol in frames.frames.iter().flatten() {
            let (name, file) = (texts.index(&symbol.name()), texts.index(&symbol.filename()));
            let function = *functions.entry(name).or_insert_with(|| {
                let id = profile.function.len() as u64 + 1;
                profile.function.push(Function { id, name, filename: file });
                id
            });
            let line = symbol.lineno();
            let location = *locations.entry((function, line)).or_insert_with(|| {
                let id = profile.location.len() as u64 + 1;
                let line = Line { function_id: function, line: i64::from(line) };
                profile.location.push(Location { id, line: vec![line] });
                id
            });
            stack.push(location);
        }
        let times = times as i64;
        let label = Label { key: thread, str: texts.index(&frames.thread_name_or_id()) };
        profile.sample.push(Sample {
            location_id: stack,
            value: vec![times, times.saturating_mul(period)],
            label: vec![label],
        });
    }
    profile.string_table = texts.table;
    profile
}

#[cfg(test)]
#[path = "profile_test.rs"]
mod profile_test;
