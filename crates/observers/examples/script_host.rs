//! A host that runs scripts, with their runs on standard input:
//!
//! ```text
//! ok 12 8 3 5 1                 ok or error; ms in all; of it ms in calls; calls; ms to commit; retries
//! metrics                       prints what Prometheus would read
//! ```
//! Run it: `cargo run -p keyviz-observers --features scripts --example script_host`

use std::error::Error;
use std::io;
use std::time::Duration;

use keyviz_observers::prometheus::Registry;
use keyviz_observers::scripts::{ScriptObserver, ScriptRun};
use keyviz_observers::text;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new_custom(Some("shop".to_owned()), None)?;
    let observer = ScriptObserver::new(&registry)?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["metrics"] => println!("{}# end", text(&registry)?),
            [outcome @ ("ok" | "error"), took, calls_took, calls, commit_took, retries] => {
                let ms = |text: &str| text.parse().map(Duration::from_millis);
                observer.observe(&ScriptRun {
                    took: ms(took)?,
                    calls_took: ms(calls_took)?,
                    calls: calls.parse()?,
                    commit_took: ms(commit_took)?,
                    retries: retries.parse()?,
                    is_error: outcome == "error",
                });
            }
            _ => return Err(format!("{line:?} is no run").into()),
        }
    }
    Ok(())
}
