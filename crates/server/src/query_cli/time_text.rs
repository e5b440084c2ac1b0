//! Times as people write and read them.
//!
//! Responsible for: what `--from`, `--to` and `--as-of` accept, and UTC text for axes and legends.
//! Invariants: everything is UTC; text that names another zone is refused, not shifted.
//! Must not: read a clock. Relative times stay relative until [`TimeSpec::resolve`] is told "now".
//! Proof: `time_text_test.rs`.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond that has four digits for its year.
const LAST_MS: i64 = 253_402_300_799_999;

/// A point in time, perhaps relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeSpec {
    /// Now.
    Now,
    /// So many milliseconds before now.
    Ago(u64),
    /// Unix milliseconds.
    At(i64),
}

impl TimeSpec {
    /// Unix milliseconds.
    pub(crate) fn resolve(self, now_unix_ms: u64) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        match self {
            Self::Now => signed(now_unix_ms),
            Self::Ago(ms) => signed(now_unix_ms.saturating_sub(ms)),
            Self::At(ms) => ms,
        }
    }
}

impl FromStr for TimeSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("now") {
            return Ok(Self::Now);
        }
        if let Some(ago) = text.strip_prefix("now-").or_else(|| text.strip_prefix('-')) {
            return humantime::parse_duration(ago.trim())
                .map(|ago| Self::Ago(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
                .map_err(|_| {
                    "a relative time is a number and a unit: -90s, -15m, -2h, -7d".into()
                });
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return unix(text);
        }
        calendar(text).ok_or_else(|| {
            "use 2026-11-17T03:12:00Z or 2026-11-17 03:12 (both UTC), Unix seconds or milliseconds, \
             now, or a relative time like -15m or -7d"
                .into()
        })
    }
}

fn unix(digits: &str) -> Result<TimeSpec, String> {
    let number: i64 = digits.parse().map_err(|_| "this number is too large for a time")?;
    match digits.len() {
        8 if digits.starts_with("19") || digits.starts_with("20") => {
            Err(format!("is {digits} a date? Write it with dashes: {}", dashed(digits)))
        }
        0..=11 => Ok(TimeSpec::At(number * 1_000)),
        _ if number > LAST_MS => Err("this number is too large for Unix milliseconds".into()),
        _ => Ok(TimeSpec::At(number)),
    }
}

fn dashed(digits: &str) -> String {
    format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..])
}

fn calendar(text: &str) -> Option<TimeSpec> {
    let bare = text
        .strip_suffix("UTC")
        .or_else(|| text.strip_suffix(['Z', 'z']))
        .unwrap_or(text)
        .trim_end()
        .replacen('t', "T", 1);
    // After the zone is gone only these characters may be left, so no other zone slips through.
    let plain = |byte: u8| byte.is_ascii_digit() || b"-:. T".contains(&byte);
    if !bare.bytes().all(plain) {
        return None;
    }
    let full = match bare.len() {
        10 => format!("{bare} 00:00:00"),
        16 => format!("{bare}:00"),
        _ => bare,
    };
    if full.get(19..).is_some_and(|fraction| fraction.contains(['-', ':', ' '])) {
        return None;
    }
    let since = humantime::parse_rfc3339_weak(&full).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(TimeSpec::At)
}

/// `2026-11-17T03:12:00Z`, with milliseconds only when there are some. Times outside of 1970 to
/// 9999 are shown as the nearest that is inside.
pub(crate) fn iso(unix_ms: i64) -> String {
    let unix_ms = unix_ms.clamp(0, LAST_MS);
    let at = UNIX_EPOCH + Duration::from_millis(unix_ms.unsigned_abs());
    if unix_ms % 1_000 == 0 {
        humantime::format_rfc3339_seconds(at).to_string()
    } else {
        humantime::format_rfc3339_millis(at).to_string()
    }
}

/// `2026-11-17`.
pub(crate) fn date(unix_ms: i64) -> String {
    iso(unix_ms)[..10].to_owned()
}

/// `03:12:00`, with milliseconds only when there are some.
pub(crate) fn clock(unix_ms: i64) -> String {
    let text = iso(unix_ms);
    text[11..text.len() - 1].to_owned()
}

/// `2026-11-17 03:12:00`.
pub(crate) fn date_and_clock(unix_ms: i64) -> String {
    format!("{} {}", date(unix_ms), clock(unix_ms))
}

/// `Nov 17`.
pub(crate) fn month_and_day(unix_ms: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = date(unix_ms);
    let month = date[5..7].parse::<usize>().unwrap_or(1);
    format!("{} {}", MONTHS.get(month.wrapping_sub(1)).unwrap_or(&"?"), &date[8..])
}

/// `Tue`.
pub(crate) fn weekday(unix_ms: i64) -> &'static str {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    DAYS[(unix_ms.clamp(0, LAST_MS) / 86_400_000 % 7) as usize]
}

#[cfg(test)]
#[path = "time_text_test.rs"]
mod time_text_test;
