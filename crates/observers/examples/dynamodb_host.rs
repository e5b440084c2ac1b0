//! A host that speaks DynamoDB's protocol, with the requests on standard input:
//!
//! ```text
//! PutItem orders 200 512        operation, table, HTTP status, bytes of the request
//! PutItem orders 400 512 ConditionalCheckFailedException
//! metrics                       prints what Prometheus would read
//! ```
//! Run it: `cargo run -p keyviz-observers --features dynamodb --example dynamodb_host`

use std::error::Error;
use std::io;
use std::time::Duration;

use keyviz_observers::dynamodb::{DynamoDbObserver, Outcome, Report, TableWork};
use keyviz_observers::prometheus::Registry;
use keyviz_observers::text;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new_custom(Some("shop".to_owned()), None)?;
    let observer = DynamoDbObserver::new(&registry)?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["metrics"] => println!("{}# end", text(&registry)?),
            [operation, table, status, bytes, ref rest @ ..] => {
                let request = observer.begin(operation);
                // Here a host serves it. Whatever happens to `request`, in flight ends with it.
                let outcome = Outcome::of(status.parse()?, rest.first().copied());
                let written_items = u64::from(outcome == Outcome::Success);
                request.finish(&Report {
                    outcome,
                    took: Duration::from_millis(2),
                    request_bytes: bytes.parse()?,
                    response_bytes: 64,
                    tables: &[TableWork { table, written_items, ..TableWork::default() }],
                });
            }
            _ => return Err(format!("{line:?} is no request").into()),
        }
    }
    Ok(())
}
