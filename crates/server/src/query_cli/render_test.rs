use super::*;
use crate::query_cli::fixture_test::{matrix, row, split, with_states};
use keyviz_api::wire::history::MatrixRow;

/// Cells of one line, as a terminal would show them: character, front, back.
fn screen(text: &str) -> Vec<Vec<(char, String, String)>> {
    text.lines()
        .map(|line| {
            let (mut front, mut back) = (String::new(), String::new());
            let mut cells = Vec::new();
            let mut rest = line;
            while let Some(next) = rest.chars().next() {
                if let Some(sequence) = rest.strip_prefix("\x1b[") {
                    let (codes, behind) = sequence.split_once('m').expect("only colours");
                    match codes {
                        "0" => (front, back) = (String::new(), String::new()),
                        "2" => {}
                        colour if colour.starts_with("38;2;") => front = colour[5..].into(),
                        colour if colour.starts_with("48;2;") => back = colour[5..].into(),
                        other => panic!("{other}"),
                    }
                    rest = behind;
                    continue;
                }
                cells.push((next, front.clone(), back.clone()));
                rest = &rest[next.len_utf8()..];
            }
            assert_eq!(
                (front, back),
                (String::new(), String::new()),
                "every line is closed: {line:?}"
            );
            cells
        })
        .collect()
}

/// The lines of the picture, without what is around it.
fn picture(text: &str) -> Vec<Vec<(char, String, String)>> {
    let is_picture = |line: &Vec<(char, String, String)>| {
        line.iter().take(30).any(|cell| matches!(cell.0, '┤' | '│'))
    };
    screen(text).into_iter().filter(is_picture).collect()
}

fn rgb(shade: u64, max: u64) -> String {
    colour::colour(Scale::new(max).level(shade)).map(|part| part.to_string()).join(";")
}

#[test]
fn a_small_picture_without_colour() {
    let text = render_heatmap(&split(), 80, 16, ColourMode::Plain);
    assert_eq!(
        text,
        "\
writes  2026-11-20 16:00 to 16:06 UTC  step 1 min  4 rows x 6 windows
-inf ┤::::::::========········╱╱╱╱╱╱╱╱::::::::--------
   m ┤888888888888888888888888╱╱╱╱╱╱╱╱44444444????????
   s ┤888888888888888888888888╱╱╱╱╱╱╱╱@@@@@@@@@@@@@@@@
   t ┤                        ╱╱╱╱╱╱╱╱----------------
+inf └┬───────────────┬───────────────┬───────────────
      16:00         16:02           16:04
      Fri 2026-11-20 UTC
"
        .to_owned()
            + &text.lines().skip(8).map(|line| format!("{line}\n")).collect::<String>()
    );
    assert!(text.contains("maximum  1,000 writes in 1 min  at 2026-11-20 16:01:00 UTC  in [m, s)"));
    assert!(text.lines().count() <= 16);
}

#[test]
fn the_same_picture_in_colour() {
    let screen = screen(&render_heatmap(&split(), 80, 24, ColourMode::TrueColour));
    // Three lines a row here; six columns of eight characters behind a gutter of six.
    let at = |line: usize, column: usize| &screen[1 + 3 * line][6 + 8 * column];
    let value = |shade: u64| ('▀', rgb(shade, 1_000), rgb(shade, 1_000));
    assert_eq!(*at(0, 0), value(1));
    assert_eq!(*at(0, 2), value(0));
    assert_eq!(*at(2, 5), value(970));
    assert_eq!(at(1, 1).0, '^', "inherited");
    assert_eq!(at(1, 1).2, rgb(1_000, 1_000));
    assert_eq!(at(1, 4).0, '/', "partial");
    assert_eq!(at(1, 5).0, '?', "pending");
    assert_eq!(*at(3, 0), (' ', String::new(), String::new()), "did not exist");
    for line in 0..4 {
        assert_eq!(
            *at(line, 3),
            ('╱', "150;150;155".into(), "52;52;56".into()),
            "nobody recorded it"
        );
    }
}

#[test]
fn one_hot_minute_of_a_week_stays_visible() {
    let mut rows: Vec<MatrixRow> = (0..200_u32)
        .map(|index| row(&index.to_be_bytes(), &(index + 1).to_be_bytes(), &[100; 10_080]))
        .collect();
    for (spiked, minute) in [(0, 0), (77, 5_003), (199, 10_079)] {
        rows[spiked].values[minute] = 50_000;
        let answer = matrix(rows.clone());
        let brightest = rgb(50_000, 50_000);
        let text = render_heatmap(&answer, 80, 24, ColourMode::TrueColour);
        let hot: Vec<(char, String, String)> = picture(&text)
            .into_iter()
            .flatten()
            .filter(|cell| cell.1 == brightest || cell.2 == brightest)
            .collect();
        assert_eq!(hot.len(), 1, "minute {minute} of row {spiked}");
        let plain = render_heatmap(&answer, 80, 24, ColourMode::Plain);
        assert_eq!(picture(&plain).iter().flatten().filter(|cell| cell.0 == '@').count(), 1);
        assert!(plain.contains("50,000 writes in 1 min"));
        rows[spiked].values[minute] = 100;
    }
}

