//! The command line, the guess of the format, and the digest text.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    input: InputOptions,
}

fn parse(arguments: &str) -> Result<InputOptions, clap::Error> {
    let arguments = std::iter::once("keyviz").chain(arguments.split_whitespace());
    Cli::try_parse_from(arguments).map(|cli| cli.input)
}

fn options(arguments: &str) -> InputOptions {
    parse(arguments).expect("valid arguments")
}

#[test]
fn no_arguments_are_the_defaults() {
    assert_eq!(options(""), InputOptions::default());
    assert_eq!(options("--time-unit s --key-encoding utf8"), InputOptions::default());
}

#[test]
fn every_argument_arrives() {
    let read = options(
        "--format csv --time-column t --time-unit rfc3339 --key-column 2 --key-encoding u64be \
         --op-column o --read 28 --read 88 --write 2a --size-column s --delimiter ; --no-header",
    );
    let expected = InputOptions {
        format: Some(Format::Csv),
        time_column: Some("t".to_owned()),
        time_unit: TimeUnit::Rfc3339,
        key_column: Some("2".to_owned()),
        key_encoding: KeyEncoding::U64Be,
        op_column: Some("o".to_owned()),
        read: vec!["28".to_owned(), "88".to_owned()],
        write: vec!["2a".to_owned()],
        size_column: Some("s".to_owned()),
        delimiter: Some(b';'),
        no_header: true,
    };
    assert_eq!(read, expected);
}

#[test]
fn delimiters_are_one_ascii_character() {
    assert_eq!(options("--delimiter \\t").delimiter, Some(b'\t'));
    assert_eq!(options("--delimiter |").delimiter, Some(b'|'));
    assert_eq!(parse_delimiter("\t").ok(), Some(b'\t'));
    for bad in ["", ",,", "\"", "\n", "\r", "é"] {
        assert!(parse_delimiter(bad).is_err(), "{bad:?}");
    }
    assert!(parse("--delimiter ab").expect_err("two").to_string().contains("one ASCII"));
}

#[test]
fn the_format_is_guessed_from_the_name() {
    let guess = |name| InputOptions::default().check(name).ok();
    for name in ["a.csv", "a.tsv", "A.CSV.GZ", "x/y.z/a.csv.zst", "a.csv.gzip", "a.csv.zstd"] {
        assert_eq!(guess(name), Some(Format::Csv), "{name}");
    }
    for name in ["a.ndjson", "a.jsonl", "a.json", "a.json.gz"] {
        assert_eq!(guess(name), Some(Format::Ndjson), "{name}");
    }
    for name in ["access.log", "access.log.gz"] {
        assert_eq!(guess(name), Some(Format::Combined), "{name}");
    }
    for name in ["-", "", "a", "a.gz", "a.csv/b", "a.csv.gz.gz", "csv"] {
        assert_eq!(guess(name), None, "{name}");
    }
    let error = InputOptions::default().check("a.txt").expect_err("unknown").to_string();
    assert!(error.contains("a.txt") && error.contains("--format ndjson"), "{error}");
    assert_eq!(options("--format combined").check("a.csv").ok(), Some(Format::Combined));
}

#[test]
fn a_tsv_has_tabs() {
    assert_eq!(options("").effective_delimiter("a.tsv.gz"), b'\t');
    assert_eq!(options("").effective_delimiter("a.csv"), b',');
    assert_eq!(options("--delimiter ,").effective_delimiter("a.tsv"), b',');
}

#[test]
fn options_without_a_meaning_are_errors() {
    for arguments in [
        "--time-column t",
        "--time-unit ms",
        "--key-column k",
        "--key-encoding hex",
        "--op-column o",
        "--size-column s",
        "--delimiter ;",
        "--no-header",
    ] {
        let error = options(arguments).check("a.log").expect_err(arguments).to_string();
        let option = arguments.split(' ').next().unwrap_or_default();
        assert!(error.starts_with(option) && error.contains("combined"), "{error}");
    }
    assert!(options("--delimiter ;").check("a.json").is_err());
    assert!(options("--no-header").check("a.json").is_err());
    assert!(options("--time-unit ms --size-column s").check("a.json").is_ok());
}

#[test]
fn an_operation_is_not_read_and_write() {
    let error = options("--read a --read b --write b").check("a.csv").expect_err("both");
    assert!(error.to_string().contains("`b`"), "{error}");
}

#[test]
fn the_digest_text_is_the_same_for_the_same_reading_only() {
    let text = |arguments, name| options(arguments).digest_text(name).expect("valid");
    let base = text("", "a.csv");
    assert_eq!(base, text("--format csv --time-column time --delimiter ,", "-"));
    assert_eq!(text("--read a --read b", "a.csv"), text("--read b --read a --read b", "b.csv"));
    let others = [
        text("--time-column t", "a.csv"),
        text("--time-unit ms", "a.csv"),
        text("--key-column t", "a.csv"),
        text("--key-encoding hex", "a.csv"),
        text("--op-column t", "a.csv"),
        text("--size-column t", "a.csv"),
        text("--delimiter ;", "a.csv"),
        text("--no-header", "a.csv"),
        text("--read a --read b", "a.csv"),
        text("--read a\",\"b", "a.csv"),
        text("--read a --write b", "a.csv"),
        text("--write a --write b", "a.csv"),
        text("", "a.json"),
        text("", "a.log"),
        base,
    ];
    for (index, one) in others.iter().enumerate() {
        assert!(!others[index + 1..].contains(one), "{one}");
    }
    assert!(options("").digest_text("a").is_err());
}
