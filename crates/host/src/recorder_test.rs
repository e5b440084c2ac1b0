use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{KeyRange, Step};
use keyviz_sampler::Op;
use serde_json::Value;

use super::*;

struct Setup {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    sampler: Arc<Sampler>,
    recorder: Recorder,
}

fn setup(start_ms: u64) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(start_ms));
    let sampler = Arc::new(Sampler::new(Step::from_ms(1_000).unwrap(), start_ms));
    sampler.register(1, 1, KeyRange::all());
    let ledger = Outbox::open_ledger(&folder.path().join("ledger")).unwrap();
    let outbox = Arc::new(Outbox::new(Some(ledger), None));
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let recorder = Recorder::new(Arc::clone(&sampler), outbox, shared);
    Setup { folder, clock, sampler, recorder }
}

impl Setup {
    /// Window, covered from, covered to, writes.
    fn columns(&self) -> Vec<(u64, u64, u64, u64)> {
        let text = std::fs::read_to_string(self.folder.path().join("ledger")).unwrap();
        let field = |line: &Value, name: &str| line[name].as_u64().unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| {
                let rows = line["rows"].as_array().unwrap();
                let writes = rows.iter().map(|row| field(row, "writes")).sum();
                let covered = (field(&line, "covered_from_ms"), field(&line, "covered_to_ms"));
                (field(&line, "window_unix_ms"), covered.0, covered.1, writes)
            })
            .collect()
    }
}

#[test]
fn each_window_is_flushed_when_it_ends() {
    let mut setup = setup(10_400);
    setup.sampler.observe(1, b"k", Op::Write, 0);
    assert_eq!(setup.recorder.tick(), 500, "sleeps in pieces");
    setup.clock.advance(599);
    assert_eq!(setup.recorder.tick(), 1);
    assert!(setup.columns().is_empty());
    setup.clock.advance(3);
    setup.recorder.tick();
    setup.sampler.observe(1, b"k", Op::Write, 0);
    setup.clock.advance(1_000);
    setup.recorder.tick();
    assert_eq!(setup.columns(), [(10_000, 10_400, 11_000, 1), (11_000, 11_000, 12_000, 1)]);
}

#[test]
fn a_stop_leaves_nothing_behind() {
    let mut setup = setup(10_000);
    setup.sampler.observe(1, b"k", Op::Write, 0);
    setup.clock.advance(400);
    setup.recorder.finish();
    assert_eq!(setup.columns(), [(10_000, 10_000, 10_400, 1)]);
}

#[test]
fn a_stop_after_the_end_of_a_window_flushes_both() {
    let mut setup = setup(10_000);
    setup.sampler.observe(1, b"k", Op::Write, 0);
    setup.clock.advance(1_200);
    setup.recorder.finish();
    let columns = setup.columns();
    assert_eq!(columns.len(), 2);
    assert_eq!((columns[0].0, columns[0].3), (10_000, 1));
    assert_eq!((columns[1].0, columns[1].3), (11_000, 0));
}

#[test]
fn a_clock_that_goes_back_does_not_stop_the_columns() {
    let mut setup = setup(3_600_000);
    setup.clock.set_wall(1_000_100);
    assert!(setup.recorder.tick() <= 500);
    setup.clock.advance(900);
    setup.recorder.tick();
    let columns = setup.columns();
    assert_eq!(columns.len(), 1, "{columns:?}");
    assert_eq!(columns[0].0, 1_000_000);
}
