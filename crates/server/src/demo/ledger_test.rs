use super::*;

const CREATE: &str = r#"{"transition":"create","unix_ms":1,"hlc":2,"group":1,"proposal":"00","catalogue_version":1,"closes":[],"opens":[{"route":1,"start":"","end":"6d"},{"route":2,"start":"6d","end":""}]}"#;

fn column(window_ms: u64, from_ms: u64, rows: &str, dropped: bool) -> String {
    format!(
        r#"{{"window_unix_ms":{window_ms},"step_ms":1000,"covered_from_ms":{from_ms},"covered_to_ms":{},"unattributed":1,"rows":[{rows}],"dropped":{dropped}}}"#,
        window_ms + 1_000
    )
}

fn row(route: u64, start: &str, end: &str, reads: u64) -> String {
    format!(
        r#"{{"route":{route},"group":1,"term":1,"start":"{start}","end":"{end}","reads":{reads},"writes":2,"read_bytes":3,"write_bytes":4}}"#
    )
}

fn parse(lines: &[String]) -> anyhow::Result<Ledger> {
    Ledger::parse(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

#[test]
fn columns_of_a_window_are_added_up() {
    let lines = [
        CREATE.to_owned(),
        column(1_000, 1_250, &row(1, "", "6d", 5), false),
        column(2_000, 2_000, &format!("{},{}", row(1, "", "6d", 7), row(2, "6d", "", 1)), false),
        column(2_000, 2_900, &row(1, "", "6d", 1), false),
    ];
    let ledger = parse(&lines).unwrap();
    assert_eq!((ledger.step_ms, ledger.columns(), ledger.dropped), (1_000, 3, 0));
    assert_eq!(ledger.span_ms(), Some((1_000, 3_000)));
    assert_eq!((ledger.count("create"), ledger.count("split")), (1, 0));
    assert_eq!(ledger.opened.len(), 2);
    let window = &ledger.windows[&2_000];
    assert_eq!((window.columns, window.covered_ms, window.unattributed), (2, 1_100, 2));
    let counts: Vec<Counts> = window.rows.values().copied().collect();
    assert_eq!(counts, [[8, 4, 6, 8], [1, 2, 3, 4]]);
    assert_eq!(ledger.windows[&1_000].covered_ms, 750);
}

#[test]
fn a_range_that_moves_opens_in_its_new_group_with_its_old_keys() {
    let moved =
        r#"{"transition":"move","group":1,"closes":[2],"opens":[],"to_group":2,"to_route":3}"#;
    let ledger = parse(&[CREATE.to_owned(), moved.to_owned()]).unwrap();
    assert_eq!((ledger.opened.len(), ledger.count("move")), (3, 1));
    let range = KeyRange::new(*b"m", *b"").unwrap();
    assert!(ledger.opened.contains(&RowKey { range, route: 3, group: 2 }));
    let error = format!("{:#}", parse(&[moved.to_owned()]).unwrap_err());
    assert!(error.contains("never opened"), "{error}");
}

#[test]
fn a_correction_takes_its_line_back() {
    let lines = [
        column(1_000, 1_000, &row(1, "", "", 5), false),
        column(2_000, 2_000, &row(1, "", "", 6), false),
        column(1_000, 1_000, "", true),
    ];
    let ledger = parse(&lines).unwrap();
    assert_eq!((ledger.columns(), ledger.dropped), (1, 1));
    assert!(ledger.windows.contains_key(&2_000));
    assert!(parse(&lines[2..]).is_err());
}

#[test]
fn a_line_that_is_being_written_is_left_out_and_nonsense_is_named() {
    let whole = format!("{}\n", column(1_000, 1_000, "", false));
    assert_eq!(Ledger::parse(&format!("{whole}{{\"window_un")).unwrap().columns(), 1);
    let error = Ledger::parse(&format!("{whole}{{\"window_un\n")).unwrap_err();
    assert_eq!(error.to_string(), "line 2 of the ledger is not understood");
    assert_eq!(Ledger::parse("").unwrap().span_ms(), None);
}
