use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    lineage: LineageArgs,
}

fn parsed(words: &[&str]) -> Result<LineageArgs, String> {
    let parsed = Cli::try_parse_from(["lineage"].iter().chain(words));
    parsed.map(|cli| cli.lineage).map_err(|error| error.to_string())
}

fn request(words: &[&str]) -> wire::GetLineageRequest {
    parsed(words).unwrap().request(1_750_000_000_000).unwrap()
}

#[test]
fn one_subject_becomes_one_question() {
    let text = wire::GetLineageRequest { text_only: true, ..wire::GetLineageRequest::default() };
    let by_key = |key: &'static [u8]| wire::GetLineageRequest {
        key: key.into(),
        by_key: true,
        ..text.clone()
    };
    assert_eq!(request(&["order:5"]), by_key(b"order:5"));
    assert_eq!(request(&["0xff00"]), by_key(b"\xff\x00"));
    assert_eq!(request(&[""]), by_key(b""));
    assert_eq!(request(&["--route", "7"]), wire::GetLineageRequest { route_id: 7, ..text.clone() });
    let id = "01977420-dc00-7000-83cb-469d7667bba3";
    let lineage_id = id.to_owned();
    assert_eq!(request(&["--id", id]), wire::GetLineageRequest { lineage_id, ..text.clone() });
    let spanned =
        request(&["k", "--from", "-1h", "--to", "2025-06-15 15:06", "--all", "-o", "json"]);
    assert_eq!(
        spanned,
        wire::GetLineageRequest {
            from_unix_ms: 1_749_996_400_000,
            to_unix_ms: 1_749_999_960_000,
            depth: Some(u32::MAX),
            text_only: false,
            ..by_key(b"k")
        }
    );
    assert_eq!(request(&["k", "--to", "now", "--depth", "0"]).depth, Some(0));
    assert_eq!(parsed(&["k", "--addr", "h:1"]).unwrap().node.endpoint, "h:1");
}

#[test]
fn no_subject_or_two_and_other_mistakes_are_named() {
    for (words, name) in [
        (&[][..], "--route"),
        (&["k", "--route", "1"], "cannot be used with"),
        (&["--route", "1", "--id", "01977420-dc00-7000-83cb-469d7667bba3"], "cannot be used with"),
        (&["--route", "0"], "route 0 is reserved"),
        (&["--route", "all"], "whole number"),
        (&["--id", "7"], "--id"),
        (&["0xf"], "hexadecimal"),
        (&["k", "--depth", "1", "--all"], "cannot be used with"),
        (&["k", "--from", "noon"], "--from"),
        (&["k", "-o", "csv"], "json"),
    ] {
        let error = parsed(words).unwrap_err();
        assert!(error.contains(name), "{words:?}: {error}");
    }
    let inverted =
        parsed(&["k", "--from", "-1h", "--to", "-2h"]).unwrap().request(1_750_000_000_000);
    assert!(inverted.unwrap_err().to_string().contains("--from is not before --to"));
}

fn printed(words: &[&str], answer: &wire::GetLineageResponse) -> String {
    let mut out = Vec::new();
    parsed(words).unwrap().print(answer, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_tree_is_printed_without_anything_that_a_terminal_obeys() {
    let answer = wire::GetLineageResponse {
        text: "* (-inf, m)\n├─  \u{1b}[31m\u{202e}evil\n▼* [m, +inf)\n… 3 of 6 are left out\n"
            .to_owned(),
        record_count: 6,
        left_out: 3,
        ..wire::GetLineageResponse::default()
    };
    assert_eq!(
        printed(&["or\u{1b}der"], &answer),
        "6 lineages; those that held the key or\\x1bder are marked *\n\
         * (-inf, m)\n├─  �[31m�evil\n▼* [m, +inf)\n… 3 of 6 are left out\n\
         --depth N draws more or fewer generations, --all everything\n"
    );
    let one = wire::GetLineageResponse { record_count: 1, left_out: 0, ..answer };
    assert!(
        printed(&["--route", "7"], &one)
            .starts_with("1 lineage; those that had the route number 7 are marked *\n")
    );
    assert!(printed(&[""], &one).contains("held the first of all keys"));
    assert!(!printed(&["k"], &one).contains("--depth"));
}
