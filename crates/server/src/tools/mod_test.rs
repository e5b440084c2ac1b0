use keyviz_store::stats::{Level, Space, Stats};

use super::*;

#[test]
fn findings_are_worst_first_and_nothing_of_them_steers_a_terminal() {
    let mut findings = Findings::default();
    findings.add(Severity::Note, None, "wal/x", "a tail", "nothing");
    findings.add(Severity::Error, 7, "!admin|keyviz|meta|member|\u{1b}[31m", "is bad", "restore");
    let mut out = Vec::new();
    write_findings(&findings, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.find("error").unwrap() < text.find("note").unwrap(), "{text}");
    assert!(text.ends_with("1 errors, 0 warnings, 1 notes\n"), "{text}");
    let json = findings_json(&findings);
    assert_eq!(json[1]["group"], 7);
    assert_eq!(json[0]["group"], Value::Null);
}

#[test]
fn the_table_of_what_takes_space_adds_up() {
    let space = Space { keys: 3, key_bytes: 150, value_bytes: 850 };
    let mut stats = Stats { total: space, blocks: space, cells: 500, ..Stats::default() };
    stats.families.insert("range".to_owned(), space);
    stats.groups = (0..30).map(|group| (group, space)).collect();
    stats.levels.insert(6, Level { files: 1, bytes: 2 << 20, entries: 3 });
    stats.hours = Some((500_000, 500_001));
    let mut out = Vec::new();
    stats::write(&stats, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for part in [
        "100.0 %",
        "and 10 smaller groups",
        "2.00 bytes a cell",
        "SSTs 2.0 MiB",
        "2027-01-15T10:00:00",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn backups_inside_the_data_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    assert!(check_apart(&data.join("backups"), &data).is_err());
    assert!(check_apart(&data, &data).is_err());
    assert!(check_apart(&folder.path().join("backups"), &data).is_ok());
    assert!(check_apart(&folder.path().join("data2"), &data).is_ok());
}
