//! What ingest notices of many questions: a real node holds a week of 10,000 ranges; columns are sent one
//! at a time, each as soon as the one before it was acknowledged, first alone, then while 50 clients ask
//! for the whole week over HTTP again and again. The baseline of every line is the same ingest alone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyviz_api::client::{ClientConfig, IngestSender};
use keyviz_lineage::{Column, Entry, HOUR_MS, SourceId};
use uuid::Uuid;

use crate::fill::WEEK;
use crate::filled::{FIRST_HOUR, Outcome};
use crate::report;
use crate::restart::{Columns, Served, now_ms};

const HOURS: u64 = 166;
const CLIENTS: usize = 50;
/// Columns whose acknowledgement is timed in each part.
const TIMED: usize = 240;
/// At most so much as long as alone.
const GOAL: f64 = 2.0;
const MAX_WAIT: Duration = Duration::from_secs(600);
const BUFFER_BYTES: usize = 16 << 20;

/// Fills a week, then measures.
pub(crate) fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Served::start(&folder.path().join("data"), &[])?;
    node.ready()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (columns, first_ms) = (Columns::new(WEEK)?, (now_ms()? / HOUR_MS - HOURS) * HOUR_MS);
    let last_ms = first_ms + (HOURS - 1) * HOUR_MS;
    let sender = |node: &Served, name: &str, boot: u128| {
        let source = SourceId { node: name.into(), boot: Uuid::from_u128(boot) };
        IngestSender::start(ClientConfig::new(&node.grpc, source))
    };
    runtime.block_on(async {
        let sender = sender(&node, "node-1", 7);
        sender.send(&columns.created(first_ms)).map_err(|error| error.to_string())?;
        for hour in 0..HOURS {
            for column in columns.of_hour(FIRST_HOUR + hour, first_ms + hour * HOUR_MS) {
                sender.wait_below(BUFFER_BYTES).await;
                sender.send(&Entry::Column(column)).map_err(|error| error.to_string())?;
            }
        }
        match sender.drain(MAX_WAIT).await {
            true => Ok::<(), String>(()),
            false => Err(format!("not all was acknowledged: {:?}", sender.stats())),
        }
    })?;
    // The same windows from another source, as often as it takes.
    let made: Vec<Column> = (0..TIMED.div_ceil(60) as u64)
        .flat_map(|hour| columns.of_hour(FIRST_HOUR + hour, last_ms - hour * HOUR_MS))
        .take(TIMED)
        .collect();
    let timed = |node: &Served, boot: u128| -> Outcome<Vec<f64>> {
        let name = format!("node-{boot}");
        runtime.block_on(async {
            let (sender, mut took) = (sender(node, &name, boot), Vec::with_capacity(TIMED));
            for column in &made {
                let start = Instant::now();
                sender.send(&Entry::Column(column.clone())).map_err(|error| error.to_string())?;
                if !sender.drain(MAX_WAIT).await {
                    return Err("a column was not acknowledged".into());
                }
                took.push(start.elapsed().as_secs_f64() * 1e3);
            }
            took.sort_by(f64::total_cmp);
            Ok(took)
        })
    };
    // The first source of its kind is slower: its rows are resolved.
    timed(&node, 8)?;
    let alone = timed(&node, 9)?;
    let path = format!(
        "/admin/api/v1/keyviz/matrix?series=reads&from_unix_ms={first_ms}&to_unix_ms={}",
        first_ms + HOURS * HOUR_MS
    );
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let askers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            let (address, path) = (node.http.clone(), path.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if get(&address, &path).unwrap_or(false) {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let start = Instant::now();
    let beside = timed(&node, 10);
    let seconds = start.elapsed().as_secs_f64();
    let answered = answers.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    let beside = beside?;
    for (name, part) in [("p50", 50), ("p90", 90), ("p99", 99)] {
        let at = |took: &[f64]| took[(took.len() - 1) * part / 100];
        let title = format!("acknowledgement beside {CLIENTS} clients that ask for 7 days, {name}");
        report::line(&format!("{title}, baseline alone"), at(&beside), "ms", at(&alone));
        if part == 50 {
            report::goal(&format!("{title}, ratio"), at(&beside) / at(&alone), "x", GOAL);
        }
    }
    let rate = answered as f64 / seconds;
    report::line("answers of 7 days meanwhile, baseline one a second", rate, "1/s", 1.0);
    node.stop()?;
    for asker in askers {
        asker.join().map_err(|_| "a client has panicked")?;
    }
    Ok(())
}

/// Whether the whole answer came, and is one.
fn get(address: &str, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.0 200"))
}
