use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    top: TopArgs,
}

const NOW_MS: u64 = 1_795_190_400_000;
const HOUR_MS: i64 = 3_600_000;

fn request(line: &str) -> Result<wire::GetTopRequest, String> {
    let words = std::iter::once("top").chain(line.split_whitespace());
    let parsed = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    parsed.top.request(NOW_MS).map_err(|error| error.to_string())
}

#[test]
fn every_flag_arrives_and_what_cannot_be_meant_is_refused() {
    let asked = request(
        "--series reads --from -1h --to now --against -25h..-24h --start a --end 0x62 -n 5",
    )
    .unwrap();
    let now = NOW_MS as i64;
    assert_eq!(asked.series(), wire::Series::Reads);
    assert_eq!((asked.from_unix_ms, asked.to_unix_ms), (now - HOUR_MS, 0), "the node's own now");
    assert_eq!(
        (asked.against_from_unix_ms, asked.against_to_unix_ms),
        (now - 25 * HOUR_MS, now - 24 * HOUR_MS)
    );
    assert_eq!((&asked.start[..], &asked.end[..], asked.limit), (&b"a"[..], &b"b"[..], 5));
    assert_eq!(request("").unwrap().limit, 20);
    for (line, words) in [
        ("--from -1h --to -2h", "--from is not before --to"),
        ("--against -1h", "-25h..-24h"),
        ("--against -1h..-2h", "the earlier time first"),
        ("--against -1h..soon", "2026-11-17"),
        ("--start b --end a", "--start is not before --end"),
        ("--series deletes", "read_bytes"),
    ] {
        let error = request(line).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
}

fn traffic(total: u64) -> wire::TopTraffic {
    wire::TopTraffic {
        total,
        share: total as f64 / 1_000.0,
        rate: Some(total as f64 / 3_600.0),
        recorded_ms: 3_600_000,
        ..Default::default()
    }
}

fn window(from_unix_ms: i64) -> wire::TopWindow {
    let span = wire::TimeSpan { from_unix_ms, to_unix_ms: from_unix_ms + HOUR_MS };
    wire::TopWindow {
        span: Some(span),
        step_ms: 60_000,
        recorded_step_ms: 60_000,
        total: 1_000,
        ..Default::default()
    }
}

/// A child that grew, a range that is gone, one of which nothing is known before.
fn answer() -> wire::GetTopResponse {
    let row = |start: &'static [u8], end: &'static [u8], now: u64, change: &str| wire::TopRow {
        bucket_id: "route:7".into(),
        start: start.into(),
        end: end.into(),
        route_count: 1,
        now: Some(traffic(now)),
        change: change.into(),
        ..Default::default()
    };
    let mut grew = row(b"user:4", b"user:9\x1b[31m", 900, "grew");
    (grew.factor, grew.difference) = (Some(25.0), Some(0.24));
    grew.before = Some(wire::TopTraffic { apportioned: 36, ..traffic(36) });
    grew.peak = Some(wire::TopPeak {
        from_unix_ms: NOW_MS as i64 + 720_000,
        within_ms: 60_000,
        value: 400,
        is_lower_bound: false,
    });
    let mut gone = row(b"", b"user:4", 0, "gone");
    (gone.before, gone.factor, gone.closed) = (Some(traffic(100)), Some(0.0), true);
    let mut unknown = row(b"user:9", b"", 100, "unknown");
    unknown.now = Some(wire::TopTraffic { partial_ms: 120_000, flags: 1 | 1 << 6, ..traffic(100) });
    unknown.before =
        Some(wire::TopTraffic { rate: None, missing_ms: 3_600_000, ..Default::default() });
    let mut before = window(NOW_MS as i64 - 24 * HOUR_MS);
    let gap = wire::TimeSpan {
        from_unix_ms: NOW_MS as i64 - 86_400_000,
        to_unix_ms: NOW_MS as i64 - 86_100_000,
    };
    before.gaps.push(gap);
    wire::GetTopResponse {
        series: wire::Series::Writes.into(),
        now: Some(window(NOW_MS as i64)),
        before: Some(before),
        rows: vec![grew, gone, unknown],
        left_out: 1_234,
        flag_names: keyviz_lineage::Flags::NAMES.iter().map(|(_, name)| (*name).into()).collect(),
        status: "OK".into(),
        warnings: Vec::new(),
    }
}

#[test]
fn the_table_says_what_changed_and_what_is_not_known() {
    let expected = "\
2026-11-20 16:00:00 to 17:00:00 UTC: 1,000 writes, 0.28 per s
against 2026-11-19 16:00:00 to 17:00:00 UTC: 1,000 writes, 0.28 per s
  nobody recorded 2026-11-19 16:00:00 to 16:05:00 UTC
ranges by how much their rate changed
#  range                        total   share  per s  per s before   change          peak  at              to know
1  [user:4, user:9\\x1b[31m)       900  90.0 %   0.25          0.01   x 25.0  400 in 1 min  11-20 16:12:00  before: its share of a wider range
2  (-∞, user:4)                     0   0.0 %      0          0.03     gone                                the range has ended
3  [user:9, +∞)                   100  10.0 %   0.03             ?  unknown                                2 min in part; sampled; before: 1 h not recorded
1,234 more ranges had traffic: --limit shows more";
    assert_eq!(table::lines(&answer()).join("\n"), expected);
    let mut silent = answer();
    silent.rows.clear();
    silent.left_out = 0;
    assert!(table::lines(&silent).contains(&"no range had any traffic there".to_owned()));
}

#[test]
fn csv_and_json_have_a_line_for_each_range() {
    let mut out = Vec::new();
    print(&answer(), Output::Csv, &mut out).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    assert_eq!(reader.headers().unwrap(), &HEADER[..]);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    assert_eq!((&records[0][18], &records[0][19], &records[0][17]), ("grew", "25", "36"));
    assert_eq!((&records[2][15], &records[2][19]), ("", ""), "unknown is not zero");
    let mut out = Vec::new();
    print(&answer(), Output::Json, &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["series"], "writes");
    assert_eq!(json["rows"][2]["now"]["flags"], serde_json::json!(["sampled", "partial"]));
    assert_eq!(json["rows"][2]["before"]["rate"], serde_json::Value::Null);
    assert_eq!(json["rows"][0]["peak"]["value"], 400);
}
