//! Exact decimals, the calendar against known dates, and both date formats.

use proptest::prelude::*;

use super::TimeError::{Malformed, OutOfRange};
use super::*;

fn seconds(text: &str) -> Result<u64, TimeError> {
    parse_time_ms(text.as_bytes(), TimeUnit::Seconds)
}

fn rfc3339(text: &str) -> Result<u64, TimeError> {
    parse_time_ms(text.as_bytes(), TimeUnit::Rfc3339)
}

fn log(text: &str) -> Result<u64, TimeError> {
    parse_log_ms(text.as_bytes())
}

#[test]
fn decimal_seconds_are_exact() {
    assert_eq!(seconds("0"), Ok(0));
    assert_eq!(seconds("5633898"), Ok(5_633_898_000));
    // As a float, 0.29 s is 289.999... ms, and 1.001 s is 1000.999... ms.
    assert_eq!(seconds("0.29"), Ok(290));
    assert_eq!(seconds("1.001"), Ok(1001));
    assert_eq!(seconds("1700000000.123"), Ok(1_700_000_000_123));
    // A float cannot tell these two apart.
    assert_eq!(seconds("1700000000.122999999999"), Ok(1_700_000_000_122));
    assert_eq!(seconds("1700000000.123000000001"), Ok(1_700_000_000_123));
    assert_eq!(seconds("9007199254740993.007"), Ok(9_007_199_254_740_993_007));
    assert_eq!(seconds("0.0009999"), Ok(0));
    assert_eq!(seconds(".5"), Ok(500));
    assert_eq!(seconds("5."), Ok(5000));
    assert_eq!(seconds("+5"), Ok(5000));
    assert_eq!(seconds("000000000000000000000000000000001.5"), Ok(1500));
}

#[test]
fn exponents_are_exact() {
    assert_eq!(seconds("1.7e9"), Ok(1_700_000_000_000));
    assert_eq!(seconds("1.700000000123E+9"), Ok(1_700_000_000_123));
    assert_eq!(seconds("1500e-3"), Ok(1500));
    assert_eq!(seconds("1e-99999999999999999999999999"), Ok(0));
    assert_eq!(seconds("0e99999999999999999999999999"), Ok(0));
    assert_eq!(seconds("1e99999999999999999999999999"), Err(OutOfRange));
}

#[test]
fn units_shift_the_point_and_round_down() {
    let parse = |text: &str, unit| parse_time_ms(text.as_bytes(), unit);
    assert_eq!(parse("1234.9", TimeUnit::Milliseconds), Ok(1234));
    assert_eq!(parse("1234999", TimeUnit::Microseconds), Ok(1234));
    assert_eq!(parse("999.9", TimeUnit::Microseconds), Ok(0));
    assert_eq!(parse("1700000000123999999", TimeUnit::Nanoseconds), Ok(1_700_000_000_123));
    assert_eq!(parse("18446744073709551615", TimeUnit::Milliseconds), Ok(u64::MAX));
    assert_eq!(parse("18446744073709551615999.9", TimeUnit::Microseconds), Ok(u64::MAX));
    assert_eq!(parse("18446744073709551615999999", TimeUnit::Nanoseconds), Ok(u64::MAX));
    assert_eq!(parse("18446744073709551616", TimeUnit::Milliseconds), Err(OutOfRange));
    assert_eq!(seconds("18446744073709551.615"), Ok(u64::MAX));
    assert_eq!(seconds("18446744073709551.616"), Err(OutOfRange));
    assert_eq!(seconds("99999999999999999999999999"), Err(OutOfRange));
}

#[test]
fn negative_and_malformed_decimals_are_refused() {
    assert_eq!(seconds("-1"), Err(OutOfRange));
    assert_eq!(seconds("-0.0000001"), Err(OutOfRange));
    assert_eq!(seconds("-0.0"), Ok(0));
    for text in ["", ".", "-", "+", "e5", "1e", "1e+", "1.2.3", "1,5", "0x10", "NaN", "inf", "1 2"]
    {
        assert_eq!(seconds(text), Err(Malformed), "{text:?}");
    }
    assert_eq!(parse_time_ms("１".as_bytes(), TimeUnit::Seconds), Err(Malformed));
}

