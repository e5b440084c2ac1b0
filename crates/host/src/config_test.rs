use super::*;

fn flags(extra: &[&str]) -> Flags {
    let all = ["keyviz-host", "--data-dir", "d"].iter().chain(extra);
    Flags::try_parse_from(all).unwrap()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let flags = flags(&[]);
    assert_eq!(flags.listen, "127.0.0.1:6380");
    assert_eq!(flags.column_step().unwrap(), Step::MINUTE);
    assert_eq!((flags.groups, flags.initial_ranges, flags.max_clients), (1, 1, 10_000));
    assert!(flags.initial().unwrap().boundaries.is_empty());
    flags.check().unwrap();
}

#[test]
fn wrong_flags_are_named() {
    for (extra, expected) in [
        (["--step", "7s"], "--step: step of 7000 ms"),
        (["--step", "1h"], "--step: step of 3600000 ms"),
        (["--step", "1s 1us"], "--step: use whole milliseconds"),
        (["--groups", "0"], "--groups: 0"),
        (["--initial-ranges", "10001"], "--initial-ranges: 10001"),
        (["--keyviz", "localhost"], "--keyviz: \"localhost\""),
        (["--keyviz", ":50051"], "--keyviz: \":50051\""),
        (["--keyviz", "h:0"], "--keyviz: \"h:0\""),
        (["--node-id", ""], "--node-id: it is empty"),
        (["--max-clients", "0"], "--max-clients: 0"),
    ] {
        let flags = flags(&extra);
        let all = [flags.check().err(), flags.column_step().err(), flags.initial().err()];
        let errors: Vec<String> = all.into_iter().flatten().map(|e| e.to_string()).collect();
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{extra:?}: {errors:?}");
    }
}

#[test]
fn splits_come_from_a_list_or_a_file() {
    let keys = [b"a".to_vec(), b"m".to_vec(), b"t".to_vec()];
    assert_eq!(flags(&["--initial-splits", "m,a,t,m"]).initial().unwrap().boundaries, keys);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a\r\nm\n\nt\n").unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(flags(&["--initial-splits", path]).initial().unwrap().boundaries, keys);
}
