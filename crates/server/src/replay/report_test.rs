//! The texts for people.

use keyviz_lineage::{KeyRange, Series};

use super::super::verify::Difference;
use super::*;

#[test]
fn a_report_shows_how_far_it_came() {
    assert_eq!(Report::default().to_string(), "");
    let refusals = Refusals { count: 7, first: vec!["line 2: bad".to_owned()] };
    let report = Report { read: Some((Totals::default(), refusals)), ..Report::default() };
    let text = report.to_string();
    assert!(
        text.ends_with("refused:   7 lines\n           line 2: bad\n           ...\n"),
        "{text}"
    );
}

#[test]
fn shifts_and_differences_are_told() {
    let planned = Planned {
        windows: 3,
        first_ms: 0,
        last_ms: 120_000,
        step_ms: 60_000,
        shift_ms: -3_600_000,
        routes: 1,
        source: "n".to_owned(),
    };
    let text = Report { planned: Some(planned), ..Report::default() }.to_string();
    for line in [
        "windows:   3 of 1m, first 1970-01-01T00:00:00Z, last 1970-01-01T00:02:00Z\n",
        "shifted:   1h earlier\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let difference = Difference {
        window_ms: 60_000,
        range: KeyRange::new(&b"\0a"[..], &b""[..]).unwrap(),
        series: Series::WriteBytes,
        expected: 7,
        stored: None,
    };
    let verified = Verified {
        cells: 9,
        different: 2,
        differences: vec![difference],
        flagged: 1,
        coarser_step_ms: None,
    };
    let text = verified.to_string();
    let line = "1970-01-01T00:01:00Z [\\x00a, +inf) write_bytes: read 7, stored nothing recorded\n";
    assert!(text.contains("DIFFERENT: 2 of 9 cells\n") && text.contains(line), "{text}");
    assert!(text.contains("flagged:   1 equal cells") && text.ends_with("...\n"), "{text}");
}
