//! What ingest notices of many questions: a real node holds a week of 10,000 ranges; columns are sent one
//! at a time, each as soon as the one before it was acknowledged, first alone, then while 50 clients ask
//! for the whole week over HTTP again and again. The baseline of every line is the same ingest alone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
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

/// A node with a week in it, and what is sent to it.
struct Bench {
    node: Served,
    runtime: tokio::runtime::Runtime,
    first_ms: u64,
    /// The columns whose acknowledgement is timed.
    timed: Vec<Column>,
}

/// Fills a week, then measures.
pub(crate) fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let bench = Bench::filled(&folder.path().join("data"))?;
    // The first source of its kind is slower: its rows are resolved.
    bench.acknowledged(8)?;
    let alone = bench.acknowledged(9)?;
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let askers: Vec<_> = (0..CLIENTS).map(|_| bench.asker(&stop, &answers)).collect();
    let start = Instant::now();
    let beside = bench.acknowledged(10);
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
    bench.node.stop()?;
    for asker in askers {
        asker.join().map_err(|_| "a client has panicked")?;
    }
    Ok(())
}

impl Bench {
    fn filled(data: &Path) -> Outcome<Self> {
        let mut node = Served::start(data, &[])?;
        node.ready()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (columns, first_ms) = (Columns::new(WEEK)?, (now_ms()? / HOUR_MS - HOURS) * HOUR_MS);
        // The same windows again, from another source.
        let timed: Vec<Column> = (1..=TIMED.div_ceil(60) as u64)
            .flat_map(|back| {
                columns.of_hour(FIRST_HOUR + back, first_ms + (HOURS - back) * HOUR_MS)
            })
            .take(TIMED)
            .collect();
        let bench = Self { node, runtime, first_ms, timed };
        bench.runtime.block_on(async {
            let sender = bench.sender(7);
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
        Ok(bench)
    }

    fn sender(&self, boot: u128) -> IngestSender {
        let source = SourceId { node: format!("node-{boot}"), boot: Uuid::from_u128(boot) };
        IngestSender::start(ClientConfig::new(&self.node.grpc, source))
    }

    /// Milliseconds until each column of a source was acknowledged, the least first.
    fn acknowledged(&self, boot: u128) -> Outcome<Vec<f64>> {
        self.runtime.block_on(async {
            let (sender, mut took) = (self.sender(boot), Vec::with_capacity(TIMED));
            for column in &self.timed {
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
    }

    /// A client that asks for the whole week, again and again.
    fn asker(&self, stop: &Arc<AtomicBool>, answers: &Arc<AtomicU64>) -> JoinHandle<()> {
        let (stop, answers) = (Arc::clone(stop), Arc::clone(answers));
        let (from_ms, to_ms) = (self.first_ms, self.first_ms + HOURS * HOUR_MS);
        let path = format!(
            "/admin/api/v1/keyviz/matrix?series=reads&from_unix_ms={from_ms}&to_unix_ms={to_ms}"
        );
        let address = self.node.http.clone();
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if get(&address, &path).unwrap_or(false) {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    }
}

/// Whether the whole answer came, and is one.
fn get(address: &str, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.0 200"))
}
