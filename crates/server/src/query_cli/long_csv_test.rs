use super::*;
use crate::query_cli::fixture_test::{matrix, row, split};
use crate::query_cli::key_text::Key;

fn records(matrix: &GetMatrixResponse) -> Vec<csv::StringRecord> {
    let mut out = Vec::new();
    write(matrix, &mut out).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    assert_eq!(reader.headers().unwrap(), &HEADER[..]);
    reader.records().map(|record| record.unwrap()).collect()
}

#[test]
fn one_line_a_cell() {
    let records = records(&split());
    assert_eq!(records.len(), 4 * 6 - 3, "what did not exist is left out");
    let inherited: Vec<&str> = records[6].iter().collect();
    assert_eq!(
        inherited,
        [
            "2026-11-20T16:00:00Z",
            "1795190400000",
            "m",
            "s",
            "route:1",
            "01977420-dc00-7000-83cb-469d7667bba3",
            "writes",
            "900",
            "900",
            "900",
            "measured",
            "inherited",
        ]
    );
    let numbers = |index: usize| records[index].iter().skip(7).take(4).collect::<Vec<_>>();
    assert_eq!(numbers(2), ["0", "0", "0", "idle"]);
    assert_eq!(numbers(3), ["", "", "", "missing"], "nobody recorded it: not zero");
    assert_eq!(numbers(11), ["", "", "", "pending"]);
    assert_eq!(numbers(10), ["30", "30", "0", "partial"]);
}

#[test]
fn keys_survive_any_reader_and_start_no_formula() {
    let keys: [&[u8]; 7] = [
        b"a,\"b\"",
        b"=cmd|' /C calc'!A0",
        b"@sum",
        b"line\nbreak",
        b"\xff\x00",
        b" padded ",
        b"-1+1",
    ];
    for key in keys {
        let mut answer = matrix(vec![row(key, b"", &[1])]);
        answer.rows[0].flags = vec![1 | 1 << 20];
        let records = records(&answer);
        let text = &records[0][2];
        assert!(!text.starts_with(['=', '+', '-', '@', '\t', '\r']), "{text}");
        assert_eq!(text.parse::<Key>().unwrap().0, key);
        assert_eq!(&records[0][3], "", "an open end");
        assert_eq!(&records[0][11], "sampled|bit_20");
    }
}

#[test]
fn a_reader_that_went_away_is_told_apart() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let rows = (0..2_000).map(|_| row(b"a", b"b", &[1])).collect();
    assert_eq!(write(&matrix(rows), &mut Gone).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}
