use super::*;

#[test]
fn info_is_read_field_by_field() {
    let info = "# Keyviz\r\nkeyviz_address:x:1\r\nkeyviz_backlog:2\r\nkeyviz_acknowledged:41\r\n\
                keyviz_duplicates:1\r\nkeyviz_dropped:0\r\nkeyviz_refused:3\r\nkeyviz_refused_rows:4\r\nkeyviz_aborted:6\r\n\
                keyviz_last_error:gone: away\r\nkeyviz_ledger_errors:5\r\n";
    let expected = Sender {
        backlog: 2,
        acknowledged: 41,
        duplicates: 1,
        dropped: 0,
        refused: 3,
        refused_rows: 4,
        aborted: 6,
        ledger_errors: 5,
        last_error: "gone: away".to_owned(),
    };
    assert_eq!(sender(info).unwrap(), expected);
    let error = sender("keyviz_backlog:2").unwrap_err().to_string();
    assert_eq!(error, "the host's INFO has no keyviz_acknowledged");
}

#[test]
fn a_range_is_six_fields() {
    let bulk = |text: &str| Reply::Bulk(Some(text.as_bytes().to_vec()));
    let fields =
        vec![Reply::Int(7), bulk("a"), bulk(""), Reply::Int(1), Reply::Int(5), Reply::Int(6)];
    let keys = KeyRange::new(*b"a", *b"").unwrap();
    let expected = HostRange { route: 7, group: 1, keys, reads: 5, writes: 6 };
    assert_eq!(range(&Reply::Array(fields.clone())).unwrap(), expected);
    assert!(range(&Reply::Array(fields[..5].to_vec())).is_err());
    assert!(range(&Reply::Int(1)).is_err());
}
