//! Property: writes that were led under several terms within one window all count, and a lost lease shows
//! as *stale leader* in the cells of its window and of the one before, from the sampler to the answer,
//! without changing a count.

#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeSet;

use keyviz_api::ambient::new_boot_id;
use keyviz_api::client::{ClientConfig, IngestSender};
use keyviz_lineage::{Column, Entry, KeyRange, SourceId, Step};
use keyviz_sampler::{Op, Sampler};
use keyviz_tests::ledger::total;
use keyviz_tests::matrix::Recorded;
use keyviz_tests::process::NodeSpec;
use keyviz_tests::{PATIENCE, now_ms};

const STEP_MS: u64 = 1_000;

/// Sends it all, and waits until the node holds it.
fn send(address: &str, columns: &[Column]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let source = SourceId { node: "leader".to_owned(), boot: new_boot_id() };
        let sender = IngestSender::start(ClientConfig::new(address, source));
        for column in columns {
            sender.send(&Entry::Column(column.clone())).unwrap();
        }
        assert!(sender.drain(PATIENCE).await);
        let stats = sender.stats();
        assert_eq!((stats.refused, stats.refused_rows), (0, 0), "{stats:?}");
    });
}

#[test]
fn a_lost_lease_shows_in_the_cells_and_terms_add_up() {
    let first_ms = now_ms() / STEP_MS * STEP_MS - 60_000;
    let window_ms = |at: u64| first_ms + at * STEP_MS;
    let sampler = Sampler::new(Step::from_ms(STEP_MS).unwrap(), first_ms);
    sampler.lead(1, Some(4));
    let handle = sampler.register(1, 1, KeyRange::all());
    let write = |times: u64| (0..times).for_each(|_| handle.observe(b"key", Op::Write, 7));
    let mut columns = Vec::new();
    write(8);
    columns.push(sampler.flush(window_ms(1)));
    // The window before the loss.
    write(3);
    columns.push(sampler.flush(window_ms(2)));
    // That of the loss, in which this node led twice.
    write(2);
    sampler.lead(1, Some(5));
    write(1);
    columns.extend(sampler.lose_lease(1));
    assert_eq!(columns.len(), 3, "the window before has to be told of");
    columns.push(sampler.flush(window_ms(3)));
    assert_eq!(columns[3].rows.len(), 2, "a row for each term");
    // After it.
    sampler.lead(1, Some(6));
    write(5);
    columns.push(sampler.flush(window_ms(4)));

    let folder = tempfile::tempdir().unwrap();
    // As well from the write-ahead log as from the store.
    let spec = NodeSpec::new(folder.path()).with("--persist-interval=1h");
    let mut node = spec.start();
    send(&node.grpc, &columns);
    for again in 0..3 {
        let recorded = Recorded::ask_flagged(&node.http, (first_ms, window_ms(4)), STEP_MS);
        assert_eq!(total(&recorded.cells, "writes"), 8 + 3 + 3 + 5);
        assert_eq!(total(&recorded.cells, "write_bytes"), 10 * (8 + 3 + 3 + 5));
        let stale = recorded.flagged.get("stale_leader").cloned().unwrap_or_default();
        assert_eq!(stale, BTreeSet::from([window_ms(1), window_ms(2)]));
        let others: Vec<_> =
            recorded.flagged.keys().filter(|&name| name != "stale_leader").collect();
        assert!(others.is_empty(), "{others:?}");
        if again < 2 {
            // Killed: replayed. Stopped: persisted.
            let signals = [nix::sys::signal::Signal::SIGKILL, nix::sys::signal::Signal::SIGTERM];
            node.process.stop(signals[again]);
            node = spec.start();
        }
    }
    spec.assert_no_panic();
}