#[test]
fn one_lost_minute_of_a_week_stays_visible() {
    let mut rows = vec![row(b"", b"", &[100; 10_080])];
    rows[0].values[5_003] = 0;
    let mut states = rows[0].states.to_vec();
    states[5_003] = 2;
    rows[0].states = states.into();
    let text = render_heatmap(&matrix(rows), 80, 24, ColourMode::TrueColour);
    assert!(text.contains(" missing in part"), "a mark in the picture is explained");
    let picture = picture(&text);
    assert_eq!(picture[0].iter().filter(|cell| cell.0 == '/').count(), 1);
}

#[test]
fn halves_show_two_rows_and_both_kinds_of_nothing() {
    let states = ["i", "x", "-", "w", "m", "m", "x", "-", "i", "i", "-", "m"];
    let rows = states
        .iter()
        .enumerate()
        .map(|(index, state)| {
            with_states(
                row(&[index as u8 + 1], &[index as u8 + 2], &[u64::from(*state == "m")]),
                state,
            )
        })
        .collect();
    let picture = picture(&render_heatmap(&matrix(rows), 40, 0, ColourMode::TrueColour));
    assert_eq!(picture.len(), MIN_PICTURE_LINES);
    let at = |line: usize| picture[line].last().cloned().unwrap();
    let (missing, none, one) = ("110;110;114".to_owned(), String::new(), rgb(1, 1));
    assert_eq!(at(0), ('▀', rgb(0, 1), missing.clone()));
    assert_eq!(at(1), ('▄', "72;72;76".into(), none.clone()));
    assert_eq!(at(2), ('▀', one.clone(), one.clone()));
    assert_eq!(at(3), ('▀', missing, none.clone()));
    assert_eq!(at(5), ('▄', one, none));
}

#[test]
fn hostile_keys_and_words_are_inert() {
    let hostile: [&[u8]; 5] = [
        b"\x1b[2J\x1b]0;owned\x07",
        "\u{9b}31mred\u{202e}".as_bytes(),
        b"\r\n\x08\x7f",
        b"\xff\xfe\x00",
        "\u{200b}\u{feff}\u{2028}".as_bytes(),
    ];
    let rows = hostile.iter().map(|key| row(key, key, &[1, 2, 3])).collect();
    let mut answer = matrix(rows);
    answer.warnings = vec!["\x1b[31mred\u{202e}".into()];
    answer.flag_names[0] = "\x1b[31m".into();
    answer.rows[0].flags = vec![1, 1, 1];
    for height in [0, 10, 40] {
        let plain = render_heatmap(&answer, 80, height, ColourMode::Plain);
        assert!(plain.chars().all(|shown| shown == '\n' || !shown.is_control()), "{plain:?}");
        for hidden in ['\u{202e}', '\u{200b}', '\u{feff}', '\u{2028}', '\u{9b}'] {
            assert!(!plain.contains(hidden), "{hidden:?}");
        }
        // In colour, every sequence is one of ours: `screen` takes nothing else.
        screen(&render_heatmap(&answer, 80, height, ColourMode::TrueColour));
    }
}

#[test]
fn the_output_fits_the_terminal() {
    for (rows, columns) in [(1, 1), (3, 5), (13, 60), (26, 90), (400, 1_500)] {
        let rows = (0..rows as u16)
            .map(|index| {
                row(format!("名前:{index:05}").as_bytes(), b"", &vec![u64::from(index); columns])
            })
            .collect();
        let answer = matrix(rows);
        for (width_columns, height) in [(80, 23), (160, 49), (64, 20), (200, 60)] {
            for mode in [ColourMode::Plain, ColourMode::TrueColour] {
                let text = render_heatmap(&answer, width_columns, height, mode);
                let screen = screen(&text);
                assert!(screen.len() <= height, "{} lines of {height}", screen.len());
                for line in &screen {
                    let line: String = line.iter().map(|cell| cell.0).collect();
                    assert!(width(&line) <= width_columns, "{line:?}");
                }
            }
        }
    }
}

#[test]
fn strange_answers_are_drawn_without_a_panic() {
    let mut short = split();
    short.rows[1].values.clear();
    short.rows[2].states = Vec::new().into();
    short.rows[3].inherited = vec![u64::MAX; 40];
    short.flag_names.clear();
    short.column_totals = None;
    let mut times = split();
    times.column_unix_ms = vec![i64::MAX, i64::MIN, 0, 5, 5, -1];
    times.step_ms = u64::MAX;
    let mut none = split();
    none.rows.clear();
    let mut large = split();
    large.rows[0].values[0] = u64::MAX;
    for answer in [short, times, none.clone(), large, GetMatrixResponse::default()] {
        for (columns, height) in [(0, 0), (1, 1), (80, 24), (10_000, 10_000)] {
            for mode in [ColourMode::Plain, ColourMode::TrueColour] {
                assert!(render_heatmap(&answer, columns, height, mode).ends_with('\n'));
            }
        }
    }
    assert!(render_heatmap(&none, 80, 24, ColourMode::Plain).contains("Nothing to draw"));
}
