use super::*;
use crate::text;

#[test]
fn time_in_the_vm_is_what_the_calls_leave() {
    let registry = Registry::new();
    let observer = ScriptObserver::new(&registry).unwrap();
    let run = ScriptRun {
        took: Duration::from_millis(750),
        calls_took: Duration::from_millis(500),
        calls: 3,
        commit_took: Duration::from_millis(125),
        retries: 2,
        is_error: false,
    };
    observer.observe(&run);
    // Two clocks may disagree.
    observer.observe(&ScriptRun { took: Duration::ZERO, is_error: true, ..run });
    let text = text(&registry).unwrap();
    for line in [
        "script_runs_total{outcome=\"success\"} 1",
        "script_runs_total{outcome=\"error\"} 1",
        "script_vm_seconds_sum{outcome=\"success\"} 0.25",
        "script_vm_seconds_sum{outcome=\"error\"} 0",
        "script_call_seconds_sum{outcome=\"success\"} 0.5",
        "script_calls_sum{outcome=\"success\"} 3",
        "script_commit_seconds_sum{outcome=\"error\"} 0.125",
        "script_retries_bucket{le=\"1\"} 0",
        "script_retries_bucket{le=\"2\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
