//! Puts faults to real nodes for so many minutes and prints what was lost: `make torture`.
//!
//! | variable | |
//! |---|---|
//! | `MINUTES` | how long; default 10 |
//! | `SEED` | what the plan is drawn from; default the clock; printed |
//! | `FAULTS` | names with commas; default all |
//! | `KEYVIZ_BIN_DIR` | where the binaries are; default beside this program |
//!
//! Ends with 1 when a promise was broken, with the seeds of those rounds: `FAULTS=<name> SEED=<that>`
//! with `ROUND=1` runs such a round alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // like a test
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::{Duration, Instant};

use keyviz_tests::rng::Rng;
use keyviz_tests::torture::{FAULTS, Line, Size, fault, table};
use keyviz_tests::{now_ms, number_from_env};

fn main() {
    let minutes = number_from_env("MINUTES", 10);
    let seed = number_from_env("SEED", now_ms());
    let wanted = std::env::var("FAULTS").unwrap_or_default();
    let mut lines: Vec<Line> = match wanted.as_str() {
        "" => FAULTS.iter().map(Line::new).collect(),
        names => names
            .split(',')
            .map(|name| {
                let known = || FAULTS.iter().map(|fault| fault.name).collect::<Vec<_>>().join(", ");
                Line::new(fault(name).unwrap_or_else(|| {
                    eprintln!("torture: there is no fault {name:?}; there are {}", known());
                    std::process::exit(2)
                }))
            })
            .collect(),
    };
    println!("torture: MINUTES={minutes} SEED={seed} FAULTS={wanted}");
    if number_from_env("ROUND", 0) == 1 {
        lines.iter_mut().for_each(|line| line.run(seed, Size::Long));
    } else {
        let (mut rng, until) = (Rng::new(seed), Instant::now() + Duration::from_secs(minutes * 60));
        // All in turns, each time in another order.
        while Instant::now() < until {
            let mut order: Vec<usize> = (0..lines.len()).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, rng.below(at as u64 + 1) as usize);
            }
            for at in order {
                let seed = rng.next_u64();
                if Instant::now() < until && lines[at].tally.skipped.is_none() {
                    lines[at].run(seed, Size::Long);
                }
            }
        }
    }
    println!("\n{}", table(&lines));
    let mut is_kept = true;
    for line in &lines {
        for (seed, said) in &line.failures {
            is_kept = false;
            println!("BROKEN: FAULTS={} SEED={seed} ROUND=1: {said}", line.fault.name);
        }
    }
    println!("torture: MINUTES={minutes} SEED={seed}");
    std::process::exit(i32::from(!is_kept));
}
