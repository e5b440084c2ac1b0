use keyviz_api::client::ClientConfig;
use keyviz_lineage::{Counts, Flags, KeyRange, SourceId, Step, Window};
use serde_json::{Value, json};

use super::*;

fn column(writes: u64) -> Column {
    let counts = Counts { reads: 1, writes, read_bytes: 2, write_bytes: 3 };
    let range = KeyRange::new(&b"a"[..], &b"\xff"[..]).unwrap();
    let row = Row { route: 4, group: 2, term: 7, range, counts, flags: Flags::NONE };
    Column {
        window: Window { start_ms: 60_000, step: Step::MINUTE },
        covered_from_ms: 60_500,
        covered_to_ms: 120_000,
        unattributed: 0,
        groups: vec![2],
        rows: vec![row],
        buckets: Vec::new(),
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_column_line_has_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let outbox = Outbox::new(Some(Outbox::open_ledger(&path).unwrap()), None);
    outbox.column(&column(9));
    let row = json!({
        "route": 4, "group": 2, "term": 7, "start": "61", "end": "ff",
        "reads": 1, "writes": 9, "read_bytes": 2, "write_bytes": 3,
    });
    let expected = json!({
        "window_unix_ms": 60_000, "step_ms": 60_000, "covered_from_ms": 60_500,
        "covered_to_ms": 120_000, "unattributed": 0, "rows": [row], "dropped": false,
    });
    assert_eq!(lines(&path), [expected]);
    assert_eq!(outbox.stats().columns, 1);
}

#[tokio::test]
async fn a_column_that_does_not_fit_is_corrected_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let source = SourceId { node: "n".to_owned(), boot: uuid::Uuid::from_u128(1) };
    // Port 1: nobody answers there.
    let mut config = ClientConfig::new("127.0.0.1:1", source);
    config.buffer_bytes = 100;
    let sender = IngestSender::start(config);
    let outbox = Outbox::new(Some(Outbox::open_ledger(&path).unwrap()), Some(sender));
    outbox.column(&column(9));
    outbox.column(&column(10));
    outbox.column(&column(11));
    let lines = lines(&path);
    let dropped: Vec<bool> = lines.iter().filter_map(|line| line["dropped"].as_bool()).collect();
    let (stats, backlog) = outbox.stats().sender.unwrap();
    assert_eq!(dropped.iter().filter(|dropped| **dropped).count() as u64, stats.dropped);
    assert!(stats.dropped > 0 && backlog > 0, "{stats:?} {backlog}");
    let correction = lines.iter().find(|line| line["dropped"] == true).unwrap();
    assert_eq!(correction["rows"], json!([]));
    assert_eq!(correction["window_unix_ms"], 60_000);
    assert!(!outbox.leave(Duration::from_millis(50)).await);
}

#[test]
fn a_ledger_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Outbox::open_ledger(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cannot open"), "{error}");
}
