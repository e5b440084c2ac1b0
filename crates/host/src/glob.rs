//! Redis's glob patterns: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, `\x`.
//!
//! Invariant: the work is at most pattern length times text length, whatever the pattern.
//! Proof: `glob_test.rs`.

/// Whether all of `text` matches `pattern`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern_at, mut text_at) = (0, 0);
    // Where the last star was and what it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while text_at < text.len() {
        if pattern.get(pattern_at) == Some(&b'*') {
            star = Some((pattern_at, text_at));
            pattern_at += 1;
            continue;
        }
        match one(&pattern[pattern_at..], text[text_at]) {
            Some(used) => {
                pattern_at += used;
                text_at += 1;
            }
            None => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    (pattern_at, text_at) = (at + 1, swallowed + 1);
                }
                None => return false,
            },
        }
    }
    pattern[pattern_at..].iter().all(|&byte| byte == b'*')
}

/// How much of the pattern's front one byte matches.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (used, is_in) = class_holds(class, byte);
            is_in.then_some(used + 1)
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [plain, ..] => (*plain == byte).then_some(1),
    }
}

/// How long a class (behind its `[`) is, its `]` included, and whether it holds `byte`. A class
/// that is not closed ends with the pattern.
fn class_holds(class: &[u8], byte: u8) -> (usize, bool) {
    let is_negated = class.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut is_in = false;
    loop {
        at += match &class[at.min(class.len())..] {
            [] => return (class.len(), is_in != is_negated),
            [b']', ..] => return (at + 1, is_in != is_negated),
            [b'\\', escaped, ..] => {
                is_in |= *escaped == byte;
                2
            }
            [low, b'-', high, ..] => {
                is_in |= (*low.min(high)..=*low.max(high)).contains(&byte);
                3
            }
            [plain, ..] => {
                is_in |= *plain == byte;
                1
            }
        };
    }
}

#[cfg(test)]
#[path = "glob_test.rs"]
mod glob_test;