#[test]
fn whole_numbers_are_recognised() {
    let exact = |text: &str| Decimal::parse(text.as_bytes()).and_then(|number| number.exact_u64());
    assert_eq!(exact("512"), Some(512));
    assert_eq!(exact("512.000"), Some(512));
    assert_eq!(exact("5.12e2"), Some(512));
    assert_eq!(exact("5120e-1"), Some(512));
    assert_eq!(exact("18446744073709551615"), Some(u64::MAX));
    assert_eq!(exact("0e-5"), Some(0));
    for text in ["512.5", "5121e-1", "1e-1", "18446744073709551616", "-1", "1e20"] {
        assert_eq!(exact(text), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decimals_agree_with_integers(nanos in any::<u64>(), zeros in 0_usize..4) {
        let padded = format!("{nanos:010}");
        let (whole, fraction) = padded.split_at(padded.len() - 9);
        let text = format!("{}{whole}.{fraction}{}", "0".repeat(zeros), "0".repeat(zeros));
        prop_assert_eq!(seconds(&text), Ok(nanos / 1_000_000));
        let scientific = format!("{nanos}e-9");
        prop_assert_eq!(seconds(&scientific), Ok(nanos / 1_000_000));
    }

    #[test]
    fn zones_only_shift(hours in 0_i64..24, minutes in 0_i64..60, west in any::<bool>()) {
        let sign = if west { '-' } else { '+' };
        let shift = (hours * 60 + minutes) * 60_000 * if west { 1 } else { -1 };
        let expected = Ok((971_211_336_000_i64 - 7 * 3_600_000 + shift) as u64);
        let text = format!("2000-10-10T13:55:36{sign}{hours:02}:{minutes:02}");
        prop_assert_eq!(rfc3339(&text), expected);
        let text = format!("10/Oct/2000:13:55:36 {sign}{hours:02}{minutes:02}");
        prop_assert_eq!(log(&text), expected);
    }
}

#[test]
fn the_calendar_knows_known_days() {
    for (year, month, day, days) in [
        (1970, 1, 1, 0),
        (1969, 12, 31, -1),
        (1900, 1, 1, -25_567),
        (1900, 3, 1, -25_508),
        (2000, 1, 1, 10_957),
        (2000, 2, 29, 11_016),
        (2000, 3, 1, 11_017),
        (2001, 9, 9, 11_574),
        (2038, 1, 19, 24_855),
        (2100, 3, 1, 47_541),
        (9999, 12, 31, 2_932_896),
        (1, 1, 1, -719_162),
        (0, 3, 1, -719_468),
    ] {
        assert_eq!(days_since_epoch(year, month, day), days, "{year}-{month}-{day}");
    }
}

#[test]
fn the_calendar_counts_every_day_of_800_years() {
    let mut expected = days_since_epoch(1600, 1, 1);
    for year in 1600..2400 {
        let mut of_year = 0;
        for month in 1..=12 {
            for day in 1..=days_in_month(year, month) {
                assert_eq!(days_since_epoch(year, month, day), expected, "{year}-{month}-{day}");
                expected += 1;
                of_year += 1;
            }
        }
        assert_eq!(of_year, if is_leap_year(year) { 366 } else { 365 });
    }
    assert_eq!(expected - days_since_epoch(1600, 1, 1), 2 * 146_097);
}

#[test]
fn leap_years_follow_the_gregorian_rule() {
    for (year, leap) in
        [(1900, false), (1972, true), (2000, true), (2023, false), (2024, true), (2100, false)]
    {
        assert_eq!(is_leap_year(year), leap, "{year}");
        let text = format!("{year}-02-29T00:00:00Z");
        assert_eq!(rfc3339(&text) != Err(Malformed), leap, "{text}");
    }
}

#[test]
fn rfc3339_against_known_instants() {
    for (text, ms) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-01T05:30:00+05:30", 0),
        ("2001-09-09T01:46:40Z", 1_000_000_000_000),
        ("2009-02-13T23:31:30Z", 1_234_567_890_000),
        ("2038-01-19T03:14:07Z", 2_147_483_647_000),
        ("2000-10-10T13:55:36-07:00", 971_211_336_000),
        ("2000-10-10t13:55:36.5-07:00", 971_211_336_500),
        ("2000-10-10 13:55:36.0429999999-07:00", 971_211_336_042),
        ("2000-02-29T12:00:00z", 951_825_600_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2017-01-01T08:59:60.25+09:00", 1_483_228_800_250),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("1985-04-12T23:20:50.52Z", 482_196_050_520),
    ] {
        assert_eq!(rfc3339(text), Ok(ms), "{text}");
    }
    assert_eq!(rfc3339("1969-12-31T23:59:59.999Z"), Err(OutOfRange));
    assert_eq!(rfc3339("0000-01-01T00:00:00Z"), Err(OutOfRange));
}

#[test]
fn malformed_rfc3339_is_refused() {
    for text in [
        "",
        "2000-10-10",
        "2000-10-10T13:55:36",
        "2000-10-10T13:55:36.Z",
        "2000-10-10T13:55:36.5",
        "2000-10-10T13:55:36,5Z",
        "2000-10-10T13:55:36-0700",
        "2000-10-10T13:55:36-07:60",
        "2000-10-10T13:55:36+24:00",
        "2000-10-10T13:55:36 07:00",
        "2000-10-10T13:55:36Zx",
        "2000-10-10X13:55:36Z",
        "2000/10/10T13:55:36Z",
        "2000-10-10T13-55-36Z",
        "2000-00-10T13:55:36Z",
        "2000-13-10T13:55:36Z",
        "2000-10-00T13:55:36Z",
        "2000-10-32T13:55:36Z",
        "2000-04-31T13:55:36Z",
        "2001-02-29T13:55:36Z",
        "2000-10-10T24:00:00Z",
        "2000-10-10T13:60:00Z",
        "2000-10-10T13:55:60Z",
        "2000-10-10T23:59:61Z",
        "20a0-10-10T13:55:36Z",
        "+000-10-10T13:55:36Z",
        "971211336",
    ] {
        assert_eq!(rfc3339(text), Err(Malformed), "{text}");
    }
}

#[test]
fn log_times_against_known_instants() {
    assert_eq!(log("10/Oct/2000:13:55:36 -0700"), Ok(971_211_336_000));
    assert_eq!(log("10/Oct/2000:20:55:36 +0000"), Ok(971_211_336_000));
    assert_eq!(log("29/feb/2000:12:00:00 +0000"), Ok(951_825_600_000));
    assert_eq!(log("01/Jan/1970:05:30:00 +0530"), Ok(0));
    assert_eq!(log("01/Jan/1970:05:29:59 +0530"), Err(OutOfRange));
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    for (index, month) in months.iter().enumerate() {
        let of_log = log(&format!("28/{month}/2023:01:02:03 +0000"));
        assert_eq!(of_log, rfc3339(&format!("2023-{:02}-28T01:02:03Z", index + 1)));
    }
    for text in [
        "",
        "10/Oct/2000:13:55:36",
        "10/Oct/2000 13:55:36 -0700",
        "1/Oct/2000:13:55:36 -0700",
        "10/Okt/2000:13:55:36 -0700",
        "31/Sep/2000:13:55:36 -0700",
        "29/Feb/2001:13:55:36 -0700",
        "10/Oct/2000:24:55:36 -0700",
        "10/Oct/2000:13:55:36 0700x",
        "10/Oct/2000:13:55:36 -07:0",
        "10/Oct/2000:13:55:36 -2400",
    ] {
        assert_eq!(log(text), Err(Malformed), "{text}");
    }
}
