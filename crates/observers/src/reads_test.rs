use super::*;
use crate::text;

#[test]
fn each_outcome_has_its_counter() {
    let registry = Registry::new();
    let observer = ReadObserver::new(&registry).unwrap();
    let hget = observer.fast_path("hget");
    observer.lease_read(true);
    observer.lease_read(true);
    observer.lease_read(false);
    hget.observe(FastPath::Hit);
    hget.observe(FastPath::SkipLoaded);
    hget.observe(FastPath::SkipCachedType);
    observer.fast_path("hget").observe(FastPath::Fallback);
    let text = text(&registry).unwrap();
    assert!(text.contains("lease_reads_total{outcome=\"hit\"} 2"), "{text}");
    assert!(text.contains("lease_reads_total{outcome=\"miss\"} 1"), "{text}");
    for outcome in ["hit", "skip_loaded", "skip_cached_type", "fallback"] {
        let line = format!("read_fast_path_total{{command=\"hget\",outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[test]
fn commands_are_bounded() {
    let registry = Registry::new();
    let observer = ReadObserver::new(&registry).unwrap();
    for n in 0..MAX_COMMANDS + 2 {
        observer.fast_path(&format!("c{n}")).observe(FastPath::Hit);
    }
    let text = text(&registry).unwrap();
    assert!(text.contains("read_fast_path_total{command=\"_other\",outcome=\"hit\"} 2"), "{text}");
}
