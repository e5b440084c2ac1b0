//! Property: `keyviz lineage` and the HTTP answer tell the same biography, whole, through splits in
//! three, merges, moves and drops and after a restart; what is unknown is named and is an error on every
//! surface; `keyviz id` derives the very ids that a node gives its lineages.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyviz_tests::columns::TRANSITIONS;
use keyviz_tests::http::{Response, get, post_json};
use keyviz_tests::process::{Node, NodeSpec, command};
use serde_json::{Value, json};

const LINEAGE: &str = "/admin/api/v1/keyviz/lineage";
/// 2025-06-16T12:00:00Z
const NOON_MS: u64 = 1_750_075_200_000;

/// Exit code, stdout and stderr of `keyviz <words>`.
fn keyviz(words: &[&str]) -> (Option<i32>, String, String) {
    let output = command("keyviz").env_remove("RUST_LOG").args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Stdout of a command that succeeds and says nothing else.
fn said(words: &[&str]) -> String {
    let (code, out, err) = keyviz(words);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{words:?}: {out}");
    out
}

/// The one line of a command that fails with `code`.
fn refused(words: &[&str], code: i32) -> String {
    let (got, out, err) = keyviz(words);
    assert_eq!((got, out.as_str()), (Some(code), ""), "{words:?}: {err}");
    assert!(!err.contains("panicked"), "{err}");
    err
}

fn hlc(minute: u64) -> u64 {
    (NOON_MS + minute * 60_000) << 16
}

fn proposal(minute: u64) -> String {
    format!("{:032x}", minute + 1)
}

/// A transition of group 1, `minute` minutes after noon, under a clock and a proposal of the test's own.
fn tell(node: &Node, minute: u64, change: &Value) -> Response {
    let mut body = json!({
        "node_id": "host", "group_id": 1, "hlc": hlc(minute), "proposal_id": proposal(minute)
    });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    post_json(&node.http, TRANSITIONS, &body.to_string()).unwrap()
}

fn create(node: &Node) {
    let change = json!({ "change": "create", "routes": [{ "route_id": 1 }] });
    tell(node, 0, &change).ok();
}

/// Created; split in three; the left two merged; the right one moved to group 2; the middle dropped.
fn play(node: &Node) {
    create(node);
    let children = json!([
        { "route_id": 2, "end": "f" },
        { "route_id": 3, "start": "f", "end": "p" },
        { "route_id": 4, "start": "p" },
    ]);
    tell(node, 5, &json!({ "change": "split", "route_id": 1, "children": children })).ok();
    let survivor = json!({ "route_id": 5, "end": "p" });
    tell(node, 7, &json!({ "change": "merge", "route_ids": [2, 3], "survivor": survivor })).ok();
    tell(node, 8, &json!({ "change": "move", "route_id": 4, "to_group_id": 2, "to_route_id": 6 }))
        .ok();
    tell(node, 9, &json!({ "change": "drop", "route_id": 5 })).ok();
}

/// The id of the `ordinal`-th lineage that the transition of `minute` made.
fn id(minute: u64, ordinal: u64) -> String {
    let (hlc, ordinal) = (hlc(minute).to_string(), ordinal.to_string());
    said(&derive(&hlc, "1", &proposal(minute), &ordinal)).trim_end().to_owned()
}

fn spec(folder: &std::path::Path) -> NodeSpec {
    NodeSpec::new(folder).with("--retention=36500d")
}

fn by_key(node: &Node, key: &[u8], more: &str) -> Response {
    get(&node.http, &format!("{LINEAGE}?key={}{more}", URL_SAFE_NO_PAD.encode(key)))
}

#[test]
fn a_biography_is_told_alike_on_every_surface_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path()).on_fixed_ports();
    let node = spec.start();
    play(&node);
    let ids = [id(0, 0), id(5, 0), id(5, 1), id(5, 2), id(7, 0)];
    let expected = [
        "6 lineages; those that held the key g are marked *".to_owned(),
        format!("* (-inf, +inf)   route 1 group 1  create 2025-06-16T12:00:00.000Z, split 12:05:00.000Z into routes 2, 3 and 4  {}", ids[0]),
        format!("├─  (-inf, f)    route 2 group 1  split 2025-06-16T12:05:00.000Z, merged 12:07:00.000Z into route 5  {}", ids[1]),
        format!("│ └─* (-inf, p)  route 5 group 1  merge 2025-06-16T12:07:00.000Z of routes 2 and 3, dropped 12:09:00.000Z  {}", ids[4]),
        format!("├─* [f, p)       route 3 group 1  split 2025-06-16T12:05:00.000Z, merged 12:07:00.000Z into route 5 (drawn under route 2)  {}", ids[2]),
        "└─  [p, +inf)    route 4 group 1  split 2025-06-16T12:05:00.000Z, moved 12:08:00.000Z to route 6 of group 2".to_owned(),
        "  └─  [p, +inf)  route 6 group 2  move 2025-06-16T12:08:00.000Z, alive".to_owned(),
    ];
    let check = |node: &Node| {
        let text = said(&["lineage", "g", "--endpoint", &node.grpc]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 7, "{text}");
        for (line, expected) in lines.iter().zip(&expected) {
            assert!(line.starts_with(expected.as_str()), "{line:?} is not {expected:?}\n{text}");
        }
        let answer = by_key(node, b"g", "").ok();
        assert_eq!(answer["text"].as_str().unwrap().lines().collect::<Vec<_>>(), lines[1..]);
        let json: Value =
            serde_json::from_str(&said(&["lineage", "g", "--addr", &node.grpc, "-o", "json"]))
                .unwrap();
        assert_eq!(json, answer);
    };
    check(&node);
    check_fields(&node, &ids);
    check_spans(&node);
    // Nothing has been persisted but by the transitions themselves.
    node.process.kill();
    let node = spec.start();
    check(&node);
    check_fields(&node, &ids);
    spec.assert_no_panic();
}

