//! What the demo says while it runs.
//!
//! Owns: the time since the beginning. A reader that goes away does not stop the demo.
//! Must not: decide anything.
//! Proof: `narrator_test.rs`.

use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

/// Says what happens when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrator {
    began: Instant,
}

impl Narrator {
    /// Time begins now.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// One event, with its time.
    pub(super) fn says(self, event: &str) {
        self.prints(&format!("{} {event}\n", minutes(self.began.elapsed())));
    }

    /// Text as it is.
    pub(super) fn prints(self, text: &str) {
        let mut out = std::io::stdout().lock();
        // Nobody reads it any more.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// `00:22`
fn minutes(time: Duration) -> String {
    format!("{:02}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// `12,345`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 column`, `2 columns`
pub(super) fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
#[path = "narrator_test.rs"]
mod narrator_test;
