//! Property: stock redis clients work against the real binary, and what they issue is what the
//! ledger holds, also while ranges are split and merged under load.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::process::{Command, Stdio};

use support::{Host, Ledger, folder, has};

fn redis_cli(host: &Host, args: &[&str]) -> String {
    let port = host.port.to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn redis_benchmark(host: &Host, args: &[&str]) -> Command {
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &host.port.to_string(), "-q", "-r", "100000", "-c", "50"]).args(args);
    command
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{all}");
    assert!(!all.contains("Error") && !all.contains("ERR") && !all.contains("WARN"), "{all}");
}

#[test]
fn redis_cli_speaks_both_protocols() {
    if !has("redis-cli") {
        return;
    }
    let (_keep, folder) = folder();
    let mut host = Host::start(&folder, &["--initial-splits", "m"]);
    for protocol in ["-2", "-3"] {
        assert_eq!(redis_cli(&host, &[protocol, "PING"]), "PONG");
        assert_eq!(redis_cli(&host, &[protocol, "SET", "k", "v", "EX", "100"]), "OK");
        assert_eq!(redis_cli(&host, &[protocol, "GET", "k"]), "v");
        assert_eq!(redis_cli(&host, &[protocol, "GET", "nothing"]), "");
        assert_eq!(redis_cli(&host, &[protocol, "MGET", "k", "nothing", "k"]), "v\n\nv");
        assert!(redis_cli(&host, &[protocol, "INFO"]).contains("redis_version:"));
        assert_eq!(redis_cli(&host, &[protocol, "CONFIG", "GET", "save"]), "save");
        assert!(redis_cli(&host, &[protocol, "NONSENSE"]).starts_with("ERR unknown command"));
        assert!(redis_cli(&host, &[protocol, "SET", "!admin|x", "v"]).contains("reserved"));
    }
    for number in 0..250 {
        host.connect().ask(&["SET", &format!("scan:{number}"), "v"]);
    }
    let scanned = redis_cli(&host, &["--scan", "--pattern", "scan:*"]);
    assert_eq!(scanned.lines().count(), 250);
    let split = redis_cli(&host, &["--json", "SPLIT", "scan:5"]);
    assert_eq!(split, "[3,4]");
    let ranges = redis_cli(&host, &["--json", "RANGES"]);
    assert!(ranges.starts_with("[[1,\"\",\"m\",1,"), "{ranges}");
    let mut pipe = Command::new("redis-cli");
    pipe.args(["-p", &host.port.to_string(), "--pipe"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut pipe = pipe.spawn().unwrap();
    std::io::Write::write_all(&mut pipe.stdin.take().unwrap(), b"SET p 1\r\nINCR p\r\n").unwrap();
    let piped = String::from_utf8(pipe.wait_with_output().unwrap().stdout).unwrap();
    assert!(piped.contains("errors: 0, replies: 2"), "{piped}");
    assert!(host.stop());
}

#[test]
fn the_ledger_holds_exactly_what_redis_benchmark_issued() {
    if !has("redis-benchmark") {
        return;
    }
    const REQUESTS: u64 = 20_000;
    let (_keep, folder) = folder();
    let mut host = Host::start(&folder, &["--initial-splits", "key:000000050000"]);
    let requests = REQUESTS.to_string();
    for pipeline in ["1", "16"] {
        let args = ["-t", "set,get,incr,mset", "-n", &requests, "-P", pipeline];
        run(redis_benchmark(&host, &args));
    }
    run(redis_benchmark(&host, &["-t", "set,get", "-n", &requests, "-3"]));
    let [set, get, incr, mset] = ["set", "get", "incr", "mset"].map(|name| host.calls(name));
    assert_eq!([set, get, incr, mset], [3, 3, 2, 2].map(|runs| runs * REQUESTS));
    assert!(host.stop());
    let ledger = Ledger::read(&folder);
    assert_eq!((ledger.reads, ledger.writes), (get, set + incr + 10 * mset));
    // Every value is 3 bytes; "key:" or "counter:" and 12 digits.
    assert_eq!(ledger.write_bytes, (set + 10 * mset) * (16 + 3) + incr * 20);
    assert!(ledger.read_bytes >= get * 16 && ledger.read_bytes <= get * 19);
    assert_eq!(ledger.columns().filter(|line| line["dropped"] == true).count(), 0);
    assert_eq!(ledger.columns().filter(|line| line["unattributed"] != 0).count(), 0);
}

#[test]
fn splits_and_merges_under_load_lose_nothing() {
    if !has("redis-benchmark") {
        return;
    }
    let (_keep, folder) = folder();
    let mut host = Host::start(&folder, &[]);
    let load = redis_benchmark(&host, &["-t", "set,get,incr,mset", "-n", "30000", "-P", "8"])
        .stdout(Stdio::null())
        .spawn();
    let mut load = load.unwrap();
    let (mut client, mut changes) = (host.connect(), 0);
    while load.try_wait().unwrap().is_none() {
        let key = format!("key:0000000{:05}", (changes * 7_919) % 100_000);
        assert_eq!(client.ask(&["SPLIT", &key]), "*2");
        let children = [client.line(), client.line()];
        let survivor = client.ask(&["MERGE", "a"]);
        assert!(children.iter().chain([&survivor]).all(|route| route.starts_with(':')));
        changes += 1;
    }
    assert!(load.wait().unwrap().success());
    let [set, get, incr, mset] = ["set", "get", "incr", "mset"].map(|name| host.calls(name));
    assert_eq!([set, get, incr, mset], [30_000; 4]);
    assert!(host.stop());
    let ledger = Ledger::read(&folder);
    assert_eq!((ledger.reads, ledger.writes), (get, set + incr + 10 * mset));
    assert_eq!(ledger.write_bytes, (set + 10 * mset) * 19 + incr * 20);
    assert_eq!(ledger.transitions("split").len(), changes);
    assert_eq!(ledger.transitions("merge").len(), changes);
}