fn check_fields(node: &Node, ids: &[String; 5]) {
    let answer = get(&node.http, &format!("{LINEAGE}?id={}", ids[4])).ok();
    let records = answer["records"].as_array().unwrap();
    let routes: Vec<&Value> = records.iter().map(|record| &record["route_id"]).collect();
    assert_eq!(routes, [1, 2, 3, 5], "what was split off and is not its own is not told");
    let survivor = &records[3];
    assert_eq!(survivor["cause"], "merge");
    assert_eq!(survivor["relation"], "self");
    assert_eq!(survivor["proposal_id"], proposal(7));
    assert_eq!(
        (&survivor["valid_from_hlc"], &survivor["valid_to_hlc"]),
        (&json!(hlc(7)), &json!(hlc(9)))
    );
    assert_eq!((&survivor["start"], &survivor["end"]), (&Value::Null, &json!("cA==")));
    let parents: Vec<(&Value, &Value)> = survivor["parents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parent| (&parent["id"], &parent["start_text"]))
        .collect();
    assert_eq!(parents, [(&json!(ids[1]), &Value::Null), (&json!(ids[2]), &json!("f"))]);
    assert_eq!(records[0]["children"], json!([ids[1], ids[2], ids[3]]));
    let answer = get(&node.http, &format!("{LINEAGE}?route=4")).ok();
    assert_eq!(answer["records"][1]["successor"], json!({ "group_id": 2, "route_id": 6 }));
    let moved = &answer["records"][2];
    assert_eq!((&moved["group_id"], &moved["cause"]), (&json!(2), &json!("move")));
    assert_eq!(moved["parents"][0]["id"], ids[3].as_str());
}

/// `from` and `to` choose who the key's owner was; the rest of its story is whole.
fn check_spans(node: &Node) {
    let (from, to) = (NOON_MS + 7 * 60_000, NOON_MS + 8 * 60_000);
    let answer = by_key(node, b"g", &format!("&from_unix_ms={from}&to_unix_ms={to}")).ok();
    let told: Vec<(u64, &str)> = answer["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (record["route_id"].as_u64().unwrap(), record["relation"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(1, "ancestor"), (2, "ancestor"), (3, "ancestor"), (5, "self")]);
    let text = said(&[
        "lineage",
        "g",
        "--endpoint",
        &node.grpc,
        "--from",
        "2025-06-16T12:07:00Z",
        "--to",
        "2025-06-16 12:08",
    ]);
    assert_eq!(
        text.lines().filter(|line| line.contains("* ")).count(),
        1,
        "only who owned it then is marked: {text}"
    );
}

#[test]
fn what_is_unknown_or_asked_twice_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path());
    let node = spec.start();
    let empty = get(&node.http, &format!("{LINEAGE}?route=1")).refusal(404, "not_found");
    assert_eq!(empty, "no range had the route number 1; this node knows no range yet");
    play(&node);
    let unknown = "6fa459ea-ee8a-7ca4-894e-db77e160355e";
    let known = "this node knows 6 lineages (1 of them live), with route numbers from 1 to 6, the oldest \
                 from 2025-06-16T12:00:00.000Z";
    let too_early = format!("&to_unix_ms={}", NOON_MS - 1);
    for (question, words, named) in [
        ("route=99".to_owned(), &["--route", "99"][..], format!("no range had the route number 99; {known}")),
        (format!("id={unknown}"), &["--id", unknown], format!("no lineage has the id {unknown}; {known}")),
        (
            format!("key=Zw{too_early}"),
            &["g", "--to", "2025-06-16T11:59:59.999Z"],
            "the key g was owned between 2025-06-16T12:00:00.000Z and 2025-06-16T12:09:00.000Z, but not \
             before 2025-06-16T11:59:59.999Z"
                .to_owned(),
        ),
    ] {
        let message = get(&node.http, &format!("{LINEAGE}?{question}")).refusal(404, "not_found");
        assert_eq!(message, named);
        let line = refused(&[&["lineage", "--endpoint", &node.grpc], words].concat(), 1);
        assert_eq!(line, format!("keyviz: {named}\n"));
    }
    for question in ["", "route=1&key=Zw", "id=6fa459ea-ee8a-7ca4-894e-db77e160355e&route=1"] {
        let message =
            get(&node.http, &format!("{LINEAGE}?{question}")).refusal(400, "invalid_query");
        assert!(message.contains("one of"), "{message}");
    }
    for (question, name) in [
        ("route=1&depth=deep", "deep"),
        ("route=1&depth=-1", "-1"),
        ("route=1&from_unix_ms=2000&to_unix_ms=1000", "2000"),
        ("route=0x1", "route"),
    ] {
        let message =
            get(&node.http, &format!("{LINEAGE}?{question}")).refusal(400, "invalid_query");
        assert!(message.contains(name), "{message}");
    }
    for words in [&["lineage"][..], &["lineage", "g", "--route", "1"], &["lineage", "--id", "7"]] {
        assert!(refused(words, 2).contains("--help"), "{words:?}");
    }
    let nobody = refused(&["lineage", "g", "--endpoint", "127.0.0.1:1"], 1);
    assert!(nobody.contains("cannot reach a keyviz node at 127.0.0.1:1"), "{nobody}");
    spec.assert_no_panic();
}

