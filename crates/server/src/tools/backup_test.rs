use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    backup: BackupArgs,
}

fn parsed(words: &[&str]) -> Result<BackupArgs, String> {
    let parsed = Cli::try_parse_from(["backup"].iter().chain(words));
    parsed.map(|cli| cli.backup).map_err(|error| error.to_string())
}

#[test]
fn one_thing_is_asked_for_and_mistakes_are_named() {
    assert!(parsed(&["--data-dir", "d", "--to", "b"]).is_ok());
    assert!(parsed(&["--endpoint", "http://h:1"]).is_ok());
    assert!(parsed(&["--list", "--to", "b", "-o", "json"]).is_ok());
    assert_eq!(parsed(&["--verify", "--to", "b", "--backup", "3"]).unwrap().backup, Some(3));
    for (words, name) in [
        (&[][..], "--endpoint"),
        (&["--data-dir", "d"], "--to"),
        (&["--list"], "--to"),
        (&["--endpoint", "h:1", "--to", "b"], "cannot be used with"),
        (&["--data-dir", "d", "--endpoint", "h:1"], "cannot be used with"),
        (&["--list", "--to", "b", "--backup", "1"], "cannot be used with"),
        (&["--to", "b", "--backup", "1"], "--verify"),
    ] {
        let error = parsed(words).unwrap_err();
        assert!(error.contains(name), "{words:?}: {error}");
    }
}
