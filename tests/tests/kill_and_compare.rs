//! Property: whatever happens to the keyviz node, what it shows is what the host counted, cell by
//! cell, in all four series: nothing lost, nothing twice, nothing else.
//!
//! A round: a real node and a real host, RESP traffic from several threads, live SPLIT, MERGE and
//! MOVE, and SIGKILL of the node at random moments, right after a checkpoint and during its replay.
//! Then the ledger of the host is compared with the node's matrix; again after a SIGKILL with
//! nothing left to be sent again (so what was acknowledged is durable), and again after a clean stop.
//!
//! `KEYVIZ_KILL_ROUNDS` (default 2) rounds; `KEYVIZ_SEED` reproduces the random choices.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::path::Path;
use std::time::{Duration, Instant};

use keyviz_tests::ledger::{Ledger, SERIES};
use keyviz_tests::matrix::{Recorded, differences};
use keyviz_tests::process::{Host, HostSpec, Node, NodeSpec};
use keyviz_tests::resp::Reply;
use keyviz_tests::rng::{Rng, seed};
use keyviz_tests::traffic::{Traffic, any_key};
use keyviz_tests::{number_from_env, wait_for};
use nix::sys::signal::Signal;

const TRAFFIC: Duration = Duration::from_secs(8);
const SETTLE: Duration = keyviz_tests::PATIENCE;

#[derive(Debug, Default)]
struct Round {
    kills: u32,
    after_checkpoint: u32,
    in_start: u32,
    replayed: u64,
    changes: [u32; 3],
}

#[test]
fn nothing_is_lost_or_doubled_by_kills_splits_and_merges() {
    let rounds = number_from_env("KEYVIZ_KILL_ROUNDS", 2);
    let mut rng = Rng::new(seed());
    for number in 1..=rounds {
        let started = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let (round, cells, columns) = run_round(folder.path(), &mut rng.fork());
        eprintln!(
            "round {number}/{rounds}: {cells} cells of {columns} columns, 0 differ; {} kills ({} after a checkpoint, {} \
             while starting), {} WAL records replayed, {} splits, {} merges, {} moves, {:.1} s",
            round.kills,
            round.after_checkpoint,
            round.in_start,
            round.replayed,
            round.changes[0],
            round.changes[1],
            round.changes[2],
            started.elapsed().as_secs_f64(),
        );
    }
}

fn run_round(folder: &Path, rng: &mut Rng) -> (Round, usize, usize) {
    let persist = ["1s", "2s", "5s"][rng.below(3) as usize];
    let sync = ["every-column", "os"][rng.below(2) as usize];
    let spec = NodeSpec::new(folder)
        .on_fixed_ports()
        .with(&format!("--persist-interval={persist}"))
        .with(&format!("--wal-sync={sync}"));
    eprintln!("--persist-interval={persist} --wal-sync={sync}");
    let mut node = spec.start();
    let mut host = HostSpec::new(folder, &node.grpc);
    let splits = "0,@,`,key:002000,key:004000,key:008000,key:012000,key:016000,l";
    host.flags = vec!["--groups=2".to_owned(), format!("--initial-splits={splits}")];
    let ledger_path = host.ledger();
    let host = host.start();

    let mut round = Round::default();
    let traffic = Traffic::start(&host.address, 4, rng);
    let until = Instant::now() + TRAFFIC;
    let mut next_kill = Instant::now() + Duration::from_millis(rng.between(1_000, 2_500));
    while Instant::now() < until {
        change_ranges(&host, rng, &mut round);
        std::thread::sleep(Duration::from_millis(rng.between(20, 400)));
        if Instant::now() >= next_kill {
            node = kill_and_restart(node, &spec, rng, &mut round);
            next_kill = Instant::now() + Duration::from_millis(rng.between(1_500, 3_000));
        }
    }
    let issued = traffic.stop();
    host.settle(SETTLE);

    let ledger = Ledger::read(&ledger_path);
    assert_eq!(
        SERIES.map(|series| ledger.total(series)),
        issued.counts,
        "the ledger holds what was issued"
    );
    assert_eq!(ledger.unattributed, 0);
    assert!(round.kills >= 2, "{round:?}");
    compare(&node, &ledger, "after the traffic");

    node.process.kill();
    let node = spec.start();
    compare(&node, &ledger, "after SIGKILL with nothing to be sent again");

    assert!(node.process.stop(Signal::SIGTERM).success());
    let node = spec.start();
    compare(&node, &ledger, "after a clean stop");

    assert_eq!(node.metric("keyviz_wal_unusable_records_total"), 0);
    spec.assert_no_panic();
    (round, ledger.cells.len(), ledger.columns)
}

/// SIGKILL now, right after a checkpoint, or (again) while it starts.
fn kill_and_restart(node: Node, spec: &NodeSpec, rng: &mut Rng, round: &mut Round) -> Node {
    if rng.below(3) == 0 {
        let before = node.metric("keyviz_persist_batches_total");
        let limit = keyviz_tests::PATIENCE;
        wait_for("a checkpoint", limit, || {
            (node.metric("keyviz_persist_batches_total") > before).then_some(())
        });
        round.after_checkpoint += 1;
    }
    node.process.kill();
    round.kills += 1;
    std::thread::sleep(Duration::from_millis(rng.below(1_200)));
    while rng.below(2) == 0 {
        let starting = spec.spawn();
        std::thread::sleep(Duration::from_millis(rng.below(90)));
        starting.kill();
        round.kills += 1;
        round.in_start += 1;
    }
    let node = spec.start();
    round.replayed += node.metric("keyviz_wal_replayed_records_total");
    node
}

/// A split, a merge or a move somewhere. One that the catalogue refuses is no failure.
fn change_ranges(host: &Host, rng: &mut Rng, round: &mut Round) {
    let (key, group) = (any_key(rng), rng.between(1, 3).to_string());
    let (kind, words): (usize, Vec<&[u8]>) = match rng.below(5) {
        0 | 1 => (0, vec![b"SPLIT", &key]),
        2 | 3 => (1, vec![b"MERGE", &key]),
        _ => (2, vec![b"MOVE", &key, group.as_bytes()]),
    };
    match host.connect().ask(&words) {
        Reply::Int(_) | Reply::Array(_) => round.changes[kind] += 1,
        Reply::Error(_) => {}
        other => panic!("{words:?} was answered with {other:?}"),
    }
}

fn compare(node: &Node, ledger: &Ledger, when: &str) {
    // A window more on both sides: nothing may be there.
    let (from_ms, to_ms) = ledger.span();
    let recorded = Recorded::ask(&node.http, (from_ms - 1_000, to_ms + 1_000), 1_000);
    if let Some(differences) = differences(&ledger.cells, &recorded.cells) {
        panic!("{when}: {differences}");
    }
    // What the host covered whole is never drawn as missing.
    let whole = ledger
        .covered_ms
        .iter()
        .filter(|(_, covered)| **covered == 1_000)
        .map(|(window, _)| window);
    for window in whole {
        let states = &recorded.states[window];
        let gap =
            states.keys().find(|state| ["missing", "partial", "pending"].contains(&state.as_str()));
        assert!(
            gap.is_none(),
            "{when}: window {window} was covered whole, and is drawn as {states:?}"
        );
    }
}
