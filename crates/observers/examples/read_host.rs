//! A host with lease reads and read fast paths, with its reads on standard input:
//!
//! ```text
//! lease hit                     hit or miss
//! hget fallback                 a command: hit, skip_loaded, skip_cached_type or fallback
//! metrics                       prints what Prometheus would read
//! ```
//! Run it: `cargo run -p keyviz-observers --features reads --example read_host`

use std::error::Error;
use std::io;

use keyviz_observers::prometheus::Registry;
use keyviz_observers::reads::{FastPath, ReadObserver};
use keyviz_observers::text;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new_custom(Some("shop".to_owned()), None)?;
    let observer = ReadObserver::new(&registry)?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["metrics"] => println!("{}# end", text(&registry)?),
            ["lease", outcome @ ("hit" | "miss")] => observer.lease_read(outcome == "hit"),
            [command, outcome] => {
                let outcome = match outcome {
                    "hit" => FastPath::Hit,
                    "skip_loaded" => FastPath::SkipLoaded,
                    "skip_cached_type" => FastPath::SkipCachedType,
                    "fallback" => FastPath::Fallback,
                    _ => return Err(format!("{outcome:?} is no outcome").into()),
                };
                // A server would get the observer of each command once, when it starts.
                observer.fast_path(command).observe(outcome);
            }
            _ => return Err(format!("{line:?} is no read").into()),
        }
    }
    Ok(())
}
