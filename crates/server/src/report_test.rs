use super::*;
use crate::query_cli::fixture_test::{START_MS, matrix, row, split};
use clap::Parser;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    report: ReportArgs,
}

fn parsed(line: &[&str]) -> ReportArgs {
    let words = ["report", "--from", "-1h", "-o", "x.html"].iter().chain(line);
    Cli::try_parse_from(words).unwrap().report
}

fn facts(matrix: wire::GetMatrixResponse) -> Facts {
    let hostile = wire::RangeEvent {
        unix_ms: START_MS + 60_000,
        kind: "split".into(),
        group_id: 1,
        text: "split at <img src=x onerror=alert(1)>\u{202e} into routes 2, 3".into(),
        ..Default::default()
    };
    let row = wire::TopRow {
        start: (&b"</td><script>alert(1)</script>\x1b[31m"[..]).into(),
        now: Some(wire::TopTraffic { total: 7, ..Default::default() }),
        ..Default::default()
    };
    let span = wire::TimeSpan { from_unix_ms: START_MS, to_unix_ms: START_MS + 60_000 };
    let now = wire::TopWindow { gaps: vec![span], ..Default::default() };
    Facts {
        matrix,
        top: wire::GetTopResponse { rows: vec![row], now: Some(now), ..Default::default() },
        changed: Err("it <was> asked of nobody".to_owned()),
        events: vec![hostile],
        palette: Palette::Viridis,
        questions: parsed(&["--start", "it's <b>"]).questions((START_MS, START_MS + 360_000), 0),
        written_unix_ms: START_MS as u64,
    }
}

#[test]
fn the_page_needs_nothing_but_itself_and_strange_bytes_are_inert() {
    let mut hostile = split();
    hostile.rows[0].start = (&b"<script>alert('k')</script>"[..]).into();
    hostile.warnings = vec!["node <iframe src=//evil> is down".into()];
    hostile.status = "PARTIAL".into();
    let page = html::page(&facts(hostile)).unwrap();
    for bad in ["<script", "<iframe", "<img src=x", "\u{202e}", "\u{1b}", "http://", "https://"] {
        assert!(!page.contains(bad), "{bad:?}");
    }
    for good in [
        "default-src 'none'",
        "&lt;script&gt;",
        "node &lt;iframe",
        "data:image/png;base64,",
        "Nobody recorded anything from 2026-11-20T16:00:00Z to 2026-11-20T16:01:00Z",
        "--start &#39;it&#39;\\&#39;&#39;s &lt;b&gt;&#39;",
        "Not compared with the same span before: it &lt;was&gt; asked of nobody",
        "nobody recorded it",
        "not exact: inherited",
        "1 to 1k writes in 1 min, logarithmic",
    ] {
        assert!(page.contains(good), "{good}");
    }
    assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
}

fn pixels(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width as usize, info.height as usize, pixels)
}

#[test]
fn a_spike_of_one_minute_in_a_week_and_ten_thousand_ranges_is_still_there() {
    let mut rows: Vec<_> = (0..3_000).map(|_| row(b"a", b"b", &[0; 3_000])).collect();
    rows[1_234].values[2_345] = 1_000_000;
    let answer = matrix(rows);
    let drawn = picture::draw(&answer, Palette::Cividis);
    let (width, height, pixels) = pixels(&drawn.png().unwrap());
    assert_eq!((width, height), (drawn.width, drawn.height));
    let brightest = crate::colours::COLOURS.table(Palette::Cividis)[255];
    let found: Vec<usize> =
        (0..width * height).filter(|at| pixels[at * 3..at * 3 + 3] == brightest).collect();
    assert_eq!(found, [1_234 * height / 3_000 * width + 2_345 * width / 3_000]);
}

#[test]
fn what_was_not_recorded_is_told_from_zero_and_an_empty_answer_is_a_page() {
    let (width, _, all) = pixels(&picture::draw(&split(), Palette::Viridis).png().unwrap());
    let colours: std::collections::BTreeSet<&[u8]> = all.chunks(3).collect();
    let none = crate::colours::COLOURS.table(Palette::Viridis)[0];
    let missing = crate::colours::COLOURS.missing_ground;
    assert!(colours.contains(&none[..]) && colours.contains(&missing[..]));
    assert!(width > 300);
    let empty = matrix(Vec::new());
    assert!(html::page(&facts(empty.clone())).unwrap().contains("No range was alive"));
    assert!(picture::standalone(&empty, Palette::Viridis).is_ok());
    let whole = picture::standalone(&split(), Palette::Viridis).unwrap();
    assert!(pixels(&whole).0 > width, "there is room for axes");
}

#[test]
fn the_name_says_what_is_written() {
    assert_eq!(kind_of(Path::new("a/b.html")).unwrap(), Kind::Html);
    assert_eq!(kind_of(Path::new("b.png")).unwrap(), Kind::Png);
    for name in ["b", "b.pdf", ".html/"] {
        assert!(kind_of(Path::new(name)).unwrap_err().to_string().contains(".png"), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.html");
    write_whole(&path, b"one").unwrap();
    write_whole(&path, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert!(write_whole(&folder.path().join("no/r.html"), b"x").is_err());
}