#[test]
fn a_long_biography_is_cut_and_says_how_to_see_the_rest() {
    const ROUNDS: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path());
    let node = spec.start();
    create(&node);
    // Splits in two and merges, over and over: 1, (2, 3), 4, (5, 6), 7, ...
    for round in 0..ROUNDS {
        let (whole, left, right) = (round * 3 + 1, round * 3 + 2, round * 3 + 3);
        let children =
            json!([{ "route_id": left, "end": "m" }, { "route_id": right, "start": "m" }]);
        let change = json!({ "change": "split", "route_id": whole, "children": children });
        tell(&node, round * 2 + 1, &change).ok();
        let survivor = json!({ "route_id": right + 1 });
        let change = json!({ "change": "merge", "route_ids": [left, right], "survivor": survivor });
        tell(&node, round * 2 + 2, &change).ok();
    }
    let all = 3 * ROUNDS as usize + 1;
    let text =
        |words: &[&str]| said(&[&["lineage", "k", "--endpoint", &node.grpc], words].concat());
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let cut = lines(&text(&[]));
    assert!(cut[0].starts_with(&format!("{all} lineages;")), "{}", cut[0]);
    let [.., left_out, hint] = &cut[..] else { panic!("{cut:?}") };
    let drawn = cut.len() - 3;
    assert!((150..=200).contains(&drawn), "{drawn}");
    assert!(
        left_out.starts_with(&format!("… {} of {all} records are more than ", all - drawn)),
        "{left_out}"
    );
    assert_eq!(hint, "--depth N draws more or fewer generations, --all everything");
    assert!(cut.iter().any(|line| line.contains("alive")), "the newest is drawn");
    let whole = lines(&text(&["--all"]));
    assert_eq!(whole.len(), all + 1);
    let widest = whole.iter().map(|line| line.chars().count()).max().unwrap();
    assert!(widest < 250, "it does not drift to the right: {widest}");
    // The last owner, the two it was merged from, and the one before.
    assert_eq!(lines(&text(&["--depth", "2"])).len(), 1 + 4 + 2);
    let answer = by_key(&node, b"k", "&depth=all").ok();
    assert_eq!(
        (answer["records"].as_array().unwrap().len(), &answer["left_out"]),
        (all, &json!(0))
    );
    spec.assert_no_panic();
}

