//! Numbers and lengths of time as text.
//!
//! Responsible for: `12,345`, `1.2k`, `3.4 MiB`, `10 min`; the same forms as the page.
//! Must not: know what the numbers belong to.
//! Proof: `numbers_test.rs`.

/// All digits, in groups of three.
pub(crate) fn exact(value: u128) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Short, for scales: `1.2k`, or `3.4 MiB` for bytes.
pub(crate) fn compact(value: u128, bytes: bool) -> String {
    const COUNTS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    const BYTES: [&str; 7] = [" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"];
    let (base, units) = if bytes { (1_024.0, BYTES) } else { (1_000.0, COUNTS) };
    let mut scaled = value as f64;
    let mut unit = 0;
    // 999.5 would be shown as 1000.
    while scaled >= base - 0.5 && unit + 1 < units.len() {
        scaled /= base;
        unit += 1;
    }
    format!("{}{}", shortest(scaled), units[unit])
}

fn shortest(value: f64) -> String {
    let text = match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `1 s`, `10 min`, `1 h`, `7 d`; never rounded.
pub(crate) fn duration(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    UNITS.iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)).map_or_else(
        || format!("{} ms", exact(ms.into())),
        |(unit, name)| format!("{} {name}", ms / unit),
    )
}

#[cfg(test)]
#[path = "numbers_test.rs"]
mod numbers_test;
