//! Property: NDJSON, Arrow and Parquet hold every cell of the JSON answer, with what it is and why it is
//! not exact; `format=` and `Accept` choose among them, and what there is not is refused with a list.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::collections::BTreeSet;
use std::io::Cursor;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_tests::columns::{Poster, TRANSITIONS};
use keyviz_tests::http::{Response, get, post_json, request};
use keyviz_tests::matrix::{MATRIX, states};
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

const ARROW: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";
const NDJSON: &str = "application/x-ndjson";
const COLUMNS: [&str; 13] = [
    "ts",
    "start",
    "end",
    "start_text",
    "end_text",
    "series",
    "value",
    "max",
    "inherited",
    "state",
    "flags",
    "bucket_id",
    "lineage_id",
];

/// Cells as lines of JSON text, keys in base64.
type Cells = BTreeSet<String>;

fn accepting(node: &Node, path: &str, accept: &str) -> Response {
    request(&node.http, "GET", path, &[("Accept", accept)], b"").unwrap()
}

/// A history with a gap, a hostile key and a split, so that there are flags, nulls and several states.
fn fill(node: &Node) -> String {
    let first_ms = now_ms() / 1_000 * 1_000 - 120_000;
    let mut poster = Poster::new("poster", first_ms);
    for _ in 0..3 {
        poster.post_next(&node.http, 5);
    }
    poster.window_ms += 10_000;
    poster.post_next(&node.http, 5);
    let hostile = json!({
        "node_id": "hostile", "window_unix_ms": first_ms, "step_ms": 1_000,
        "rows": [{"route_id": 1, "group_id": 2, "start_base64": STANDARD.encode(b"\xff\x00<b>"),
            "end_base64": STANDARD.encode(b"\xff\x01"), "writes": u64::MAX}],
    });
    post_json(&node.http, keyviz_tests::columns::COLUMNS, &hostile.to_string()).unwrap().ok();
    let split = json!({
        "node_id": "poster-of-splits", "group_id": 2, "change": "split", "route_id": 1,
        "children": [
            {"route_id": 2, "start_base64": STANDARD.encode(b"\xff\x00<b>"),
                "end_base64": STANDARD.encode(b"\xff\x00c")},
            {"route_id": 3, "start_base64": STANDARD.encode(b"\xff\x00c"),
                "end_base64": STANDARD.encode(b"\xff\x01")},
        ],
    });
    post_json(&node.http, TRANSITIONS, &split.to_string()).unwrap().ok();
    format!(
        "{MATRIX}?step_ms=1000&from_unix_ms={}&to_unix_ms={}",
        first_ms - 5_000,
        first_ms + 30_000
    )
}

/// The cells of the JSON answer, unrolled.
fn of_json(answer: &Value) -> Cells {
    let mut cells = Cells::new();
    let bits = answer["flag_bits"].as_object().unwrap();
    for row in answer["rows"].as_array().unwrap() {
        for (at, state) in states(row).into_iter().enumerate() {
            let value = row["values"][at].as_u64().unwrap();
            if state == "nonexistent" && value == 0 {
                continue;
            }
            let known = value > 0 || ["measured", "idle", "partial"].contains(&state);
            let set = row["flags"][at].as_u64().unwrap_or(0);
            let mut flags: Vec<(u64, &str)> = bits
                .iter()
                .map(|(name, bit)| (bit.as_u64().unwrap(), name.as_str()))
                .filter(|(bit, _)| set & bit != 0)
                .collect();
            flags.sort_unstable();
            let flags: Vec<&str> = flags.into_iter().map(|(_, name)| name).collect();
            let max = row["max"][at].as_u64().unwrap_or(value);
            cells.insert(line(&[
                answer["column_unix_ms"][at].clone(),
                row["start"].clone(),
                row["end"].clone(),
                answer["series"].clone(),
                if known { json!(value) } else { Value::Null },
                if known { json!(max) } else { Value::Null },
                if known { json!(row["inherited"][at].as_u64().unwrap_or(0)) } else { Value::Null },
                json!(state),
                json!(flags.join("|")),
                row["bucket_id"].clone(),
                row["lineage_id"].clone(),
            ]));
        }
    }
    cells
}

fn line(values: &[Value]) -> String {
    serde_json::to_string(values).unwrap()
}

fn of_ndjson(text: &str, answer: &Value) -> Cells {
    let unix_ms = |ts: &Value| {
        // The JSON answer has the same times in the same order, as numbers.
        let time = ts.as_str().unwrap();
        let columns = answer["column_unix_ms"].as_array().unwrap().iter();
        let seconds: i64 = time[17..19].parse().unwrap();
        let mut same = columns.filter(|ms| ms.as_i64().unwrap() / 1_000 % 60 == seconds);
        same.next().unwrap().clone()
    };
    let lines = text.lines().map(|text| {
        let cell: Value = serde_json::from_str(text).unwrap();
        let names: BTreeSet<&str> = cell.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(COLUMNS));
        let rest = COLUMNS[1..].iter().filter(|name| !name.ends_with("_text"));
        let mut values = vec![unix_ms(&cell["ts"])];
        values.extend(rest.map(|name| cell[*name].clone()));
        line(&values)
    });
    lines.collect()
}

