use super::*;
use clap::{CommandFactory as _, Parser};

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    query: QueryArgs,
}

const NOW_MS: u64 = 1_795_190_400_000;

fn parse(line: &[&str]) -> Result<QueryArgs, String> {
    let words = ["query"].iter().chain(line);
    Cli::try_parse_from(words).map(|cli| cli.query).map_err(|error| error.to_string())
}

fn request(line: &[&str]) -> anyhow::Result<wire::GetMatrixRequest> {
    parse(line).unwrap().request(NOW_MS, 26)
}

#[test]
fn the_flags_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn nothing_asks_for_everything() {
    let request = request(&[]).unwrap();
    let expected = wire::GetMatrixRequest {
        series: wire::Series::Writes.into(),
        rows: 26,
        row_set: wire::RowSet::AsOfTo.into(),
        continuity: wire::Continuity::Inherit.into(),
        ..Default::default()
    };
    assert_eq!(request, expected);
    assert_eq!(parse(&[]).unwrap().node.endpoint, "127.0.0.1:50051");
}

#[test]
fn every_flag_arrives() {
    let line = "--series read_bytes --from -15m --to 2026-11-20T16:00:00Z --start user:1 --end 0x75ff \
                --rows 7 --step 10m --as-of 2026-11-20T15:50:00Z --continuity apportion";
    let request = request(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
    let expected = wire::GetMatrixRequest {
        series: wire::Series::ReadBytes.into(),
        from_unix_ms: NOW_MS as i64 - 900_000,
        to_unix_ms: NOW_MS as i64,
        start: b"user:1".to_vec().into(),
        end: b"u\xff".to_vec().into(),
        rows: 7,
        step_ms: 600_000,
        row_set: wire::RowSet::AsOfTime.into(),
        as_of_unix_ms: NOW_MS as i64 - 600_000,
        continuity: wire::Continuity::Apportion.into(),
    };
    assert_eq!(request, expected);
}

#[test]
fn an_end_of_now_is_the_nodes_own() {
    assert_eq!(request(&["--to", "now"]).unwrap().to_unix_ms, 0);
    assert_eq!(request(&["--from", "-7d"]).unwrap().from_unix_ms, NOW_MS as i64 - 604_800_000);
    assert_eq!(
        request(&["--to", "-1h", "--from=-2h"]).unwrap().to_unix_ms,
        NOW_MS as i64 - 3_600_000
    );
    for (text, set) in [("from", wire::RowSet::AsOfFrom), ("union", wire::RowSet::Union)] {
        assert_eq!(request(&["--as-of", text]).unwrap().row_set(), set);
    }
}

#[test]
fn what_cannot_be_meant_is_refused_here() {
    for (line, words) in [
        (&["--series", "deletes"][..], "read_bytes"),
        (&["--from", "soon"], "2026-11-17 03:12"),
        (&["--step", "7s"], "divides 1 h"),
        (&["--step", "60"], "60s"),
        (&["--start", "0x1"], "pairs"),
        (&["--as-of", "monday"], "union"),
        (&["-o", "xml"], "heatmap"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(words), "{line:?}: {error}");
    }
    for (line, words) in [
        (&["--from", "-1h", "--to", "-2h"][..], "--from is not before --to"),
        (&["--start", "b", "--end", "a"], "--start is not before --end"),
        (&["--start", "a", "--end", "a"], "--start is not before --end"),
    ] {
        let error = request(line).unwrap_err().to_string();
        assert!(error.contains(words), "{line:?}: {error}");
    }
}
