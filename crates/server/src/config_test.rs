use clap::{Args, Command, FromArgMatches};

use super::*;

fn settle(flags: &[&str]) -> anyhow::Result<ServeConfig> {
    let matches = ServeArgs::augment_args(Command::new("serve").no_binary_name(true))
        .try_get_matches_from(flags)?;
    ServeArgs::from_arg_matches(&matches)?.settle(&matches)
}

fn message(flags: &[&str]) -> String {
    format!("{:#}", settle(flags).unwrap_err())
}

#[test]
fn the_defaults_hold_and_say_so() {
    let config = settle(&["--print-config"]).unwrap();
    assert_eq!((config.step, config.retention.as_secs()), (Step::MINUTE, 7 * 86_400));
    assert_eq!(config.wal_max_bytes, 64 << 20);
    let print = config.print.unwrap();
    assert!(print.contains("retention = \"7d\"  # default"));
    assert!(print.contains("rollup_retention = \"90d\"  # default"));
    let long = settle(&["--retention", "400d", "--print-config"]).unwrap();
    assert_eq!(long.rollup_retention, long.retention, "never less");
    assert!(long.print.unwrap().contains("rollup_retention = \"400d\"  # default"));
}

#[test]
fn a_file_yields_to_a_flag_and_unknown_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyviz.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "retention = \"30d\"\nstep = \"10s\"\nwal_sync = \"os\"\n").unwrap();
    let config = settle(&["--config", path, "--step", "1s", "--print-config"]).unwrap();
    assert_eq!(
        (config.step.ms(), config.retention.as_secs(), config.wal_sync),
        (1_000, 30 * 86_400, WalSync::Os)
    );
    let print = config.print.unwrap();
    assert!(
        print.contains("step = \"1s\"  # flag --step")
            && print.contains("retention = \"30d\"  # file"),
        "{print}"
    );
    std::fs::write(&file, "retentoin = \"30d\"\n").unwrap();
    let refused = message(&["--config", path]);
    assert!(refused.contains("retentoin") && refused.contains(path), "{refused}");
    assert!(message(&["--config", "/nowhere.toml"]).contains("/nowhere.toml"));
}

#[test]
fn what_is_out_of_range_is_named() {
    for (flags, expected) in [
        (["--step", "7s"], "--step"),
        (["--step", "soon"], "such as 1s"),
        (["--retention", "1min"], "at least 1h"),
        (["--rollup-retention", "6d"], "at least --retention (7d)"),
        (["--persist-interval", "2h"], "between 1s and 1h"),
        (["--wal-sync-interval", "5ms"], "between 10ms and 1h"),
        (["--wal-max-bytes", "1MiB"], "at least 8MiB"),
        (["--wal-max-bytes", "lots"], "such as 64MiB"),
        (["--http", "localhost"], "address and port"),
        (["--http", "0.0.0.0:80"], "--allow-unauthenticated"),
        (["--http", "0.0.0.0:80"], "--write-token-file"),
        (["--read-token-file", "tokens"], "--write-token-file"),
    ] {
        let refused = message(&flags);
        assert!(refused.contains(expected), "{flags:?}: {refused}");
    }
    assert!(settle(&["--http", "0.0.0.0:80", "--allow-unauthenticated"]).is_ok());
    let tokens = ["--http", "0.0.0.0:80", "--write-token-file", "tokens"];
    assert!(message(&tokens).contains("--allow-plaintext"));
    assert!(settle(&[&tokens[..], &["--allow-plaintext"]].concat()).is_ok());
}
