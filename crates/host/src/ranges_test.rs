//! The catalogue over restarts: what is stored, what is sent again, what the ledger says.

use std::collections::HashSet;

use keyviz_lineage::{Change, LineageGraph};
use serde_json::{Value, json};

use crate::harness_test::TestHost;
use crate::records::Records;

/// The kept transitions of a stopped host.
fn kept(host: &TestHost) -> Vec<keyviz_lineage::Transition> {
    let path = host.folder.path().join("db");
    let db = rocksdb::DB::open_for_read_only(&rocksdb::Options::default(), path, false).unwrap();
    Records::new(std::sync::Arc::new(db)).transitions().unwrap()
}

fn named(ledger: &[Value], name: &str) -> Vec<Value> {
    ledger.iter().filter(|line| line["transition"] == name).cloned().collect()
}

#[test]
fn ranges_and_their_numbers_survive_a_restart() {
    let mut host = TestHost::with(&["g", "n"], 2);
    host.run("SPLIT j");
    host.run("MOVE z 2");
    host.run("MERGE j");
    let before = host.host().ranges.list();
    let version = host.host().ranges.version();
    assert_eq!(version, (5, 3));
    let mut host = host.restarted();
    assert_eq!(host.host().ranges.list(), before);
    assert_eq!(host.host().ranges.version(), version);
    assert_eq!(
        host.run("SPLIT c"),
        crate::reply::Reply::Array(vec![crate::reply::Reply::Int(8), crate::reply::Reply::Int(9),])
    );
    assert_eq!(host.boot.term, 2);
    assert_eq!(host.boot.node_id, "test-host");
}

#[test]
fn what_is_kept_builds_the_same_lineage_however_often_it_is_told() {
    let mut host = TestHost::with(&["g", "n"], 2);
    for line in ["SPLIT j", "SPLIT c", "MERGE a", "MERGE g", "SPLIT k"] {
        assert!(!matches!(host.run(line), crate::reply::Reply::Error(_)), "{line}");
    }
    let expected = host.host().ranges.list();
    let host = host.restarted();
    let transitions = kept(&host);
    let mut graph = LineageGraph::default();
    for round in 0..3 {
        for transition in &transitions {
            let plan = graph.plan(transition).unwrap();
            assert!(round == 0 || plan.records.is_empty(), "told again, nothing changes");
            graph.install_plan(plan);
        }
    }
    let live: HashSet<_> = graph
        .records()
        .filter(|record| record.is_live())
        .map(|record| (record.group, record.route, record.range.clone()))
        .collect();
    let ours: HashSet<_> =
        expected.iter().map(|info| (info.group, info.route, info.keys.clone())).collect();
    assert_eq!(live, ours);
}

#[test]
fn a_move_tells_where_the_range_goes_on() {
    let mut host = TestHost::with(&["m"], 2);
    assert_eq!(host.run("MOVE u 1"), crate::reply::Reply::Int(3));
    let line = &named(&host.ledger(), "move")[0];
    assert_eq!((&line["group"], &line["closes"]), (&json!(2), &json!([2])));
    assert_eq!((&line["to_group"], &line["to_route"]), (&json!(1), &json!(3)));
    let host = host.restarted();
    let moves = kept(&host).pop().map(|transition| transition.change);
    assert_eq!(moves, Some(Change::MoveOut { route: 2, to_group: 1, to_route: 3 }));
}

#[test]
fn the_clock_of_the_transitions_never_goes_back() {
    let mut host = TestHost::new();
    host.run("SPLIT m");
    host.clock.set_wall(crate::harness_test::START_MS - 3_600_000);
    host.run("SPLIT g");
    let mut host = host.restarted();
    host.run("SPLIT c");
    let ledger = host.ledger();
    let hlcs: Vec<u64> = ledger.iter().filter_map(|line| line["hlc"].as_u64()).collect();
    assert_eq!(hlcs.len(), 6, "create, leader, two splits, leader, split");
    assert!(hlcs.is_sorted_by(|a, b| a < b), "{hlcs:?}");
    let versions: Vec<u64> =
        named(&ledger, "split").iter().filter_map(|l| l["catalogue_version"].as_u64()).collect();
    assert_eq!(versions, [2, 3, 4], "the version on which each was decided");
}

#[test]
fn the_ledger_names_what_closed_and_what_opened() {
    let mut host = TestHost::new();
    host.run("SPLIT m");
    host.run("MERGE a");
    let ledger = host.restarted().ledger();
    let split = &named(&ledger, "split")[0];
    assert_eq!(split["closes"], json!([1]));
    let opens = json!([
        {"route": 2, "start": "", "end": "6d"},
        {"route": 3, "start": "6d", "end": ""},
    ]);
    assert_eq!(split["opens"], opens);
    assert_eq!(named(&ledger, "merge")[0]["closes"], json!([2, 3]));
    assert_eq!(named(&ledger, "create").len(), 1, "a restart does not create again");
    let leaders = named(&ledger, "leader");
    let terms: Vec<u64> = leaders.iter().filter_map(|line| line["term"].as_u64()).collect();
    assert_eq!(terms, [1, 2]);
}
