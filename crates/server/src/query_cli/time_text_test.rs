use super::*;

fn at(text: &str) -> i64 {
    match text.parse() {
        Ok(TimeSpec::At(ms)) => ms,
        other => panic!("{text:?} became {other:?}"),
    }
}

const MOMENT_MS: i64 = 1_794_885_120_000; // 2026-11-17 03:12:00 UTC

#[test]
fn one_moment_in_every_form() {
    for text in [
        "2026-11-17T03:12:00Z",
        "2026-11-17t03:12:00z",
        "2026-11-17 03:12",
        "2026-11-17T03:12",
        "2026-11-17 03:12:00",
        "2026-11-17 03:12 UTC",
        "2026-11-17T03:12:00.000Z",
        " 1794885120 ",
        "1794885120000",
    ] {
        assert_eq!(at(text), MOMENT_MS, "{text}");
    }
    assert_eq!(at("2026-11-17T03:12:00.250Z"), MOMENT_MS + 250);
    assert_eq!(at("2026-11-17"), MOMENT_MS - 3 * 3_600_000 - 12 * 60_000);
    assert_eq!(at("0"), 0);
}

#[test]
fn relative_times_wait_for_now() {
    let resolve = |text: &str| text.parse::<TimeSpec>().unwrap().resolve(10_000_000);
    assert_eq!(resolve("now"), 10_000_000);
    assert_eq!(resolve("-15m"), 10_000_000 - 900_000);
    assert_eq!(resolve("now-90s"), 10_000_000 - 90_000);
    assert_eq!(resolve("-1h30m"), 10_000_000 - 5_400_000);
    assert_eq!(resolve("-7d"), 0, "before 1970 is 1970");
}

#[test]
fn other_text_is_refused_with_examples() {
    for text in [
        "",
        "yesterday",
        "2026-11-17T03:12:00+02:00",
        "2026-11-17T03:12:00-02:00",
        "2026-13-17 03:12",
        "2026-11-17 25:00",
        "2026-11-17T03:12:00junk",
        "2026-11-17T03:12:00.1:1",
        "2026-11-1é 03:12",
        "17.11.2026",
        "1969-12-31",
    ] {
        let error = text.parse::<TimeSpec>().unwrap_err();
        assert!(error.contains("2026-11-17T03:12:00Z"), "{text}: {error}");
    }
    assert!("-15".parse::<TimeSpec>().unwrap_err().contains("-15m"));
    assert!("20261117".parse::<TimeSpec>().unwrap_err().contains("2026-11-17"));
    assert!("999999999999999999".parse::<TimeSpec>().is_err());
    assert!("99999999999999999999999".parse::<TimeSpec>().is_err());
}

#[test]
fn times_read_back() {
    assert_eq!(iso(MOMENT_MS), "2026-11-17T03:12:00Z");
    assert_eq!(iso(MOMENT_MS + 7), "2026-11-17T03:12:00.007Z");
    assert_eq!(clock(MOMENT_MS + 7), "03:12:00.007");
    assert_eq!(date_and_clock(MOMENT_MS), "2026-11-17 03:12:00");
    assert_eq!(month_and_day(MOMENT_MS), "Nov 17");
    assert_eq!(weekday(MOMENT_MS), "Tue");
    assert_eq!(weekday(0), "Thu");
}

#[test]
fn times_outside_of_the_calendar_are_clamped() {
    assert_eq!(iso(i64::MIN), "1970-01-01T00:00:00Z");
    assert_eq!(iso(i64::MAX), "9999-12-31T23:59:59.999Z");
    assert_eq!(weekday(i64::MAX), weekday(LAST_MS));
}
