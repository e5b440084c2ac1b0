use super::*;
use crate::query_cli::fixture_test::{matrix, row, split};
use keyviz_api::wire::history::{GetMatrixResponse, Series};

fn legend(matrix: &GetMatrixResponse, width_columns: usize) -> (Vec<String>, Vec<String>) {
    let grid = Grid::new(matrix);
    let map = FlagMap::new(&matrix.flag_names);
    let census = Census::of(&grid, &map);
    let scale = Scale::new(census.max_shade());
    let legend = Legend {
        grid: &grid,
        map: &map,
        census: &census,
        scale,
        width_columns,
        mode: ColourMode::Plain,
    };
    (legend.header(), legend.lines(Some(Drawn { windows: 1, rows: 1, marks: Marks::NONE })))
}

#[test]
fn only_what_is_in_view_is_explained() {
    let (header, lines) = legend(&split(), 120);
    assert_eq!(header, ["writes  2026-11-20 16:00 to 16:06 UTC  step 1 min  4 rows x 6 windows"]);
    assert_eq!(
        lines,
        [
            "scale    0  ··  1  :::::-----===  10  ==+++++*****#  100  ###%%%%%@@@@@  1k writes in 1 min, log",
            "marks    ╱ missing 4 cells (1 window nobody recorded)  ? not reported yet 1 cell  \
             0-8 not exact, same scale: partial 1 cell  inherited 6 cells",
            "maximum  1,000 writes in 1 min  at 2026-11-20 16:01:00 UTC  in [m, s)  (inherited)",
            "total    2,016 writes counted  2,700 inherited  7 unattributed",
        ]
        .map(|line| line.replace("  0-8", "\n         0-8"))
        .join("\n")
        .lines()
        .collect::<Vec<_>>()
    );
    let (_, quiet) = legend(&matrix(vec![row(b"", b"", &[0, 0])]), 80);
    assert_eq!(
        quiet,
        [
            "scale    0  ··  no traffic in this view",
            "total    0 writes counted  0 inherited  0 unattributed"
        ]
    );
}

#[test]
fn a_coarse_answer_says_what_its_shades_are() {
    let mut answer = matrix(vec![row(b"a", b"b", &[4_000_000, 10])]);
    answer.series = Series::WriteBytes.into();
    answer.step_ms = 600_000;
    answer.rows[0].max = vec![3_565_158, 10];
    answer.rows[0].aggregate = true;
    let (_, lines) = legend(&answer, 120);
    assert!(lines[0].ends_with("3.4 MiB written in 1 min, log"), "{lines:?}");
    assert_eq!(lines[1], "shows    the busiest 1 min of each 10 min");
    assert_eq!(
        lines[2],
        "maximum  at least 3,565,158 bytes written (3.4 MiB) in 1 min  within 2026-11-20 16:00:00 UTC + 10 min  in [a, b)"
    );
    assert_eq!(
        lines[3],
        "total    4,000,010 bytes written counted  (3.81 MiB)  0 inherited  0 unattributed"
    );
}

#[test]
fn warnings_are_inert_and_wrapped() {
    let mut answer = matrix(vec![row(b"a", b"b", &[1])]);
    answer.status = "PARTIAL".into();
    answer.warnings = vec![format!("node \x1b[31mn3\u{202e} is down: {}", "x".repeat(300))];
    let (_, lines) = legend(&answer, 60);
    let warning = lines.iter().find(|line| line.starts_with("PARTIAL: ")).expect("a warning");
    assert!(warning.contains("node �[31mn3� is down:"), "{warning}");
    assert!(lines.iter().all(|line| width(line) <= 60), "{lines:?}");
    answer.warnings.clear();
    assert!(legend(&answer, 60).1.iter().any(|line| line.starts_with("PARTIAL: some node")));
    answer.status = "OK".into();
    answer.warnings = vec!["clock moved".into()];
    assert!(legend(&answer, 60).1.contains(&"note:    clock moved".to_owned()));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut answer = split();
    for max in [1, 9, 1_000, 123_456_789, u64::MAX] {
        for series in [Series::Writes, Series::ReadBytes] {
            answer.series = series.into();
            answer.rows[0].values[0] = max;
            for columns in 64..160 {
                let (header, lines) = legend(&answer, columns);
                for line in header.iter().chain(&lines) {
                    assert!(width(line) <= columns, "{columns}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn a_span_is_as_short_as_it_can_be() {
    use crate::query_cli::fixture_test::START_MS;
    assert_eq!(span(START_MS, START_MS + 60_000), "2026-11-20 16:00 to 16:01 UTC");
    assert_eq!(span(START_MS, START_MS + 1_000), "2026-11-20 16:00:00 to 16:00:01 UTC");
    assert_eq!(span(START_MS, START_MS + 86_400_000), "2026-11-20 16:00 to 2026-11-21 16:00 UTC");
}

#[test]
fn numbers_on_the_scale_are_powers_below_the_maximum() {
    assert_eq!(stops(1, false), [1]);
    assert_eq!(stops(1_000, false), [1, 10, 100]);
    assert_eq!(stops(1_100, false), [1, 10, 100]);
    assert_eq!(stops(2_000_000, true), [1, 1_024]);
    assert_eq!(stops(u64::MAX, false).len(), 19);
}