fn of_batches(batches: &[RecordBatch]) -> Cells {
    let mut cells = Cells::new();
    for batch in batches {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, COLUMNS);
        for at in 0..batch.num_rows() {
            let rest = COLUMNS.iter().zip(batch.columns());
            let rest = rest.filter(|(name, _)| !name.ends_with("_text"));
            let values: Vec<Value> = rest.map(|(_, column)| value(column, at)).collect();
            cells.insert(line(&values));
        }
    }
    cells
}

/// A value of a column, keys in base64, whether it stands in a dictionary or not.
fn value(column: &dyn Array, at: usize) -> Value {
    if column.is_null(at) {
        return Value::Null;
    }
    if let Some(keyed) = column.as_dictionary_opt::<Int32Type>() {
        return value(keyed.values(), keyed.key(at).unwrap());
    }
    if let Some(times) = column.as_primitive_opt::<TimestampMillisecondType>() {
        return json!(times.value(at));
    }
    if let Some(numbers) = column.as_primitive_opt::<UInt64Type>() {
        return json!(numbers.value(at));
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        return json!(texts.value(at));
    }
    json!(STANDARD.encode(column.as_binary::<i32>().value(at)))
}

#[test]
fn every_format_holds_the_same_cells() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let question = fill(&node);
    for more in ["", "&series=reads", "&as_of=union", "&continuity=apportion", "&step_ms=0"] {
        let question = match more {
            "&step_ms=0" => question.replace("step_ms=1000", "step_ms=10000"),
            _ => format!("{question}{more}"),
        };
        let answer = get(&node.http, &question).ok();
        let expected = of_json(&answer);
        assert!(expected.len() > 100 || question.contains("10000"), "{}", expected.len());

        let lines = accepting(&node, &question, NDJSON);
        assert_eq!(lines.header("content-type"), Some(NDJSON), "{}", lines.brief());
        assert_eq!(lines.header("keyviz-status"), Some("OK"));
        assert_eq!(of_ndjson(&lines.text(), &answer), expected, "{question}");

        let stream = accepting(&node, &question, ARROW);
        assert_eq!(stream.header("content-type"), Some(ARROW), "{}", stream.brief());
        let reader =
            arrow_ipc::reader::StreamReader::try_new(Cursor::new(&stream.body), None).unwrap();
        let schema = arrow_array::RecordBatchReader::schema(&reader);
        assert_eq!(schema.metadata()["keyviz.status"], "OK");
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(of_batches(&batches), expected, "{question}");

        let file = accepting(&node, &question, PARQUET);
        assert_eq!(file.header("content-type"), Some(PARQUET), "{}", file.brief());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.body));
        let batches: Vec<RecordBatch> =
            reader.unwrap().build().unwrap().map(Result::unwrap).collect();
        assert_eq!(of_batches(&batches), expected, "{question}");
    }
    spec.assert_no_panic();
}

#[test]
fn a_node_without_history_answers_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeSpec::new(folder.path()).start();
    let answer = |format: &str| get(&node.http, &format!("{MATRIX}?format={format}"));
    answer("json").ok();
    assert_eq!(answer("ndjson").body, b"");
    let stream = answer("arrow").body;
    let reader = arrow_ipc::reader::StreamReader::try_new(Cursor::new(stream), None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 0);
    let file = bytes::Bytes::from(answer("parquet").body);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 0);
}

#[test]
fn accept_chooses_and_the_parameter_wins() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let json = "application/json";
    let chosen = [
        ("*/*", json),
        ("application/*", json),
        ("text/html,application/xhtml+xml,*/*;q=0.8", json),
        ("text/html, *; q=.2", json), // not an Accept: disregarded
        (NDJSON, NDJSON),
        ("application/vnd.apache.arrow.stream, */*;q=0.1", ARROW),
        ("application/json;q=0.5, application/vnd.apache.parquet", PARQUET),
        ("application/json;q=0, */*", NDJSON),
    ];
    for (accept, media_type) in chosen {
        let answer = accepting(&node, MATRIX, accept);
        assert_eq!(answer.status, 200, "{accept}: {}", answer.brief());
        assert_eq!(answer.header("content-type"), Some(media_type), "{accept}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{accept}");
        let mut headers = answer.headers.iter();
        assert!(headers.any(|(name, value)| name == "vary" && value == "accept"), "{accept}");
    }
    for (name, media_type) in
        [("json", json), ("ndjson", NDJSON), ("arrow", ARROW), ("parquet", PARQUET)]
    {
        let answer = accepting(&node, &format!("{MATRIX}?format={name}"), "text/html");
        assert_eq!(answer.header("content-type"), Some(media_type), "{}", answer.brief());
    }
    for accept in ["text/html", "image/*", "application/json;q=0"] {
        let message = accepting(&node, MATRIX, accept).refusal(406, "not_acceptable");
        for media_type in [json, NDJSON, ARROW, PARQUET] {
            assert!(message.contains(media_type), "{message}");
        }
    }
    for wrong in ["format=xlsx", "format=", "format=json&format=arrow"] {
        let answer = get(&node.http, &format!("{MATRIX}?{wrong}"));
        let message = answer.refusal(400, "invalid_query");
        assert!(message.contains("format"), "{message}");
    }
    spec.assert_no_panic();
}
