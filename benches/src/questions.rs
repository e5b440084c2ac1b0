//! The questions that design.md has goals for, asked of a week of 10,000 ranges through the recorder's
//! own view: warm, and cold (`machine.rs` says what that is). Every answer is checked once against what
//! the generator makes again: the sum of every column, and every cell of some rows of one range.
//!
//! Cold is a node whose memory tier is filled and whose files have left the page cache; what a question
//! of the tier's hours takes before it is filled is told apart.
//!
//! Two baselines, both fixed by the question and not by how it is answered. Warm: summing as many u64s
//! as the answer is made of, from memory. Cold: reading the same number of bytes from a cold file.

use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{HOUR_MS, Series, Step};
use keyviz_query::{Matrix, MatrixRequest, matrix};
use keyviz_replica::{Progress, Recorder, RecorderConfig};

use crate::fill::{self, WEEK};
use crate::filled::{Filling, Outcome, Size};
use crate::workload::{WINDOWS, Workload};
use crate::{machine, memory, report};

const WINDOW_MS: u64 = 60_000;
const MAX_FILL: Duration = Duration::from_secs(300);
const COLD_ROUNDS: usize = 3;
/// The fewest rounds of a warm question; more where it is quick.
const WARM_ROUNDS: usize = 5;
/// What takes longer than this many seconds is asked once: it is far from every goal.
const SLOW_SECONDS: f64 = 2.0;
/// Rows of one range whose cells are looked at one by one.
const ROWS_CHECKED: usize = 5;

/// A question with its goals.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<MatrixRequest>,
    /// Numbers that the answer is made of.
    pub(crate) numbers: u64,
    /// Milliseconds.
    pub(crate) warm_goal: f64,
    pub(crate) cold_goal: Option<f64>,
}

/// What was stored, for asking and for checking.
pub(crate) struct Stored {
    /// The data folder; its parent has room for files of the bench.
    pub(crate) data: PathBuf,
    pub(crate) size: Size,
    pub(crate) workload: Workload,
    pub(crate) totals: Vec<[u64; 4]>,
}

impl Stored {
    /// Closes a store that was filled.
    pub(crate) fn of(data: &Path, filling: Filling) -> Self {
        let Filling { size, workload, totals, .. } = filling;
        Self { data: data.to_owned(), size, workload, totals }
    }

    /// A recorder over it, at the end of its last hour.
    pub(crate) fn open(&self) -> Outcome<Recorder> {
        let clock = Arc::new(ManualClock::at(self.size.end_ms()));
        let mut config = RecorderConfig::new(&self.data);
        config.retention_ms = config.retention_ms.max(self.size.hours * HOUR_MS);
        Ok(Recorder::open(config, clock, &Progress::default())?)
    }
}

