//! A transactional host, with its conflicts on standard input:
//!
//! ```text
//! write 1 user:42:cart          write or read, the group, the key
//! metrics                       prints what Prometheus would read
//! ```
//! Run it: `cargo run -p keyviz-observers --features conflicts --example conflict_host`

use std::error::Error;
use std::io;

use keyviz_observers::conflicts::{Conflict, ConflictObserver};
use keyviz_observers::prometheus::Registry;
use keyviz_observers::text;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new_custom(Some("shop".to_owned()), None)?;
    let observer = ConflictObserver::new(&registry)?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["metrics"] => println!("{}# end", text(&registry)?),
            ["write", group, key] => {
                observer.observe(group.parse()?, Conflict::Write, key.as_bytes());
            }
            ["read", group, key] => {
                observer.observe(group.parse()?, Conflict::Read, key.as_bytes());
            }
            _ => return Err(format!("{line:?} is no conflict").into()),
        }
    }
    Ok(())
}
