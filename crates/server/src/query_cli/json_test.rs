use super::*;
use crate::query_cli::fixture_test::{matrix, row, split};
use serde_json::{Value, json};

fn document(matrix: &GetMatrixResponse) -> Value {
    let mut out = Vec::new();
    write(matrix, &mut out).unwrap();
    assert_eq!(out.last(), Some(&b'\n'));
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_split_in_full() {
    let document = document(&split());
    assert_eq!(document["series"], "writes");
    assert_eq!(document["step_ms"], 60_000);
    assert_eq!(document["recorded_step_ms"], 60_000);
    assert_eq!(document["column_unix_ms"][1], 1_795_190_460_000_u64);
    assert_eq!(
        document["rows"][1],
        json!({
            "bucket_id": "route:1",
            "start": "bQ==",
            "end": "cw==",
            "start_text": "m",
            "end_text": "s",
            "aggregate": false,
            "route_ids": [1],
            "route_count": 1,
            "lineage_id": "01977420-dc00-7000-83cb-469d7667bba3",
            "raft_group_ids": [1],
            "closed": false,
            "valid_from_unix_ms": 1_795_190_400_000_u64,
            "valid_to_unix_ms": 0,
            "values": [900, 1000, 800, 0, 30, 0],
            "inherited": [900, 1000, 800, 0, 0, 0],
            "flags": [16, 16, 16, 0, 0, 0],
            "states": [["measured", 3], ["missing", 1], ["partial", 1], ["pending", 1]],
        })
    );
    assert_eq!(document["rows"][0]["start"], Value::Null);
    assert_eq!(document["rows"][0]["start_text"], Value::Null);
    assert_eq!(document["rows"][3]["end"], Value::Null);
    assert_eq!(document["rows"][3]["states"][0], json!(["nonexistent", 3]));
    assert_eq!(document["column_totals"]["inherited"], json!([900, 1000, 800, 0, 0, 0]));
    assert_eq!(
        document["totals"],
        json!({"values": 2016, "recorded": 4716, "counted": 2016, "inherited": 2700, "unattributed": 7})
    );
    assert_eq!(document["flag_bits"]["sampled"], 1);
    assert_eq!(document["flag_bits"]["saturated"], 512);
    assert_eq!(document["status"], "OK");
    assert_eq!(document["warnings"], json!([]));
}

#[test]
fn numbers_are_exact_and_strange_keys_are_hex() {
    let mut answer = matrix(vec![row(b"\x1b[2J", b"0x41", &[1, 1, 1])]);
    answer.rows[0].values = vec![u64::MAX, u64::MAX, 9_007_199_254_740_993];
    answer.rows[0].max = vec![u64::MAX, 1, 2];
    answer.warnings = vec!["\u{202e}\x1b \"quoted\"".into()];
    let document = document(&answer);
    let row = &document["rows"][0];
    assert_eq!(row["values"], json!([u64::MAX, u64::MAX, 9_007_199_254_740_993_u64]));
    assert_eq!(row["max"], json!([u64::MAX, 1, 2]));
    assert_eq!(
        (&row["start_text"], &row["end_text"]),
        (&json!("0x1b5b324a"), &json!("0x30783431"))
    );
    assert_eq!(document["warnings"][0], "\u{202e}\x1b \"quoted\"");
    let mut text = Vec::new();
    write(&answer, &mut text).unwrap();
    let sum = 2 * u128::from(u64::MAX) + 9_007_199_254_740_993;
    assert!(String::from_utf8(text).unwrap().contains(&format!("\"values\":{sum},")));
}

#[test]
fn an_empty_answer_is_a_document_too() {
    let document = document(&GetMatrixResponse::default());
    assert_eq!(document["rows"], json!([]));
    assert_eq!(document["column_totals"], Value::Null);
    assert_eq!(document["totals"]["values"], 0);
}