/// Contract section 3: HLC, group, proposal, ordinal, id.
const VECTORS: &str = "
    114688000000000000 1 000102030405060708090a0b0c0d0e0f 0 01977420-dc00-7000-83cb-469d7667bba3
    114688000000000000 1 000102030405060708090a0b0c0d0e0f 1 01977420-dc00-7000-87cb-469d7667bba3
    114688000000043981 7 00112233445566778899aabbccddeeff 0 01977420-dc00-7abc-b605-f5d0fa1d6342
    114688000000065535 18446744073709551615 ffffffffffffffffffffffffffffffff 1 \
                         01977420-dc01-7000-81b3-0448dc92f4fe";

/// `keyviz id derive`, as words.
fn derive<'a>(hlc: &'a str, group: &'a str, proposal: &'a str, ordinal: &'a str) -> Vec<&'a str> {
    let flags = [("--hlc", hlc), ("--group", group), ("--proposal", proposal)];
    let flags = flags.into_iter().chain([("--ordinal", ordinal)]);
    ["id", "derive"].into_iter().chain(flags.flat_map(|(flag, value)| [flag, value])).collect()
}

#[test]
fn ids_are_derived_and_explained_as_the_contract_says() {
    let words: Vec<&str> = VECTORS.split_whitespace().collect();
    assert_eq!(words.len(), 4 * 5);
    for vector in words.chunks(5) {
        let [hlc, group, proposal, ordinal, id] = vector[..] else { unreachable!() };
        assert_eq!(said(&derive(hlc, group, proposal, ordinal)), format!("{id}\n"));
        let explained = said(&["id", "explain", id, "-o", "json"]);
        let explained: Value = serde_json::from_str(&explained).unwrap();
        let tick = hlc.parse::<u64>().unwrap() + ordinal.parse::<u64>().unwrap();
        assert_eq!((&explained["kind"], &explained["hlc"]), (&json!("lineage"), &json!(tick)));
    }
    let text = said(&["id", "explain", words[4]]);
    assert!(
        text.contains("2025-06-15T15:06:40.000Z") && text.contains("3cb469d7667bba3"),
        "{text}"
    );
}

#[test]
fn what_is_no_id_of_keyvizs_or_cannot_make_one_is_refused_by_name() {
    let random = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    let line = refused(&["id", "explain", random], 1);
    assert!(line.starts_with(&format!("keyviz: {random} is a UUID of version 4")), "{line}");
    assert!(refused(&["id", "explain", "order:7"], 2).contains("order:7"));
    let proposal = "000102030405060708090a0b0c0d0e0f";
    let last = "18446744073709551615";
    assert!(refused(&derive("1", "0", proposal, "0"), 2).contains("--group"));
    assert!(refused(&derive("1", "1", "0001", "0"), 2).contains("--proposal"));
    assert!(refused(&derive("soon", "1", proposal, "0"), 2).contains("--hlc"));
    assert!(refused(&derive(last, "1", proposal, "1"), 1).contains("--ordinal"));
}
