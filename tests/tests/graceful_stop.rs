//! Property: a clean stop persists the last window, so that the write-ahead log is not needed any
//! more; and a data folder belongs to one process at a time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::time::Duration;

use keyviz_tests::columns::Poster;
use keyviz_tests::http;
use keyviz_tests::ledger::Ledger;
use keyviz_tests::matrix::{Recorded, differences};
use keyviz_tests::now_ms;
use keyviz_tests::process::{HostSpec, NodeSpec, failing};
use keyviz_tests::rng::Rng;
use keyviz_tests::traffic::Traffic;
use nix::sys::signal::Signal;

/// A whole second, a while ago.
fn recently() -> u64 {
    now_ms() / 1_000 * 1_000 - 120_000
}

#[test]
fn a_stop_by_signal_persists_the_last_window_without_the_wal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        // No checkpoint of its own: the stop has to do it.
        let spec = NodeSpec::new(folder.path()).with("--persist-interval=1h");
        let node = spec.start();
        let mut poster = Poster::new("poster", recently());
        for _ in 0..20 {
            poster.post_next(&node.http, 5);
        }
        assert_eq!(node.metric("keyviz_persist_batches_total"), 0);
        assert_eq!(poster.differences(&node.http), None);
        assert!(node.process.stop(signal).success(), "{signal}: {}", spec.log_text());

        std::fs::remove_dir_all(spec.data_dir.join("wal")).unwrap();
        let node = spec.start();
        assert_eq!(node.metric("keyviz_wal_replayed_records_total"), 0);
        assert_eq!(poster.differences(&node.http), None, "{signal}");
        // The numbering of the source has survived, too.
        let mut again = poster.clone();
        again.sequence -= 1;
        again.window_ms -= 1_000;
        let column = again.column(5);
        let answer = Poster::post(&node.http, &column).unwrap().ok();
        assert_eq!(answer["outcome"], "duplicate");
        poster.post_next(&node.http, 5);
        assert_eq!(poster.differences(&node.http), None, "{signal}");
        spec.assert_no_panic();
    }
}

#[test]
fn a_stop_under_load_is_quick_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).on_fixed_ports();
    let mut node = spec.start();
    let mut host = HostSpec::new(folder.path(), &node.grpc);
    host.flags = vec!["--initial-splits=key:004000,key:012000".to_owned()];
    let ledger = host.ledger();
    let host = host.start();
    let traffic = Traffic::start(&host.address, 2, &mut Rng::new(1));
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        std::thread::sleep(Duration::from_millis(1_700));
        assert!(node.process.stop(signal).success(), "{}", spec.log_text());
        // The host's stream is open all the time; it is ended, not waited for and then cut off.
        let log = spec.log_text();
        assert!(!log.contains("they are cut off"), "{signal}: {log}");
        std::fs::remove_dir_all(spec.data_dir.join("wal")).unwrap();
        node = spec.start();
    }
    traffic.stop();
    host.settle(keyviz_tests::PATIENCE);
    assert!(host.process.stop(Signal::SIGTERM).success());
    let ledger = Ledger::read(&ledger);
    let recorded = Recorded::ask(&node.http, ledger.span(), 1_000);
    assert_eq!(differences(&ledger.cells, &recorded.cells), None);
    spec.assert_no_panic();
}

#[test]
fn a_second_process_on_the_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let mut poster = Poster::new("poster", recently());
    poster.post_next(&node.http, 3);

    let (code, text) = failing(spec.command());
    assert_eq!(code, Some(1), "{text}");
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("keyviz: ")).collect();
    let [line] = said[..] else { panic!("not one line: {text}") };
    assert!(line.contains("in use by another keyviz process"), "{line}");
    assert!(line.contains(spec.data_dir.to_str().unwrap()), "{line}");
    assert!(!text.contains("panicked"), "{text}");

    assert_eq!(http::get(&node.http, "/readyz").status, 200);
    poster.post_next(&node.http, 3);
    assert_eq!(poster.differences(&node.http), None);
    // A process that was killed leaves no lock behind.
    node.process.kill();
    let node = spec.start();
    assert_eq!(poster.differences(&node.http), None);
}
