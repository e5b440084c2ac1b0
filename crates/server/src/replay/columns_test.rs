//! The second pass, where the input is not what the first one saw.

use std::sync::Arc;

use blake2::Digest as _;
use clap::Parser as _;
use keyviz_lineage::Step;

use super::super::plan::Shape;
use super::super::routes::Routes;
use super::super::survey::survey;
use super::super::trace_file::Digest256;
use super::*;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    input: InputOptions,
}

/// Surveys `before`, then counts `after`; how many columns came of it.
fn count(before: &str, after: &str) -> (usize, Result<Ledger, ReplayError>) {
    let bar = ProgressBar::hidden();
    let file = |text: &str| {
        let reader = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        TraceFile::spool("a.csv", reader, &bar).unwrap()
    };
    let options = Cli::parse_from(["replay"]).input;
    let step = Step::from_ms(1_000).unwrap();
    let found = survey(&file(before), "a.csv", &options, step, false, &bar).unwrap();
    let shape = Shape {
        step,
        group: 1,
        node: "n".to_owned(),
        digest_text: "",
        now_ms: 1_000_000,
        shift_to_now: false,
        max_windows: 100,
    };
    let raw_digest = found.digest.clone().finalize().into();
    let routes = Routes::between(&[]).unwrap();
    let plan = Plan::new(found.span.unwrap(), routes, Digest256::new(), shape).unwrap();
    let pass = SecondPass {
        file: Arc::new(file(after)),
        name_hint: "a.csv".to_owned(),
        options,
        plan: Arc::new(plan),
        in_order: found.in_order,
        raw_digest,
        sort_bytes: 1 << 20,
        max_cells: 100,
        bar,
    };
    let (sender, mut receiver) = mpsc::channel(100);
    let outcome = pass.run(&sender);
    (std::iter::from_fn(|| receiver.try_recv().ok()).count(), outcome)
}

const BEFORE: &str = "time,key,op\n1,a,r\n2,b,w\n3,c,r\n";

#[test]
fn the_same_bytes_give_every_window() {
    let (columns, outcome) = count(BEFORE, BEFORE);
    assert_eq!((columns, outcome.unwrap().windows()), (3, 3));
}

#[test]
fn other_bytes_never_complete_the_trace() {
    for after in [
        "time,key,op\n1,a,r\n2,b,w\n3,d,r\n",
        "time,key,op\n1,a,r\n2,b,w\n4,c,r\n",
        "time,key,op\n1,a,r\n3,b,w\n2,c,r\n",
        "time,key,op\n0,a,r\n2,b,w\n3,c,r\n",
        "",
    ] {
        let (columns, outcome) = count(BEFORE, after);
        let error = outcome.unwrap_err();
        assert!(matches!(&error, ReplayError::Changed { name } if name == "a.csv"), "{error}");
        assert!(columns < 3, "{after:?}");
    }
}
