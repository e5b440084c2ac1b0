//! Property: with `--hot-keys`, the hottest key of a host's traffic is named by the node over HTTP and by
//! `keyviz hotkeys`, of all ranges and of the one that has it, and keys are looked for nowhere without it.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyviz_tests::process::{HostSpec, NodeSpec, command};
use keyviz_tests::resp::Client;
use keyviz_tests::{PATIENCE, Stop, http, wait_for};
use serde_json::{Value, json};

const HOT_KEYS: &str = "/admin/api/v1/keyviz/hotkeys";
const HOT: &str = "order:hot";

/// Every second operation writes the same key, until `stop`.
fn write(address: &str, stop: &AtomicBool) {
    let mut client = Client::connect(address);
    let mut n = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1_000 {
            n += 1;
            let key =
                if n.is_multiple_of(2) { HOT.to_owned() } else { format!("user:{}", n % 5_001) };
            client.queue(&[b"SET", key.as_bytes(), b"v"]);
        }
        client.flush();
        (0..1_000).for_each(|_| drop(client.reply()));
    }
}

/// The first key of an answer.
fn hottest(answer: &Value) -> Option<String> {
    let key = answer["keys"].get(0)?["key_b64"].as_str()?;
    Some(String::from_utf8(STANDARD.decode(key).unwrap()).unwrap())
}

#[test]
fn the_hottest_key_is_named_while_there_is_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    http::get(&node.http, HOT_KEYS).refusal(503, "hotkeys_disabled");
    let mut host = HostSpec::new(folder.path(), &node.grpc);
    host.flags = ["--initial-splits=p", "--hot-keys"].map(str::to_owned).to_vec();
    let host = host.start();
    let stop = AtomicBool::new(false);
    // An answer is of the last second: on a busy machine some have hardly any traffic.
    let until = |what: &str, path: &str, is_it: &dyn Fn(&Value) -> bool| {
        wait_for(what, PATIENCE, || {
            let answer = http::get(&node.http, path);
            (answer.status == 200).then(|| answer.json()).filter(is_it)
        })
    };
    let is_hot = |answer: &Value| hottest(answer).as_deref() == Some(HOT);
    thread::scope(|scope| {
        scope.spawn(|| write(&host.address, &stop));
        let _stop = Stop(&stop);
        let all = until("the hottest key of all", HOT_KEYS, &is_hot);
        assert_eq!((&all["series"], &all["approximate"]), (&json!("writes"), &json!(true)));
        assert_eq!((&all["sample_rate"], &all["skipped_long_keys"]), (&json!(16), &json!(0)));
        assert_eq!(all["sources"][0]["node"], "host-a");
        // One in sixteen was looked at, and a count stands for that many.
        let count = all["keys"][0]["count"].as_u64().unwrap();
        assert!(count > 0 && count.is_multiple_of(16), "{all}");
        assert!(count <= 16 * all["sampled_n"].as_u64().unwrap(), "{all}");
        let keys = URL_SAFE_NO_PAD.encode("user:");
        until("those of some keys only", &format!("{HOT_KEYS}?start={keys}&top=3"), &|answer| {
            let keys = answer["keys"].as_array().unwrap().len();
            hottest(answer).is_some_and(|key| key.starts_with("user:")) && (1..=3).contains(&keys)
        });
        until("those of the range that has it", &format!("{HOT_KEYS}?route_id=1"), &is_hot);
        until("those of a span", &format!("{HOT_KEYS}?from_unix_ms=1&group_id=1"), &is_hot);
        let said = wait_for("the command line names it", PATIENCE, || {
            let asked = ["hotkeys", "--endpoint", &node.grpc, "--top", "1", "--route", "1"];
            let output = command("keyviz").args(asked).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.contains(HOT).then_some(text)
        });
        assert!(said.starts_with("writes from 20"), "{said}");
    });
    http::get(&node.http, &format!("{HOT_KEYS}?route_id=99")).refusal(404, "no_snapshot");
    http::get(&node.http, &format!("{HOT_KEYS}?to_unix_ms=1"))
        .refusal(400, "out_of_snapshot_window");
    http::get(&node.http, &format!("{HOT_KEYS}?series=read_bytes")).refusal(400, "invalid_query");
    http::get(&node.http, &format!("{HOT_KEYS}?series=colours")).refusal(400, "invalid_query");
    http::get(&node.http, &format!("{HOT_KEYS}?start=!")).refusal(400, "invalid_query");
    let unknown = format!("{HOT_KEYS}?lineage_id=01977420-dc00-7000-83cb-469d7667bba3");
    http::get(&node.http, &unknown).refusal(404, "not_found");
    assert_eq!(node.metric("keyviz_hot_keys_sources"), 1);
    // Counting went on beside it.
    assert!(node.metric("keyviz_ingest_columns_total") > 0);
    spec.assert_no_panic();
}