/// Waits until the memory tier is filled. Returns the seconds that it took.
pub(crate) fn filled(recorder: &Recorder, size: Size) -> Outcome<f64> {
    let (start, first_hour) = (Instant::now(), size.end_ms() / HOUR_MS - 24);
    while recorder.memory_tier().first_hour.is_none_or(|hour| hour > first_hour) {
        if start.elapsed() > MAX_FILL {
            return Err(format!("not filled: {:?}", recorder.memory_tier()).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(start.elapsed().as_secs_f64())
}

pub(crate) fn ask(recorder: &Recorder, requests: &[MatrixRequest]) -> Outcome<Vec<Matrix>> {
    let view = recorder.view()?;
    let answer = |request: &MatrixRequest| Ok(matrix(&view, view.graph(), request)?);
    requests.iter().map(answer).collect()
}

fn request(size: Size, hours: u64, step: Option<Step>) -> MatrixRequest {
    let from_ms = size.end_ms() - hours * HOUR_MS;
    let (from_ms, to_ms) = (Some(from_ms), Some(size.end_ms()));
    MatrixRequest { from_ms, to_ms, step, ..MatrixRequest::new(Series::Reads) }
}

/// The last hour of all ranges, as it was recorded.
pub(crate) fn last_hour(size: Size) -> MatrixRequest {
    request(size, 1, Some(Step::MINUTE))
}

/// The same of a day.
pub(crate) fn last_day(size: Size) -> MatrixRequest {
    request(size, 24, Some(Step::MINUTE))
}

/// All that there is, an hour a column.
pub(crate) fn all_by_the_hour(size: Size) -> MatrixRequest {
    request(size, size.hours, Some(Step::HOUR))
}

/// The questions of design.md.
fn goals(size: Size) -> Outcome<Vec<Question>> {
    let range = size.range(size.ranges() / 2)?;
    let one = Series::ALL.map(|series| MatrixRequest {
        series,
        range: range.clone(),
        ..request(size, size.hours, Some(Step::MINUTE))
    });
    let ranges = size.ranges();
    let of = |name, request, numbers, warm_goal, cold_goal| Question {
        name,
        requests: vec![request],
        numbers,
        warm_goal,
        cold_goal,
    };
    let automatic = request(size, size.hours, None);
    Ok(vec![
        of("7 days, all ranges, 1 h", all_by_the_hour(size), ranges * 168, 10.0, Some(50.0)),
        of("7 days, all ranges, automatic step", automatic, ranges * 168 * 6, 150.0, None),
        of("last hour, all ranges, 60 s", last_hour(size), ranges * 60, 5.0, Some(20.0)),
        of("24 h, all ranges, 60 s", last_day(size), ranges * 24 * 60, 40.0, None),
        Question {
            name: "one range, 7 days, 60 s, 4 series",
            requests: one.to_vec(),
            numbers: 168 * 60 * 4,
            warm_goal: 0.5,
            cold_goal: Some(10.0),
        },
    ])
}

/// Fills a week, then asks.
pub(crate) fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let stored = Stored::of(&data, fill::fill("dense", &data, WEEK)?);
    run_on(&stored)
}

/// Asks a week that is kept in the folder `KEYVIZ_BENCH_STORE` between runs, and is filled if it is
/// not there. `KEYVIZ_BENCH_QUESTION=<part of a name>` picks some questions; `KEYVIZ_BENCH_ROUNDS=<n>`
/// asks them so often, warm, and nothing else (for a profile).
pub(crate) fn run_on_kept() -> Outcome<()> {
    let folder = std::env::var_os("KEYVIZ_BENCH_STORE");
    let folder = PathBuf::from(folder.ok_or("query wants a folder: KEYVIZ_BENCH_STORE=<folder>")?);
    let (data, totals) = (folder.join("data"), folder.join("totals.json"));
    let stored = if totals.exists() {
        let totals = serde_json::from_slice(&std::fs::read(totals)?)?;
        Stored { data, size: WEEK, workload: Workload::new(WEEK.load), totals }
    } else {
        let filling = fill::fill("dense", &data, WEEK)?;
        std::fs::write(totals, serde_json::to_vec(&filling.totals)?)?;
        Stored::of(&data, filling)
    };
    run_on(&stored)
}

fn run_on(stored: &Stored) -> Outcome<()> {
    let picked = std::env::var("KEYVIZ_BENCH_QUESTION").unwrap_or_default();
    let mut questions = goals(stored.size)?;
    questions.retain(|question| question.name.contains(&picked));
    let start = Instant::now();
    let recorder = stored.open()?;
    let opened = start.elapsed().as_secs_f64() * 1e3;
    report::goal("open 10,000 ranges x 7 days, empty WAL", opened, "ms", 1_000.0);
    let seconds = filled(&recorder, stored.size)?;
    report::line(
        "memory tier filled after the start, baseline opening",
        seconds * 1e3,
        "ms",
        opened,
    );
    if let Ok(rounds) = std::env::var("KEYVIZ_BENCH_ROUNDS") {
        let rounds = rounds.parse()?;
        return questions.iter().try_for_each(|question| warm(&recorder, question, rounds));
    }
    let mut slow = Vec::new();
    for question in &questions {
        let start = Instant::now();
        let answers = ask(&recorder, &question.requests)?;
        let seconds = start.elapsed().as_secs_f64();
        for (request, answer) in question.requests.iter().zip(&answers) {
            check(stored, request, answer)
                .map_err(|wrong| format!("{}: {wrong}", question.name))?;
        }
        drop(answers);
        let is_slow = seconds > SLOW_SECONDS;
        warm(&recorder, question, if is_slow { 1 } else { WARM_ROUNDS })?;
        slow.push(is_slow);
    }
    drop(recorder);
    for (question, is_slow) in questions.iter().zip(slow) {
        cold(stored, question, if is_slow { 1 } else { COLD_ROUNDS })?;
    }
    at_once(stored)?;
    memory::run_on(&stored.data)
}

/// The median of so many rounds, in turns with the baseline.
fn warm(recorder: &Recorder, question: &Question, rounds: usize) -> Outcome<()> {
    let numbers = vec![1u64; question.numbers as usize];
    let (mut failed, mut spent) = (None, Vec::new());
    let asked = || {
        let before = machine::process_cpu();
        match ask(recorder, &question.requests) {
            Ok(answers) => drop(black_box(answers)),
            Err(error) => failed = Some(error),
        }
        spent.push(machine::process_cpu() - before);
    };
    let sum = || {
        black_box(black_box(&numbers).iter().sum::<u64>());
    };
    let (ours, theirs) = report::paired_in(rounds, asked, sum);
    failed.map_or(Ok(()), Err)?;
    let name = format!("query, warm: {}", question.name);
    let same = format!("{name}, baseline summing its {} u64s", question.numbers);
    report::line(&same, ours * 1e3, "ms", theirs * 1e3);
    report::goal(&name, ours * 1e3, "ms", question.warm_goal);
    let spent = report::median(spent) * 1e3;
    report::line(&format!("{name}, processor time, baseline its time"), spent, "ms", ours * 1e3);
    Ok(())
}

/// The last hour, asked as soon as a node is open: nothing is in memory yet.
fn at_once(stored: &Stored) -> Outcome<()> {
    let recorder = stored.open()?;
    let start = Instant::now();
    drop(black_box(ask(&recorder, &[last_hour(stored.size)])?));
    let at_once = start.elapsed().as_secs_f64() * 1e3;
    let seconds = filled(&recorder, stored.size)?;
    let name = "last hour, asked at once after opening, baseline filling the memory tier";
    report::line(name, at_once, "ms", seconds * 1e3 + at_once);
    Ok(())
}

fn cold(stored: &Stored, question: &Question, rounds: usize) -> Outcome<()> {
    let plain = stored.data.with_file_name("plain");
    std::fs::write(&plain, vec![1u8; question.numbers as usize * 8])?;
    let (mut ours, mut theirs, mut read) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        let recorder = stored.open()?;
        filled(&recorder, stored.size)?;
        machine::forget(stored.data.parent().unwrap_or(&stored.data))?;
        let before = machine::disk_read_bytes()?;
        let start = Instant::now();
        drop(black_box(ask(&recorder, &question.requests)?));
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        read = machine::disk_read_bytes()? - before;
        let (start, mut bytes) = (Instant::now(), Vec::new());
        std::fs::File::open(&plain)?.read_to_end(&mut bytes)?;
        black_box(&bytes);
        theirs.push(start.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(plain)?;
    let (ours, theirs) = (report::median(ours), report::median(theirs));
    let name = format!("query, cold: {}", question.name);
    let bytes = question.numbers * 8;
    report::line(&format!("{name}, baseline a cold file of {bytes} bytes"), ours, "ms", theirs);
    let title = format!("{name}: read from disk, baseline as many u64s");
    report::line(&title, read as f64 / 1e6, "MB", bytes as f64 / 1e6);
    if let Some(goal) = question.cold_goal {
        report::goal(&name, ours, "ms", goal);
    }
    Ok(())
}

/// Every column's sum, and every cell of some rows of one range, against what was generated.
pub(crate) fn check(
    stored: &Stored,
    request: &MatrixRequest,
    answer: &Matrix,
) -> Result<(), String> {
    let series = request.series as usize;
    if let Some(warning) = answer.warnings.first() {
        return Err(format!("the answer warns: {warning}"));
    }
    if answer.rows.is_empty() || answer.columns_ms.is_empty() {
        return Err("the answer is empty".to_owned());
    }
    let windows = (answer.step_ms / WINDOW_MS) as usize;
    let first_of =
        |at: usize| ((answer.columns_ms[at] - stored.size.start_ms()) / WINDOW_MS) as usize;
    let is_whole = request.range == keyviz_lineage::KeyRange::all();
    for (at, total) in answer.totals.iter().enumerate().filter(|_| is_whole) {
        let recorded = &stored.totals[first_of(at)..][..windows];
        let wanted: u64 = recorded.iter().map(|of| of[series]).sum();
        let rows: u64 = answer.rows.iter().map(|row| row.cells.at(at).counted).sum();
        if total.counted != wanted || rows != wanted {
            let counted = total.counted;
            return Err(format!("column {at}: {wanted} stored, {counted} counted, {rows} in rows"));
        }
    }
    let single = answer.rows.iter().filter(|row| row.route_count == 1);
    let mut checked = 0;
    for row in single.take(ROWS_CHECKED) {
        let route = row.routes.first().ok_or("a row of one range without its route")?;
        let rank = stored.size.rank_of(route - 1);
        let hours = answer.columns_ms.len() * windows / usize::from(WINDOWS);
        let first = answer.columns_ms[0] / HOUR_MS;
        let values: Vec<u64> = (first..first + hours as u64)
            .flat_map(|hour| stored.workload.series(rank, hour, stored.size.nodes, request.series))
            .collect();
        for (at, (cell, made)) in row.cells.iter().zip(values.chunks(windows)).enumerate() {
            let (sum, max) = (made.iter().sum::<u64>(), made.iter().max().copied());
            if cell.counted != sum || Some(cell.max) != max {
                return Err(format!("rank {rank}, column {at}: {cell:?}, not {sum} and {max:?}"));
            }
            checked += 1;
        }
    }
    if checked == 0 { Err("no row of one range to check".to_owned()) } else { Ok(()) }
}
