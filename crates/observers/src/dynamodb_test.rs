use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::text;

fn report<'a>(outcome: Outcome, tables: &'a [TableWork<'a>]) -> Report<'a> {
    Report {
        outcome,
        took: Duration::from_millis(3),
        request_bytes: 100,
        response_bytes: 5_000,
        tables,
    }
}

#[track_caller]
fn has(registry: &Registry, line: &str) {
    let text = text(registry).unwrap();
    assert!(text.lines().any(|found| found == line), "{line}\n{text}");
}

#[test]
fn counts_what_a_request_did_to_each_table() {
    let registry = Registry::new();
    let observer = DynamoDbObserver::new(&registry).unwrap();
    let orders = TableWork { table: "orders", written_items: 2, ..TableWork::default() };
    let stock = TableWork { table: "stock", written_items: 1, ..TableWork::default() };
    let request = observer.begin("TransactWriteItems");
    has(&registry, "dynamodb_in_flight_requests{operation=\"TransactWriteItems\"} 1");
    request.finish(&report(Outcome::Success, &[orders, stock]));
    for line in [
        "dynamodb_in_flight_requests{operation=\"TransactWriteItems\"} 0",
        "dynamodb_requests_total{operation=\"TransactWriteItems\",outcome=\"success\"} 1",
        "dynamodb_written_items_total{operation=\"TransactWriteItems\",table=\"orders\"} 2",
        "dynamodb_written_items_total{operation=\"TransactWriteItems\",table=\"stock\"} 1",
        "dynamodb_request_size_bytes_sum{operation=\"TransactWriteItems\"} 100",
        "dynamodb_response_size_bytes_bucket{operation=\"TransactWriteItems\",le=\"4096\"} 0",
        "dynamodb_response_size_bytes_bucket{operation=\"TransactWriteItems\",le=\"16384\"} 1",
    ] {
        has(&registry, line);
    }
}

#[test]
fn a_condition_that_is_not_met_is_neither_error() {
    let of = Outcome::of;
    assert_eq!(
        of(400, Some("ns#ConditionalCheckFailedException")),
        Outcome::ConditionalCheckFailed
    );
    assert_eq!(of(400, Some("ValidationException")), Outcome::UserError);
    assert_eq!(
        (of(200, None), of(503, None), of(404, None)),
        (Outcome::Success, Outcome::SystemError, Outcome::UserError)
    );
    let registry = Registry::new();
    let observer = DynamoDbObserver::new(&registry).unwrap();
    let work = TableWork { table: "orders", ..TableWork::default() };
    observer.begin("PutItem").finish(&report(Outcome::ConditionalCheckFailed, &[work]));
    has(
        &registry,
        "dynamodb_conditional_check_failed_total{operation=\"PutItem\",table=\"orders\"} 1",
    );
}

#[test]
fn in_flight_comes_back_to_zero_however_a_request_ends() {
    let registry = Registry::new();
    let observer = DynamoDbObserver::new(&registry).unwrap();
    drop(observer.begin("Query"));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let _serving = observer.begin("Query");
        panic!("while it was served");
    }));
    assert!(ended.is_err());
    has(&registry, "dynamodb_in_flight_requests{operation=\"Query\"} 0");
    has(&registry, "dynamodb_requests_total{operation=\"Query\",outcome=\"abandoned\"} 2");
}

#[test]
fn clients_cannot_make_it_grow() {
    let registry = Registry::new();
    let observer = DynamoDbObserver::new(&registry).unwrap();
    for n in 0..2 * MAX_TABLES {
        let table = format!("t{n}");
        let work = TableWork { table: &table, returned_items: 1, ..TableWork::default() };
        observer.begin(&format!("Nonsense{n}")).finish(&report(Outcome::Success, &[work]));
    }
    let text = text(&registry).unwrap();
    let of = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(of("dynamodb_returned_items_total"), MAX_TABLES + 1);
    assert_eq!(of("dynamodb_requests_total"), 1);
    has(&registry, "dynamodb_returned_items_total{operation=\"_other\",table=\"_other\"} 256");
}
