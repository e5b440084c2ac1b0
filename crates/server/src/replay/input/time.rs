//! Times as text: decimal numbers, RFC 3339 and the combined log's date.
//!
//! Responsible for: exact conversion to Unix milliseconds, rounded down; decimal numbers are
//! handled digit by digit and never pass through floating point.
//! Invariants: the calendar is the proleptic Gregorian one; a leap second (`:60`) is accepted only
//! as 23:59:60 UTC and is the same instant as the midnight after it, as in POSIX time.
//! Must not: read a clock or know the machine's time zone.
//! Proved by: `time_test.rs` (known dates, leap years, every day of 800 years counted).

use super::options::TimeUnit;

#[cfg(test)]
#[path = "time_test.rs"]
mod tests;

/// Why a text is not a usable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeError {
    /// The text is not in the expected form.
    Malformed,
    /// The time is before 1970 or does not fit in 64 bits of milliseconds.
    OutOfRange,
}

/// A decimal number as its digits: `[+-] digits [. digits] [e [+-] digits]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

/// Exponents are cut off here: far beyond what any 64-bit number can need, and safe to add to.
const MAX_EXPONENT: i64 = 1 << 40;

impl<'a> Decimal<'a> {
    /// Parses the whole text; `None` if it is not a decimal number.
    pub(super) fn parse(text: &'a [u8]) -> Option<Decimal<'a>> {
        let (negative, text) = strip_sign(text);
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &mantissa[..0]),
        };
        let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        let some_digit = whole.len() + fraction.len() > 0;
        (all_digits && some_digit).then_some(Decimal { negative, whole, fraction, exponent })
    }

    /// Below zero (`-0` is not).
    pub(super) fn is_negative(&self) -> bool {
        self.negative && self.digits().any(|digit| digit != 0)
    }

    /// The number times 10^`shift`, rounded down; `None` if it is negative or does not fit.
    pub(super) fn scaled_floor(&self, shift: i64) -> Option<u64> {
        if self.is_negative() {
            return None;
        }
        let before_point = self.digits_before_point(shift);
        let mut value = 0_u64;
        for digit in self.digits().take(usize::try_from(before_point).unwrap_or(0)) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
        // Zeros that the exponent appends; 20 of them overflow anything but zero.
        let written = (self.whole.len() + self.fraction.len()) as i64;
        if value != 0 {
            for _ in 0..before_point.saturating_sub(written) {
                value = value.checked_mul(10)?;
            }
        }
        Some(value)
    }

    /// The number if it is a whole number that fits; `None` otherwise.
    pub(super) fn exact_u64(&self) -> Option<u64> {
        let before_point = usize::try_from(self.digits_before_point(0)).unwrap_or(0);
        let whole = self.digits().skip(before_point).all(|digit| digit == 0);
        if whole { self.scaled_floor(0) } else { None }
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).map(|byte| byte - b'0')
    }

    fn digits_before_point(&self, shift: i64) -> i64 {
        self.whole.len() as i64 + self.exponent + shift
    }
}

fn strip_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = strip_sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(MAX_EXPONENT);
    }
    Some(if negative { -value } else { value })
}

/// Unix milliseconds of a time in `unit`, rounded down.
pub(super) fn parse_time_ms(text: &[u8], unit: TimeUnit) -> Result<u64, TimeError> {
    let shift = match unit {
        TimeUnit::Seconds => 3,
        TimeUnit::Milliseconds => 0,
        TimeUnit::Microseconds => -3,
        TimeUnit::Nanoseconds => -6,
        TimeUnit::Rfc3339 => return parse_rfc3339_ms(text),
    };
    let decimal = Decimal::parse(text).ok_or(TimeError::Malformed)?;
    decimal.scaled_floor(shift).ok_or(TimeError::OutOfRange)
}

/// A date and time of day with its distance to UTC.
#[derive(Debug, Clone, Copy)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Milliseconds within the second.
    millis: i64,
    /// Local time minus UTC.
    offset_seconds: i64,
}

impl Civil {
    fn unix_ms(&self) -> Result<u64, TimeError> {
        let valid = (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 60;
        if !valid {
            return Err(TimeError::Malformed);
        }
        let days = days_since_epoch(self.year, self.month, self.day);
        let of_day = self.hour * 3600 + self.minute * 60 + self.second;
        let seconds = days * 86_400 + of_day - self.offset_seconds;
        if self.second == 60 && seconds.rem_euclid(86_400) != 0 {
            return Err(TimeError::Malformed);
        }
        u64::try_from(seconds * 1000 + self.millis).map_err(|_| TimeError::OutOfRange)
    }
}

/// Whether the Gregorian year has a 29 February.
fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month (1 to 12) of a year.
fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last day of its year; 400 of them
/// are 146,097 days, and a month's first day is (153 m + 2) / 5 days after 1 March.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Unix milliseconds of an RFC 3339 time, such as `2000-10-10T13:55:36.5-07:00`.
///
/// The `T` may be a space, `T` and `Z` may be small; digits after the third of the fraction are
/// dropped.
pub(super) fn parse_rfc3339_ms(text: &[u8]) -> Result<u64, TimeError> {
    rfc3339_civil(text).ok_or(TimeError::Malformed)?.unix_ms()
}

fn rfc3339_civil(text: &[u8]) -> Option<Civil> {
    let (head, tail) = text.split_at_checked(19)?;
    let separators = [head[4], head[7], head[13], head[16]];
    if separators != *b"--::" || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let (fraction, zone) = match tail {
        [b'.', rest @ ..] => {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
            if end == 0 {
                return None;
            }
            rest.split_at(end)
        }
        _ => (&tail[..0], tail),
    };
    let millis =
        [100, 10, 1].iter().zip(fraction).map(|(unit, byte)| unit * i64::from(byte - b'0')).sum();
    let offset_seconds = match zone {
        [b'Z' | b'z'] => 0,
        [sign, h1, h2, b':', m1, m2] => zone_seconds(*sign, &[*h1, *h2], &[*m1, *m2])?,
        _ => return None,
    };
    Some(Civil {
        year: number(&head[0..4])?,
        month: number(&head[5..7])?,
        day: number(&head[8..10])?,
        hour: number(&head[11..13])?,
        minute: number(&head[14..16])?,
        second: number(&head[17..19])?,
        millis,
        offset_seconds,
    })
}

/// Unix milliseconds of a combined log's time, such as `10/Oct/2000:13:55:36 -0700`.
pub(super) fn parse_log_ms(text: &[u8]) -> Result<u64, TimeError> {
    log_civil(text).ok_or(TimeError::Malformed)?.unix_ms()
}

fn log_civil(text: &[u8]) -> Option<Civil> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let text: &[u8; 26] = text.try_into().ok()?;
    let separators = [text[2], text[6], text[11], text[14], text[17], text[20]];
    if separators != *b"//::: " {
        return None;
    }
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(&text[3..6]))?;
    Some(Civil {
        year: number(&text[7..11])?,
        month: month as i64 + 1,
        day: number(&text[0..2])?,
        hour: number(&text[12..14])?,
        minute: number(&text[15..17])?,
        second: number(&text[18..20])?,
        millis: 0,
        offset_seconds: zone_seconds(text[21], &text[22..24], &text[24..26])?,
    })
}

fn zone_seconds(sign: u8, hours: &[u8], minutes: &[u8]) -> Option<i64> {
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// A number of at most four digits.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })
}
