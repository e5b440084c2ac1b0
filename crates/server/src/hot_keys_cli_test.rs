use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    hot_keys: HotKeysArgs,
}

fn args(words: &[&str]) -> HotKeysArgs {
    Cli::parse_from(["hotkeys"].iter().chain(words)).hot_keys
}

fn answer() -> wire::GetHotKeysResponse {
    let hot = |key: &'static [u8], count| wire::HotKeyEstimate { key: key.into(), count };
    wire::GetHotKeysResponse {
        series: wire::Series::Writes.into(),
        keys: vec![hot(b"user:1", 3_200), hot(b"\x1b[31m\xff", 160)],
        error_bound: 53,
        sample_rate: 16,
        sampled: 213,
        degraded: true,
        sources: vec![wire::HotKeysSource {
            node_id: "n".to_owned(),
            boot_id: "b".to_owned(),
            window_unix_ms: 1_750_000_020_000,
            step_ms: 60_000,
            sample_rate: 16,
            dropped_samples: 2,
            skipped_long_keys: 1,
            left_out_samples: 0,
        }],
        route_count: 2,
    }
}

fn printed(words: &[&str]) -> String {
    let mut out = Vec::new();
    args(words).print(&answer(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_question_says_what_was_asked() {
    let asked = args(&[
        "--series", "reads", "--route", "7", "--group", "2", "--start", "a", "--end", "0xff",
        "--top", "5", "--from", "-10s",
    ]);
    let request = asked.request(1_750_000_000_000).unwrap();
    assert_eq!(
        request,
        wire::GetHotKeysRequest {
            series: wire::Series::Reads.into(),
            route_id: 7,
            group_id: 2,
            lineage_id: String::new(),
            start: b"a"[..].into(),
            end: b"\xff"[..].into(),
            top: 5,
            from_unix_ms: 1_749_999_990_000,
            to_unix_ms: 0,
        }
    );
    let empty = args(&["--from", "-1s", "--to", "-5s"]).request(1_750_000_000_000);
    assert!(empty.unwrap_err().to_string().contains("empty"));
}

#[test]
fn keys_come_out_inert_with_what_is_known_of_their_counts() {
    assert_eq!(
        printed(&[]),
        "writes from 2025-06-15T15:07:00.000Z to 2025-06-15T15:08:00.000Z\n\
         1 in 16 operations looked at, 213 in all, of 2 ranges; a count may be off by 53, and by chance\n\
         some operations were not looked at (too many, or too long keys): keys may be missing\n\
         \x20         3200  user:1\n\
         \x20          160  \\x1b[31m\\xff\n"
    );
}

#[test]
fn json_is_what_http_answers() {
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["-o", "json", "--route", "7"])).unwrap();
    assert_eq!(json["keys"][0], serde_json::json!({ "key_b64": "dXNlcjox", "count": 3_200 }));
    assert_eq!((&json["route_id"], &json["error_bound"]), (&7.into(), &53.into()));
    assert_eq!(json["snapshot_at"], "2025-06-15T15:08:00.000Z");
    assert_eq!((&json["dropped_samples"], &json["degraded"]), (&2.into(), &true.into()));
}
