use super::*;
use crate::text;

#[test]
fn counts_requests_errors_and_what_is_unsupported() {
    let registry = Registry::new_custom(Some("my_store".to_owned()), None).unwrap();
    let observer = RedisObserver::new(&registry, ["get", "set"]).unwrap();
    let get = observer.command(0).unwrap();
    get.observe(Outcome::Success, Duration::from_micros(200));
    get.observe(Outcome::Success, Duration::from_millis(2));
    get.observe(Outcome::Error, Duration::from_secs(20));
    observer.unsupported(b"ZADD");
    observer.unsupported(b"zadd");
    assert!(observer.command(2).is_none());
    let text = text(&registry).unwrap();
    for line in [
        "my_store_redis_requests_total{command=\"get\",outcome=\"success\"} 2",
        "my_store_redis_requests_total{command=\"get\",outcome=\"error\"} 1",
        "my_store_redis_requests_total{command=\"set\",outcome=\"error\"} 0",
        "my_store_redis_request_duration_seconds_bucket{command=\"get\",le=\"0.00025\"} 1",
        "my_store_redis_request_duration_seconds_count{command=\"get\"} 3",
        "my_store_redis_unsupported_commands_total{command=\"zadd\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn clients_cannot_make_it_grow() {
    let registry = Registry::new();
    let observer = RedisObserver::new(&registry, []).unwrap();
    for n in 0..1_000 {
        observer.unsupported(format!("nonsense-{n}").as_bytes());
    }
    observer.unsupported(&[0xff; 4_000]);
    observer.unsupported(b"");
    let text = text(&registry).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), MAX_UNSUPPORTED + 1);
    let other = "redis_unsupported_commands_total{command=\"_other\"} 970";
    assert!(lines.contains(&other), "{text}");
}
